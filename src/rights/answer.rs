//! What is asked, and what was answered: in memory, and as words in shared data.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write;

use crate::policy::{Permission, Role};

/// What Bitbucket is asked. Workspaces are named by their UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// Everybody's role in a workspace. It is about nobody in particular.
    Directory(String),
    /// The groups of a workspace, by slug or UUID. It is about nobody in particular.
    Groups(String),
    /// The projects of a workspace in which a person has this permission on a repository.
    Projects(String, Permission),
    /// A person's permissions on the repositories of a workspace.
    Repositories(String),
    /// A person's role in a workspace.
    Role(String),
    /// The workspaces of a person.
    Workspaces,
}

/// A person's permission on one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The repository's slug.
    pub slug: String,
    /// Its UUID.
    pub uuid: String,
    /// The permission.
    pub permission: Permission,
    /// Whether the slug is known to belong to this UUID: looked up once for each answer.
    pub(super) is_pinned: Cell<bool>,
}

impl Grant {
    /// A permission on a repository.
    #[must_use]
    pub fn new(slug: String, uuid: String, permission: Permission) -> Self {
        Self {
            slug,
            uuid,
            permission,
            is_pinned: Cell::new(false),
        }
    }
}

/// What Bitbucket answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Directory`]: the workspace's slug, and roles by account id.
    Directory(Option<String>, BTreeMap<String, Role>),
    /// To [`Question::Groups`]: the groups of each account id.
    Groups(BTreeMap<String, Vec<String>>),
    /// To [`Question::Projects`]: the workspace's slug, and the keys in order.
    Projects(Option<String>, Vec<String>),
    /// To [`Question::Repositories`]: the workspace's slug, and the grants in the order of their
    /// slugs.
    Repositories(Option<String>, Vec<Grant>),
    /// To [`Question::Role`]: the workspace's slug and the role; `None` for none.
    Role(Option<(String, Role)>),
    /// To [`Question::Workspaces`]: slugs and UUIDs.
    Workspaces(Vec<(String, String)>),
}

const ROLES: [(&str, Role); 3] = [
    ("collaborator", Role::Collaborator),
    ("member", Role::Member),
    ("owner", Role::Owner),
];

const PERMISSIONS: [(&str, Permission); 3] = [
    ("admin", Permission::Admin),
    ("read", Permission::Read),
    ("write", Permission::Write),
];

fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    let found = words.iter().find(|(_, known)| known == value);
    found.map_or("-", |(word, _)| word)
}

fn value<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value)
}

impl Question {
    /// What tells this question about `account_id` from all others. No part of it has a line end.
    #[must_use]
    pub fn key(&self, account_id: &str) -> String {
        match self {
            Self::Directory(workspace) => format!("directory\n{workspace}"),
            Self::Groups(workspace) => format!("groups\n{workspace}"),
            Self::Projects(workspace, permission) => {
                let permission = word(&PERMISSIONS, permission);
                format!("projects\n{account_id}\n{workspace}\n{permission}")
            }
            Self::Repositories(workspace) => format!("repositories\n{account_id}\n{workspace}"),
            Self::Role(workspace) => format!("role\n{account_id}\n{workspace}"),
            Self::Workspaces => format!("workspaces\n{account_id}"),
        }
    }

    /// The word for log lines.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Directory(_) => "directory",
            Self::Groups(_) => "groups",
            Self::Projects(..) => "projects",
            Self::Repositories(_) => "repositories",
            Self::Role(_) => "role",
            Self::Workspaces => "workspaces",
        }
    }

    /// Whether the answer depends on who asks for it.
    #[must_use]
    pub fn is_personal(&self) -> bool {
        match self {
            Self::Directory(_) | Self::Groups(_) => false,
            Self::Projects(..) | Self::Repositories(_) | Self::Role(_) | Self::Workspaces => true,
        }
    }
}

