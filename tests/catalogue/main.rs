//! The catalogue of attacks: each case by its id, natively and, where bytes matter, through Envoy.
//! `ids.txt` has every id there is; what no case runs is pending, with its reason.

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

mod around;
mod cache;
mod case;
mod cfg;
mod dos;
mod fail;
mod flow;
mod hdr;
mod jwt;
mod jwt_claims;
mod jwt_keys;
mod leak;
mod meth;
mod out;
mod path;
mod pending;
mod red;
mod rights;
mod sess;
#[path = "../support/mod.rs"]
mod support;
mod token;
mod xss;

use std::collections::BTreeSet;

use case::Case;
use libtest_mimic::{Arguments, Trial};
use support::world::Kind;

const IDS: &str = include_str!("ids.txt");

fn cases() -> Vec<Case> {
    let groups = [
        red::cases(),
        flow::cases(),
        sess::cases(),
        hdr::cases(),
        path::cases(),
        meth::cases(),
        out::cases(),
        cache::cases(),
        leak::cases(),
        xss::cases(),
        dos::cases(),
        fail::cases(),
        cfg::cases(),
        rights::cases(),
        around::cases(),
        jwt::cases(),
        jwt_claims::cases(),
        jwt_keys::cases(),
    ];
    groups.into_iter().flatten().collect()
}

/// No id is lost: each is run or pending, and none is both.
fn complete() {
    let all: BTreeSet<&str> = IDS.lines().collect();
    let run: BTreeSet<&str> = cases().iter().map(|case| case.id).collect();
    let pending: BTreeSet<&str> = pending::PENDING
        .iter()
        .flat_map(|(_, ids)| *ids)
        .copied()
        .collect();
    let elsewhere: BTreeSet<&str> = pending::ELSEWHERE.iter().map(|(id, _, _)| *id).collect();
    for (id, file, line) in pending::ELSEWHERE {
        let text = std::fs::read_to_string(support::example::root().join(file)).unwrap();
        assert!(text.contains(line), "{id}: {file} has no {line}");
    }
    let run: BTreeSet<&str> = run.union(&elsewhere).copied().collect();
    let both: Vec<_> = run.intersection(&pending).collect();
    assert!(both.is_empty(), "run and pending: {both:?}");
    let named: BTreeSet<&str> = run.union(&pending).copied().collect();
    let lost: Vec<_> = all.difference(&named).collect();
    let unknown: Vec<_> = named.difference(&all).collect();
    assert!(
        lost.is_empty() && unknown.is_empty(),
        "lost: {lost:?}, unknown: {unknown:?}"
    );
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = vec![Trial::test("every id is run or pending", || {
        complete();
        Ok(())
    })];
    for case in cases() {
        let case: &'static Case = Box::leak(Box::new(case));
        for kind in case.edges {
            let edge = match kind {
                Kind::Native => "natively",
                Kind::Envoy => "through Envoy",
            };
            trials.push(Trial::test(format!("{} {edge}", case.id), move || {
                case.try_on(*kind);
                Ok(())
            }));
        }
    }
    for (reason, ids) in pending::PENDING {
        for id in *ids {
            let trial = Trial::test(format!("{id}: {reason}"), || Ok(()));
            trials.push(trial.with_kind("pending").with_ignored_flag(true));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    case::end();
    conclusion.exit();
}
