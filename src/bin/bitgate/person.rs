//! `person.json`: what Bitbucket would say about somebody.

use std::ffi::OsStr;

use serde::Deserialize;

use crate::input::Input;

/// Somebody, for `bitgate explain`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    /// The provider's id of the account.
    pub(crate) account_id: String,
    /// The primary address, if it is confirmed.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// What kind of principal it is.
    #[serde(default)]
    pub(crate) principal: Kind,
    /// What the token may do.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// The groups that the account is in, beyond those of the configuration.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// The workspaces that it sees.
    #[serde(default)]
    pub(crate) workspaces: Vec<Workspace>,
}

/// The kind of a principal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A technical account.
    Bot,
    /// Somebody who signed in.
    #[default]
    Person,
    /// A run of Bitbucket Pipelines.
    Pipeline,
}

/// A workspace that somebody sees.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workspace {
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its id, with braces.
    pub(crate) uuid: String,
    /// What they are there; a collaborator is no member, and has none.
    #[serde(default)]
    pub(crate) role: Option<Role>,
    /// The repositories in it that they see.
    #[serde(default)]
    pub(crate) repositories: Vec<Repository>,
}

/// What somebody is in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// A member.
    Member,
    /// An owner, who is a member too.
    Owner,
}

/// A repository that somebody sees.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repository {
    /// Its name in addresses.
    pub(crate) slug: String,
    /// Its id, with braces.
    pub(crate) uuid: String,
    /// What they may do there.
    pub(crate) permission: Permission,
    /// The key of its project.
    #[serde(default)]
    pub(crate) project: Option<String>,
}

/// What somebody may do in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Permission {
    /// Everything.
    Admin,
    /// Look.
    Read,
    /// Look and change.
    Write,
}

impl Person {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub(crate) fn read(file: &OsStr) -> Result<Self, String> {
        let name = file.to_string_lossy();
        let input = Input::read(file).map_err(|error| format!("{name}: {error}"))?;
        // Nothing in it is secret, so the reader may show what it found.
        serde_json::from_slice(input.bytes()).map_err(|error| format!("{name}: {error}"))
    }
}
