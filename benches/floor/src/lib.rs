//! The floor of a benchmark: a filter that reads all request header fields in one call and makes the edits that
//! Bitgate makes for a person with a session, with values that it knows beforehand. It decides nothing, and
//! reads as the SDK does, with a copy of each name and value: Bitgate saves those, and pays for deciding.
//!
//! Its configuration is the number of characters of the token that it passes on.
#![cfg(target_family = "wasm")]

use std::rc::Rc;

use proxy_wasm::hostcalls as host;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, BufferType, ContextType, LogLevel, MapType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root(Edits::default())));
}}

/// Names and values that requests get.
type Edits = Rc<Vec<(&'static str, Vec<u8>)>>;

struct Root(Edits);

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let text = host::get_buffer(BufferType::PluginConfiguration, 0, size);
        let text = text.ok().flatten().unwrap_or_default();
        let characters = std::str::from_utf8(&text).unwrap_or_default().parse();
        let Ok(characters) = characters else {
            return false;
        };
        self.0 = Rc::new(vec![
            (
                "authorization",
                format!("Bearer {}", "t".repeat(characters)).into_bytes(),
            ),
            (
                "x-forwarded-user",
                b"557058:00000001-ada0-4c0d-8e1f-b17b0c4e7000".to_vec(),
            ),
            ("x-forwarded-email", b"ada@example.com".to_vec()),
            ("x-bitgate-principal", b"person".to_vec()),
            (
                "x-bitgate-request-id",
                b"00000000-0000-4000-8000-000000000000".to_vec(),
            ),
        ]);
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Floor(Rc::clone(&self.0))))
    }
}

struct Floor(Edits);

impl Context for Floor {}

impl HttpContext for Floor {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        const MAP: MapType = MapType::HttpRequestHeaders;
        let fields = host::get_map_bytes(MAP).unwrap_or_default();
        if fields.iter().any(|(name, _)| name == "cookie") {
            let _ = host::remove_map_value(MAP, "cookie");
        }
        for (name, value) in self.0.iter() {
            let _ = host::set_map_value_bytes(MAP, name, Some(value));
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        const MAP: MapType = MapType::HttpResponseHeaders;
        if !matches!(host::get_map_value_bytes(MAP, "cache-control"), Ok(Some(_))) {
            let _ = host::set_map_value_bytes(MAP, "cache-control", Some(b"private, no-cache"));
        }
        Action::Continue
    }
}
