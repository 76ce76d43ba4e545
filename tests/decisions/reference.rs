//! The reference: another program, in another language.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::example::root;

/// What it says of one request.
#[derive(Debug)]
pub struct Verdict {
    pub verdict: String,
    pub status: u64,
    /// The codes that a refusal may have.
    pub reasons: Vec<String>,
    /// The rule that decides.
    pub rule: Option<usize>,
    /// What a request that is let through brings.
    pub inject: Option<String>,
    /// Rules on trial, and the codes of what they would have refused.
    pub trials: Vec<(usize, Vec<String>)>,
}

/// Asks about all requests of a document.
pub fn ask(name: &str, document: &Value) -> Vec<Verdict> {
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("decisions-{name}.json"));
    fs::write(&path, document.to_string()).unwrap();
    let output = Command::new("python3")
        .arg("-B")
        .arg(root().join("tests/reference/decide.py"))
        .stdin(Stdio::from(fs::File::open(&path).unwrap()))
        .stderr(Stdio::inherit())
        .output()
        .expect("python3, which scripts/test needs as well");
    assert!(
        output.status.success(),
        "the reference failed; its input is {}",
        path.display()
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| verdict(&serde_json::from_str(line).unwrap()))
        .collect()
}

fn verdict(line: &Value) -> Verdict {
    let place = |value: &Value| value.as_u64().map(|place| usize::try_from(place).unwrap());
    let words = |value: &Value| -> Vec<String> {
        let words = value.as_array().unwrap().iter();
        words
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    };
    let trials = line["trials"].as_array().unwrap().iter();
    Verdict {
        verdict: line["verdict"].as_str().unwrap().to_owned(),
        status: line["status"].as_u64().unwrap(),
        reasons: words(&line["reasons"]),
        rule: place(&line["rule"]),
        inject: line["inject"].as_str().map(str::to_owned),
        trials: trials
            .map(|trial| (place(&trial[0]).unwrap(), words(&trial[1])))
            .collect(),
    }
}
