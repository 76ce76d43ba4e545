//! What a file says of somebody, in the place of Bitbucket's answers.
//!
//! It must answer as the gate does with those answers: `tests/explain.rs` compares them.

use bitgate::bitbucket::Scopes;
use bitgate::config::Config;
use bitgate::identity::{PipelineStep, Principal};
use bitgate::policy::{Denial, Facts, Name, Origin, Permission, Role, Rule, Truth};

use crate::person::{Person, Repository, Workspace};

/// Somebody, as a rule of a configuration sees them.
#[derive(Debug)]
pub(super) struct Described<'a> {
    pub(super) person: &'a Person,
    config: &'a Config,
    step: Option<PipelineStep>,
    /// What the token may that the rule is about.
    pub(super) scopes: Scopes,
}

impl<'a> Described<'a> {
    /// For one rule. A token of a further consumer may what is ticked there, since one that may less is
    /// refused at sign-in.
    pub(super) fn new(person: &'a Person, config: &'a Config, rule: &Rule) -> Self {
        let named = rule.consumer.as_ref();
        let named = named.and_then(|name| config.consumers.iter().find(|one| one.name == *name));
        let scopes = match (named, &person.scopes) {
            (Some(consumer), _) => consumer.scopes.clone(),
            (None, Some(scopes)) => Scopes::new(scopes.clone()),
            (None, None) => config.bitbucket.scopes.clone(),
        };
        Self {
            person,
            config,
            step: person.step(),
            scopes,
        }
    }

    /// The workspace that is meant, or why there is none: a slug of a rule belongs to the UUID that the
    /// configuration has for it, and a name from the path is one of the person's workspaces.
    pub(super) fn workspace(
        &self,
        name: &Name,
        origin: Origin,
    ) -> Result<Option<&'a Workspace>, Truth> {
        let by_uuid = |uuid: &str| self.person.workspaces.iter().find(|one| one.uuid == uuid);
        let pinned = |slug: &str| {
            let pins = &self.config.access.workspaces;
            let found = pins.iter().find(|(known, _)| known == slug);
            found.map(|(_, uuid)| uuid.as_str())
        };
        let found = match (name, origin) {
            (Name::Uuid(uuid), Origin::Rule) => return Ok(named(name, by_uuid(uuid))),
            (Name::Uuid(uuid), Origin::Path) => by_uuid(uuid),
            (Name::Slug(slug), Origin::Rule) => {
                if let Some(uuid) = pinned(slug) {
                    return Ok(named(name, by_uuid(uuid)));
                }
                self.by_slug(slug)
            }
            (Name::Slug(slug), Origin::Path) => self.by_slug(slug),
        };
        let Some(found) = found else {
            return Err(Truth::No(Denial::Workspace));
        };
        match name {
            Name::Slug(slug) if pinned(slug).is_some_and(|uuid| uuid != found.uuid) => {
                Err(Truth::Void(Denial::Reused))
            }
            Name::Slug(_) | Name::Uuid(_) => Ok(Some(found)),
        }
    }

    /// Whether they come with a session rather than with a credential of their own.
    pub(super) fn has_session(&self) -> bool {
        self.person.principal == Principal::Person && self.person.issuer.is_none()
    }

    /// Whether they have a token that Bitbucket takes.
    pub(super) fn has_token(&self) -> bool {
        self.can_be_asked_about()
    }

    /// Whether Bitbucket can say what they may: not about who has a token that it does not take.
    fn can_be_asked_about(&self) -> bool {
        self.person.pipeline.is_none() && self.person.issuer.is_none()
    }

    /// Whether a group is one of the configuration.
    pub(super) fn lists_accounts(&self, group: &str) -> bool {
        self.config.access.groups.members(group).is_some()
    }

    fn by_slug(&self, slug: &str) -> Option<&'a Workspace> {
        self.person.workspaces.iter().find(|one| one.slug == slug)
    }

    /// The same for what is about repositories.
    fn holder(&self, name: &Name, origin: Origin) -> Result<&'a Workspace, Truth> {
        let denied = Truth::No(Denial::Permission);
        match self.workspace(name, origin) {
            Ok(found) => found.ok_or(denied),
            Err(Truth::No(_)) => Err(denied),
            Err(other) => Err(other),
        }
    }
}

