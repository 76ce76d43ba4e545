//! `allow` of a rule: a word, or one condition.

use crate::bitbucket::is_account_id;
use crate::bitbucket::is_group;
use crate::config::reader::{Node, Reader, quoted};
use crate::identity::Principal;
use crate::policy::{
    Allow, Condition, Name, NameError, Needed, Part, PathTemplate, Permission, Role, is_project_key,
};

/// How deep conditions may stand in each other.
const MAX_DEPTH: usize = 8;

const WORDS: [(&str, Allow); 3] = [
    ("public", Allow::Public),
    ("signed_in", Allow::SignedIn),
    ("nobody", Allow::Nobody),
];

/// Each condition's key, and the key that may stand beside it.
const CONDITIONS: [(&str, Option<&str>); 13] = [
    ("workspace", Some("role")),
    ("repository", Some("permission")),
    ("project", Some("permission")),
    ("account", None),
    ("email_domain", None),
    ("scope", None),
    ("group", None),
    ("principal", None),
    ("pipeline", None),
    ("issuer", Some("subject")),
    ("all_of", None),
    ("any_of", None),
    ("not", None),
];

const ROLES: [(&str, Role); 2] = [("member", Role::Member), ("owner", Role::Owner)];

const PERMISSIONS: [(&str, Needed); 4] = [
    ("read", Needed::AtLeast(Permission::Read)),
    ("write", Needed::AtLeast(Permission::Write)),
    ("admin", Needed::AtLeast(Permission::Admin)),
    ("by_method", Needed::ByMethod),
];

const PRINCIPALS: [(&str, Principal); 3] = [
    ("person", Principal::Person),
    ("pipeline", Principal::Pipeline),
    ("bot", Principal::Bot),
];

