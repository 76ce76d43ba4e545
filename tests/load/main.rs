//! A working day of a whole company against Bitbucket's real limit: `docs/load.md`.
//!
//! `BITGATE_LOAD=full cargo test --profile measure --test load -- --nocapture` simulates all days in full, and
//! `BITGATE_LOAD='{"people": 2000, "grace": "8h"}' …` one of one's own.

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

use crowd::{HOUR, MINUTE, SECOND};
use day::Day;
use plan::{Naming, Plan, Sessions};
use report::Report;

/// Simulates a day, and says what happened. What holds on every day is asserted here and on the way.
fn simulate(plan: Plan) -> Report {
    let (limit, limit_of_bot) = (plan.limit, plan.bot.unwrap_or(plan.limit));
    let report = Day::run(plan);
    println!("{report}");
    assert_eq!(report.rate_limited, 0, "Bitbucket had to say no");
    assert!(report.busiest_hour_of_consumer <= limit);
    assert!(report.busiest_hour_of_bot <= limit_of_bot);
    // A second each for the ways there and back, and ten for an old answer that was not renewed.
    let last = report.after_removal.iter().max().copied().unwrap_or(0);
    assert!(last <= (report.greatest_age + 12) * SECOND);
    report
}

fn all_are_served(report: &Report) {
    assert!(report.unavailable.is_empty(), "{:?}", report.unavailable);
    assert_eq!(report.gave_up, 0);
}

fn recommended(name: &'static str, people: u64) -> Plan {
    Plan {
        sessions: Sessions::Monthly,
        naming: Naming::CapturedAndPinned,
        grace: "4h",
        ..Plan::of_defaults(name, people)
    }
}

/// `BITGATE_LOAD=full`: as many people as docs/load.md says. Otherwise an eighth of 5,000, on an eighth of the
/// calls, and 1,000 with fewer pages.
fn in_full() -> bool {
    std::env::var("BITGATE_LOAD").is_ok_and(|text| text == "full")
}

/// 5,000 people in full.
fn five_thousand(name: &'static str) -> Plan {
    let part = if in_full() { 1 } else { 8 };
    Plan {
        pause: 25 * MINUTE,
        requests: 2,
        limit: 1_000 / part,
        ..recommended(name, 5_000 / part)
    }
}

#[test]
fn a_day_with_the_defaults_is_for_three_hundred() {
    let report = simulate(Plan::of_defaults("defaults", 300));
    all_are_served(&report);
}

/// As docs/load.md recommends: everybody is served all day.
#[test]
fn a_day_of_a_thousand_people() {
    let mut plan = recommended("recommended", 1_000);
    if !in_full() {
        (plan.pause, plan.requests) = (15 * MINUTE, 2);
    }
    let report = simulate(plan);
    all_are_served(&report);
    assert!(report.greatest_age < 2 * 3_600);
}

/// All who are known go on: that is asserted for each answer on the way.
#[test]
fn a_day_with_an_outage() {
    let plan = Plan {
        naming: Naming::CapturedAndPinned,
        outage: Some((12 * HOUR, 12 * HOUR + 20 * MINUTE)),
        ..Plan::of_defaults("an outage at noon", 250)
    };
    let report = simulate(plan);
    let expected = [
        "bitbucket_unreachable",
        "renewal_unavailable",
        "rights_unavailable",
    ];
    for reason in report.unavailable.keys() {
        assert!(expected.contains(reason), "{reason}");
    }
    for (hour, it) in &report.hours {
        assert!(*hour == 12 || it.unavailable == 0, "at {hour}");
    }
}

/// It says where it ends: not all are served, and still no call is wasted.
#[test]
fn a_day_of_five_thousand_people_is_too_much() {
    let report = simulate(five_thousand("too many"));
    assert!(report.unavailable["api_budget_exhausted"] > 0);
    assert_eq!(report.unavailable.len(), 1, "{:?}", report.unavailable);
}

/// The bot asks once for everybody who is a member, and for the repositories of each.
#[test]
fn a_day_of_five_thousand_people_with_a_bot() {
    let mut plan = five_thousand("with a bot");
    (plan.has_member_pages, plan.bot) = (true, Some(10 * plan.limit));
    plan.grace = "1h";
    let report = simulate(plan);
    all_are_served(&report);
    assert!(report.greatest_age < 3_600);
}

#[test]
fn a_day_of_choice() {
    let Ok(changes) = std::env::var("BITGATE_LOAD") else {
        return;
    };
    let Ok(changes) = serde_json::from_str(&changes) else {
        return;
    };
    simulate(recommended("choice", 1_000).changed_by(&changes));
}
