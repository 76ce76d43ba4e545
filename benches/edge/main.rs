//! What requests cost in Envoy with Bitgate, without it, and with Envoy's own filters: `make bench`.
//!
//! `docs/performance.md` says what the rows mean. Ratios within one run mean something, single numbers on a noisy
//! machine do not.

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
    missing_docs,
    reason = "benchmarks: a failed expectation is a failed run"
)]

mod bars;
mod browser;
mod choice;
mod filters;
mod hostile;
mod load;
mod measure;
mod process;
mod result;
mod row;
mod rows;
mod rules;
mod scale;
mod site;
mod soak;
mod stage;
mod start_up;
mod table;
mod verify;

#[path = "../workload/other_rules.rs"]
mod other_rules;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use choice::Choice;
use result::Results;
use serde_json::{Value, json};
use support::example::root;

/// What `make bench-scale` measures: all of it, or a part.
const PARTS: [&str; 4] = ["scale", "start-up", "sessions", "soak"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_said = |word: &str| arguments.iter().any(|argument| argument == word);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    // `cargo bench` says so, `cargo test` does not.
    if !is_said("--bench") {
        test(&arguments, &folder);
    } else if PARTS.iter().any(|part| is_said(part)) {
        let choice = Choice::read();
        scale(&choice, &folder, |part| is_said("scale") || is_said(part));
    } else {
        compare(&Choice::read(), &folder);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// As one test, whose name is that of this file's folder: everything once, so that it stays alive.
fn test(arguments: &[String], folder: &Path) {
    const NAME: &str = "edge";
    let mut filters = arguments.iter().filter(|it| !it.starts_with("--"));
    let is_meant = filters.clone().next().is_none() || filters.any(|it| NAME.contains(it.as_str()));
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return;
    }
    if is_meant {
        let choice = Choice::smoke();
        let results = measured(&choice, folder);
        table::print(&results, &about());
        bars::print(&results);
        start_up::measure(1);
        scale::measure(&choice, folder, true);
        soak::run(Duration::from_secs(1), folder);
    }
    let passed = u32::from(is_meant);
    println!("\ntest result: ok. {passed} passed; 0 failed; 0 ignored; 0 measured");
}

fn measured(choice: &Choice, folder: &Path) -> Results {
    let is_reference = |name: &str| name == "bare" || name == "h2-bare";
    let mut rows = rows::all(choice);
    rows.retain(|row| choice.has(&row.name) || is_reference(&row.name));
    Results(measure::measure(rows, choice, folder))
}

/// The table of all rows: `make bench-edge`.
fn compare(choice: &Choice, folder: &Path) {
    let results = measured(choice, folder);
    let mut about = about();
    about.push(format!(
        "{} rounds of {:?} for each row",
        choice.rounds, choice.time
    ));
    table::print(&results, &about);
    bars::print(&results);
    let document =
        json!({"about": about, "rows": results.to_json(), "bars": bars::to_json(&results)});
    write("edge.json", &document);
}

/// How it grows: `make bench-scale`.
fn scale(choice: &Choice, folder: &Path, has: impl Fn(&str) -> bool) {
    let about = about();
    println!("{}", about.join("\n"));
    // Parts that are not measured this time stay as they were.
    let before = fs::read(written("scale.json")).unwrap_or_default();
    let mut document: Value = serde_json::from_slice(&before).unwrap_or_else(|_| json!({}));
    document["about"] = json!(about);
    if has("start-up") {
        document["start_up"] = json!(start_up::measure(choice.rounds));
    }
    if has("sessions") {
        document["sessions"] = json!(scale::measure(choice, folder, false));
    }
    if has("soak") {
        let minutes = choice::number("BITGATE_SOAK_MINUTES", 15.0);
        document["soak"] = soak::run(Duration::from_secs_f64(60.0 * minutes), folder);
    }
    write("scale.json", &document);
}

fn written(name: &str) -> PathBuf {
    root().join("target/bench").join(name)
}

fn write(name: &str, document: &Value) {
    let path = written(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("{document:#}\n")).unwrap();
    println!("\nwritten: {}", path.display());
}

/// The machine, and the versions of all that matters.
fn about() -> Vec<String> {
    let said = |program: &Path, argument: &str| {
        let output = Command::new(program).arg(argument).output().unwrap();
        // wrk says its version where others say what is wrong.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        text.lines().next().unwrap_or_default().to_owned()
    };
    let envoy = said(&support::envoy::binary(), "--version");
    let size = fs::metadata(support::envoy::module("bitgate"))
        .unwrap()
        .len();
    vec![
        said(Path::new("date"), "--utc"),
        process::machine(),
        envoy
            .rsplit_once("version: ")
            .map_or(envoy.clone(), |(_, it)| format!("Envoy {it}")),
        format!(
            "Bitgate {}, {size} bytes, {}",
            env!("CARGO_PKG_VERSION"),
            said(Path::new("git"), "--version")
        ),
        format!(
            "{}; {}",
            said(Path::new("wrk"), "-v"),
            said(Path::new("h2load"), "--version")
        ),
        "one worker; Envoy answers by itself, no upstream; no access log".to_owned(),
    ]
}
