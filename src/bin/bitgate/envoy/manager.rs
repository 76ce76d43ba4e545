//! `HttpConnectionManager`: what happens to a request before and around the filter.

use crate::envoy::WASM;
use crate::finding::{Code, Findings, Place, found};
use crate::node::Node;

/// The type of the network filter that has HTTP filters.
pub(crate) const HTTP_CONNECTION_MANAGER: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

const NAMESPACE: &str = "envoy.extensions.filters.http.";

/// How much of the settings is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A part that is laid over what a control plane has made: what is absent says nothing.
    Patch,
    /// All of them.
    Whole,
}

/// The settings around a filter.
#[derive(Debug)]
pub(crate) struct Manager<'j> {
    /// The message.
    pub(crate) node: Node<'j>,
    /// What people call it.
    pub(crate) place: Place,
    /// How much of it is here.
    pub(crate) scope: Scope,
    /// The first rule with `tail: raw`.
    pub(crate) raw_rule: Option<usize>,
}

impl Manager<'_> {
    /// Whether it gets a wasm filter from a control plane.
    pub(crate) fn discovers(node: &Node<'_>) -> bool {
        node.list("http_filters").iter().any(is_discovered)
    }

    /// Looks at all of it.
    pub(crate) fn look(&self, findings: &mut Findings) {
        self.paths(findings);
        self.client(findings);
        self.timeout(findings);
        self.order(findings);
    }

    /// Rules and the service must see one and the same path.
    fn paths(&self, findings: &mut Findings) {
        let why = "rules and the service must see one and the same path";
        if !self.node.is_true("normalize_path") {
            self.wrong(
                findings,
                Code::PathNormalization,
                "normalize_path",
                "true",
                why,
            );
        }
        if self.node.is_true("merge_slashes") {
            let why = "\"//reports\" would become a path that nobody asked for, while Bitgate \
                       refuses it";
            self.wrong(findings, Code::MergeSlashes, "merge_slashes", "false", why);
        }
        let name = "path_with_escaped_slashes_action";
        let action = self.node.get(name);
        // PathWithEscapedSlashesAction of the message.
        let action = match action.as_ref().and_then(|node| node.json.as_u64()) {
            Some(1) => Some("KEEP_UNCHANGED"),
            Some(2) => Some("REJECT_REQUEST"),
            Some(3) => Some("UNESCAPE_AND_REDIRECT"),
            Some(_) | None => action.as_ref().and_then(Node::as_str),
        };
        match (self.raw_rule, action) {
            (None, Some("REJECT_REQUEST" | "UNESCAPE_AND_REDIRECT")) => {}
            (Some(_), Some("KEEP_UNCHANGED")) => {}
            (None, _) => self.wrong(findings, Code::EscapedSlashes, name, "REJECT_REQUEST", why),
            (Some(index), _) => {
                let why = format!("rules[{index}] has \"tail: raw\", so Bitgate judges \"%2f\"");
                self.wrong(findings, Code::EscapedSlashes, name, "KEEP_UNCHANGED", &why);
            }
        }
    }

    /// What is believed of what a client says.
    fn client(&self, findings: &mut Findings) {
        let detects = !self
            .node
            .list("original_ip_detection_extensions")
            .is_empty();
        if !self.node.is_true("use_remote_address") && !detects {
            let why = "else any client may say where it comes from, and set x-envoy- headers";
            self.wrong(
                findings,
                Code::ClientAddress,
                "use_remote_address",
                "true",
                why,
            );
        }
        let name = "headers_with_underscores_action";
        let options = self.node.get("common_http_protocol_options");
        let action = options.as_ref().and_then(|options| options.get(name));
        let number = action.as_ref().and_then(|node| node.json.as_u64());
        let word = action.as_ref().and_then(Node::as_str);
        let is_safe =
            matches!(word, Some("REJECT_REQUEST" | "DROP_HEADER")) || matches!(number, Some(1 | 2));
        if !is_safe && (self.scope == Scope::Whole || action.is_some()) {
            let path = format!(
                "{}.{name}",
                self.node.path_of("common_http_protocol_options")
            );
            let why = "some services read \"x_real_ip\" as \"x-real-ip\"";
            let words = ["REJECT_REQUEST", &found(action.as_ref()), why];
            findings.add(Code::UnderscoreHeaders, &self.place, &path, words);
        }
    }

    /// A stream whose filter died while it waited is never answered.
    fn timeout(&self, findings: &mut Findings) {
        let name = "stream_idle_timeout";
        let timeout = self.node.get(name);
        let is_missing = timeout.is_none() && self.scope == Scope::Whole;
        if is_missing || timeout.as_ref().is_some_and(is_zero) {
            let why = "a stream whose filter died while it waited is never answered";
            self.wrong(
                findings,
                Code::NoStreamTimeout,
                name,
                "a time such as 30s",
                why,
            );
        }
    }

    fn order(&self, findings: &mut Findings) {
        let filters = self.node.list("http_filters");
        let is_ours = |filter: &Node<'_>| {
            let message = filter.get("typed_config").and_then(|any| any.message());
            let config = message.filter(|(name, _)| *name == WASM);
            let config = config.and_then(|(_, wasm)| wasm.get("config"));
            config.is_some_and(|config| super::is_bitgate(&config))
        };
        let ours = filters
            .iter()
            .position(is_ours)
            .or_else(|| filters.iter().position(is_discovered))
            .or_else(|| {
                filters
                    .iter()
                    .position(|filter| type_of(filter) == Some(WASM))
            });
        let Some((index, ours)) = ours.and_then(|index| Some((index, filters.get(index)?))) else {
            return;
        };
        if ours.is_true("disabled") {
            let why = "requests pass without Bitgate, unless a route turns it on";
            let path = ours.path_of("disabled");
            findings.add(
                Code::FilterDisabled,
                &self.place,
                &path,
                ["false", "true", why],
            );
        }
        for filter in filters.iter().take(index) {
            let Some(name) = type_of(filter) else {
                continue;
            };
            if let Some(why) = harm_before(name) {
                let words = ["it behind Bitgate", "it before", why];
                let path = format!("{} ({name})", filter.path);
                findings.add(Code::FilterOrder, &self.place, &path, words);
            }
        }
    }

    fn wrong(&self, findings: &mut Findings, code: Code, name: &str, expected: &str, why: &str) {
        let value = self.node.get(name);
        if value.is_none() && self.scope == Scope::Patch {
            return;
        }
        let words = [expected, &found(value.as_ref()), why];
        findings.add(code, &self.place, &self.node.path_of(name), words);
    }
}

