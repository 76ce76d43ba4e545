//! What stories are told with: a world of one edge, one Bitbucket and one upstream.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    reason = "test support: a failed expectation is a failed test"
)]

use std::time::{Duration, Instant};

pub mod browser;
pub mod control;
pub mod envoy;
pub mod envoy_edge;
pub mod example;
pub mod invariants;
pub mod keep_alive;
pub mod native_edge;
pub mod setup;
pub mod world;

pub type Request = http::Request<Vec<u8>>;
pub type Response = http::Response<Vec<u8>>;

/// The request target as bytes that no HTTP library sends, as an extension of a request.
#[derive(Clone, Debug)]
pub struct RawTarget(pub Vec<u8>);

/// Waits for what another thread or process is about to do.
pub fn eventually(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it never became so");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What stands between a client and the upstream.
pub trait Edge {
    fn send(&mut self, request: Request) -> Response;

    /// What the filter wrote to the log.
    fn log(&mut self) -> Vec<String>;

    /// All that lies in shared data; `None` where nobody can look.
    fn shared_data(&self) -> Option<String>;

    /// A gauge of the filter; 0 if there is none of that name yet.
    fn gauge(&mut self, name: &str) -> u64;

    /// The Envoy, if it is one: for bytes that no HTTP library sends, and for its statistics.
    fn envoy(&self) -> Option<&envoy::Envoy>;
}
