//! Configurations of Envoy: a bootstrap, or single resources as a control plane sends them.

mod bootstrap;
mod cluster;
mod filter;
mod manager;
mod route;
mod tls;

pub(crate) use cluster::look_at_cluster;
pub(crate) use filter::{WASM, is_bitgate, look, plugin};
pub(crate) use manager::{HTTP_CONNECTION_MANAGER, Manager, Scope};

use crate::finding::{Findings, Place};
use crate::node::Node;
use crate::plugin::Plugin;

/// Whether a document is about Envoy, as far as its first keys say.
pub(crate) fn is_envoy(root: &Node<'_>) -> bool {
    let names = [
        "@type",
        "admin",
        "default_filter_chain",
        "dynamic_resources",
        "filter_chains",
        "http_filters",
        "layered_runtime",
        "node",
        "resources",
        "static_resources",
        "typed_config",
    ];
    names.iter().any(|name| root.get(name).is_some())
}

/// Finds the plugins in a document that are Bitgate, and looks at what is around them.
pub(crate) fn plugins(root: &Node<'_>, whole: &Place, findings: &mut Findings) -> Vec<Plugin> {
    let listeners = listeners(root);
    let place_of = |node: &Node<'_>| {
        let listener = listeners
            .iter()
            .find(|place| node.rest_of(&place.path).is_some());
        listener.unwrap_or(whole).clone()
    };
    let filters = filter::bitgates(root);
    let mut plugins = Vec::new();
    for node in &filters {
        let mut place = place_of(node);
        // Several in one listener are told apart by where they stand.
        let is_same = |other: &&Node<'_>| place_of(other) == place;
        if filters.iter().filter(is_same).count() > 1 {
            let path = node.rest_of(&place.path).unwrap_or_default();
            place.name = format!("{} ({path})", place.name);
        }
        filter::look(node, root, &place, findings);
        plugins.extend(filter::plugin(node, place, findings));
    }
    for node in root.find(HTTP_CONNECTION_MANAGER) {
        let place = place_of(&node);
        let inside = filters
            .iter()
            .zip(&plugins)
            .find(|(filter, _)| filter.is_within(&node));
        let outside = filters
            .iter()
            .zip(&plugins)
            .find(|(filter, _)| Manager::discovers(&node) && !filter.path.contains("http_filters"));
        if let Some((_, plugin)) = inside.or(outside) {
            let manager = Manager {
                node,
                place,
                scope: Scope::Whole,
                raw_rule: plugin.configuration.raw_rule(),
            };
            manager.look(findings);
        }
    }
    for plugin in &plugins {
        cluster::look(root, plugin, findings);
        route::look(root, plugin, whole, findings);
    }
    if !plugins.is_empty() {
        bootstrap::look(root, whole, findings);
    }
    plugins
}

/// Where listeners stand: in a bootstrap, among other resources, or alone.
fn listeners(root: &Node<'_>) -> Vec<Place> {
    let mut found = Vec::new();
    root.visit(&mut |node| {
        let chains = ["filter_chains", "default_filter_chain"];
        if chains.iter().any(|name| node.get(name).is_some()) {
            let name = match node.text("name") {
                Some(name) => format!("listener {name}"),
                None if node.path.is_empty() => "listener".to_owned(),
                None => node.path.clone(),
            };
            found.push(Place::new(name, node.path.clone()));
        }
    });
    found
}
