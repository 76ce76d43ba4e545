//! What is asked, and what was answered: rows of words, in memory as in shared data.

use std::cell::Cell;
use std::fmt;

use crate::policy::{Permission, Role};
use crate::sorted::sorted;

/// What Bitbucket is asked. Workspaces are named by their UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Whose token it is.
    Account,
    /// Everybody's role in a workspace. It is about nobody in particular.
    Directory(String),
    /// The groups of a workspace, by slug or UUID. It is about nobody in particular.
    Groups(String),
    /// What a repository of a workspace, both by UUID, is called. It is about nobody in particular.
    Called(String, String),
    /// The projects of a workspace in which a person has this permission on a repository.
    Projects(String, Permission),
    /// Whether a token belongs to a workspace, by slug or UUID, or to anything in it.
    Reach(String),
    /// A person's permissions on the repositories of a workspace.
    Repositories(String),
    /// A person's role in a workspace.
    Role(String),
    /// The repositories of a workspace on which a token has this permission.
    Visible(String, Permission),
    /// The workspaces of a person.
    Workspaces,
}

impl Question {
    /// What tells this question about `account_id` from all others. No part of it has a line end.
    #[must_use]
    pub fn key(&self, account_id: &str) -> String {
        let (kind, workspace) = self.parts();
        let account_id = if self.is_personal() { account_id } else { "" };
        let more = match self {
            Self::Projects(_, permission) | Self::Visible(_, permission) => permission.as_str(),
            Self::Called(_, repository) => repository,
            Self::Account
            | Self::Directory(_)
            | Self::Groups(_)
            | Self::Reach(_)
            | Self::Repositories(_)
            | Self::Role(_)
            | Self::Workspaces => "",
        };
        format!("{kind}\n{account_id}\n{workspace}\n{more}")
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Account => ("account", "*"),
            Self::Called(workspace, _) => ("called", workspace),
            Self::Directory(workspace) => ("directory", workspace),
            Self::Groups(workspace) => ("groups", workspace),
            Self::Projects(workspace, _) => ("projects", workspace),
            Self::Reach(workspace) => ("reach", workspace),
            Self::Repositories(workspace) => ("repositories", workspace),
            Self::Role(workspace) => ("role", workspace),
            Self::Visible(workspace, _) => ("visible", workspace),
            Self::Workspaces => ("workspaces", "*"),
        }
    }

    /// Whether the answer depends on whom it is about.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        !matches!(
            self,
            Self::Called(..) | Self::Directory(_) | Self::Groups(_)
        )
    }
}

impl fmt::Display for Question {
    /// In a few words, for log lines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, workspace) = self.parts();
        write!(f, "{kind} {workspace}")
    }
}

/// One row of an answer. What it has depends on the question:
///
/// | Question | `key` | `value` |
/// |---|---|---|
/// | account | account id | kind of principal |
/// | called | slug | UUID |
/// | directory | account id | role |
/// | groups | account id | groups, with commas between |
/// | projects | project key | nothing |
/// | reach | the workspace's slug | UUID |
/// | repositories, visible | slug | permission, space, UUID |
/// | role | the workspace's slug | role |
/// | workspaces | slug | UUID |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What is looked up.
    pub key: String,
    /// What is known about it.
    pub value: String,
    /// Whether the slug is known to belong to this UUID: looked up once for each answer.
    pub(super) is_pinned: Cell<bool>,
}

impl Row {
    /// A row.
    #[must_use]
    pub fn new(key: &str, value: String) -> Self {
        Self {
            key: key.to_owned(),
            value,
            is_pinned: Cell::new(false),
        }
    }

    fn line(&self) -> String {
        format!("{} {}", self.key, self.value)
    }

    /// A row about a repository.
    #[must_use]
    pub fn of_repository(slug: &str, permission: Permission, uuid: &str) -> Self {
        Self::new(slug, format!("{} {uuid}", permission.as_str()))
    }

    /// Permission and UUID of a row about a repository.
    #[must_use]
    pub fn repository(&self) -> Option<(Permission, &str)> {
        let (permission, uuid) = self.value.split_once(' ')?;
        Some((Permission::read(permission)?, uuid))
    }

    /// The role of a row that has one.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        Role::read(&self.value)
    }
}

/// What Bitbucket answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The slug of the workspace that it is about, if rows told it.
    pub slug: Option<String>,
    /// In the order of their keys, each once.
    rows: Vec<Row>,
}

impl Answer {
    /// Takes rows in any order. `None` if two rows with one key do not say the same: of two roles, or
    /// two permissions on one repository, the higher one counts, since lists are paged while they change.
    #[must_use]
    pub fn new(slug: Option<String>, rows: &[Row]) -> Option<Self> {
        // A space comes before all that a key holds, so lines are in the order of their keys.
        let lines: Vec<String> = rows.iter().map(Row::line).collect();
        let lines = sorted(lines.iter().map(String::as_str).collect());
        Self::of(slug, lines.into_iter())
    }

