//! What happens to a workspace: people come and go, and names move.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::{Directory, Group, Permission, Project, Repository, Role, Space, Workspace};

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such workspace, project or repository.
    Missing,
    /// The slug or the UUID belongs to another one.
    Taken,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "expected a known workspace, project or repository",
            Self::Taken => "expected a slug and a UUID that nobody has",
        })
    }
}

impl std::error::Error for Refused {}

impl Directory {
    /// Adds a workspace without anybody in it.
    ///
    /// # Errors
    /// If its slug or its UUID is taken.
    pub fn add_workspace(&mut self, workspace: Workspace) -> Result<(), Refused> {
        let is_taken =
            self.slugs.contains_key(&workspace.slug) || self.spaces.contains_key(&workspace.uuid);
        if is_taken {
            return Err(Refused::Taken);
        }
        let (slug, uuid) = (workspace.slug.clone(), workspace.uuid.clone());
        self.slugs.insert(slug, uuid.clone());
        self.spaces.insert(
            uuid,
            Space {
                workspace,
                members: BTreeMap::new(),
                projects: BTreeMap::new(),
                repositories: BTreeMap::new(),
                repository_slugs: HashMap::new(),
                grants: BTreeMap::new(),
                groups: BTreeMap::new(),
            },
        );
        Ok(())
    }

    /// Deletes a workspace with everything in it. Its slug is free again.
    ///
    /// # Errors
    /// If there is none.
    pub fn remove_workspace(&mut self, workspace: &str) -> Result<(), Refused> {
        let uuid = self.known(workspace)?;
        let space = self.spaces.remove(&uuid).ok_or(Refused::Missing)?;
        self.slugs.remove(&space.workspace.slug);
        for account_id in space.members.keys() {
            if let Some(uuids) = self.of_account.get_mut(account_id) {
                uuids.remove(&uuid);
            }
        }
        Ok(())
    }

    /// Gives a workspace another slug. The old one is free: it leads nowhere, until somebody else
    /// takes it.
    ///
    /// # Errors
    /// If there is no such workspace, or the slug is another one's.
    pub fn rename_workspace(&mut self, workspace: &str, slug: &str) -> Result<(), Refused> {
        let uuid = self.known(workspace)?;
        if self.slugs.get(slug).is_some_and(|holder| *holder != uuid) {
            return Err(Refused::Taken);
        }
        let space = self.spaces.get_mut(&uuid).ok_or(Refused::Missing)?;
        self.slugs.remove(&space.workspace.slug);
        self.slugs.insert(slug.to_owned(), uuid);
        slug.clone_into(&mut space.workspace.slug);
        Ok(())
    }

    /// Makes an account something in a workspace, or nothing. With its membership it loses its
    /// permissions and its groups there.
    ///
    /// # Errors
    /// If there is no such workspace.
    pub fn set_role(
        &mut self,
        workspace: &str,
        account_id: &str,
        role: Option<Role>,
    ) -> Result<(), Refused> {
        let uuid = self.known(workspace)?;
        let space = self.spaces.get_mut(&uuid).ok_or(Refused::Missing)?;
        let account = self.of_account.entry(account_id.to_owned()).or_default();
        match role {
            Some(role) => {
                space.members.insert(account_id.to_owned(), role);
                account.insert(uuid);
            }
            None => {
                space.members.remove(account_id);
                space.grants.remove(account_id);
                for group in space.groups.values_mut() {
                    group.members.retain(|member| member != account_id);
                }
                account.remove(&uuid);
            }
        }
        Ok(())
    }

    /// Gives an account an explicit permission, or takes it. Who is no member becomes a
    /// collaborator with the first one, and is nothing after the last.
    ///
    /// # Errors
    /// If there is no such workspace or repository.
    pub fn set_permission(
        &mut self,
        workspace: &str,
        repository: &str,
        account_id: &str,
        permission: Option<Permission>,
    ) -> Result<(), Refused> {
        let space = self.space_mut(workspace)?;
        let repository = space.repository(repository).ok_or(Refused::Missing)?;
        let (repository, account) = (repository.uuid.clone(), account_id.to_owned());
        let role = space.members.get(account_id).copied();
        let grants = space.grants.entry(account).or_default();
        match permission {
            Some(permission) => grants.insert(repository, permission),
            None => grants.remove(&repository),
        };
        let has_none = grants.is_empty();
        if has_none {
            space.grants.remove(account_id);
        }
        match (role, has_none) {
            (None, false) => self.set_role(workspace, account_id, Some(Role::Collaborator)),
            (Some(Role::Collaborator), true) => self.set_role(workspace, account_id, None),
            (None | Some(_), _) => Ok(()),
        }
    }

