//! The section `rules`.

use std::collections::HashMap;

use crate::config::bots::BotNames;
use crate::config::reader::{Node, Reader, quoted};
use crate::http::NEVER;
use crate::json::Json;
use crate::policy::{Allow, Condition, GitUse, Inject, PathTemplate, Rule, Shadow, Tail};

const KEYS: [&str; 8] = [
    "name",
    "match",
    "allow",
    "inject",
    "consumer",
    "identity_token",
    "origins",
    "shadow",
];

const INJECT: [(&str, Inject); 4] = [
    ("bearer", Inject::Bearer),
    ("git", Inject::Git),
    ("identity", Inject::Identity),
    ("none", Inject::None),
];

/// The section `match`.
struct Match {
    paths: Vec<PathTemplate>,
    methods: Option<Vec<String>>,
    git: Vec<GitUse>,
    tail: Tail,
}

impl Reader<'_> {
    /// The section `status`: who may see more than that the filter is ready.
    pub(super) fn status(&self, node: &Node<'_>) -> Option<Allow> {
        let section = self.object(node, &["allow"])?;
        let allow = self.required(&section, "allow")?;
        let is_open = self.word(&allow, &[("signed_in", true), ("nobody", false)])?;
        Some(if is_open {
            Allow::SignedIn
        } else {
            Allow::Nobody
        })
    }

    pub(super) fn rules(
        &self,
        node: &Node<'_>,
        bots: &BotNames<'_>,
        is_loopback: bool,
    ) -> Option<Vec<Rule>> {
        let mut rules = Vec::new();
        let mut complete = true;
        // What the rules so far match whole, whatever the method: "/a/" for "/a/**".
        let mut taken: HashMap<String, u64> = HashMap::new();
        for (index, item) in self.list(node)?.iter().enumerate() {
            let Some(rule) = self.rule(item, bots, is_loopback) else {
                complete = false;
                continue;
            };
            self.reachable(item, &rule, &taken);
            // One on trial decides nothing.
            if rule.methods.is_none() && rule.shadow == Shadow::Decides {
                let index = u64::try_from(index).unwrap_or_default();
                for folder in rule.paths.iter().filter_map(PathTemplate::folder) {
                    taken.insert(folder, index);
                }
            }
            rules.push(rule);
        }
        complete.then_some(rules)
    }

    /// A rule that no request reaches says something that does not hold: that a folder is closed,
    /// say, behind a rule that opens the whole site.
    fn reachable(&self, node: &Node<'_>, rule: &Rule, taken: &HashMap<String, u64>) {
        let behind = |template: &PathTemplate| {
            let path = template.literal_prefix();
            let ends = path.match_indices('/').map(|(at, _)| at.saturating_add(1));
            ends.filter_map(|end| taken.get(path.get(..end)?)).min()
        };
        let all: Option<Vec<&u64>> = rule.paths.iter().map(behind).collect();
        if let Some(index) = all.and_then(|all| all.into_iter().min().copied()) {
            let path = node.path_of("match");
            let expected = "expected a rule that some request can reach";
            let found = format!("one behind rules[{index}], which matches all of it");
            self.wrong(&path, expected, &found);
        }
    }

    fn rule(&self, node: &Node<'_>, bots: &BotNames<'_>, is_loopback: bool) -> Option<Rule> {
        let section = self.object(node, &KEYS)?;
        let name = match section.member("name") {
            Some(node) => self.rule_name(&node).map(Some),
            None => Some(None),
        };
        let matched = self
            .required(&section, "match")
            .and_then(|node| self.matched(&node));
        let paths = matched.as_ref().map(|matched| matched.paths.as_slice());
        let allow = self
            .required(&section, "allow")
            .and_then(|node| self.allow(&node, paths));
        let shadow = match section.member("shadow") {
            Some(node) => self.flag(&node),
            None => Some(false),
        };
        let inject = match section.member("inject") {
            Some(node) if matches!(node.json, Json::Object(_)) => self.inject_bot(&node, bots),
            Some(node) => self.word(&node, &INJECT),
            None => Some(Inject::default()),
        };
        let identity_token = match section.member("identity_token") {
            Some(node) => self.identity_token(&node, allow.as_ref(), inject).map(Some),
            None => Some(None),
        };
        let origins = match section.member("origins") {
            Some(node) => self.origins(&node, is_loopback),
            None => Some(Vec::new()),
        };
        // A word that is no `inject` has been reported.
        let injects_token =
            inject.is_none_or(|inject| matches!(inject, Inject::Bearer | Inject::Git));
        let reads_scope = match &allow {
            Some(Allow::When(condition)) => condition
                .parts()
                .iter()
                .any(|part| matches!(part, Condition::Scope(_))),
            Some(Allow::Nobody | Allow::Public | Allow::SignedIn) => false,
            None => true,
        };
        let consumer = self.rule_consumer(&section, injects_token || reads_scope);
        if allow == Some(Allow::Public) {
            self.public(&section, inject, matched.as_ref());
        }
        let matched = matched?;
        Some(Rule {
            name: name?,
            paths: matched.paths,
            methods: matched.methods,
            git: matched.git,
            tail: matched.tail,
            origins: origins?,
            allow: allow?,
            inject: inject?,
            shadow: if shadow? {
                Shadow::Logs
            } else {
                Shadow::Decides
            },
            identity_token: identity_token?,
            consumer: consumer?,
        })
    }

    /// What makes no sense or no safety where everybody is allowed.
    fn public(&self, section: &Node<'_>, inject: Option<Inject>, matched: Option<&Match>) {
        if inject.is_some_and(Inject::is_credential) {
            let path = section.path_of("inject");
            let found = section.member("inject").and_then(|node| node.json.as_str());
            let expected = "expected no credential where everybody is allowed";
            let found = found.map_or_else(|| "that of a bot".to_owned(), quoted);
            self.wrong(&path, expected, &found);
        }
        if section.member("origins").is_some() {
            let expected = "expected none where no cookie is asked for";
            self.wrong(&section.path_of("origins"), expected, "some");
        }
        let is_whole_site = |matched: &Match| {
            matched.methods.is_none() && matched.paths.iter().any(PathTemplate::is_whole_site)
        };
        if matched.is_some_and(is_whole_site) {
            let expected = "expected the paths that are public, or methods";
            self.wrong(&section.path_of("match"), expected, "the whole site");
        }
    }

    /// Origins in the form that browsers send: RFC 6454 section 6.2.
    fn origins(&self, node: &Node<'_>, is_loopback: bool) -> Option<Vec<String>> {
        self.each(node, |item| {
            let (scheme, authority) = self.provider_url(item, is_loopback)?;
            Some(format!("{scheme}://{authority}"))
        })
    }

    fn rule_name(&self, node: &Node<'_>) -> Option<String> {
        let text = self.string(node)?;
        let valid =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if !valid {
            self.wrong_at(
                node,
                "expected 1 to 64 visible ASCII characters",
                &quoted(text),
            );
        }
        valid.then(|| text.to_owned())
    }

    fn matched(&self, node: &Node<'_>) -> Option<Match> {
        let section = self.object(node, &["path", "paths", "methods", "git", "tail"])?;
        let git = match section.member("git") {
            Some(git) => self.git(&section, &git),
            None => Some(Vec::new()),
        };
        let uses = git.as_deref().unwrap_or_default();
        let paths = match (section.member("path"), section.member("paths")) {
            (Some(path), None) => self.templates(&path, uses),
            (None, Some(paths)) => {
                let templates = self.each(&paths, |item| self.templates(item, uses));
                templates.map(|templates| templates.concat())
            }
            (Some(_), Some(_)) => {
                self.wrong_at(&section, "expected path or paths", "both");
                None
            }
            (None, None) => {
                self.wrong(&section.path_of("path"), "expected a value", "none");
                None
            }
        };
        let methods = match section.member("methods") {
            Some(methods) => self.methods(&methods).map(Some),
            None => Some(None),
        };
        let tail = match section.member("tail") {
            Some(tail) => self.word(&tail, &[("raw", Tail::Raw)]),
            None => Some(Tail::default()),
        };
        let paths: Vec<PathTemplate> = paths?;
        if tail == Some(Tail::Raw) && !paths.iter().all(PathTemplate::is_open_ended) {
            let expected =
                "expected every path to end with \"/**\", since the tail is what it matches";
            self.wrong(&section.path_of("tail"), expected, "another");
        }
        Some(Match {
            paths,
            methods: methods?,
            git: git?,
            tail: tail?,
        })
    }

    /// What of git: one, or a list.
    fn git(&self, section: &Node<'_>, node: &Node<'_>) -> Option<Vec<GitUse>> {
        if section.member("methods").is_some() {
            let expected = "expected none beside git, which says which methods";
            self.wrong(&section.path_of("methods"), expected, "some");
        }
        let items = match node.json.as_array() {
            Some(_) => self.list(node)?,
            None => vec![*node],
        };
        let uses: Vec<_> = items
            .iter()
            .map(|item| self.word(item, &GitUse::WORDS))
            .collect();
        uses.into_iter().collect()
    }

    /// A template; where the rule is about git, those of its requests to the repository.
    fn templates(&self, node: &Node<'_>, uses: &[GitUse]) -> Option<Vec<PathTemplate>> {
        let template = self.template(node)?;
        if uses.is_empty() {
            return Some(vec![template]);
        }
        let text = self.string(node)?;
        if template.is_open_ended() || text.ends_with('/') {
            let expected = "expected the path of a repository, such as \"/acme/{repo}\"";
            self.wrong_at(node, expected, &quoted(text));
            return None;
        }
        let paths = uses.iter().flat_map(|one| one.paths(text));
        let templates: Result<_, _> = paths.map(|path| PathTemplate::parse(&path)).collect();
        templates
            .map_err(|error| self.wrong_at(node, &error.to_string(), &quoted(text)))
            .ok()
    }

    fn template(&self, node: &Node<'_>) -> Option<PathTemplate> {
        let text = self.string(node)?;
        let template = match PathTemplate::parse(text) {
            Ok(template) => template,
            Err(error) => {
                self.wrong_at(node, &error.to_string(), &quoted(text));
                return None;
            }
        };
        let rest = text.strip_prefix("/_bitgate");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            self.wrong_at(
                node,
                "expected a path outside of /_bitgate/, which is ours",
                &quoted(text),
            );
        }
        Some(template)
    }

    fn methods(&self, node: &Node<'_>) -> Option<Vec<String>> {
        let mut methods = Vec::new();
        for item in self.list(node)? {
            let name = self.string(&item)?;
            let is_method = |b: u8| b.is_ascii_uppercase() || b == b'-';
            let is_known = (1..=32).contains(&name.len()) && name.bytes().all(is_method);
            if !is_known {
                let expected = "expected a method of capital letters and \"-\"";
                self.wrong_at(&item, expected, &quoted(name));
            } else if NEVER.contains(&name) {
                self.wrong_at(&item, "expected a method that is passed on", &quoted(name));
            }
            methods.push(name.to_owned());
        }
        Some(methods)
    }
}
