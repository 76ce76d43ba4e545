//! Routes: what they turn off, and what they repeat.

use crate::envoy::manager::is_zero;
use crate::finding::{Code, Findings, Place};
use crate::node::Node;
use crate::plugin::Plugin;

/// Looks at every virtual host, wherever it stands.
pub(super) fn look(root: &Node<'_>, plugin: &Plugin, whole: &Place, findings: &mut Findings) {
    let names = filter_names(root);
    root.visit(&mut |node| {
        if node.get("domains").is_some() && node.get("routes").is_some() {
            let host = VirtualHost {
                node: node.clone(),
                place: Place::new(
                    format!("virtual host {}", node.text("name").unwrap_or(&node.path)),
                    node.path.clone(),
                ),
            };
            host.retries(plugin, findings);
            host.timeouts(findings);
            host.rewrites(findings);
            host.others(findings);
        }
        if node.get("virtual_hosts").is_some() {
            mirrors(node, whole, findings);
        }
        if let Some(filters) = node.get("typed_per_filter_config") {
            disabled(&filters, &names, whole, findings);
        }
    });
}

struct VirtualHost<'j> {
    node: Node<'j>,
    place: Place,
}

impl VirtualHost<'_> {
    /// Codes and refresh tokens work once. A route that leads to where they are sent repeats them
    /// only for others than the filter, whose calls take no route; but such a route is no good idea
    /// for a policy either.
    fn retries(&self, plugin: &Plugin, findings: &mut Findings) {
        for used in plugin.configuration.clusters() {
            if !used.has_single_use_calls() {
                continue;
            }
            let routes = self.node.list("routes");
            let leads = |route: &Node<'_>| {
                let Some(action) = route.get("route") else {
                    return false;
                };
                let weighted = action.dig(&["weighted_clusters"]);
                let weighted = weighted
                    .map(|node| node.list("clusters"))
                    .unwrap_or_default();
                action.text("cluster") == Some(&used.cluster)
                    || weighted
                        .iter()
                        .any(|node| node.text("name") == Some(&used.cluster))
            };
            let to_it: Vec<_> = routes.iter().filter(|route| leads(route)).collect();
            let own = to_it
                .iter()
                .filter_map(|route| route.dig(&["route", "retry_policy"]));
            let shared = self.node.get("retry_policy").filter(|_| !to_it.is_empty());
            for policy in own.chain(shared) {
                let expected = format!("none on the way to the cluster {}", used.cluster);
                let why = "a code or a refresh token works once";
                let words = [expected.as_str(), "one", why];
                findings.add(Code::RetryPolicy, &self.place, &policy.path, words);
            }
        }
    }

    fn timeouts(&self, findings: &mut Findings) {
        for route in self.node.list("routes") {
            let timeout = route.dig(&["route", "idle_timeout"]);
            if let Some(timeout) = timeout.filter(is_zero) {
                let why = "a stream whose filter died while it waited is never answered";
                let words = ["a time such as 1h", "0s", why];
                findings.add(Code::NoStreamTimeout, &self.place, &timeout.path, words);
            }
        }
    }

    /// Rewritten after the filter: what the rules say is about the path before.
    fn rewrites(&self, findings: &mut Findings) {
        let kinds = [
            "prefix_rewrite",
            "regex_rewrite",
            "path_rewrite",
            "path_rewrite_policy",
        ];
        for route in self.node.list("routes") {
            let action = route.get("route");
            let found = kinds.iter().filter_map(|kind| action.as_ref()?.get(kind));
            for rewrite in found {
                let why =
                    "the rules judge the path before, and the service gets one that they may close";
                let words = ["none", "one", why];
                findings.add(Code::PathRewrite, &self.place, &rewrite.path, words);
            }
        }
    }

    /// What sends a request, with the credential in it, to somebody else as well.
    fn others(&self, findings: &mut Findings) {
        mirrors(&self.node, &self.place, findings);
        for route in self.node.list("routes") {
            let Some(action) = route.get("route") else {
                continue;
            };
            mirrors(&action, &self.place, findings);
            if let Some(policy) = action.get("internal_redirect_policy") {
                let why =
                    "where it leads gets the credential of the first rule, whatever its own says";
                let words = ["none", "one", why];
                findings.add(Code::CredentialElsewhere, &self.place, &policy.path, words);
            }
        }
    }
}

fn mirrors(node: &Node<'_>, place: &Place, findings: &mut Findings) {
    for mirror in node.list("request_mirror_policies") {
        let found = mirror.text("cluster").unwrap_or("one");
        let why = "it gets the tokens that Bitgate puts in";
        let words = ["none", found, why];
        findings.add(Code::CredentialElsewhere, place, &mirror.path, words);
    }
}

/// What the filters that are Bitgate are called, since routes turn them off by that.
fn filter_names<'j>(root: &Node<'j>) -> Vec<&'j str> {
    let bitgates = super::filter::bitgates(root);
    let mut names = Vec::new();
    root.visit(&mut |node| {
        let Some(config) = node.get("typed_config") else {
            return;
        };
        if bitgates.iter().any(|bitgate| {
            // Not the filter of a network chain that has it inside.
            config.message().is_some_and(|(_, message)| {
                message
                    .get("config")
                    .is_some_and(|own| own.path == bitgate.path)
            })
        }) {
            names.extend(node.text("name"));
        }
    });
    names
}

/// `FilterConfig` with `disabled: true`.
fn disabled(filters: &Node<'_>, names: &[&str], place: &Place, findings: &mut Findings) {
    for (name, config) in filters.members() {
        let is_off = config.message().is_some_and(|(kind, message)| {
            kind == "envoy.config.route.v3.FilterConfig" && message.is_true("disabled")
        });
        if is_off && names.contains(&name) {
            let why = "what this matches reaches the service without Bitgate";
            let words = [
                "a rule with \"allow: public\" in its place",
                "it disabled",
                why,
            ];
            findings.add(Code::FilterDisabled, place, &config.path, words);
        }
    }
}
