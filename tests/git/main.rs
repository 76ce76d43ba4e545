//! Real git and git-lfs through a real Envoy with the real module, to repositories at Bitbucket.
//!
//! A test belongs to the file of whoever asks: people, steps of pipelines; or to that of what passes:
//! bodies, objects of LFS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests: a failed expectation is a failed test"
)]

mod bodies;
mod lfs;
mod people;
mod pipelines;
mod site;
#[path = "../support/mod.rs"]
mod support;
