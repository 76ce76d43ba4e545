//! Full load for a long time, while tokens are renewed: memory has to stay flat, and nothing may fail.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bars::verdict;
use crate::load::Load;
use crate::process::resident_kb;
use crate::result::Spread;
use crate::row::{get, with};
use crate::site::{Filter, Plan, Site};

/// Sessions under load.
const SESSIONS: usize = 500;

/// Seconds that a token lives: each is renewed after three quarters of it. The old one has to live for longer than
/// [`SLICE`] then, since the load generator goes on with it.
const LIFETIME: u64 = 120;

/// How long the load generator runs with the same cookies.
const SLICE: Duration = Duration::from_secs(15);

/// Growth from the second third of the time to the last, at most.
const FLAT_KB: f64 = 1_024.0;

pub(crate) fn run(time: Duration, folder: &Path) -> Value {
    let plan = Plan {
        lifetime: LIFETIME,
        ..Plan::of(Filter::Bitgate, 100)
    };
    let site = Site::start(plan);
    let mut jars = site.sign_in_many(SESSIONS);
    println!(
        "\nsoak: {:.1} minutes, {SESSIONS} sessions whose tokens live for {LIFETIME} s\n\n\
         {:>7}  {:>9}  {:>7}  {:>8}  {:>6}  {:>6}  {:>6}",
        time.as_secs_f64() / 60.0,
        "seconds",
        "memory MB",
        "req/s",
        "renewals",
        "not OK",
        "broken",
        "visits failed"
    );
    let started = Instant::now();
    let (mut memory, mut failures, mut requests) = (Vec::new(), 0, 0);
    while started.elapsed() < time {
        let load: Vec<_> = jars
            .iter()
            .map(|jar| with(get("/x"), "cookie", &jar.header("/x")))
            .collect();
        let load = Load::new(folder, "soak", &load);
        let is_over = AtomicBool::new(false);
        // Browsers take new cookies while the load generator, which takes none, goes on with the old ones.
        let (outcome, failed) = std::thread::scope(|scope| {
            let visits = scope.spawn(|| {
                let mut failed = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    failed.extend(site.visit_all(&mut jars));
                    std::thread::sleep(SLICE / 5);
                }
                failed
            });
            let outcome = load.over_http1(site.envoy.listener, SLICE.min(time));
            is_over.store(true, Ordering::Relaxed);
            (outcome, visits.join().unwrap())
        });
        let resident = resident_kb(site.envoy.id()) as f64;
        memory.push(resident);
        failures += outcome.not_below_400 + outcome.broken + failed.len() as u64;
        requests += outcome.requests;
        println!(
            "{:>7.0}  {:>9.1}  {:>7.0}  {:>8}  {:>6}  {:>6}  {failed:?}",
            started.elapsed().as_secs_f64(),
            resident / 1_024.0,
            outcome.requests as f64 / outcome.seconds,
            site.renewals(),
            outcome.not_below_400,
            outcome.broken,
        );
    }
    let third = memory.len() / 3;
    let growth = match third {
        0 => 0.0,
        _ => {
            let part = |from: usize| Spread::of(memory[from..from + third].iter().copied()).median;
            part(memory.len() - third) - part(third)
        }
    };
    let is_flat = growth <= FLAT_KB;
    println!(
        "\n  {}  {failures} of {requests} requests failed\n  {}  memory of the last third above that of the second: {growth:.0} KB, at most {FLAT_KB} KB",
        verdict(failures == 0),
        verdict(is_flat),
    );
    json!({
        "seconds": started.elapsed().as_secs(),
        "requests": requests,
        "failures": failures,
        "renewals": site.renewals(),
        "growth_kb": growth,
        "is_flat": is_flat,
        "memory_kb": memory,
    })
}
