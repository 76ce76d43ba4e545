//! An explanation in words, or as JSON.

use std::io::{self, Write};

use bitgate::gate::Reason;
use bitgate::policy::{Denial, Shadow, Truth};
use serde_json::{Value, json};

use crate::arguments::Form;
use crate::explain::judge::{Answer, Explanation, Met};
use crate::explain::trace::Line;
use crate::finding::one_line;

/// Writes one explanation, of a request and by the configuration in a place.
pub(super) fn write(
    out: &mut impl Write,
    form: Form,
    (request, place): (&(String, String), &str),
    explanation: &Explanation,
) -> io::Result<()> {
    match form {
        Form::Json => writeln!(out, "{}", to_json(request, place, explanation)),
        Form::Text => write_text(out, request, place, explanation),
    }
}

fn write_text(
    out: &mut impl Write,
    (method, url): &(String, String),
    place: &str,
    explanation: &Explanation,
) -> io::Result<()> {
    writeln!(out, "{} {}", one_line(method), one_line(url))?;
    writeln!(out, "  configuration: {}", one_line(place))?;
    for met in &explanation.rules {
        let name = met.name.as_deref().unwrap_or_default();
        let label = format!("rules[{}] {name}", met.index);
        let trial = match (met.shadow, met.refusal) {
            (Shadow::Decides, _) => String::new(),
            (Shadow::Logs, None) => " (on trial: would let it through)".to_owned(),
            (Shadow::Logs, Some(reason)) => format!(" (on trial: would refuse it, {reason})"),
        };
        writeln!(out, "  {}{trial}", one_line(label.trim_end()))?;
        for line in &met.lines {
            let indent = "  ".repeat(line.depth);
            let value = match &line.value {
                Some(value) => format!(" ({value})"),
                None => String::new(),
            };
            let text = format!("{}{value}: {}", line.text, truth(line.truth));
            writeln!(out, "    {indent}{}", one_line(&text))?;
        }
    }
    match &explanation.answer {
        Answer::Forwarded(receives) => {
            writeln!(out, "  outcome: forwarded; the service receives {receives}")
        }
        Answer::Own => writeln!(out, "  outcome: answered by Bitgate itself"),
        Answer::Refused(reason) => writeln!(
            out,
            "  outcome: refused with {} {reason}: {}",
            reason.status(),
            reason.text()
        ),
    }
}

fn truth(truth: Truth) -> String {
    match truth {
        Truth::Yes => "yes".to_owned(),
        Truth::No(_) => "no".to_owned(),
        Truth::Unknown => "unknown".to_owned(),
        Truth::Void(Denial::Reused) => "void, since the slug belongs to another UUID".to_owned(),
        Truth::Void(_) => "void, so its opposite does not hold either".to_owned(),
    }
}

fn to_json((method, url): &(String, String), place: &str, explanation: &Explanation) -> Value {
    let rule = |met: &Met| {
        json!({
            "index": met.index,
            "name": met.name,
            "conditions": met.lines.iter().map(condition).collect::<Vec<_>>(),
            "reason": met.refusal.map(Reason::code),
        })
    };
    let (trials, decides): (Vec<_>, Vec<_>) = explanation
        .rules
        .iter()
        .partition(|met| met.shadow == Shadow::Logs);
    let (outcome, receives, reason) = match &explanation.answer {
        Answer::Forwarded(receives) => ("forwarded", Some(receives), None),
        Answer::Own => ("answered", None, None),
        Answer::Refused(reason) => ("refused", None, Some(*reason)),
    };
    json!({
        "configuration": place,
        "method": method,
        "url": url,
        "on_trial": trials.into_iter().map(rule).collect::<Vec<_>>(),
        "rule": decides.into_iter().map(rule).next(),
        "outcome": outcome,
        "receives": receives,
        "status": reason.map(Reason::status),
        "reason": reason.map(Reason::code),
    })
}

fn condition(line: &Line) -> Value {
    let word = match line.truth {
        Truth::Yes => "yes",
        Truth::No(_) => "no",
        Truth::Unknown => "unknown",
        Truth::Void(_) => "void",
    };
    json!({"depth": line.depth, "condition": line.text, "value": line.value, "holds": word})
}
