//! A working day of a whole company against Bitbucket's real limit: `docs/load.md`.
//!
//! `BITGATE_LOAD='{"people": 2000, "grace": "8h"}' cargo test --release --test load choice -- --nocapture`
//! simulates a day of one's own.

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
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "tests: a failed expectation is a failed test"
)]

mod crowd;
mod day;
mod plan;
mod report;
#[path = "../support/mod.rs"]
mod support;

use crowd::MINUTE;
use day::Day;
use plan::{Naming, Plan, Sessions};
use report::Report;

/// Simulates a day, and says what happened. What holds on every day is asserted here and on the way.
fn simulate(plan: Plan) -> Report {
    let limit_of_bot = plan.bot.unwrap_or(1_000);
    let report = Day::run(plan);
    println!("{report}");
    assert_eq!(report.rate_limited, 0, "Bitbucket had to say no");
    assert!(report.busiest_hour_of_consumer <= 1_000);
    assert!(report.busiest_hour_of_bot <= limit_of_bot);
    report
}

fn recommended(name: &'static str, people: u64) -> Plan {
    Plan {
        sessions: Sessions::Monthly,
        naming: Naming::Literal,
        grace: "4h",
        ..Plan::of_defaults(name, people)
    }
}

/// As docs/load.md recommends: everybody is served all day.
#[test]
fn a_day_of_a_thousand_people() {
    let report = simulate(recommended("recommended", 1_000));
    assert!(report.unavailable.is_empty(), "{:?}", report.unavailable);
}

/// The bot asks once for everybody who is a member, and for the repositories of each.
#[test]
fn a_day_of_five_thousand_people_with_a_bot() {
    let plan = Plan {
        has_member_pages: true,
        bot: Some(10_000),
        pause: 25 * MINUTE,
        requests: 2,
        ..recommended("with a bot", 5_000)
    };
    let report = simulate(plan);
    assert!(report.unavailable.is_empty(), "{:?}", report.unavailable);
}

#[test]
fn a_day_of_choice() {
    let Ok(changes) = std::env::var("BITGATE_LOAD") else {
        return;
    };
    let changes = serde_json::from_str(&changes).expect("JSON");
    simulate(recommended("choice", 1_000).changed_by(&changes));
}
