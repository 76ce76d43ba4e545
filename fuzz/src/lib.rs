//! Fuzz targets: what must hold for every input, however hostile.
//!
//! Every target asserts properties; "it does not panic" is the least of them. `tests/replay.rs`
//! runs each on the seeds in `seeds/`, with every `cargo test`; `scripts/fuzz` looks for inputs that
//! nobody thought of. An input that once broke a property stays as a seed.

mod bitbucket;
mod config;
mod gate;
mod http;
mod jose;
mod json;
mod oauth;
mod policy;
mod session;
mod setup;

/// One thing that reads bytes of strangers.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is also that of its folder of seeds.
    pub name: &'static str,
    /// Panics if a property does not hold for these bytes.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All targets, by name.
pub const TARGETS: &[Target] = &[
    target("authorization_response", oauth::authorization_response),
    target("config", config::config),
    target("cookies", http::cookies),
    target("emails", bitbucket::emails),
    target("gate", gate::gate),
    target("json", json::json),
    target("key_set", jose::key_set),
    target("path_template", policy::path_template),
    target("request", http::request),
    target("request_target", http::request_target),
    target("session_cookies", session::session_cookies),
    target("token", jose::token),
    target("token_response", oauth::token_response),
    target("user", bitbucket::user),
];