    /// Takes lines in the order of their keys.
    fn of<'l>(slug: Option<String>, lines: impl Iterator<Item = &'l str>) -> Option<Self> {
        let mut rows: Vec<Row> = Vec::new();
        for line in lines {
            let (key, value) = line.split_once(' ')?;
            match rows.last_mut().filter(|last| last.key == key) {
                None => rows.push(Row::new(key, value.to_owned())),
                Some(last) => last.value = higher(&last.value, value)?,
            }
        }
        Some(Self { slug, rows })
    }

    /// The row with this key.
    #[must_use]
    pub fn row(&self, key: &str) -> Option<&Row> {
        let found = self.rows.binary_search_by(|row| row.key.as_str().cmp(key));
        self.rows.get(found.ok()?)
    }

    /// All rows.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The words:
    ///
    /// ```text
    /// answer = (slug / "-") *( LF key SP value )
    /// ```
    pub(super) fn write(&self) -> String {
        let mut text = self.slug.clone().unwrap_or("-".to_owned());
        for row in &self.rows {
            text.push('\n');
            text.push_str(&row.line());
        }
        text
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let slug = lines.next().filter(|slug| !slug.is_empty())?;
        Self::of((slug != "-").then(|| slug.to_owned()), lines)
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        self.rows.len().saturating_mul(160).saturating_add(200)
    }
}

/// Of two values of one key, the one that grants more; `None` if they speak of two things.
fn higher(a: &str, b: &str) -> Option<String> {
    if a == b {
        return Some(a.to_owned());
    }
    let rank = |value: &str| {
        let (word, rest) = value.split_once(' ').unwrap_or((value, ""));
        let rank = (Role::read(word), Permission::read(word));
        (rank != (None, None)).then(|| (rest.to_owned(), rank))
    };
    let ((a_is_about, a_rank), (b_is_about, b_rank)) = rank(a).zip(rank(b))?;
    let higher = if a_rank > b_rank { a } else { b };
    (a_is_about == b_is_about).then(|| higher.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_from_words_as_they_were() {
        let uuid = "{77aa0000-1111-4222-8333-444455556666}";
        let slug = || Some("acme".to_owned());
        let row = |key, value: &str| Row::new(key, value.to_owned());
        for (slug, rows) in [
            (slug(), vec![row("557058:a", "owner")]),
            (None, vec![row("557058:a", "admins,developers")]),
            (slug(), vec![row("WID", ""), row("X_1", "")]),
            (
                slug(),
                vec![Row::of_repository("widgets.x", Permission::Write, uuid)],
            ),
            (None, vec![row("acme", uuid)]),
            (None, Vec::new()),
        ] {
            let answer = Answer::new(slug, &rows).unwrap();
            assert_eq!(Answer::read(&answer.write()), Some(answer));
        }
        for text in ["", "-\nkey", "\n"] {
            assert_eq!(Answer::read(text), None, "{text}");
        }
    }

    #[test]
    fn of_two_rows_the_higher_counts_and_of_two_things_none() {
        let value = |rows: &[(&str, &str)]| {
            let rows = rows
                .iter()
                .map(|(key, value)| Row::new(key, (*value).to_owned()));
            let rows: Vec<Row> = rows.collect();
            let answer = Answer::new(None, &rows)?;
            Some(answer.row("k")?.value.clone())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            value(&[("k", "member"), ("a", "x"), ("k", "owner")]),
            some("owner")
        );
        assert_eq!(
            value(&[("k", "owner"), ("k", "collaborator")]),
            some("owner")
        );
        assert_eq!(
            value(&[("k", "read {u}"), ("k", "admin {u}")]),
            some("admin {u}")
        );
        assert_eq!(value(&[("k", "write {u}"), ("k", "admin {v}")]), None);
        assert_eq!(value(&[("k", "{u}"), ("k", "{v}")]), None);
        assert_eq!(value(&[("k", ""), ("k", "")]), some(""));
        assert_eq!(value(&[("a", "x")]), None);
    }

    #[test]
    fn no_two_questions_have_one_key() {
        let w = || "{77aa}".to_owned();
        let questions = [
            Question::Called(w(), "{99cc}".to_owned()),
            Question::Called(w(), "{99cd}".to_owned()),
            Question::Directory(w()),
            Question::Groups(w()),
            Question::Account,
            Question::Projects(w(), Permission::Read),
            Question::Projects(w(), Permission::Admin),
            Question::Reach(w()),
            Question::Repositories(w()),
            Question::Role(w()),
            Question::Visible(w(), Permission::Read),
            Question::Visible(w(), Permission::Admin),
            Question::Workspaces,
        ];
        let mut keys: Vec<String> = questions.iter().map(|question| question.key("a")).collect();
        keys.extend(questions[4..].iter().map(|question| question.key("b")));
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
        assert_eq!(questions[0].key("a"), questions[0].key("b"));
    }
}
