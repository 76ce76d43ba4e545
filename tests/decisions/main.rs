//! Tables of decisions: people and programs by rules by methods by paths, thousands of rows by chance but
//! the same every time. `tests/reference/decide.py` decides them from the documentation; the core in process
//! and a real Envoy must decide the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests: a failed expectation is a failed test"
)]

mod draw;
mod edge;
mod git;
mod plan;
mod programs;
mod reference;
mod rows;
mod rules;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod table;

use support::world::Kind;
use table::Table;

#[test]
fn the_core_decides_as_the_reference() {
    Table::pinned().check(Kind::Native);
}

#[test]
fn the_core_with_a_bot_decides_as_the_reference() {
    Table::with_bot().check(Kind::Native);
}

#[test]
fn envoy_decides_as_the_reference() {
    Table::pinned().check(Kind::Envoy);
}

#[test]
fn envoy_with_a_bot_decides_as_the_reference() {
    Table::with_bot().check(Kind::Envoy);
}

#[test]
fn the_core_decides_about_git_and_pipelines_as_the_reference() {
    Table::programs().check(Kind::Native);
}

#[test]
fn the_core_decides_about_git_and_pipelines_with_a_bot_as_the_reference() {
    Table::programs_with_bot().check(Kind::Native);
}

#[test]
fn envoy_decides_about_git_and_pipelines_as_the_reference() {
    Table::programs().check(Kind::Envoy);
}

#[test]
fn envoy_decides_about_git_and_pipelines_with_a_bot_as_the_reference() {
    Table::programs_with_bot().check(Kind::Envoy);
}
