//! The filter itself: `envoy.extensions.filters.http.wasm.v3.Wasm`.

use crate::finding::{Code, Findings, Level, Place, found};
use crate::node::Node;
use crate::plugin::{Configuration, Passed, Plugin};

/// The type of the filter.
pub(crate) const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";

/// The `config` of every filter that is Bitgate. If none looks like it, all are taken for it: better
/// a complaint too many than a filter that nobody looked at.
pub(super) fn bitgates<'j>(root: &Node<'j>) -> Vec<Node<'j>> {
    let all = wasm_configs(root);
    let ours: Vec<_> = all
        .iter()
        .filter(|config| is_bitgate(config))
        .cloned()
        .collect();
    match ours.is_empty() {
        true => all,
        false => ours,
    }
}

fn wasm_configs<'j>(root: &Node<'j>) -> Vec<Node<'j>> {
    let filters = root.find(WASM);
    filters
        .iter()
        .filter_map(|filter| filter.get("config"))
        .collect()
}

/// Whether a plugin calls itself so, or has a configuration of ours. A `vm_id` may be somebody else's,
/// too.
pub(crate) fn is_bitgate(config: &Node<'_>) -> bool {
    let code = config.dig(&["vm_config", "code"]);
    let code = code.as_ref();
    let names = [
        config.text("name"),
        config.text("root_id"),
        code.and_then(|code| code.dig(&["local", "filename"])?.as_str()),
        code.and_then(|code| code.dig(&["remote", "http_uri", "uri"])?.as_str()),
    ];
    let is_named = |name: &str| name.to_ascii_lowercase().contains("bitgate");
    names.into_iter().flatten().any(is_named)
        || Configuration::from_any(config.get("configuration").as_ref())
            .is_some_and(|configuration| configuration.is_ours())
}

/// The plugin in a filter's `config`.
pub(crate) fn plugin(config: &Node<'_>, place: Place, findings: &mut Findings) -> Option<Plugin> {
    let any = config.get("configuration");
    let configuration = Configuration::from_any(any.as_ref());
    if configuration.is_none() {
        let path = any.map_or_else(|| config.path_of("configuration"), |any| any.path);
        let words = [
            "a google.protobuf.StringValue or a google.protobuf.Struct",
            "another type",
            "Bitgate reads nothing else",
        ];
        findings.add(Code::Configuration, &place, &path, words);
    }
    let environment = config.dig(&["vm_config", "environment_variables"]);
    let host = environment.as_ref().map(|node| node.list("host_env_keys"));
    let host = host
        .unwrap_or_default()
        .into_iter()
        .filter_map(|key| key.as_str());
    let inline = environment.as_ref().and_then(|node| node.get("key_values"));
    let inline = inline.map(|node| node.members()).unwrap_or_default();
    let inline = inline.into_iter().filter_map(|(name, value)| {
        let value = value.as_str()?.to_owned();
        Some((name.to_owned(), value))
    });
    Some(Plugin {
        place,
        configuration: configuration?,
        passed: Passed::Only {
            host: host.map(str::to_owned).collect(),
            inline: inline.collect(),
        },
    })
}

/// Looks at how Envoy runs it.
pub(crate) fn look(config: &Node<'_>, root: &Node<'_>, place: &Place, findings: &mut Findings) {
    policy(config, place, findings);
    if config.is_true("allow_on_headers_stop_iteration") {
        let path = config.path_of("allow_on_headers_stop_iteration");
        let why = "the request would go on to the service before Bitgate has decided";
        findings.add(
            Code::BodyBeforeDecision,
            place,
            &path,
            ["it left off", "true", why],
        );
    }
    shared_vm(config, root, place, findings);
}

/// What happens after a failure of the module.
fn policy(config: &Node<'_>, place: &Place, findings: &mut Findings) {
    let old = config
        .get("fail_open")
        .filter(|_| config.is_true("fail_open"));
    let policy = config.get("failure_policy");
    let word = policy.as_ref().and_then(Node::as_str);
    let number = policy.as_ref().and_then(|node| node.json.as_u64());
    // FailurePolicy of envoy/extensions/wasm/v3/wasm.proto.
    let (is_open, is_reload) = (
        word == Some("FAIL_OPEN") || number == Some(3),
        word == Some("FAIL_RELOAD") || number == Some(1),
    );
    let path = config.path_of("failure_policy");
    let value = found(policy.as_ref());
    if let Some(old) = old {
        let why = "after a failure of the module everybody gets in";
        let words = ["failure_policy: FAIL_RELOAD in its place", "true", why];
        findings.add(Code::FailOpen, place, &old.path, words);
    } else if is_open {
        let why = "after a failure of the module everybody gets in";
        findings.add(Code::FailOpen, place, &path, ["FAIL_RELOAD", &value, why]);
    } else if !is_reload {
        let why = "after a failure all requests of that worker get 503 until Envoy restarts";
        findings.add(Code::FailClosed, place, &path, ["FAIL_RELOAD", &value, why]);
    }
}

/// Shared data belongs to a `vm_id`, whatever the code: who has the same one can read and write it.
fn shared_vm(config: &Node<'_>, root: &Node<'_>, place: &Place, findings: &mut Findings) {
    let vm_id = |config: &Node<'_>| {
        let vm_id = config.dig(&["vm_config", "vm_id"]);
        vm_id
            .and_then(|node| node.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let ours = vm_id(config);
    let is_other = |other: &Node<'_>| vm_id(other) == ours && !is_bitgate(other);
    let others = wasm_configs(root);
    if let Some(other) = others
        .iter()
        .find(|other| other.path != config.path && is_other(other))
    {
        let name = other.text("name").unwrap_or("another plugin");
        let message = format!(
            "{}: expected a vm_id of its own, but found the one of {name}: it can read and write \
             Bitgate's shared data",
            config.rest_of(&place.path).unwrap_or_default()
        );
        findings.say(Code::SharedVm, Level::Warning, place, &message);
    }
}
