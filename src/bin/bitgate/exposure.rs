//! Who receives what: the rules as seen from Bitbucket's tokens.

use bitgate::config::Config;
use bitgate::json::Json;
use bitgate::policy::{Allow, Inject, Rule};

use crate::finding::one_line;
use crate::node::Node;
use crate::plugin::Plugin;

/// What each rule gives to the service, in the order of the rules.
pub(crate) fn report(plugin: &Plugin, config: &Config) -> String {
    let site = &config.public.origin;
    let mut text = format!("exposure of {site} ({}):\n", plugin.place.name);
    let written = Node::root(&plugin.configuration.json).list("rules");
    let rows: Vec<Row> = config
        .policy
        .rules()
        .iter()
        .zip(&written)
        .enumerate()
        .map(|(index, (rule, written))| Row::new(config, index, rule, written))
        .collect();
    let width = |column: fn(&Row) -> &str| {
        let lengths = rows.iter().map(|row| column(row).chars().count());
        lengths.max().unwrap_or_default()
    };
    let name = width(|row| &row.name);
    let methods = width(|row| &row.methods);
    let paths = width(|row| &row.paths);
    let allow = width(|row| &row.allow);
    for row in &rows {
        let line = format!(
            "  {:name$}  {:methods$}  {:paths$}  {:allow$}  {}",
            row.name, row.methods, row.paths, row.allow, row.receives
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("  everything else is refused\n");
    text
}

/// A line of the report.
#[derive(Debug)]
struct Row {
    name: String,
    methods: String,
    paths: String,
    allow: String,
    receives: String,
}

impl Row {
    /// What was accepted is taken from the rule; what a rule does not keep, such as its paths as
    /// texts, from what was written.
    fn new(config: &Config, index: usize, rule: &Rule, written: &Node<'_>) -> Self {
        let matched = written.get("match");
        let path = matched.as_ref().and_then(|matched| matched.get("path"));
        let paths = matched.as_ref().map(|matched| matched.list("paths"));
        let paths = path.into_iter().chain(paths.unwrap_or_default());
        let paths: Vec<_> = paths.filter_map(|path| path.as_str()).collect();
        let name = match &rule.name {
            Some(name) => format!("rules[{index}] {name}"),
            None => format!("rules[{index}]"),
        };
        let methods = match &rule.methods {
            None => "any".to_owned(),
            Some(methods) => methods.join(","),
        };
        let allow = written.get("allow").map(|allow| flow(allow.json));
        let shadow = match written.is_true("shadow") {
            true => " (in the shadow: only logged)",
            false => "",
        };
        Self {
            name: one_line(&name),
            methods,
            paths: one_line(&paths.join(" ")),
            allow: one_line(&allow.unwrap_or_default()),
            receives: format!("{}{shadow}", receives(config, rule)),
        }
    }
}

/// What the service gets to know.
fn receives(config: &Config, rule: &Rule) -> String {
    match rule.allow {
        Allow::Nobody => return "nothing: it is closed".to_owned(),
        Allow::Public => return "nothing".to_owned(),
        Allow::SignedIn | Allow::When(_) => {}
    }
    match rule.inject {
        Inject::None => "nothing".to_owned(),
        Inject::Identity => "who it is".to_owned(),
        Inject::Bearer => {
            let host = &config.bitbucket.api.authority;
            format!("the person's token for {host}, and who it is")
        }
        Inject::Git => {
            let host = &config.bitbucket.web.authority;
            format!("the person's token for {host}, as git sends it, and who it is")
        }
    }
}

/// A value on one line, as YAML's flow style without quotation marks.
fn flow(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(members) => {
            let members = members.iter();
            let members: Vec<_> = members
                .map(|(name, value)| format!("{name}: {}", flow(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}
