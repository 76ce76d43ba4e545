//! `person.json`: what Bitbucket would say about somebody.

use std::ffi::OsStr;

use bitgate::identity::{PipelineStep, Principal};
use bitgate::policy::{Name, NameError, Permission, Role};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::input::Input;

/// Somebody, for `bitgate explain`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    /// The provider's id of the account; pipelines and access tokens have none.
    #[serde(default)]
    pub(crate) account_id: Option<String>,
    /// The primary address, if it is confirmed.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// What kind of principal it is.
    #[serde(default = "person", deserialize_with = "principal")]
    pub(crate) principal: Principal,
    /// What the token may; those of the configuration unless given.
    #[serde(default)]
    pub(crate) scopes: Option<Vec<String>>,
    /// The groups that Bitbucket has them in. Those of the configuration list account ids.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
    /// The workspaces that they see.
    #[serde(default)]
    pub(crate) workspaces: Vec<Workspace>,
    /// Who issued the token that they come with, if it is no session.
    #[serde(default)]
    pub(crate) issuer: Option<String>,
    /// The token's subject.
    #[serde(default)]
    pub(crate) subject: Option<String>,
    /// The step of a pipeline that it is: the claims of its token, and names that Bitbucket knows.
    #[serde(default)]
    pub(crate) pipeline: Option<Step>,
}

/// A step of a pipeline.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The slug of the workspace, as in `issuers`.
    #[serde(deserialize_with = "workspace_slug")]
    workspace: String,
    /// `workspaceUuid`.
    #[serde(deserialize_with = "uuid")]
    workspace_uuid: String,
    /// What the repository is called now.
    #[serde(deserialize_with = "repository_slug")]
    pub(crate) repository: String,
    /// `repositoryUuid`.
    #[serde(deserialize_with = "uuid")]
    repository_uuid: String,
    /// `branchName`.
    #[serde(default)]
    branch: Option<String>,
    /// `deploymentEnvironmentUuid`.
    #[serde(default)]
    deployment_environment_uuid: Option<String>,
}

/// A workspace that somebody sees.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workspace {
    /// Its name in addresses.
    #[serde(deserialize_with = "workspace_slug")]
    pub(crate) slug: String,
    /// Its id, with braces and in lower case.
    #[serde(deserialize_with = "uuid")]
    pub(crate) uuid: String,
    /// What they are there.
    #[serde(default, deserialize_with = "role")]
    pub(crate) role: Option<Role>,
    /// The repositories in it that they have a permission on.
    #[serde(default)]
    pub(crate) repositories: Vec<Repository>,
}

/// A repository that somebody has a permission on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repository {
    /// Its name in addresses.
    #[serde(deserialize_with = "repository_slug")]
    pub(crate) slug: String,
    /// Its id, with braces and in lower case.
    #[serde(deserialize_with = "uuid")]
    pub(crate) uuid: String,
    /// What they may do there.
    #[serde(deserialize_with = "permission")]
    pub(crate) permission: Permission,
    /// The key of its project.
    #[serde(default)]
    pub(crate) project: Option<String>,
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
        let person: Self =
            serde_json::from_slice(input.bytes()).map_err(|error| format!("{name}: {error}"))?;
        match person.contradiction() {
            Some(message) => Err(format!("{name}: {message}")),
            None => Ok(person),
        }
    }

    fn contradiction(&self) -> Option<&'static str> {
        match (self.principal, &self.account_id, &self.pipeline) {
            (Principal::Person, None, _) => Some("expected account_id, but found none"),
            (Principal::Pipeline, _, None) => Some("expected pipeline, but found none"),
            (Principal::Pipeline, Some(_), _) => {
                Some("expected no account_id, since a pipeline has no account")
            }
            (Principal::Person | Principal::Bot, _, Some(_)) => {
                Some("expected principal \"pipeline\", since there is a pipeline")
            }
            (Principal::Person | Principal::Bot | Principal::Pipeline, _, _) => None,
        }
    }

    /// What the token of a pipeline says.
    pub(crate) fn step(&self) -> Option<PipelineStep> {
        let step = self.pipeline.as_ref()?;
        Some(PipelineStep {
            workspace: step.workspace_uuid.clone(),
            workspace_slug: step.workspace.clone(),
            repository: step.repository_uuid.clone(),
            pipeline: None,
            step: None,
            deployment_environment: step.deployment_environment_uuid.clone(),
            branch: step.branch.clone(),
        })
    }
}

fn person() -> Principal {
    Principal::Person
}

fn principal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Principal, D::Error> {
    let all = [Principal::Bot, Principal::Person, Principal::Pipeline];
    let word = String::deserialize(deserializer)?;
    let found = all.into_iter().find(|kind| kind.as_str() == word);
    found.ok_or_else(|| D::Error::custom("expected one of bot, person, pipeline"))
}

fn role<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
    let word = String::deserialize(deserializer)?;
    let found = Role::read(&word);
    let found =
        found.ok_or_else(|| D::Error::custom("expected one of collaborator, member, owner"));
    found.map(Some)
}

fn permission<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Permission, D::Error> {
    let word = String::deserialize(deserializer)?;
    let found = Permission::read(&word);
    found.ok_or_else(|| D::Error::custom("expected one of admin, read, write"))
}

fn workspace_slug<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    slug(deserializer, Name::workspace)
}

fn repository_slug<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    slug(deserializer, Name::repository)
}

fn slug<'de, D: Deserializer<'de>>(
    deserializer: D,
    read: fn(&str) -> Result<Name, NameError>,
) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match read(&text) {
        Ok(Name::Slug(slug)) => Ok(slug),
        Ok(Name::Uuid(_)) | Err(_) => Err(D::Error::custom("expected a slug in lower case")),
    }
}

fn uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match Name::workspace(&text) {
        Ok(Name::Uuid(uuid)) => Ok(uuid),
        Ok(Name::Slug(_)) | Err(_) => Err(D::Error::custom("expected a UUID with its braces")),
    }
}
