//! Envoy Gateway: `EnvoyExtensionPolicy` and `EnvoyPatchPolicy`.

use bitgate::json::Json;

use crate::finding::{Code, Findings, Place};
use crate::kubernetes::istio::patched;
use crate::node::Node;
use crate::plugin::{Configuration, Passed, Plugin};

/// `EnvoyExtensionPolicy`: the configuration is handed on as JSON.
pub(super) fn extension_policy(
    root: &Node<'_>,
    place: &Place,
    findings: &mut Findings,
) -> Vec<Plugin> {
    let Some(spec) = root.get("spec") else {
        return Vec::new();
    };
    let mut plugins = Vec::new();
    let wasms = spec.list("wasm");
    for wasm in &wasms {
        let config = wasm.get("config");
        let configuration = config
            .as_ref()
            .map(|node| Configuration::from_json(node.json));
        let source = |kind: &str| {
            wasm.dig(&["code", kind, "url"])
                .and_then(|url| url.as_str())
        };
        let names = [
            root.dig(&["metadata", "name"])
                .and_then(|node| node.as_str()),
            wasm.text("name"),
            wasm.dig(&["rootID"]).and_then(|node| node.as_str()),
            source("image"),
            source("http"),
        ];
        let is_named = |name: &str| name.to_ascii_lowercase().contains("bitgate");
        let is_ours = names.into_iter().flatten().any(is_named)
            || configuration.as_ref().is_some_and(Configuration::is_ours);
        if !is_ours {
            continue;
        }
        if wasm.is_true("fail_open") {
            let why = "after a failure of the module everybody gets in";
            let path = wasm.path_of("failOpen");
            findings.add(Code::FailOpen, place, &path, ["false", "true", why]);
        }
        module(wasm, place, findings);
        order(&spec, &wasms, wasm, place, findings);
        let host = wasm
            .get("env")
            .map(|env| env.list("host_keys"))
            .unwrap_or_default();
        let host = host.iter().filter_map(Node::as_str).map(str::to_owned);
        plugins.push(Plugin {
            place: place.clone(),
            configuration: configuration
                .unwrap_or_else(|| Configuration::from_json(&Json::Object(Vec::new()))),
            passed: Passed::Only {
                host: host.collect(),
                inline: Vec::new(),
            },
        });
    }
    plugins
}

fn module(wasm: &Node<'_>, place: &Place, findings: &mut Findings) {
    for kind in ["image", "http"] {
        let Some(source) = wasm.dig(&["code", kind]) else {
            continue;
        };
        let is_pinned = source.text("sha256").is_some_and(|sum| !sum.is_empty())
            || source
                .text("url")
                .is_some_and(|url| url.contains("@sha256:"));
        if !is_pinned {
            let why = "whoever can change what lies there can let everybody in";
            let words = ["a checksum of the module", "none", why];
            findings.add(
                Code::UnpinnedModule,
                place,
                &source.path_of("sha256"),
                words,
            );
        }
    }
}

/// Envoy Gateway puts Lua and external processors before wasm, and wasm in the order of the list.
fn order(
    spec: &Node<'_>,
    wasms: &[Node<'_>],
    ours: &Node<'_>,
    place: &Place,
    findings: &mut Findings,
) {
    let scripts = spec.list("lua").into_iter().chain(spec.list("ext_proc"));
    let before = wasms
        .iter()
        .take_while(|wasm| wasm.path != ours.path)
        .cloned();
    for filter in scripts.chain(before) {
        let why = "it may change the path or the headers that Bitgate has to judge";
        let words = ["it behind Bitgate", "it before", why];
        findings.add(Code::FilterOrder, place, &filter.path, words);
    }
}

/// `EnvoyPatchPolicy`: values of JSON patches.
pub(super) fn patch_policy(root: &Node<'_>, place: &Place, findings: &mut Findings) -> Vec<Plugin> {
    let patches = root.get("spec").map(|spec| spec.list("json_patches"));
    let values = patches.unwrap_or_default();
    let values = values
        .iter()
        .filter_map(|patch| patch.dig(&["operation", "value"]));
    patched(root, values.collect(), place, findings)
}