/// A slug that the workspace does not have any more grants nothing.
fn named<'w>(name: &Name, found: Option<&'w Workspace>) -> Option<&'w Workspace> {
    found.filter(|workspace| match name {
        Name::Slug(slug) => workspace.slug == *slug,
        Name::Uuid(_) => true,
    })
}

/// The repository of a name.
pub(super) fn repository<'w>(workspace: &'w Workspace, name: &Name) -> Option<&'w Repository> {
    workspace.repositories.iter().find(|one| match name {
        Name::Slug(slug) => one.slug == *slug,
        Name::Uuid(uuid) => one.uuid == *uuid,
    })
}

impl Facts for Described<'_> {
    fn account_id(&self) -> Option<&str> {
        self.person.account_id.as_deref()
    }

    fn email(&self) -> Option<&str> {
        self.person.email.as_deref()
    }

    fn principal(&self) -> Principal {
        self.person.principal
    }

    fn issuer(&self) -> Option<(&str, Option<&str>)> {
        let issuer = self.person.issuer.as_deref()?;
        Some((issuer, self.person.subject.as_deref()))
    }

    fn step(&self) -> Option<&PipelineStep> {
        self.step.as_ref()
    }

    fn is_called(&self, step: &PipelineStep, slug: &str) -> Truth {
        let access = &self.config.access;
        let path = format!("{}/{slug}", step.workspace_slug);
        let pinned = access.repositories.iter().find(|(known, _)| *known == path);
        let called = self.person.pipeline.as_ref().map(|step| &step.repository);
        match pinned {
            Some((_, uuid)) => Truth::of(*uuid == step.repository, Denial::Pipeline),
            None if access.bot.is_none() => Truth::Void(Denial::Pipeline),
            None => Truth::of(
                called.is_some_and(|called| called == slug),
                Denial::Pipeline,
            ),
        }
    }

    fn scope(&self, scope: &str) -> Truth {
        if !self.can_be_asked_about() {
            return Truth::Void(Denial::Principal);
        }
        // Nobody says what a credential may that they brought.
        if !self.has_session() {
            return Truth::Void(Denial::Scope);
        }
        Truth::of(self.scopes.allow(scope), Denial::Scope)
    }

    fn group(&self, name: &str) -> Truth {
        let Some(account_id) = &self.person.account_id else {
            return Truth::Void(Denial::Principal);
        };
        let is_one = match self.config.access.groups.members(name) {
            Some(members) => members.contains(account_id),
            None => self.person.groups.iter().any(|group| group == name),
        };
        Truth::of(is_one, Denial::Group)
    }

    fn role(&self, workspace: &Name, origin: Origin, role: Role) -> Truth {
        if !self.can_be_asked_about() {
            return Truth::Void(Denial::Principal);
        }
        match self.workspace(workspace, origin) {
            Err(truth) => truth,
            Ok(found) => {
                let theirs = found.and_then(|workspace| workspace.role);
                Truth::of(theirs >= Some(role), Denial::Workspace)
            }
        }
    }

    fn repository(
        &self,
        workspace: &Name,
        origin: Origin,
        name: &Name,
        permission: Permission,
    ) -> Truth {
        if !self.can_be_asked_about() {
            return Truth::Void(Denial::Principal);
        }
        let holder = match self.holder(workspace, origin) {
            Ok(holder) => holder,
            Err(truth) => return truth,
        };
        let found = repository(holder, name).filter(|found| found.permission >= permission);
        let Some(found) = found else {
            return Truth::No(Denial::Permission);
        };
        let path = format!("{}/{}", holder.slug, found.slug);
        let pins = &self.config.access.repositories;
        let pin = pins.iter().find(|(known, _)| *known == path);
        match (name, pin) {
            (Name::Slug(_), Some((_, uuid))) if *uuid != found.uuid => Truth::Void(Denial::Reused),
            (Name::Slug(_) | Name::Uuid(_), _) => Truth::Yes,
        }
    }

    fn project(
        &self,
        workspace: &Name,
        origin: Origin,
        key: &str,
        permission: Permission,
    ) -> Truth {
        if !self.can_be_asked_about() {
            return Truth::Void(Denial::Principal);
        }
        let holder = match self.holder(workspace, origin) {
            Ok(holder) => holder,
            Err(truth) => return truth,
        };
        let is_in =
            |one: &Repository| one.project.as_deref() == Some(key) && one.permission >= permission;
        Truth::of(holder.repositories.iter().any(is_in), Denial::Permission)
    }
}
