//! The section `rules`.

use crate::config::reader::{Node, Reader, quoted};
use crate::policy::{Allow, Inject, PathTemplate, Rule};

const ALLOW: [(&str, Allow); 3] = [
    ("public", Allow::Public),
    ("signed_in", Allow::SignedIn),
    ("nobody", Allow::Nobody),
];

const INJECT: [(&str, Inject); 3] = [
    ("bearer", Inject::Bearer),
    ("identity", Inject::Identity),
    ("none", Inject::None),
];

impl Reader<'_> {
    pub(super) fn rules(&self, node: &Node<'_>) -> Option<Vec<Rule>> {
        let mut rules = Vec::new();
        let mut complete = true;
        for item in self.list(node)? {
            match self.rule(&item) {
                Some(rule) => rules.push(rule),
                None => complete = false,
            }
        }
        complete.then_some(rules)
    }

    fn rule(&self, node: &Node<'_>) -> Option<Rule> {
        let section = self.object(node, &["name", "match", "allow", "inject"])?;
        let name = match section.member("name") {
            Some(node) => self.rule_name(&node).map(Some),
            None => Some(None),
        };
        let matched = self
            .required(&section, "match")
            .and_then(|node| self.matched(&node));
        let allow = self
            .required(&section, "allow")
            .and_then(|node| self.word(&node, &ALLOW));
        let inject = match section.member("inject") {
            Some(node) => self.word(&node, &INJECT),
            None => Some(Inject::default()),
        };
        if (allow, inject) == (Some(Allow::Public), Some(Inject::Bearer)) {
            let path = section.path_of("inject");
            self.wrong(
                &path,
                "expected no credential where everybody is allowed",
                "\"bearer\"",
            );
        }
        let (paths, methods) = matched?;
        Some(Rule {
            name: name?,
            paths,
            methods,
            allow: allow?,
            inject: inject?,
        })
    }

    fn rule_name(&self, node: &Node<'_>) -> Option<String> {
        let text = self.string(node)?;
        let valid =
            (1..=64).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'));
        if !valid {
            self.wrong(
                &node.path,
                "expected 1 to 64 visible ASCII characters",
                &quoted(text),
            );
        }
        valid.then(|| text.to_owned())
    }

    fn matched(&self, node: &Node<'_>) -> Option<(Vec<PathTemplate>, Option<Vec<String>>)> {
        let section = self.object(node, &["path", "paths", "methods"])?;
        let paths = match (section.member("path"), section.member("paths")) {
            (Some(path), None) => self.template(&path).map(|template| vec![template]),
            (None, Some(paths)) => {
                let items = self.list(&paths)?;
                let templates: Vec<_> = items.iter().map(|item| self.template(item)).collect();
                templates.into_iter().collect()
            }
            (Some(_), Some(_)) => {
                self.wrong(&section.path, "expected path or paths", "both");
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
        Some((paths?, methods?))
    }

    fn template(&self, node: &Node<'_>) -> Option<PathTemplate> {
        let text = self.string(node)?;
        let template = match PathTemplate::parse(text) {
            Ok(template) => template,
            Err(error) => {
                self.wrong(&node.path, &error.to_string(), &quoted(text));
                return None;
            }
        };
        if text.split('/').nth(1) == Some("_bitgate") {
            self.wrong(
                &node.path,
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
            if name.is_empty() || !name.bytes().all(is_method) {
                self.wrong(&item.path, "expected a method in upper case", &quoted(name));
            }
            methods.push(name.to_owned());
        }
        Some(methods)
    }
}
