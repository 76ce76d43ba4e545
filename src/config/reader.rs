//! Reading a JSON tree while gathering everything that is wrong with it.

use std::cell::RefCell;
use std::fmt;

use crate::json::Json;
use crate::sorted::sorted;

/// Looks up an environment variable of the module.
pub type Environment<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Something that is wrong with the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Like `rules[2].match.path`; `configuration` for the whole.
    pub path: String,
    /// *expected X, but found Y*; never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Problem {
    pub(super) fn syntax(text: &[u8], error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let found = if text.is_empty() {
            "nothing".to_owned()
        } else {
            format!("a mistake in line {line}, column {column}")
        };
        let message =
            format!("expected a JSON document or a google.protobuf.Struct, but found {found}");
        Self {
            path: "configuration".to_owned(),
            message,
        }
    }

    /// A line whose order is that of problems, with numbers in a path in their own: rule 10 comes after
    /// rule 9. Texts are sorted elsewhere, too, so this costs the module nothing.
    fn sortable(&self) -> String {
        let mut key = String::new();
        let mut digits = String::new();
        for c in self.path.chars().chain(['\0']) {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            if !digits.is_empty() {
                key.push_str(&format!("{digits:0>12}"));
                digits.clear();
            }
            key.push(c);
        }
        format!("{key}{}\0{}", self.message, self.path)
    }

    fn of_sortable(line: &str) -> Option<Self> {
        let (rest, path) = line.rsplit_once('\0')?;
        let (_, message) = rest.rsplit_once('\0')?;
        Some(Self {
            path: path.to_owned(),
            message: message.to_owned(),
        })
    }
}

/// Where values stand, by number, so that a [`Node`] can be copied.
#[derive(Debug, Default)]
pub(super) struct Paths(RefCell<Vec<String>>);

/// A value and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'j> {
    pub(super) json: &'j Json,
    paths: &'j Paths,
    place: usize,
}

impl<'j> Node<'j> {
    fn new(json: &'j Json, paths: &'j Paths, path: String) -> Self {
        let mut known = paths.0.borrow_mut();
        let place = known.len();
        known.push(path);
        Self { json, paths, place }
    }

    /// A member of an object; absent and other values have none.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let json: &'j Json = self.json.member(name)?;
        Some(Self::new(json, self.paths, self.path_of(&shown(name))))
    }

    /// Another value in the same place.
    pub(super) fn holding<'n>(&self, json: &'n Json) -> Node<'n>
    where
        'j: 'n,
    {
        Node { json, ..*self }
    }

    /// Like `rules[2].match`; empty for the whole.
    pub(super) fn path(&self) -> String {
        let known = self.paths.0.borrow();
        known.get(self.place).cloned().unwrap_or_default()
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        let path = self.path();
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    }
}

