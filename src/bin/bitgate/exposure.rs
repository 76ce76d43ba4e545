//! Who receives what: the rules as seen from Bitbucket's tokens.

use bitgate::config::{BotCredential, Config};
use bitgate::json::Json;
use bitgate::policy::{Allow, Inject, Rule, Shadow, TokenForm};

use crate::finding::one_line;
use crate::node::Node;
use crate::plugin::Plugin;

/// What each rule gives to the service, in the order of the rules.
pub(crate) fn report(plugin: &Plugin, config: &Config) -> String {
    let site = &config.public.origin;
    let place = one_line(&plugin.place.name);
    let mut text = format!("exposure of {site} ({place}):\n");
    let written = Node::root(&plugin.configuration.json).list("rules");
    let rows: Vec<Row> = config
        .policy
        .rules()
        .iter()
        .zip(&written)
        .enumerate()
        .map(|(index, (rule, written))| {
            Row::new(config, &plugin.configuration.json, index, rule, written)
        })
        .collect();
    let width = |column: fn(&Row) -> &str| {
        let lengths = rows.iter().map(|row| column(row).chars().count());
        lengths.max().unwrap_or_default()
    };
    let name = width(|row| &row.name);
    let methods = width(|row| &row.methods);
    let paths = width(|row| &row.paths);
    let receives = width(|row| &row.receives);
    for row in &rows {
        let line = format!(
            "  {:name$}  {:methods$}  {:paths$}  {:receives$}  <- {}",
            row.name, row.methods, row.paths, row.receives, row.allow
        );
        text.push_str(&line);
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
    fn new(
        config: &Config,
        configuration: &Json,
        index: usize,
        rule: &Rule,
        written: &Node<'_>,
    ) -> Self {
        let matched = written.get("match");
        let path = matched.as_ref().and_then(|matched| matched.get("path"));
        let paths = matched.as_ref().map(|matched| matched.list("paths"));
        let paths = path.into_iter().chain(paths.unwrap_or_default());
        let paths: Vec<_> = paths.filter_map(|path| path.as_str()).collect();
        let name = match &rule.name {
            Some(name) => format!("rules[{index}] {name}"),
            None => format!("rules[{index}]"),
        };
        let methods = match (&rule.methods, rule.git.as_slice()) {
            (None, []) => "any".to_owned(),
            (Some(methods), _) => methods.join(","),
            (None, uses) => {
                let words: Vec<_> = uses.iter().map(|one| one.as_str()).collect();
                format!("git {}", words.join(","))
            }
        };
        let allow = written.get("allow").map(|allow| flow(allow.json));
        let receives = match rule.shadow {
            Shadow::Decides => receives(config, configuration, rule),
            Shadow::Logs => "nothing: on trial, the next rule decides".to_owned(),
        };
        Self {
            name: one_line(&name),
            methods,
            paths: one_line(&paths.join(" ")),
            allow: one_line(&allow.unwrap_or_default()),
            receives,
        }
    }
}

/// What the service gets to know. `written` is the configuration as it was written.
pub(crate) fn receives(config: &Config, written: &Json, rule: &Rule) -> String {
    match rule.allow {
        Allow::Nobody => return "nothing: it is closed".to_owned(),
        Allow::Public => return "nothing".to_owned(),
        Allow::SignedIn | Allow::When(_) => {}
    }
    let token = match rule.inject {
        Inject::None => None,
        Inject::Identity => Some(String::new()),
        Inject::Bearer => Some(token(config, written, rule)),
        Inject::Bot(place, form) => Some(token_of_bot(config, place, form)),
        Inject::OwnOrBot(place, form) => Some(format!(
            "{}{}, or {}",
            token(config, written, rule),
            as_git_sends_it(form),
            token_of_bot(config, place, form)
        )),
        Inject::Git => Some(format!("{} as git sends it", token(config, written, rule))),
    };
    let signed = rule.identity_token.as_ref().map(|signed| {
        let audience = one_line(&signed.audience);
        format!(", signed for {audience}")
    });
    match token.as_deref() {
        None => "nothing".to_owned(),
        Some("") => format!("who it is{}", signed.unwrap_or_default()),
        Some(token) => format!("{token}, and who it is{}", signed.unwrap_or_default()),
    }
}

/// Whose token a rule passes on, and what it may.
fn token(config: &Config, written: &Json, rule: &Rule) -> String {
    let root = Node::root(written);
    let (section, of) = match &rule.consumer {
        None => (root.get("bitbucket"), String::new()),
        Some(name) => {
            let consumers = root.get("consumers");
            (
                consumers.and_then(|node| node.get(name)),
                format!(" of the consumer {name}"),
            )
        }
    };
    let scopes = section
        .map(|section| section.list("scopes"))
        .unwrap_or_default();
    let scopes: Vec<_> = scopes.iter().filter_map(Node::as_str).collect();
    let host = &config.bitbucket.api.authority;
    format!(
        "the person's token for {host}{of} ({})",
        one_line(&scopes.join(", "))
    )
}

/// Whose token a rule passes on in the place of the person's, and what it may, as far as it is said.
fn token_of_bot(config: &Config, place: usize, form: TokenForm) -> String {
    let Some(bot) = config.access.bots.get(place) else {
        return "nothing".to_owned();
    };
    let scopes = match &bot.credential {
        BotCredential::AccessToken(_) => String::new(),
        BotCredential::Client { scopes: None, .. } => String::new(),
        BotCredential::Client {
            scopes: Some(scopes),
            ..
        } => format!(" ({})", one_line(&scopes.to_string())),
    };
    let form = as_git_sends_it(form);
    let host = &config.bitbucket.api.authority;
    format!("the token of the bot {} for {host}{scopes}{form}", bot.name)
}

fn as_git_sends_it(form: TokenForm) -> &'static str {
    match form {
        TokenForm::Bearer => "",
        TokenForm::Git => " as git sends it",
    }
}

/// A value on one line, as YAML's flow style writes it.
pub(crate) fn flow(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) if text.contains(['{', '}', '[', ']', ',', ':', '#', '"']) => {
            format!("\"{text}\"")
        }
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
