//! The thin shell around the core: the only code that names the host's interface.

mod filter;
mod header_map;
mod hostcalls;
mod jobs;
mod local_response;
mod metrics;
mod root;
mod stream;
mod worker;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Trace);
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
