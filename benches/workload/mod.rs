//! Requests whose cost is measured, each with all that it needs and without a simulator: benchmarks
//! take the time (benches/costs), and `make instructions` counts instructions (benches/instructions).

#![allow(dead_code, reason = "no program of the two uses all of it")]
#![allow(
    unreachable_pub,
    missing_debug_implementations,
    reason = "a part of two programs"
)]

pub mod bitbucket;
pub mod case;
pub mod host;
pub mod other_rules;
pub mod request;
pub mod rules;
pub mod site;
