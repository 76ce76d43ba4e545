//! The section `consumers`: further OAuth consumers, so that a service gets a token with only the
//! scopes that it needs.

use crate::bitbucket::Scopes;
use crate::config::bitbucket::Registered;
use crate::config::reader::{Node, Reader, quoted, shown};
use crate::json::Json;
use crate::oauth::ClientCredentials;

/// Each has up to 20 KB of cookies in every request of a browser.
const MAX: usize = 3;

/// A further OAuth consumer. It is reached like the main one.
#[derive(Debug)]
pub struct Consumer {
    /// What rules call it: 1 to 16 small letters, digits or `-`.
    pub name: String,
    /// Its id and secret.
    pub client: ClientCredentials,
    /// As ticked on it; they allow `account`.
    pub scopes: Scopes,
    /// Calls to the API in an hour.
    pub api_budget: u32,
}

impl Reader<'_> {
    /// The section itself; `main` is the consumer of `bitbucket`.
    pub(super) fn consumers(
        &self,
        node: &Node<'_>,
        main: Option<&ClientCredentials>,
        is_loopback: bool,
    ) -> Option<Vec<Consumer>> {
        let names = self.distinct_names(node)?;
        if names.len() > MAX {
            let expected = format!("expected at most {MAX} consumers");
            self.wrong_at(node, &expected, &names.len().to_string());
        }
        let mut consumers: Vec<Consumer> = Vec::new();
        let mut complete = true;
        for name in names {
            let item = node.member(name)?;
            let Some(consumer) = self.consumer(name, &item, is_loopback) else {
                complete = false;
                continue;
            };
            // A second grant of the same consumer would take its refresh tokens from the first.
            let others = consumers.iter().map(|other| &other.client);
            if others
                .chain(main)
                .any(|other| other.id == consumer.client.id)
            {
                let path = item.path_of("client_id");
                let expected = "expected a consumer of its own";
                self.wrong(&path, expected, "the client id of another");
            }
            consumers.push(consumer);
        }
        complete.then_some(consumers)
    }

    fn consumer(&self, name: &str, node: &Node<'_>, is_loopback: bool) -> Option<Consumer> {
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let valid = (1..=16).contains(&name.len()) && name.bytes().all(is_word);
        if !valid {
            let expected = "expected a name of 1 to 16 small letters, digits or \"-\"";
            self.wrong_at(node, expected, &quoted(name));
        }
        let known = ["client_id", "client_secret", "scopes", "api_budget"];
        let section = self.object(node, &known)?;
        let Registered {
            client,
            scopes,
            api_budget,
        } = self.registered(&section, is_loopback)?;
        Some(Consumer {
            name: name.to_owned(),
            client,
            scopes,
            api_budget,
        })
    }

    /// `consumer` of a rule, which makes sense only where the rule `looks_at_token` of somebody.
    pub(super) fn rule_consumer(
        &self,
        rule: &Node<'_>,
        looks_at_token: bool,
    ) -> Option<Option<String>> {
        let Some(node) = rule.member("consumer") else {
            return Some(None);
        };
        let name = self.string(&node)?;
        if !looks_at_token {
            let expected = "expected none where no token is passed on or looked at";
            self.wrong_at(&node, expected, &quoted(name));
        }
        Some(Some(name.to_owned()))
    }

    /// Rules name consumers that are there, and a consumer that no rule names is worth a word. The
    /// document itself is looked at: another mistake in a rule hides none here.
    pub(super) fn named_consumers(&self, root: &Node<'_>) {
        let section = root.member("consumers");
        let names: Vec<&str> = match section.map(|node| node.json) {
            Some(Json::Object(members)) => members.iter().map(|(name, _)| name.as_str()).collect(),
            Some(_) | None => Vec::new(),
        };
        let rules = root.member("rules").and_then(|node| node.json.as_array());
        let mut used = Vec::new();
        for (index, rule) in rules.unwrap_or_default().iter().enumerate() {
            let Some(name) = rule.member("consumer").and_then(Json::as_str) else {
                continue;
            };
            if !names.contains(&name) {
                let path = format!("rules[{index}].consumer");
                let expected = "expected a name from the section consumers";
                self.wrong(&path, expected, &quoted(name));
            }
            used.push(name);
        }
        for name in names.iter().filter(|name| !used.contains(*name)) {
            let path = format!("consumers.{}", shown(name));
            self.warn(
                &path,
                "no rule names it, so nobody is asked to sign in for it",
            );
        }
    }
}