    /// Adds a project, or changes the one with its key.
    ///
    /// # Errors
    /// If there is no such workspace.
    pub fn set_project(&mut self, workspace: &str, project: Project) -> Result<(), Refused> {
        let space = self.space_mut(workspace)?;
        space.projects.insert(project.key.clone(), project);
        Ok(())
    }

    /// Adds a repository that nobody has a permission on.
    ///
    /// # Errors
    /// If there is no such workspace or project, or its slug or UUID is taken.
    pub fn add_repository(
        &mut self,
        workspace: &str,
        repository: Repository,
    ) -> Result<(), Refused> {
        let space = self.space_mut(workspace)?;
        if !space.projects.contains_key(&repository.project) {
            return Err(Refused::Missing);
        }
        let is_taken = space.repository_slugs.contains_key(&repository.slug)
            || space.repositories.contains_key(&repository.uuid);
        if is_taken {
            return Err(Refused::Taken);
        }
        let (slug, uuid) = (repository.slug.clone(), repository.uuid.clone());
        space.repository_slugs.insert(slug, uuid.clone());
        space.repositories.insert(uuid, repository);
        Ok(())
    }

    /// Gives a repository another slug. The old one is free.
    ///
    /// # Errors
    /// If there is no such repository, or the slug is another one's.
    pub fn rename_repository(
        &mut self,
        workspace: &str,
        repository: &str,
        slug: &str,
    ) -> Result<(), Refused> {
        let space = self.space_mut(workspace)?;
        let uuid = space.repository(repository).ok_or(Refused::Missing)?;
        let uuid = uuid.uuid.clone();
        let holder = space.repository_slugs.get(slug);
        if holder.is_some_and(|holder| *holder != uuid) {
            return Err(Refused::Taken);
        }
        let repository = space.repositories.get_mut(&uuid).ok_or(Refused::Missing)?;
        space.repository_slugs.remove(&repository.slug);
        space.repository_slugs.insert(slug.to_owned(), uuid);
        slug.clone_into(&mut repository.slug);
        Ok(())
    }

    /// Deletes a repository, and all permissions on it. Its slug is free.
    ///
    /// # Errors
    /// If there is no such repository.
    pub fn remove_repository(&mut self, workspace: &str, repository: &str) -> Result<(), Refused> {
        let space = self.space_mut(workspace)?;
        let repository = space.repository(repository).ok_or(Refused::Missing)?;
        let (uuid, slug) = (repository.uuid.clone(), repository.slug.clone());
        let holders = space.grants.iter();
        let holders: Vec<String> = holders
            .filter(|(_, grants)| grants.contains_key(&uuid))
            .map(|(account_id, _)| account_id.clone())
            .collect();
        for account_id in holders {
            self.set_permission(workspace, &uuid, &account_id, None)?;
        }
        let space = self.space_mut(workspace)?;
        space.repository_slugs.remove(&slug);
        space.repositories.remove(&uuid);
        Ok(())
    }

    /// Adds a group, or changes the one with its slug.
    ///
    /// # Errors
    /// If there is no such workspace.
    pub fn set_group(&mut self, workspace: &str, group: Group) -> Result<(), Refused> {
        let space = self.space_mut(workspace)?;
        space.groups.insert(group.slug.clone(), group);
        Ok(())
    }

    /// Takes an account out of everything.
    pub fn remove_account(&mut self, account_id: &str) {
        let uuids = self.of_account.remove(account_id).unwrap_or_default();
        for uuid in uuids {
            // It is there: the account was in it.
            let _ = self.set_role(&uuid, account_id, None);
        }
        self.of_account.remove(account_id);
    }

    fn known(&self, workspace: &str) -> Result<String, Refused> {
        let uuid = self.uuid_of(workspace).ok_or(Refused::Missing)?;
        Ok(uuid.to_owned())
    }

    fn space_mut(&mut self, workspace: &str) -> Result<&mut Space, Refused> {
        let uuid = self.known(workspace)?;
        self.spaces.get_mut(&uuid).ok_or(Refused::Missing)
    }
}
