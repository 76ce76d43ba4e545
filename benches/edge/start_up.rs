//! How long Envoy takes until it is live.

use serde_json::{Value, json};

use crate::bars::verdict;
use crate::process::cpu_nanoseconds;
use crate::result::Spread;
use crate::site::{Filter, Plan, Site};

/// Added by the filter, at most; seconds.
const BAR: f64 = 0.6;

/// Many rules.
const MANY: usize = 5_000;

pub(crate) fn measure(starts: usize) -> Vec<Value> {
    let with = |rules| Plan {
        rules,
        ..Plan::of(Filter::Bitgate, 100)
    };
    let plans = [
        ("without a filter", Plan::of(Filter::None, 100)),
        ("Bitgate, 1 rule", with(1)),
        ("Bitgate, 5,000 rules", with(MANY)),
    ];
    let (mut seconds, mut used) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for _ in 0..starts {
        for (at, (_, plan)) in plans.iter().enumerate() {
            let site = Site::start(plan.clone());
            seconds[at].push(site.envoy.started_within.as_secs_f64());
            used[at].push(cpu_nanoseconds(site.envoy.id()) as f64 / 1e9);
        }
    }
    println!(
        "\nstart until live, seconds (median of {starts}; on the clock, and of CPU time), and what the filter adds\n"
    );
    let medians = |of: &[Vec<f64>; 3]| {
        of.each_ref()
            .map(|values| Spread::of(values.iter().copied()).median)
    };
    let (seconds, used) = (medians(&seconds), medians(&used));
    let mut found = Vec::new();
    for (at, (name, _)) in plans.iter().enumerate() {
        let (added, added_cpu) = (seconds[at] - seconds[0], used[at] - used[0]);
        println!(
            "  {name:22} {:.2} (CPU {:.2})  added {added:.2} (CPU {added_cpu:.2})",
            seconds[at], used[at]
        );
        found.push(json!({
            "name": name,
            "seconds": seconds[at],
            "cpu_seconds": used[at],
            "added": added,
            "added_cpu": added_cpu,
        }));
    }
    let added = seconds[1] - seconds[0];
    println!(
        "  {}  {added:.2} s are added, at most {BAR}",
        verdict(added <= BAR)
    );
    found
}
