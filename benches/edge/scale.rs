//! Many sessions: what they cost in memory, and how fast they are served.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::browser::Jar;
use crate::choice::Choice;
use crate::load::{Load, Order};
use crate::process::{cpu_nanoseconds, resident_kb};
use crate::row::{get, with};
use crate::rows::{LONG, SHORT};
use crate::site::{Filter, Plan, Site};

/// Sign-ins that one Envoy lets through in an hour, with the largest budget of calls to Bitbucket.
const SIGN_INS: usize = 40_000;

/// Fewer than for a full load: how long an answer takes is not how long it queues.
const CONNECTIONS: u32 = 8;

/// So much memory may be used above Envoy without a filter, in KB.
const BAR_BASE_KB: u64 = 50 * 1_024;
const BAR_WORKER_KB: u64 = 3 * 1_024;

pub(crate) fn measure(choice: &Choice, folder: &Path, is_smoke: bool) -> Vec<Value> {
    let groups: &[(usize, &[usize], u64)] = match is_smoke {
        true => &[(SHORT, &[20], 4)],
        false => &[(SHORT, &[10_000, 100_000], 4), (LONG, &[10_000], 12)],
    };
    println!(
        "\nlive sessions: memory of Envoy above one without a filter, and answers to {CONNECTIONS} connections\n\
         (KB/session: what Envoy took since the first of them; all: one session after the other; 80/20: a fifth of the sessions gets four fifths of the requests;\n\
         cold part: share of requests whose session was not in the cache, by bitgate_sessions_opened_total)\n\n\
         {:>7}  {:>6}  {:>7}  {:>9}  {:>11}  {:>8}  {:>7}  {:>7}  {:>7}  {:>7}  {:>9}",
        "tokens",
        "number",
        "workers",
        "memory MB",
        "KB/session",
        "bar MB",
        "load",
        "req/s",
        "p50 ms",
        "p99 ms",
        "cold part"
    );
    let mut found = Vec::new();
    for (tokens, counts, bar) in groups {
        let most = counts.iter().copied().max().unwrap_or(0);
        let jars = sign_in(*tokens, most);
        for count in *counts {
            for workers in if is_smoke { 1..=1 } else { 1..=2 } {
                let case = Case {
                    tokens: *tokens,
                    workers,
                    bar_session_kb: *bar,
                };
                found.extend(case.run(&jars[..*count], choice, folder));
            }
        }
    }
    found
}

/// At sites that are gone afterwards: only what the browsers bring is known to the one that is measured, as in a
/// fleet, or after a restart.
fn sign_in(tokens: usize, count: usize) -> Vec<Jar> {
    let mut jars = Vec::with_capacity(count);
    while jars.len() < count {
        let site = Site::start(Plan::of(Filter::Bitgate, tokens));
        jars.extend(site.sign_in_many(SIGN_INS.min(count - jars.len())));
        eprintln!("{} of {count} sessions", jars.len());
    }
    jars
}

struct Case {
    tokens: usize,
    workers: u32,
    bar_session_kb: u64,
}

impl Case {
    fn run(&self, jars: &[Jar], choice: &Choice, folder: &Path) -> Vec<Value> {
        let plan = |filter| Plan {
            workers: self.workers,
            ..Plan::of(filter, self.tokens)
        };
        let mut jars = jars.to_vec();
        let site = Site::start(plan(Filter::Bitgate));
        site.visit_all(&mut jars[..1]);
        let empty_kb = resident_kb(site.envoy.id());
        let failed = site.visit_all(&mut jars);
        assert!(
            failed.is_empty(),
            "{} of {} sessions: {failed:?}",
            failed.len(),
            jars.len()
        );
        let requests: Vec<_> = jars
            .iter()
            .map(|jar| with(get("/x"), "cookie", &jar.header("/x")))
            .collect();
        let all = Load::new(folder, "scale", &requests);
        let bare = Site::start(plan(Filter::None));
        bare_load(&bare, &all, choice.time);

        let in_order = cpu(&site, &all, choice.time * 5, Order::AsGiven);
        let skewed = cpu(&site, &all, choice.time * 5, Order::Skewed);
        let full_kb = resident_kb(site.envoy.id());
        let memory_kb = full_kb.saturating_sub(resident_kb(bare.envoy.id()));
        let count = jars.len() as u64;
        let base = BAR_BASE_KB + BAR_WORKER_KB * u64::from(self.workers);
        let bar_kb = base + self.bar_session_kb * count;
        let rows = [("all", &in_order), ("80/20", &skewed)];
        rows.map(|(order, load)| {
            let (megabytes, p50, p99) = (memory_kb as f64 / 1_024.0, load.p50 as f64 / 1e3, load.p99 as f64 / 1e3);
            let per_session = full_kb.saturating_sub(empty_kb) as f64 / count as f64;
            println!(
                "{:>7}  {count:>6}  {:>7}  {megabytes:>9.1}  {per_session:>11.2}  {:>8.1}  {order:>7}  {:>7.0}  {p50:>7.2}  {p99:>7.2}  {:>9.2}",
                self.tokens,
                self.workers,
                bar_kb as f64 / 1_024.0,
                load.rate,
                load.cold,
            );
            json!({
                "tokens": self.tokens,
                "sessions": count,
                "workers": self.workers,
                "memory_kb": memory_kb,
                "memory_kb_for_each": per_session,
                "memory_bar_kb": bar_kb,
                "pass": memory_kb <= bar_kb,
                "order": order,
                "requests_per_second": load.rate,
                "cpu_us": load.cpu,
                "cold_part": load.cold,
                "p50_ms": p50,
                "p99_ms": p99,
            })
        })
        .to_vec()
    }
}

struct Loaded {
    cpu: f64,
    cold: f64,
    rate: f64,
    p50: u64,
    p99: u64,
}

fn bare_load(site: &Site, load: &Load, time: Duration) {
    load.with_wrk(site.envoy.listener, time, CONNECTIONS, Order::AsGiven);
}

fn cpu(site: &Site, load: &Load, time: Duration, order: Order) -> Loaded {
    let opened = site.opened();
    let before = cpu_nanoseconds(site.envoy.id());
    let outcome = load.with_wrk(site.envoy.listener, time, CONNECTIONS, order);
    let used = cpu_nanoseconds(site.envoy.id()) - before;
    assert_eq!(
        (outcome.broken, outcome.not_below_400),
        (0, 0),
        "{outcome:?}"
    );
    let requests = outcome.requests.max(1) as f64;
    Loaded {
        cpu: used as f64 / requests / 1e3,
        cold: (site.opened() - opened) as f64 / requests,
        rate: requests / outcome.seconds.max(f64::MIN_POSITIVE),
        p50: outcome.p50,
        p99: outcome.p99,
    }
}
