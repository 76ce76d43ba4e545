//! Manifests of Kubernetes.

mod around;
mod gateway;
mod istio;

pub(crate) use around::look;

use crate::finding::{Findings, Place};
use crate::node::Node;
use crate::plugin::Plugin;

/// Whether a document is a resource.
pub(crate) fn is_resource(root: &Node<'_>) -> bool {
    root.text("apiVersion").is_some() && root.text("kind").is_some()
}

/// A resource, or those in a list.
pub(crate) fn resources<'j>(root: &Node<'j>) -> Vec<Node<'j>> {
    match root.text("kind") {
        Some("List") => root.list("items").iter().flat_map(resources).collect(),
        Some(_) | None => vec![root.clone()],
    }
}

/// Finds the plugins of a resource that are Bitgate, and looks at what it says about them.
pub(crate) fn plugins(root: &Node<'_>, findings: &mut Findings) -> Vec<Plugin> {
    let place = place(root);
    match root.text("kind") {
        Some("WasmPlugin") => istio::wasm_plugin(root, &place, findings),
        Some("EnvoyFilter") => istio::envoy_filter(root, &place, findings),
        Some("EnvoyExtensionPolicy") => gateway::extension_policy(root, &place, findings),
        Some("EnvoyPatchPolicy") => gateway::patch_policy(root, &place, findings),
        Some(_) | None => Vec::new(),
    }
}

fn place(root: &Node<'_>) -> Place {
    let kind = root.text("kind").unwrap_or_default();
    let name = |field: &str| {
        root.dig(&["metadata", field])
            .and_then(|node| node.as_str())
    };
    let resource = match (name("namespace"), name("name")) {
        (Some(namespace), Some(name)) => format!("{kind} {namespace}/{name}"),
        (None, Some(name)) => format!("{kind} {name}"),
        (_, None) => kind.to_owned(),
    };
    Place::new(resource, root.path.clone())
}
