//! What holds for a whole Envoy.

use std::net::IpAddr;

use crate::finding::{Code, Findings, Place, found};
use crate::node::Node;

/// Looks at a bootstrap; other documents have nothing of it.
pub(super) fn look(root: &Node<'_>, whole: &Place, findings: &mut Findings) {
    let parts = [
        "static_resources",
        "dynamic_resources",
        "admin",
        "layered_runtime",
    ];
    if parts.iter().any(|name| root.get(name).is_some()) {
        admin(root, whole, findings);
        limit(root, whole, findings);
    }
}

/// It shows the whole configuration, and stops Envoy when told to.
fn admin(root: &Node<'_>, whole: &Place, findings: &mut Findings) {
    let address = root.dig(&["admin", "address", "socket_address", "address"]);
    let Some(address) = address else {
        return;
    };
    let text = address.as_str().unwrap_or_default();
    let is_loopback = match text.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => text == "localhost",
    };
    if !is_loopback {
        let why = "/config_dump shows the configuration, and /quitquitquit ends Envoy";
        let words = ["127.0.0.1", &found(Some(&address)), why];
        findings.add(Code::AdminAddress, whole, &address.path, words);
    }
}

/// `http.async_response_buffer_limit`, in one word or as a tree.
fn limit(root: &Node<'_>, whole: &Place, findings: &mut Findings) {
    let layers = root
        .get("layered_runtime")
        .map(|runtime| runtime.list("layers"))
        .unwrap_or_default();
    let is_set = layers.iter().any(|layer| {
        // What stands in files or is sent is not here.
        let is_elsewhere = ["disk_layer", "rtds_layer"]
            .iter()
            .any(|name| layer.get(name).is_some());
        let fixed = layer.get("static_layer");
        let value = fixed.and_then(|fixed| {
            fixed
                .get("http.async_response_buffer_limit")
                .or_else(|| fixed.dig(&["http", "async_response_buffer_limit"]))
        });
        is_elsewhere || value.is_some()
    });
    if !is_set {
        let why = "an answer of any size to Bitgate's calls is kept in memory";
        let words = [
            "http.async_response_buffer_limit: 65536 in a static_layer",
            "none",
            why,
        ];
        findings.add(Code::NoBufferLimit, whole, "layered_runtime", words);
    }
}
