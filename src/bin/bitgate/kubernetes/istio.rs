//! Istio: `WasmPlugin` and `EnvoyFilter`.

use bitgate::json::Json;

use crate::envoy::{WASM, is_bitgate, look, plugin};
use crate::finding::{Code, Findings, Place, found};
use crate::node::Node;
use crate::plugin::{Configuration, Passed, Plugin};

/// `WasmPlugin`: the configuration is an object that Istio hands on as JSON.
pub(super) fn wasm_plugin(root: &Node<'_>, place: &Place, findings: &mut Findings) -> Vec<Plugin> {
    let Some(spec) = root.get("spec") else {
        return Vec::new();
    };
    let config = spec.get("plugin_config");
    let configuration = config
        .as_ref()
        .map(|node| Configuration::from_json(node.json));
    let names = [
        root.dig(&["metadata", "name"])
            .and_then(|node| node.as_str()),
        spec.text("plugin_name"),
        spec.text("url"),
    ];
    let is_named = |name: &str| name.to_ascii_lowercase().contains("bitgate");
    let is_ours = names.into_iter().flatten().any(is_named)
        || configuration.as_ref().is_some_and(Configuration::is_ours);
    if !is_ours {
        return Vec::new();
    }
    strategy(&spec, place, findings);
    position(&spec, place, findings);
    module(&spec, place, findings);
    let environment = spec
        .get("vm_config")
        .map(|vm| vm.list("env"))
        .unwrap_or_default();
    let (mut host, mut inline) = (Vec::new(), Vec::new());
    for variable in environment {
        let Some(name) = variable.text("name") else {
            continue;
        };
        match variable.text("value_from") {
            Some("HOST") => host.push(name.to_owned()),
            Some(_) | None => {
                let value = variable.text("value").unwrap_or_default();
                inline.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    vec![Plugin {
        place: place.clone(),
        configuration: configuration
            .unwrap_or_else(|| Configuration::from_json(&Json::Object(Vec::new()))),
        passed: Passed::Only { host, inline },
    }]
}

fn strategy(spec: &Node<'_>, place: &Place, findings: &mut Findings) {
    let strategy = spec.get("fail_strategy");
    let (path, value) = (spec.path_of("failStrategy"), found(strategy.as_ref()));
    match strategy.as_ref().and_then(Node::as_str) {
        Some("FAIL_RELOAD") => {}
        Some("FAIL_OPEN") => {
            let why = "after a failure of the module everybody gets in";
            findings.add(Code::FailOpen, place, &path, ["FAIL_RELOAD", &value, why]);
        }
        Some(_) | None => {
            let why = "after a failure all requests of that worker get 503 until Envoy restarts";
            findings.add(Code::FailClosed, place, &path, ["FAIL_RELOAD", &value, why]);
        }
    }
}

fn position(spec: &Node<'_>, place: &Place, findings: &mut Findings) {
    let phase = spec.get("phase");
    if !matches!(
        phase.as_ref().and_then(Node::as_str),
        Some("AUTHN" | "AUTHZ")
    ) {
        let why = "else filters that change or judge the request may stand before it";
        let words = ["AUTHN", &found(phase.as_ref()), why];
        findings.add(Code::FilterOrder, place, &spec.path_of("phase"), words);
    }
    if spec.text("type") == Some("NETWORK") {
        let why = "Bitgate judges HTTP requests";
        findings.add(
            Code::FilterOrder,
            place,
            &spec.path_of("type"),
            ["HTTP", "NETWORK", why],
        );
    }
}

fn module(spec: &Node<'_>, place: &Place, findings: &mut Findings) {
    let url = spec.text("url").unwrap_or_default();
    let is_pinned = spec.text("sha256").is_some_and(|sum| !sum.is_empty())
        || url.contains("@sha256:")
        || url.starts_with("file:");
    if !is_pinned {
        let why = "whoever can change what lies there can let everybody in";
        let words = ["a checksum of the module", "none", why];
        findings.add(Code::UnpinnedModule, place, &spec.path_of("sha256"), words);
    }
}

/// `EnvoyFilter`: patches, some of which may hold the filter.
pub(super) fn envoy_filter(root: &Node<'_>, place: &Place, findings: &mut Findings) -> Vec<Plugin> {
    let patches = root.get("spec").map(|spec| spec.list("config_patches"));
    let values = patches.unwrap_or_default();
    let values = values
        .iter()
        .filter_map(|patch| patch.dig(&["patch", "value"]));
    patched(root, values.collect(), place, findings)
}

/// Plugins in parts of an Envoy configuration.
pub(super) fn patched(
    root: &Node<'_>,
    values: Vec<Node<'_>>,
    place: &Place,
    findings: &mut Findings,
) -> Vec<Plugin> {
    let mut plugins = Vec::new();
    for value in &values {
        let filters = value.find(WASM);
        let configs = filters.iter().filter_map(|filter| filter.get("config"));
        for config in configs.filter(is_bitgate) {
            look(&config, root, place, findings);
            plugins.extend(plugin(&config, place.clone(), findings));
        }
    }
    plugins
}
