//! What must show.

use serde_json::{Value, json};

use crate::result::{Results, Spread};

/// A promise about a ratio.
struct Bar {
    text: &'static str,
    ratio: Ratio,
    at_most: f64,
}

/// Of which rows.
enum Ratio {
    /// What they cost above the chain without a filter.
    Added(&'static str, &'static str),
    /// All that they cost.
    Whole(&'static str, &'static str),
    /// What the first costs above the second, in requests of the third.
    Above(&'static str, &'static str, &'static str),
}

#[rustfmt::skip]
fn bars() -> Vec<Bar> {
    use Ratio::{Above, Added, Whole};
    let bar = |text, ratio, at_most| Bar { text, ratio, at_most };
    let (warm, long) = ("bitgate-100", "bitgate-2600");
    vec![
        bar("warm request, added cost to that of oauth2, 100 characters (goal 0.8)", Added(warm, "oauth2-100"), 1.0),
        bar("warm request, added cost to that of oauth2, 2,600 (goal 0.35)", Added(long, "oauth2-2600"), 0.6),
        bar("warm request, added cost to that of the floor, 100", Added(warm, "floor-100"), 1.15),
        bar("warm request, added cost to that of the floor, 2,600", Added(long, "floor-2600"), 1.15),
        bar("warm request, whole cost to that of the floor, 100", Whole(warm, "floor-100"), 1.15),
        bar("warm request, whole cost to that of the floor, 2,600", Whole(long, "floor-2600"), 1.15),
        bar("cold session, added cost to that of oauth2, 100", Added("bitgate-cold-100", "oauth2-cold-100"), 2.5),
        bar("cold session, added cost to that of oauth2, 2,600", Added("bitgate-cold-2600", "oauth2-cold-2600"), 1.5),
        bar("one token of a pipeline, added cost to that of jwt_authn", Added("pipeline", "jwt-authn"), 0.5),
        bar("another token each time, added cost to that of jwt_authn", Added("pipeline-cold", "jwt-authn-cold"), 1.5),
        bar("500 rules, added cost to that of 1 rule", Added("rules-500", "rules-1"), 1.2),
        bar("HTTP/2: warm, added cost to that of oauth2, 100", Added("h2-bitgate-100", "h2-oauth2-100"), 1.0),
        bar("HTTP/2: warm, added cost to that of oauth2, 2,600", Added("h2-bitgate-2600", "h2-oauth2-2600"), 0.6),
        bar("HTTP/2: warm, added cost to that of the floor, 100", Added("h2-bitgate-100", "h2-floor-100"), 1.15),
        bar("HTTP/2: warm, added cost to that of the floor, 2,600", Added("h2-bitgate-2600", "h2-floor-2600"), 1.15),
        bar("hostile garbage in cookies, to a warm request, 100", Whole("hostile-garbage-100", warm), 3.0),
        bar("hostile garbage in cookies, to a warm request, 2,600", Whole("hostile-garbage-2600", long), 3.0),
        bar("hostile collision of cookies, to a warm request, 100", Whole("hostile-colliding-100", warm), 3.0),
        bar("hostile collision of cookies, to a warm request, 2,600", Whole("hostile-colliding-2600", long), 3.0),
        bar("hostile cookies of one name, to a warm request", Whole("hostile-same-name", warm), 3.0),
        bar("hostile number of cookies, to a warm request", Whole("hostile-many", warm), 3.0),
        bar("hostile size of a cookie, to a warm request", Whole("hostile-oversized", warm), 3.0),
        bar("    of that, above Envoy alone", Above("hostile-oversized", "bare-oversized", warm), 3.0),
        bar("hostile size of a token, to a warm request", Whole("hostile-bearer-large", warm), 3.0),
        bar("    of that, above Envoy alone", Above("hostile-bearer-large", "bare-bearer-large", warm), 3.0),
        bar("hostile token that is none, to a warm request", Whole("hostile-bearer-garbage", warm), 3.0),
        bar("hostile signature of a token, to a warm request", Whole("hostile-bearer-forged", warm), 3.0),
    ]
}

impl Bar {
    fn value(&self, results: &Results) -> Option<Spread> {
        match self.ratio {
            Ratio::Added(row, other) => results.added_ratio(row, other),
            Ratio::Whole(row, other) => results.whole_ratio(row, other),
            Ratio::Above(row, below, unit) => results.above_ratio(row, below, unit),
        }
    }

    /// The same of the best rounds.
    fn of_lowest(&self, results: &Results) -> Option<f64> {
        let bare = |name| Some(results.find(name)?.row.bare());
        let (row, below, other, other_below) = match self.ratio {
            Ratio::Added(row, other) => (row, bare(row), other, bare(other)),
            Ratio::Whole(row, other) => (row, None, other, None),
            Ratio::Above(row, below, unit) => (row, Some(below), unit, None),
        };
        let above = |row, below: Option<&str>| {
            let below = below.map_or(Some(0.0), |below| results.lowest(below));
            Some(results.lowest(row)? - below?)
        };
        Some(above(row, below)? / above(other, other_below)?)
    }
}

/// One line for each that was measured.
pub(crate) fn print(results: &Results) {
    println!("\nWhat must show (ratios of this run: median of its rounds, lowest..highest):\n");
    for bar in bars() {
        let Some(value) = bar.value(results) else {
            continue;
        };
        let Spread {
            median,
            lowest,
            highest,
        } = value;
        println!(
            "  {}  {median:5.2} ({lowest:.2}..{highest:.2}), {:.2} of the lowest, at most {:.2}  {}",
            verdict(median <= bar.at_most),
            bar.of_lowest(results).unwrap_or(f64::NAN),
            bar.at_most,
            bar.text
        );
    }
}

pub(crate) fn verdict(passed: bool) -> &'static str {
    if passed { "pass" } else { "MISS" }
}

pub(crate) fn to_json(results: &Results) -> Value {
    let all = bars();
    let measured = all
        .iter()
        .filter_map(|bar| Some((bar, bar.value(results)?)));
    let to_json = |(bar, value): (&Bar, Spread)| {
        json!({
            "text": bar.text.trim(),
            "value": value.median,
            "of_lowest": bar.of_lowest(results),
            "at_most": bar.at_most,
            "pass": value.median <= bar.at_most,
        })
    };
    measured.map(to_json).collect()
}
