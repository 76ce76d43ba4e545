//! Who works where: workspaces with their members, projects, repositories and groups. This is what
//! Bitbucket knows, and so what a test holds every answer of Bitgate against.

mod change;
mod demo;

pub use change::Refused;

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What an account is in a workspace, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Not a member, but with a permission on one of the repositories.
    Collaborator,
    /// A member.
    Member,
    /// A member who administers the workspace.
    Owner,
}

impl Role {
    /// Bitbucket's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collaborator => "collaborator",
            Self::Member => "member",
            Self::Owner => "owner",
        }
    }

    /// The role that Bitbucket calls so.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        [Self::Collaborator, Self::Member, Self::Owner]
            .into_iter()
            .find(|role| role.as_str() == word)
    }
}

/// What an account may do with a repository, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// See and fetch.
    Read,
    /// Push as well.
    Write,
    /// Administer as well.
    Admin,
}

impl Permission {
    /// Bitbucket's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The permission that Bitbucket calls so.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin]
            .into_iter()
            .find(|permission| permission.as_str() == word)
    }
}

/// A workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its UUID, with the braces. It stays.
    pub uuid: String,
    /// Its slug. It may change, and may belong to somebody else later.
    pub slug: String,
    /// Its name.
    pub name: String,
}

/// A project of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its UUID, with the braces.
    pub uuid: String,
    /// Its key, in capitals.
    pub key: String,
    /// Its name.
    pub name: String,
}

/// A repository of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its UUID, with the braces. It stays.
    pub uuid: String,
    /// Its slug. It may change, and may belong to another one later.
    pub slug: String,
    /// The key of its project.
    pub project: String,
    /// Whether only those with a permission see it.
    pub is_private: bool,
}

/// A group of a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its slug.
    pub slug: String,
    /// The account ids of its members.
    pub members: Vec<String>,
}

/// All workspaces. Wherever a workspace or a repository is asked for, its slug and its UUID (with
/// the braces) are as good.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// By UUID.
    spaces: BTreeMap<String, Space>,
    /// From slug to UUID.
    slugs: HashMap<String, String>,
    /// The UUIDs of the workspaces where an account is something.
    of_account: HashMap<String, BTreeSet<String>>,
}

/// A workspace with what is in it.
#[derive(Clone, Debug)]
pub(super) struct Space {
    pub(super) workspace: Workspace,
    pub(super) members: BTreeMap<String, Role>,
    pub(super) projects: BTreeMap<String, Project>,
    /// By UUID.
    pub(super) repositories: BTreeMap<String, Repository>,
    /// From slug to UUID.
    repository_slugs: HashMap<String, String>,
    /// Explicit permissions: account, UUID of the repository, permission.
    pub(super) grants: BTreeMap<String, BTreeMap<String, Permission>>,
    /// By slug.
    pub(super) groups: BTreeMap<String, Group>,
}

impl Directory {
    /// What an account is in a workspace, if it is anything there.
    #[must_use]
    pub fn role_of(&self, account_id: &str, workspace: &str) -> Option<Role> {
        self.space(workspace)?.members.get(account_id).copied()
    }

    /// The explicit permission of an account on a repository. That a repository is public, or that
    /// the account owns the workspace, is none.
    #[must_use]
    pub fn permission_of(
        &self,
        account_id: &str,
        workspace: &str,
        repository: &str,
    ) -> Option<Permission> {
        let space = self.space(workspace)?;
        let uuid = &space.repository(repository)?.uuid;
        space.permission(account_id, uuid)
    }

    /// The highest explicit permission of an account on a repository of a project.
    #[must_use]
    pub fn project_permission_of(
        &self,
        account_id: &str,
        workspace: &str,
        key: &str,
    ) -> Option<Permission> {
        let space = self.space(workspace)?;
        let grants = space.grants.get(account_id)?.iter();
        grants
            .filter(|(uuid, _)| {
                let repository = space.repositories.get(*uuid);
                repository.is_some_and(|repository| repository.project == key)
            })
            .map(|(_, permission)| *permission)
            .max()
    }

    /// The groups that an account is in: slug of the workspace, slug of the group.
    #[must_use]
    pub fn groups_of(&self, account_id: &str) -> Vec<(String, String)> {
        let groups = self.spaces.values().flat_map(|space| {
            let groups = space.groups.values();
            groups.map(move |group| (&space.workspace.slug, group))
        });
        groups
            .filter(|(_, group)| group.members.iter().any(|member| member == account_id))
            .map(|(workspace, group)| (workspace.clone(), group.slug.clone()))
            .collect()
    }

    /// All workspaces.
    pub fn workspaces(&self) -> impl Iterator<Item = &Workspace> {
        self.spaces.values().map(|space| &space.workspace)
    }

    /// All repositories of a workspace.
    pub fn repositories(&self, workspace: &str) -> impl Iterator<Item = &Repository> {
        let space = self.space(workspace).into_iter();
        space.flat_map(|space| space.repositories.values())
    }

    /// A workspace.
    #[must_use]
    pub fn workspace(&self, workspace: &str) -> Option<&Workspace> {
        self.space(workspace).map(|space| &space.workspace)
    }

    /// A repository.
    #[must_use]
    pub fn repository(&self, workspace: &str, repository: &str) -> Option<&Repository> {
        self.space(workspace)?.repository(repository)
    }

    pub(super) fn space(&self, workspace: &str) -> Option<&Space> {
        self.spaces.get(self.uuid_of(workspace)?)
    }

    pub(super) fn spaces(&self) -> impl Iterator<Item = &Space> {
        self.spaces.values()
    }

    /// Where an account is something, in the order of the UUIDs.
    pub(super) fn spaces_of(&self, account_id: &str) -> impl Iterator<Item = (&Space, Role)> {
        let uuids = self.of_account.get(account_id).into_iter().flatten();
        uuids.filter_map(move |uuid| {
            let space = self.spaces.get(uuid)?;
            Some((space, *space.members.get(account_id)?))
        })
    }

    fn uuid_of(&self, workspace: &str) -> Option<&str> {
        if let Some((uuid, _)) = self.spaces.get_key_value(workspace) {
            return Some(uuid);
        }
        self.slugs.get(workspace).map(String::as_str)
    }
}

impl Space {
    pub(super) fn repository(&self, repository: &str) -> Option<&Repository> {
        let uuid = self.repository_slugs.get(repository);
        self.repositories
            .get(uuid.map_or(repository, String::as_str))
    }

    pub(super) fn permission(&self, account_id: &str, repository_uuid: &str) -> Option<Permission> {
        self.grants.get(account_id)?.get(repository_uuid).copied()
    }
}

#[cfg(test)]
mod tests;