/// Gathers problems, so that an operator sees all of them at once.
pub(super) struct Reader<'e> {
    pub(super) environment: &'e Environment<'e>,
    paths: &'e Paths,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(environment: &'e Environment<'e>, paths: &'e Paths) -> Self {
        Self {
            environment,
            paths,
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// The value, unless there was a problem.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        let problems = self.problems.into_inner();
        let lines: Vec<String> = problems.iter().map(Problem::sortable).collect();
        let mut lines = sorted(lines.iter().map(String::as_str).collect());
        lines.dedup();
        let sorted = lines.iter().filter_map(|line| Problem::of_sortable(line));
        let problems: Vec<Problem> = sorted.collect();
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            Some(_) | None => Err(problems),
        }
    }

    pub(super) fn warnings(&self) -> Vec<Problem> {
        self.warnings.borrow().clone()
    }

    pub(super) fn warn(&self, path: &str, message: &str) {
        let problem = Problem {
            path: path.to_owned(),
            message: message.to_owned(),
        };
        self.warnings.borrow_mut().push(problem);
    }

    /// Reports what was expected at `path` and what was found.
    pub(super) fn wrong(&self, path: &str, expected: &str, found: &str) {
        let message = format!("{expected}, but found {found}");
        let path = if path.is_empty() {
            "configuration"
        } else {
            path
        };
        self.problems.borrow_mut().push(Problem {
            path: path.to_owned(),
            message,
        });
    }

    pub(super) fn wrong_at(&self, node: &Node<'_>, expected: &str, found: &str) {
        self.wrong(&node.path(), expected, found);
    }

    pub(super) fn root<'j>(&self, json: &'j Json, known: &[&str]) -> Option<Node<'j>>
    where
        'e: 'j,
    {
        self.object(&Node::new(json, self.paths, String::new()), known)
    }

    /// Takes the value as an object with these members, each at most once.
    pub(super) fn object<'j>(&self, node: &Node<'j>, known: &[&str]) -> Option<Node<'j>> {
        let names = self.distinct_names(node)?;
        for name in names {
            if !known.contains(&name) {
                let expected = format!("expected one of {}", known.join(", "));
                self.wrong(&node.path_of(&shown(name)), &expected, "an unknown key");
            }
        }
        Some(*node)
    }

    /// Takes the value as an object with any members, each at most once.
    pub(super) fn distinct_names<'j>(&self, node: &Node<'j>) -> Option<Vec<&'j str>> {
        let json: &'j Json = node.json;
        let Json::Object(members) = json else {
            self.wrong_at(node, "expected an object", json.kind());
            return None;
        };
        let mut names: Vec<&str> = Vec::with_capacity(members.len());
        for (name, _) in members {
            if names.contains(&name.as_str()) {
                self.wrong(
                    &node.path_of(&shown(name)),
                    "expected the key once",
                    "it twice",
                );
            } else {
                names.push(name);
            }
        }
        Some(names)
    }

    /// The member, which must be there.
    pub(super) fn required<'j>(&self, node: &Node<'j>, name: &str) -> Option<Node<'j>> {
        let member = node.member(name);
        if member.is_none() {
            self.wrong(&node.path_of(name), "expected a value", "none");
        }
        member
    }

    pub(super) fn string<'j>(&self, node: &Node<'j>) -> Option<&'j str> {
        let json: &'j Json = node.json;
        match json {
            Json::String(_) => {}
            // YAML reads `kid: 2026` and `client_id: on` as no strings.
            Json::Bool(_) | Json::Number(_) => {
                let found = format!("{}: write it in quotes", json.kind());
                self.wrong_at(node, "expected a string", &found);
            }
            Json::Null | Json::Array(_) | Json::Object(_) => {
                self.wrong_at(node, "expected a string", json.kind());
            }
        }
        json.as_str()
    }

    /// The items of a list that must not be empty.
    pub(super) fn list<'j>(&self, node: &Node<'j>) -> Option<Vec<Node<'j>>> {
        let json: &'j Json = node.json;
        let Some(items) = json.as_array() else {
            self.wrong_at(node, "expected a list", json.kind());
            return None;
        };
        if items.is_empty() {
            self.wrong_at(node, "expected at least one item", "an empty list");
            return None;
        }
        let path = node.path();
        let node = |(index, json)| Node::new(json, node.paths, format!("{path}[{index}]"));
        Some(items.iter().enumerate().map(node).collect())
    }

    /// What is read from each item of a list, if all of them can be. Each is looked at.
    pub(super) fn each<T>(
        &self,
        node: &Node<'_>,
        read: impl Fn(&Node<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut all = Vec::new();
        let mut complete = true;
        for item in self.list(node)? {
            match read(&item) {
                Some(one) => all.push(one),
                None => complete = false,
            }
        }
        complete.then_some(all)
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, node: &Node<'_>) -> Option<bool> {
        let flag = node.json.as_bool();
        if flag.is_none() {
            self.wrong_at(node, "expected true or false", node.json.kind());
        }
        flag
    }

    /// One text, or a list of them.
    pub(super) fn texts<'j>(&self, node: &Node<'j>) -> Option<Vec<(Node<'j>, &'j str)>> {
        let items = match node.json {
            Json::Array(_) => self.list(node)?,
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_) => {
                vec![*node]
            }
        };
        // Every item that is no text is reported, and so are those behind it.
        let texts = items.into_iter().filter_map(|item| {
            let text = self.string(&item)?;
            Some((item, text))
        });
        Some(texts.collect())
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, node: &Node<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = node.json.as_str();
        let found = words.iter().find(|(word, _)| Some(*word) == text);
        if found.is_none() {
            self.no_word(node, &mut words.iter().map(|(word, _)| *word));
        }
        found.map(|(_, value)| *value)
    }

    fn no_word(&self, node: &Node<'_>, words: &mut dyn Iterator<Item = &str>) {
        let words: Vec<&str> = words.collect();
        let expected = format!("expected one of \"{}\"", words.join("\", \""));
        let text = node.json.as_str();
        let found = text.map_or_else(|| node.json.kind().to_owned(), quoted);
        self.wrong_at(node, &expected, &found);
    }
}

/// A text of the configuration as part of a message: one short line.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::new();
    let mut chars = text.chars();
    for c in chars.by_ref().take(80) {
        line.extend(c.escape_debug());
    }
    if chars.next().is_some() {
        line.push('…');
    }
    line
}

/// [`shown`], in quotation marks.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}
