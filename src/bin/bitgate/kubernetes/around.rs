//! What other resources of a file say about the Envoy around a plugin.

use bitgate::json::Json;

use crate::envoy::{HTTP_CONNECTION_MANAGER, Manager, Scope, look_at_cluster};
use crate::finding::{Code, Findings, Level, Place, found};
use crate::kubernetes::place;
use crate::node::Node;
use crate::plugin::{ClusterUse, Plugin};

/// Settings that Istio leaves to other resources, and does not set as Bitgate needs them.
const ISTIO: [&str; 4] = [
    "path_with_escaped_slashes_action",
    "stream_idle_timeout",
    "headers_with_underscores_action",
    "http.async_response_buffer_limit",
];

/// The same for Envoy Gateway.
const GATEWAY: [&str; 3] = [
    "disableMergeSlashes",
    "streamIdleTimeout",
    "http.async_response_buffer_limit",
];

/// Looks at the resources of a file together.
pub(crate) fn look(resources: &[Node<'_>], plugins: &[Plugin], findings: &mut Findings) {
    let around = Around {
        raw_rule: plugins
            .iter()
            .find_map(|plugin| plugin.configuration.raw_rule()),
        clusters: plugins
            .iter()
            .flat_map(|plugin| plugin.configuration.clusters())
            .collect(),
    };
    for resource in resources {
        let place = place(resource);
        match resource.text("kind") {
            Some("EnvoyFilter") => around.envoy_filter(resource, &place, findings),
            Some("EnvoyPatchPolicy") => around.patch_policy(resource, &place, findings),
            Some("DestinationRule") => around.destination_rule(resource, &place, findings),
            Some("ClientTrafficPolicy") => around.traffic_policy(resource, &place, findings),
            Some(_) | None => {}
        }
    }
    for resource in resources {
        let place = place(resource);
        if !plugins.iter().any(|plugin| plugin.place == place) {
            continue;
        }
        let settings = match resource.text("kind") {
            Some("WasmPlugin" | "EnvoyFilter") => &ISTIO[..],
            Some(_) | None => &GATEWAY[..],
        };
        let missing: Vec<_> = settings
            .iter()
            .copied()
            .filter(|name| !resources.iter().any(|resource| mentions(resource, name)))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "nothing in this file sets {}: docs/command.md says what is needed",
                missing.join(", ")
            );
            findings.say(Code::NotInFile, Level::Note, &place, &message);
        }
    }
}

/// What the plugins of a file need of what is around them.
struct Around {
    raw_rule: Option<usize>,
    clusters: Vec<ClusterUse>,
}

impl Around {
    fn envoy_filter(&self, resource: &Node<'_>, place: &Place, findings: &mut Findings) {
        let patches = resource.get("spec").map(|spec| spec.list("config_patches"));
        for patch in patches.unwrap_or_default() {
            let Some(value) = patch.dig(&["patch", "value"]) else {
                continue;
            };
            self.managers(&value, place, findings);
            if patch.text("apply_to") == Some("CLUSTER") {
                let matched = |name| patch.dig(&["match", "cluster", name]);
                let name = matched("name").or_else(|| matched("service"));
                let name = name
                    .and_then(|name| name.as_str())
                    .or_else(|| value.text("name"));
                self.cluster(&value, name.unwrap_or_default(), place, findings);
            }
        }
    }

    fn patch_policy(&self, resource: &Node<'_>, place: &Place, findings: &mut Findings) {
        let patches = resource.get("spec").map(|spec| spec.list("json_patches"));
        for patch in patches.unwrap_or_default() {
            let Some(operation) = patch.get("operation") else {
                continue;
            };
            let Some(value) = operation.get("value") else {
                continue;
            };
            self.managers(&value, place, findings);
            let kind = patch.text("type").unwrap_or_default();
            if kind.ends_with(".Cluster") {
                let name = patch.text("name").unwrap_or_default();
                self.cluster(&value, name, place, findings);
            }
            let pointer = operation.text("path").unwrap_or_default();
            if let Some((_, field)) = pointer.rsplit_once('/') {
                self.field(field, &value, place, findings);
            }
        }
    }

    /// A patch that sets one field.
    fn field(&self, name: &str, value: &Node<'_>, place: &Place, findings: &mut Findings) {
        let unsafe_filter = match (name, value.as_str(), value.json.as_bool()) {
            ("failure_policy", Some("FAIL_OPEN"), _) | ("fail_open", _, Some(true)) => Some((
                Code::FailOpen,
                "after a failure of the module everybody gets in",
            )),
            ("allow_on_headers_stop_iteration", _, Some(true)) => Some((
                Code::BodyBeforeDecision,
                "the request would go on to the service before Bitgate has decided",
            )),
            _ => None,
        };
        if let Some((code, why)) = unsafe_filter {
            let expected = format!("no patch of {name}");
            findings.add(
                code,
                place,
                &value.path,
                [&expected, &found(Some(value)), why],
            );
            return;
        }
        let json = Json::Object(vec![(name.to_owned(), value.json.clone())]);
        self.manager(
            Node {
                json: &json,
                path: value.path.clone(),
            },
            place,
            findings,
        );
    }

