//! What requests and their parts cost, natively: `make bench`. Ratios within one run mean something,
//! single numbers on a noisy machine do not. With `cargo test` each runs once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "benchmarks: a failed expectation is a failed run"
)]

#[path = "../workload/mod.rs"]
mod workload;

mod cookies;
mod request;
mod seal;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, request::judging, seal::sealing, cookies::reading);
criterion_main!(benches);