/// Why a filter of this type may not stand before Bitgate.
fn harm_before(name: &str) -> Option<&'static str> {
    if name == WASM {
        return Some("a plugin may change the path, and read the credentials");
    }
    let (kind, _) = name.strip_prefix(NAMESPACE)?.split_once('.')?;
    match kind {
        "router" => Some("nothing behind the router is asked"),
        "cache" | "cache_v2" => Some("it answers everybody with what one person was allowed"),
        "compressor" | "decompressor" => {
            Some("it changes pages and cookies of Bitgate's own answers")
        }
        "aws_lambda" | "file_server" => Some("it answers by itself, and Bitgate is not asked"),
        "composite" | "dynamic_modules" | "ext_proc" | "filter_chain" | "golang"
        | "header_mutation" | "lua" | "transform" => {
            Some("it may change the path or the headers that Bitgate has to judge")
        }
        "connect_grpc_bridge"
        | "grpc_http1_bridge"
        | "grpc_http1_reverse_bridge"
        | "grpc_json_reverse_transcoder"
        | "grpc_json_transcoder"
        | "mcp_json_rest_bridge"
        | "mcp_router" => Some("it makes another request of it, with another path or another type"),
        "tap" => Some("it records requests with their cookies"),
        _ => None,
    }
}

fn type_of<'j>(filter: &Node<'j>) -> Option<&'j str> {
    let (name, _) = filter.get("typed_config")?.message()?;
    Some(name)
}

/// Whether a filter of the wasm type comes from a control plane.
fn is_discovered(filter: &Node<'_>) -> bool {
    let Some(discovery) = filter.get("config_discovery") else {
        return false;
    };
    let urls = discovery.list("type_urls");
    urls.iter()
        .any(|url| url.as_str().is_some_and(|url| url.ends_with(WASM)))
}

/// Whether a duration is zero, which means for ever.
pub(super) fn is_zero(node: &Node<'_>) -> bool {
    node.as_str().is_some_and(|text| {
        let number = text.trim().trim_end_matches('s');
        !number.is_empty() && number.bytes().all(|b| matches!(b, b'0' | b'.'))
    })
}
