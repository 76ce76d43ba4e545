//! The files under `envoy/` as fixtures: parsed, changed where a test must, never patched as text.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

/// The session key of all tests: 32 bytes.
pub const SESSION_KEY: &str = "dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=";

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// An Envoy configuration of the project.
#[derive(Clone)]
pub struct Example(pub Value);

impl Example {
    pub fn read(name: &str) -> Self {
        let path = root().join("envoy").join(name);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Self(serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")))
    }

    fn wasm_filter(&mut self) -> &mut Value {
        let chain = &mut self.0["static_resources"]["listeners"][0]["filter_chains"][0];
        let filters = chain["filters"][0]["typed_config"]["http_filters"]
            .as_array_mut()
            .unwrap();
        let is_wasm = |filter: &&mut Value| {
            filter["typed_config"]["@type"]
                .as_str()
                .unwrap_or("")
                .ends_with("http.wasm.v3.Wasm")
        };
        let wasm = filters.iter_mut().find(is_wasm);
        &mut wasm.expect("the example has a wasm filter")["typed_config"]["config"]
    }

    /// The plugin's configuration.
    /// The plugin's configuration: a string of JSON, or a Struct.
    pub fn plugin(&mut self) -> Value {
        let value = &self.wasm_filter()["configuration"]["value"];
        let Some(text) = value.as_str() else {
            return value.clone();
        };
        serde_json::from_str(text).expect("the plugin's configuration is JSON")
    }

    /// Sets it in the form that it has.
    pub fn set_plugin(&mut self, config: &Value) {
        let value = &mut self.wasm_filter()["configuration"]["value"];
        *value = match value.is_string() {
            true => json!(config.to_string()),
            false => config.clone(),
        };
    }

    pub fn set_plugin_text(&mut self, text: &str) {
        self.wasm_filter()["configuration"]["value"] = json!(text);
    }

    /// Sets it as a Struct.
    pub fn set_plugin_struct(&mut self, config: &Value) {
        self.wasm_filter()["configuration"] = json!({
            "@type": "type.googleapis.com/google.protobuf.Struct",
            "value": config,
        });
    }

    /// Lets the module call and be called by these names only.
    pub fn restrict(&mut self, names: impl IntoIterator<Item = String>) {
        let allowed: serde_json::Map<_, _> =
            names.into_iter().map(|name| (name, json!({}))).collect();
        self.wasm_filter()["vm_config"]["capability_restriction_config"] =
            json!({"allowed_capabilities": allowed});
    }

    pub fn set_module(&mut self, path: &std::path::Path) {
        self.wasm_filter()["vm_config"]["code"]["local"]["filename"] = json!(path);
    }

    /// Lets Envoy pass every path on as it came, so that the filter alone judges it.
    pub fn leave_paths_alone(&mut self) {
        let chain = &mut self.0["static_resources"]["listeners"][0]["filter_chains"][0];
        let manager = &mut chain["filters"][0]["typed_config"];
        manager["normalize_path"] = json!(false);
        manager["merge_slashes"] = json!(false);
        manager["path_with_escaped_slashes_action"] = json!("KEEP_UNCHANGED");
    }

    /// Lets Envoy pass on header names with "_", so that the filter alone judges them.
    pub fn leave_underscores_alone(&mut self) {
        let chain = &mut self.0["static_resources"]["listeners"][0]["filter_chains"][0];
        let manager = &mut chain["filters"][0]["typed_config"];
        manager["common_http_protocol_options"]["headers_with_underscores_action"] = json!("ALLOW");
    }

    /// Lets the listener and the admin page choose free ports.
    pub fn free_ports(&mut self) {
        self.0["admin"]["address"]["socket_address"]["port_value"] = json!(0);
        let listener = &mut self.0["static_resources"]["listeners"][0];
        listener["address"]["socket_address"]["port_value"] = json!(0);
    }

    /// Points a cluster to a port on loopback.
    pub fn set_cluster_port(&mut self, name: &str, port: u16) {
        let clusters = self.0["static_resources"]["clusters"]
            .as_array_mut()
            .unwrap();
        let cluster = clusters.iter_mut().find(|cluster| cluster["name"] == name);
        let cluster = cluster.unwrap_or_else(|| panic!("no cluster {name}"));
        let endpoint = &mut cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0];
        endpoint["endpoint"]["address"]["socket_address"] =
            json!({"address": "127.0.0.1", "port_value": port});
    }
}
