//! The same stories through a real Envoy with the real module. A difference is a defect of the
//! adapter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test"
)]

#[macro_use]
mod stories;
mod support;

const KIND: support::world::Kind = support::world::Kind::Envoy;