impl Reader<'_> {
    /// `allow`; `paths` are those of the rule, for the captures that it names.
    pub(super) fn allow(&self, node: &Node<'_>, paths: Option<&[PathTemplate]>) -> Option<Allow> {
        let word = node.json.as_str();
        if let Some((_, allow)) = WORDS.iter().find(|(name, _)| Some(*name) == word) {
            return Some(allow.clone());
        }
        if !node.json.is_object() {
            let expected = "expected one of \"public\", \"signed_in\", \"nobody\", or a condition \
                            such as {\"workspace\": \"acme\"}";
            let found = word.map_or_else(|| node.json.kind().to_owned(), quoted);
            self.wrong_at(node, expected, &found);
            return None;
        }
        self.condition(node, paths, 1).map(Allow::When)
    }

    fn condition(
        &self,
        node: &Node<'_>,
        paths: Option<&[PathTemplate]>,
        depth: usize,
    ) -> Option<Condition> {
        if depth > MAX_DEPTH {
            let expected = format!("expected conditions at most {MAX_DEPTH} deep");
            self.wrong_at(node, &expected, "a deeper one");
            return None;
        }
        match node.json.as_str() {
            Some("signed_in") => return Some(Condition::SignedIn),
            Some("nobody") => return Some(Condition::Nobody),
            Some(word) => {
                let expected = "expected \"signed_in\", \"nobody\", or a condition such as \
                                {\"workspace\": \"acme\"}";
                self.wrong_at(node, expected, &quoted(word));
                return None;
            }
            None => {}
        }
        let (name, section) = self.one_condition(node)?;
        let value = section.member(name)?;
        match name {
            "workspace" => {
                let workspace = self.part(&value, paths, Name::workspace);
                let role = self.beside(&section, "role", &ROLES, Role::Member);
                Some(Condition::Workspace {
                    workspace: workspace?,
                    role: role?,
                })
            }
            "repository" => {
                let parts = self.pair(&value, "workspace/repository")?;
                let workspace = self.part_of(&value, parts.0, paths, Name::workspace);
                let repository = self.part_of(&value, parts.1, paths, Name::repository);
                let permission = self.permission(&section);
                Some(Condition::Repository {
                    workspace: workspace?,
                    repository: repository?,
                    permission: permission?,
                })
            }
            "project" => {
                let parts = self.pair(&value, "workspace/KEY")?;
                let workspace = self.part_of(&value, parts.0, paths, Name::workspace);
                let key = self.key_part(&value, parts.1, paths);
                let permission = self.permission(&section);
                Some(Condition::Project {
                    workspace: workspace?,
                    key: key?,
                    permission: permission?,
                })
            }
            "account" => self.account_ids(&value).map(Condition::Account),
            "email_domain" => self.domains(&value).map(Condition::EmailDomain),
            "scope" => self.scope_names(&value).map(Condition::Scope),
            "group" => self.group_name(&value).map(Condition::Group),
            "principal" => self.word(&value, &PRINCIPALS).map(Condition::Principal),
            "pipeline" => self.pipeline(&value, paths).map(Condition::Pipeline),
            "issuer" => self.issuer_condition(&section, &value),
            "all_of" => self.conditions(&value, paths, depth).map(Condition::AllOf),
            "any_of" => self.conditions(&value, paths, depth).map(Condition::AnyOf),
            // `one_condition` gives no other name than "not".
            _ => {
                let inner = self.condition(&value, paths, depth.saturating_add(1))?;
                Some(Condition::Not(Box::new(inner)))
            }
        }
    }

    /// The one condition in a map. Two would leave open whether one or both must hold.
    fn one_condition<'j>(&self, node: &Node<'j>) -> Option<(&'static str, Node<'j>)> {
        let names = self.distinct_names(node)?;
        let is_here = |(name, _): &&(&str, _)| names.contains(name);
        let mut found = CONDITIONS.iter().filter(is_here);
        let Some((name, beside)) = found.next() else {
            let all: Vec<_> = CONDITIONS.iter().map(|(name, _)| *name).collect();
            let expected = format!("expected one of {}", all.join(", "));
            self.wrong_at(node, &expected, "no condition");
            return None;
        };
        if found.next().is_some() {
            let expected = "expected one condition; all_of, any_of and not combine several";
            self.wrong_at(node, expected, "two");
            return None;
        }
        let known: Vec<&str> = [*name].into_iter().chain(*beside).collect();
        Some((name, self.object(node, &known)?))
    }

    fn conditions(
        &self,
        node: &Node<'_>,
        paths: Option<&[PathTemplate]>,
        depth: usize,
    ) -> Option<Vec<Condition>> {
        let deeper = depth.saturating_add(1);
        self.each(node, |item| self.condition(item, paths, deeper))
    }

    fn beside<T: Copy>(
        &self,
        section: &Node<'_>,
        name: &str,
        words: &[(&str, T)],
        default: T,
    ) -> Option<T> {
        match section.member(name) {
            Some(node) => self.word(&node, words),
            None => Some(default),
        }
    }

    fn permission(&self, section: &Node<'_>) -> Option<Needed> {
        let read = Needed::AtLeast(Permission::Read);
        self.beside(section, "permission", &PERMISSIONS, read)
    }

    /// Two parts with a slash between.
    fn pair<'j>(&self, node: &Node<'j>, form: &str) -> Option<(&'j str, &'j str)> {
        let text = self.string(node)?;
        let pair = text.split_once('/').filter(|(_, rest)| !rest.contains('/'));
        if pair.is_none() {
            self.wrong_at(node, &format!("expected \"{form}\""), &quoted(text));
        }
        pair
    }

    pub(super) fn part(
        &self,
        node: &Node<'_>,
        paths: Option<&[PathTemplate]>,
        read: fn(&str) -> Result<Name, NameError>,
    ) -> Option<Part<Name>> {
        self.part_of(node, self.string(node)?, paths, read)
    }

    fn part_of(
        &self,
        node: &Node<'_>,
        text: &str,
        paths: Option<&[PathTemplate]>,
        read: fn(&str) -> Result<Name, NameError>,
    ) -> Option<Part<Name>> {
        if let Some(capture) = captured(text) {
            return self.capture(node, capture, paths).map(Part::Capture);
        }
        match read(text) {
            Ok(name) => Some(Part::Literal(name)),
            Err(error) => {
                self.wrong_at(node, &error.to_string(), &quoted(text));
                None
            }
        }
    }

    fn key_part(
        &self,
        node: &Node<'_>,
        text: &str,
        paths: Option<&[PathTemplate]>,
    ) -> Option<Part<String>> {
        if let Some(capture) = captured(text) {
            return self.capture(node, capture, paths).map(Part::Capture);
        }
        if !is_project_key(text) {
            let expected = "expected a project's key in capital letters, such as WID";
            self.wrong_at(node, expected, &quoted(text));
            return None;
        }
        Some(Part::Literal(text.to_owned()))
    }

    /// A capture must be in each path of the rule: it would have no value otherwise.
    fn capture(
        &self,
        node: &Node<'_>,
        name: &str,
        paths: Option<&[PathTemplate]>,
    ) -> Option<String> {
        let has = |path: &PathTemplate| path.captures().any(|capture| capture == name);
        if paths.is_some_and(|paths| !paths.iter().all(has)) {
            let expected = "expected a capture that each path of the rule has";
            self.wrong_at(node, expected, &quoted(&format!("{{{name}}}")));
            return None;
        }
        Some(name.to_owned())
    }

    /// Account ids: one, or a list.
    pub(super) fn account_ids(&self, node: &Node<'_>) -> Option<Vec<String>> {
        self.checked_texts(node, is_account_id, "expected an Atlassian account id")
    }

    fn domains(&self, node: &Node<'_>) -> Option<Vec<String>> {
        let is_domain = |text: &str| {
            let is_mark = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let is_label = |label: &str| {
                !label.is_empty() && label.bytes().all(is_mark) && !label.starts_with('-')
            };
            text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
        };
        let expected = "expected a domain in lower case, such as \"example.com\"";
        self.checked_texts(node, is_domain, expected)
    }

    fn scope_names(&self, node: &Node<'_>) -> Option<Vec<String>> {
        let is_scope = |text: &str| {
            let is_mark = |b: u8| b.is_ascii_lowercase() || b == b':' || b == b'-';
            !text.is_empty() && text.bytes().all(is_mark)
        };
        self.checked_texts(
            node,
            is_scope,
            "expected a scope such as \"repository:write\"",
        )
    }

    /// A group's name.
    pub(super) fn group_name(&self, node: &Node<'_>) -> Option<String> {
        let text = self.string(node)?;
        if !is_group(text) {
            let expected = "expected 1 to 64 letters, digits, \"-\", \"_\" or \".\"";
            self.wrong_at(node, expected, &quoted(text));
            return None;
        }
        Some(text.to_owned())
    }

    pub(super) fn checked_texts(
        &self,
        node: &Node<'_>,
        is_good: fn(&str) -> bool,
        expected: &str,
    ) -> Option<Vec<String>> {
        let texts = self.texts(node)?;
        for (item, text) in texts.iter().filter(|(_, text)| !is_good(text)) {
            self.wrong_at(item, expected, &quoted(text));
        }
        Some(texts.into_iter().map(|(_, text)| text.to_owned()).collect())
    }
}

/// `name` of `{name}`; a UUID in braces is no capture.
fn captured(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (!name.is_empty() && name.bytes().all(is_word)).then_some(name)
}