impl Answer {
    /// The words:
    ///
    /// ```text
    /// answer = kind SP (slug / "-") *( LF row )
    /// row    = word *( SP word )
    /// ```
    pub(super) fn write(&self) -> String {
        let (kind, slug) = match self {
            Self::Directory(slug, _) => ("directory", slug.as_deref()),
            Self::Groups(_) => ("groups", None),
            Self::Projects(slug, _) => ("projects", slug.as_deref()),
            Self::Repositories(slug, _) => ("repositories", slug.as_deref()),
            Self::Role(_) => ("role", None),
            Self::Workspaces(_) => ("workspaces", None),
        };
        let mut text = format!("{kind} {}", slug.unwrap_or("-"));
        let mut row = |words: &[&str]| {
            text.push('\n');
            text.push_str(&words.join(" "));
        };
        match self {
            Self::Directory(_, members) => {
                for (account_id, role) in members {
                    row(&[account_id, word(&ROLES, role)]);
                }
            }
            Self::Groups(members) => {
                for (account_id, groups) in members {
                    row(&[account_id, &groups.join(",")]);
                }
            }
            Self::Projects(_, keys) => {
                for key in keys {
                    row(&[key]);
                }
            }
            Self::Repositories(_, grants) => {
                for grant in grants {
                    row(&[
                        &grant.slug,
                        &grant.uuid,
                        word(&PERMISSIONS, &grant.permission),
                    ]);
                }
            }
            Self::Role(found) => {
                if let Some((slug, role)) = found {
                    row(&[slug, word(&ROLES, role)]);
                }
            }
            Self::Workspaces(found) => {
                for (slug, uuid) in found {
                    row(&[slug, uuid]);
                }
            }
        }
        text
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.split('\n');
        let (kind, slug) = lines.next()?.split_once(' ')?;
        let slug = Some(slug).filter(|slug| *slug != "-").map(str::to_owned);
        let mut pairs = lines.clone().map(|line| line.split_once(' '));
        let owned = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        Some(match kind {
            "directory" => {
                let members = pairs.map(|pair| {
                    let (account_id, role) = pair?;
                    Some((account_id.to_owned(), value(&ROLES, role)?))
                });
                Self::Directory(slug, members.collect::<Option<_>>()?)
            }
            "groups" => {
                let members = pairs.map(|pair| {
                    let (account_id, groups) = pair?;
                    let groups = groups.split(',').map(str::to_owned).collect();
                    Some((account_id.to_owned(), groups))
                });
                Self::Groups(members.collect::<Option<_>>()?)
            }
            "projects" => Self::Projects(slug, lines.map(str::to_owned).collect()),
            "repositories" => {
                let grants = pairs.map(|pair| {
                    let (name, rest) = pair?;
                    let (uuid, permission) = rest.split_once(' ')?;
                    let permission = value(&PERMISSIONS, permission)?;
                    Some(Grant::new(name.to_owned(), uuid.to_owned(), permission))
                });
                Self::Repositories(slug, grants.collect::<Option<_>>()?)
            }
            "role" => match pairs.next() {
                None => Self::Role(None),
                Some(pair) => {
                    let (slug, role) = pair?;
                    Self::Role(Some((slug.to_owned(), value(&ROLES, role)?)))
                }
            },
            "workspaces" => {
                Self::Workspaces(pairs.map(|pair| pair.map(owned)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let rows = match self {
            Self::Directory(_, members) => members.len(),
            Self::Groups(members) => members.len(),
            Self::Projects(_, keys) => keys.len(),
            Self::Repositories(_, grants) => grants.len(),
            Self::Role(_) => 1,
            Self::Workspaces(found) => found.len(),
        };
        rows.saturating_mul(160).saturating_add(200)
    }
}

/// For messages: a question in a few words, without a name in it.
impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())?;
        f.write_char(' ')?;
        match self {
            Self::Directory(workspace)
            | Self::Groups(workspace)
            | Self::Projects(workspace, _)
            | Self::Repositories(workspace)
            | Self::Role(workspace) => f.write_str(workspace),
            Self::Workspaces => f.write_char('*'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back_from_words_as_they_were() {
        let uuid = "{77aa0000-1111-4222-8333-444455556666}".to_owned();
        let slug = || Some("acme".to_owned());
        let grant = Grant::new("widgets.x".to_owned(), uuid.clone(), Permission::Write);
        for answer in [
            Answer::Directory(
                slug(),
                BTreeMap::from([("557058:a".to_owned(), Role::Owner)]),
            ),
            Answer::Directory(None, BTreeMap::new()),
            Answer::Groups(BTreeMap::from([(
                "557058:a".to_owned(),
                vec!["admins".to_owned(), "developers".to_owned()],
            )])),
            Answer::Projects(slug(), vec!["WID".to_owned(), "X_1".to_owned()]),
            Answer::Projects(None, Vec::new()),
            Answer::Repositories(slug(), vec![grant]),
            Answer::Repositories(None, Vec::new()),
            Answer::Role(Some(("acme".to_owned(), Role::Collaborator))),
            Answer::Role(None),
            Answer::Workspaces(vec![("acme".to_owned(), uuid)]),
            Answer::Workspaces(Vec::new()),
        ] {
            assert_eq!(Answer::read(&answer.write()), Some(answer));
        }
        for text in [
            "",
            "role",
            "other -",
            "role -\nacme",
            "role -\nacme king",
            "directory -\nx",
        ] {
            assert_eq!(Answer::read(text), None, "{text}");
        }
    }
}