    fn managers(&self, value: &Node<'_>, place: &Place, findings: &mut Findings) {
        for node in value.find(HTTP_CONNECTION_MANAGER) {
            self.manager(node, place, findings);
        }
    }

    fn manager(&self, node: Node<'_>, place: &Place, findings: &mut Findings) {
        let manager = Manager {
            node,
            place: place.clone(),
            scope: Scope::Patch,
            raw_rule: self.raw_rule,
        };
        manager.look(findings);
    }

    /// A patch of a cluster, if it is one that a configuration names.
    fn cluster(&self, value: &Node<'_>, name: &str, place: &Place, findings: &mut Findings) {
        let is_meant = |used: &&ClusterUse| !name.is_empty() && used.cluster.contains(name);
        for used in self.clusters.iter().filter(is_meant) {
            look_at_cluster(value, used, place, Scope::Patch, findings);
        }
    }

    /// Istio checks certificates by itself, unless it is told not to.
    fn destination_rule(&self, resource: &Node<'_>, place: &Place, findings: &mut Findings) {
        let Some(host) = resource
            .dig(&["spec", "host"])
            .and_then(|host| host.as_str())
        else {
            return;
        };
        // `outbound|443||bitbucket.org` is Istio's name of a cluster.
        let is_meant = |used: &ClusterUse| used.cluster.rsplit('|').next() == Some(host);
        let used = self
            .clusters
            .iter()
            .find(|used| used.https_host.is_some() && is_meant(used));
        if used.is_none() {
            return;
        }
        resource.visit(&mut |node| {
            let Some(tls) = node.get("tls") else {
                return;
            };
            if tls.text("mode") == Some("DISABLE") {
                let why = format!("codes, tokens and the client secret go to https://{host}");
                let path = tls.path_of("mode");
                findings.add(Code::TlsMissing, place, &path, ["SIMPLE", "DISABLE", &why]);
            }
            if tls.is_true("insecure_skip_verify") {
                let why = "else whoever stands between can answer, and gets the client secret";
                let path = tls.path_of("insecureSkipVerify");
                findings.add(Code::TlsUnverified, place, &path, ["false", "true", why]);
            }
        });
    }

    /// Envoy Gateway's own defaults are safe, but for slashes.
    fn traffic_policy(&self, resource: &Node<'_>, place: &Place, findings: &mut Findings) {
        let Some(spec) = resource.get("spec") else {
            return;
        };
        let merges = spec.dig(&["path", "disable_merge_slashes"]);
        if merges
            .as_ref()
            .is_some_and(|node| node.json.as_bool() == Some(false))
        {
            let why = "\"//reports\" would become a path that nobody asked for";
            let path = merges.map(|node| node.path).unwrap_or_default();
            findings.add(Code::MergeSlashes, place, &path, ["true", "false", why]);
        }
        let action = spec.dig(&["path", "escaped_slashes_action"]);
        let word = action.as_ref().and_then(Node::as_str);
        let expected = match (self.raw_rule, word) {
            (None, Some("KeepUnchanged" | "UnescapeAndForward")) => Some("RejectRequest"),
            (Some(_), Some(word)) if word != "KeepUnchanged" => Some("KeepUnchanged"),
            (None | Some(_), _) => None,
        };
        if let (Some(expected), Some(action)) = (expected, action) {
            let why = "rules and the service must see one and the same path";
            let words = [expected, &found(Some(&action)), why];
            findings.add(Code::EscapedSlashes, place, &action.path, words);
        }
        let underscores = spec.dig(&["headers", "with_underscores_action"]);
        if underscores.as_ref().and_then(Node::as_str) == Some("Allow") {
            let why = "some services read \"x_real_ip\" as \"x-real-ip\"";
            let path = underscores.map(|node| node.path).unwrap_or_default();
            findings.add(
                Code::UnderscoreHeaders,
                place,
                &path,
                ["RejectRequest", "Allow", why],
            );
        }
    }
}

/// Whether a setting is there, in whatever form: as a field, as a key of a runtime layer, or in the
/// text of a patch or a bootstrap.
fn mentions(resource: &Node<'_>, setting: &str) -> bool {
    let name = setting.rsplit('.').next().unwrap_or(setting);
    let mut found = false;
    resource.visit(&mut |node| {
        let is_patched = node.as_str().is_some_and(|text| text.contains(name));
        let is_set = node.get(name).is_some() || node.get(setting).is_some();
        found = found || is_patched || is_set;
    });
    found
}
