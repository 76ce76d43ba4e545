//! The clusters of the filter's own calls.

use crate::envoy::{Scope, tls};
use crate::finding::{Code, Findings, Level, Place};
use crate::node::Node;
use crate::plugin::{ClusterUse, Plugin};

/// Looks at every cluster that a configuration names.
pub(super) fn look(root: &Node<'_>, plugin: &Plugin, findings: &mut Findings) {
    let clusters = clusters(root);
    for used in plugin.configuration.clusters() {
        let named = |node: &&Node<'_>| node.text("name") == Some(&used.cluster);
        match clusters.iter().find(named) {
            Some(cluster) => {
                let place = Place::new(format!("cluster {}", used.cluster), cluster.path.clone());
                look_at_cluster(cluster, &used, &place, Scope::Whole, findings);
            }
            None if is_complete(root) => {
                let path = format!("{}.cluster", used.path);
                let message = format!(
                    "{path}: expected a cluster of static_resources.clusters, but found \"{}\": \
                     calls to it fail at once",
                    used.cluster
                );
                findings.say(Code::UnknownCluster, Level::Error, &plugin.place, &message);
            }
            None => {}
        }
    }
}

/// Looks at one cluster, or a patch of it.
pub(crate) fn look_at_cluster(
    cluster: &Node<'_>,
    used: &ClusterUse,
    place: &Place,
    scope: Scope,
    findings: &mut Findings,
) {
    retries(cluster, used, place, findings);
    if scope == Scope::Whole || cluster.get("transport_socket").is_some() {
        tls::look(cluster, used, place, findings);
    }
}

/// In a bootstrap, among other resources, or alone.
fn clusters<'j>(root: &Node<'j>) -> Vec<Node<'j>> {
    let fixed = root.get("static_resources");
    let fixed = fixed.map(|node| node.list("clusters")).unwrap_or_default();
    let sent = root.find("envoy.config.cluster.v3.Cluster");
    fixed.into_iter().chain(sent).collect()
}

/// Whether no other clusters can come.
fn is_complete(root: &Node<'_>) -> bool {
    let dynamic = root.get("dynamic_resources");
    let dynamic = dynamic.is_some_and(|node| {
        node.get("cds_config").is_some() || node.get("cds_resources_locator").is_some()
    });
    root.get("static_resources").is_some() && !dynamic
}

/// A policy of the cluster holds for calls of filters, too.
fn retries(cluster: &Node<'_>, used: &ClusterUse, place: &Place, findings: &mut Findings) {
    if !used.has_single_use_calls() {
        return;
    }
    let options = cluster.get("typed_extension_protocol_options");
    let options = options.map(|node| node.members()).unwrap_or_default();
    let policies = options
        .iter()
        .filter_map(|(_, any)| any.message()?.1.get("retry_policy"));
    for policy in policies {
        let why = "a code or a refresh token works once: a repeated call ends the session that \
                   the first one opened";
        findings.add(Code::RetryPolicy, place, &policy.path, ["none", "one", why]);
    }
}
