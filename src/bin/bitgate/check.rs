//! `bitgate check`.

use std::io::{self, Write};

use bitgate::json::Json;

use crate::arguments::{CheckOptions, Warnings};
use crate::finding::{Code, Finding, Findings, Level, Place, one_line};
use crate::input::{Document, Input};
use crate::node::Node;
use crate::plugin::{Configuration, Passed, Plugin, is_ours};
use crate::{Outcome, complain, configuration, coverage, envoy, exposure, kubernetes};

/// Looks at a file, and prints what there is to say.
pub(crate) fn run(options: &CheckOptions, out: &mut impl Write) -> io::Result<Outcome> {
    let input = match Input::read(&options.file) {
        Ok(input) => input,
        Err(error) => {
            complain(&format!("{}: {error}", options.file.to_string_lossy()));
            return Ok(Outcome::Usage);
        }
    };
    let mut findings = Findings::default();
    let plugins = plugins(&input, &mut findings);
    let mut exposures = String::new();
    for plugin in &plugins {
        let config = configuration::read(plugin, options.unset, &mut findings);
        if let Some(config) = config {
            coverage::look(plugin, &mut findings);
            exposures.push_str(&exposure::report(plugin, &config));
        }
    }
    let findings = findings.sorted();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    write!(out, "{exposures}")?;
    writeln!(out, "{}", summary(&findings, plugins.len()))?;
    Ok(outcome(&findings, options.warnings))
}

fn outcome(findings: &[Finding], warnings: Warnings) -> Outcome {
    let is_problem = |finding: &Finding| match (finding.level, warnings) {
        (Level::Error, _) | (Level::Warning, Warnings::Fail) => true,
        (Level::Warning, Warnings::Allowed) | (Level::Note, _) => false,
    };
    match findings.iter().any(is_problem) {
        true => Outcome::Problems,
        false => Outcome::Fine,
    }
}

fn summary(findings: &[Finding], configurations: usize) -> String {
    let count = |level| {
        findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let words = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    };
    format!(
        "{}, {} in {}",
        words(count(Level::Error), "error"),
        words(count(Level::Warning), "warning"),
        words(configurations, "configuration")
    )
}

/// Every configuration of Bitgate in a file. What is said about what is around them is added.
pub(crate) fn plugins(input: &Input, findings: &mut Findings) -> Vec<Plugin> {
    let whole = Place::new(one_line(&input.name), "");
    let documents = match input.documents() {
        Ok(documents) => documents,
        Err((code, message)) => {
            findings.say(code, Level::Error, &whole, &message);
            return Vec::new();
        }
    };
    let mut plugins = Vec::new();
    let mut resources = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let place = match documents.len() {
            1 => whole.clone(),
            _ => Place::new(format!("document {}", index.saturating_add(1)), ""),
        };
        let root = Node::root(&document.json);
        if document.text.is_some() && !is_ours(&document.json) {
            repeated(&root, &place, findings);
        }
        match kubernetes::is_resource(&root) {
            true => resources.extend(kubernetes::resources(&root)),
            false => plugins.extend(in_document(document, place, findings)),
        }
    }
    let in_resources: Vec<_> = resources
        .iter()
        .flat_map(|resource| kubernetes::plugins(resource, findings))
        .collect();
    kubernetes::look(&resources, &in_resources, findings);
    plugins.extend(in_resources);
    if plugins.is_empty() {
        let message = "expected a configuration of Bitgate, but found none";
        findings.say(Code::NoConfiguration, Level::Error, &whole, message);
    }
    plugins
}

fn in_document(document: &Document, place: Place, findings: &mut Findings) -> Vec<Plugin> {
    let root = Node::root(&document.json);
    // What is nothing else is read as ours, so that it is said what is missing.
    if is_ours(&document.json) || !envoy::is_envoy(&root) {
        return vec![Plugin {
            place,
            configuration: match &document.text {
                Some(text) => Configuration::from_text(text),
                None => Configuration::from_json(&document.json),
            },
            passed: Passed::Unknown,
        }];
    }
    envoy::plugins(&root, &place, findings)
}

/// JSON keeps a key that is there twice; readers choose differently.
fn repeated(root: &Node<'_>, place: &Place, findings: &mut Findings) {
    root.visit(&mut |node| {
        let Json::Object(members) = node.json else {
            return;
        };
        for (index, (name, _)) in members.iter().enumerate() {
            if members.iter().take(index).any(|(other, _)| other == name) {
                let words = [
                    "the key once",
                    "it twice",
                    "two readers may choose differently",
                ];
                findings.add(Code::DuplicateKey, place, &node.path_of(name), words);
            }
        }
    });
}
