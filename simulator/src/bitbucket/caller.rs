//! Whom a credential speaks for, and what they may do where. The API and git ask the same.

use std::sync::Arc;

use crate::bitbucket::Bitbucket;
use crate::bitbucket::credential::{AccessToken, AccessTokenKind, ApiToken, CredentialKind};
use crate::bitbucket::directory::{Permission, Repository, Role, Space};
use crate::bitbucket::grants::Subject;
use crate::bitbucket::settings::Consumer;
use crate::bitbucket::uuid::uuid_of;

/// Whose credential it is.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    AccessToken(AccessToken),
    ApiToken(ApiToken),
    AppUser(AppUser),
    /// Somebody who signed in.
    Person {
        subject: Arc<Subject>,
        account_id: String,
    },
}

/// A consumer as itself.
#[derive(Clone, Debug)]
pub(super) struct AppUser {
    subject: Arc<Subject>,
    pub(super) account_id: String,
    /// By slug or UUID: all that it sees.
    workspace: String,
}

impl AppUser {
    pub(super) fn name(&self) -> &str {
        &self.subject.client_id
    }

    pub(super) fn uuid(&self) -> String {
        uuid_of(&self.account_id)
    }

    fn is_at_home(&self, space: &Space) -> bool {
        self.workspace == space.workspace.uuid || self.workspace == space.workspace.slug
    }

    /// What the directory says. Where it says nothing, a consumer is a member of the workspace that
    /// owns it. That is not documented.
    fn role(&self, space: &Space) -> Option<Role> {
        let said = space.members.get(&self.account_id).copied();
        self.is_at_home(space).then(|| said.unwrap_or(Role::Member))
    }

    /// As [`Self::role`]: as much as its scopes are for.
    fn permission(&self, space: &Space, repository: &Repository) -> Option<Permission> {
        if !self.is_at_home(space) {
            return None;
        }
        match space.grants.get(&self.account_id) {
            Some(said) => said.get(&repository.uuid).copied(),
            None => most(&self.subject.scopes),
        }
    }
}

impl Caller {
    pub(super) fn of_subject(subject: &Arc<Subject>, consumers: &[Consumer]) -> Self {
        if let Some(account_id) = subject.account_id.clone() {
            let subject = Arc::clone(subject);
            return Self::Person {
                subject,
                account_id,
            };
        }
        let owner = consumers.iter().find(|c| c.client_id == subject.client_id);
        Self::AppUser(AppUser {
            subject: Arc::clone(subject),
            account_id: format!("app:{}", subject.client_id),
            workspace: owner
                .map(|owner| owner.workspace.clone())
                .unwrap_or_default(),
        })
    }

    pub(super) fn kind(&self) -> CredentialKind {
        match self {
            Self::AccessToken(_) => CredentialKind::AccessToken,
            Self::ApiToken(_) => CredentialKind::ApiToken,
            Self::AppUser(_) => CredentialKind::AppUser,
            Self::Person { .. } => CredentialKind::OAuth,
        }
    }

    /// What the hour is counted for: tokens that are no OAuth have one each.
    pub(super) fn credential(&self) -> &str {
        match self {
            Self::AccessToken(token) => &token.token,
            Self::ApiToken(token) => &token.token,
            Self::AppUser(app) => &app.subject.client_id,
            Self::Person { subject, .. } => &subject.client_id,
        }
    }

    pub(super) fn client_id(&self) -> Option<&str> {
        match self {
            Self::AccessToken(_) | Self::ApiToken(_) => None,
            Self::AppUser(app) => Some(&app.subject.client_id),
            Self::Person { subject, .. } => Some(&subject.client_id),
        }
    }

    /// The account; an access token is nobody's.
    pub(super) fn account_id(&self) -> Option<&str> {
        match self {
            Self::AccessToken(_) => None,
            Self::ApiToken(token) => Some(&token.account_id),
            Self::AppUser(app) => Some(&app.account_id),
            Self::Person { account_id, .. } => Some(account_id),
        }
    }

    pub(super) fn scopes(&self) -> &[String] {
        match self {
            Self::AccessToken(token) => &token.scopes,
            Self::ApiToken(token) => &token.scopes,
            Self::AppUser(app) => &app.subject.scopes,
            Self::Person { subject, .. } => &subject.scopes,
        }
    }

    /// The role of the account.
    pub(super) fn role(&self, space: &Space) -> Option<Role> {
        match self {
            Self::AppUser(app) => app.role(space),
            _ => space.members.get(self.account_id()?).copied(),
        }
    }

    /// Whether a workspace is the caller's, in whatever role.
    pub(super) fn is_inside(&self, space: &Space) -> bool {
        match self {
            Self::AccessToken(token) => token.workspace == space.workspace.uuid,
            _ => self.role(space).is_some(),
        }
    }

    pub(super) fn administers(&self, space: &Space) -> bool {
        match self {
            Self::AccessToken(token) => {
                let is_of_all = token.kind == AccessTokenKind::Workspace;
                self.is_inside(space) && token.is_admin && is_of_all
            }
            _ => self.role(space) == Some(Role::Owner),
        }
    }

    /// What the caller may do with a repository because somebody said so: that it is public is not
    /// in it.
    pub(super) fn permission(&self, space: &Space, repository: &Repository) -> Option<Permission> {
        match self {
            Self::AccessToken(token) => token.permission(space, repository),
            Self::AppUser(app) => app.permission(space, repository),
            Self::ApiToken(_) | Self::Person { .. } => {
                space.permission(self.account_id()?, &repository.uuid)
            }
        }
    }

    /// All repositories that somebody said something about.
    pub(super) fn permissions<'s>(
        &'s self,
        space: &'s Space,
    ) -> Box<dyn Iterator<Item = (&'s Repository, Permission)> + 's> {
        let explicit = self.account_id().and_then(|id| space.grants.get(id));
        match (self, explicit) {
            // Nobody waits for the rows that are not theirs.
            (Self::ApiToken(_) | Self::Person { .. }, grants) => {
                let grants = grants.into_iter().flatten();
                Box::new(grants.filter_map(|(uuid, permission)| {
                    Some((space.repositories.get(uuid)?, *permission))
                }))
            }
            (Self::AccessToken(_) | Self::AppUser(_), _) => {
                let all = space.repositories.values();
                Box::new(all.filter_map(|repository| {
                    Some((repository, self.permission(space, repository)?))
                }))
            }
        }
    }
}

impl AccessToken {
    fn permission(&self, space: &Space, repository: &Repository) -> Option<Permission> {
        let is_its = self.workspace == space.workspace.uuid
            && match &self.kind {
                AccessTokenKind::Project(key) => *key == repository.project,
                AccessTokenKind::Repository(uuid) => *uuid == repository.uuid,
                AccessTokenKind::Workspace => true,
            };
        let permission = match self.is_admin {
            true => Permission::Admin,
            false => most(&self.scopes).unwrap_or(Permission::Read),
        };
        is_its.then_some(permission)
    }
}

/// The most that scopes are for. What is asked for needs its scope all the same.
fn most(scopes: &[String]) -> Option<Permission> {
    let has = |names: &[&str]| scopes.iter().any(|scope| names.contains(&scope.as_str()));
    if has(&["repository:admin"]) {
        Some(Permission::Admin)
    } else if has(&["repository:write", "pullrequest:write"]) {
        Some(Permission::Write)
    } else if has(&["repository", "pullrequest", "project"]) {
        Some(Permission::Read)
    } else {
        None
    }
}

impl Bitbucket {
    /// The caller with a bearer token: OAuth, or an access token.
    pub(super) fn bearer(&self, now: u64, token: &str) -> Option<Caller> {
        if let Some(subject) = self.grants.subject_of(token, now) {
            return Some(Caller::of_subject(subject, &self.settings.consumers));
        }
        let mut known = self.settings.access_tokens.iter();
        let found = known.find(|known| known.token == token)?;
        is_alive(found.expires_at, now).then(|| Caller::AccessToken(found.clone()))
    }

    /// The caller with an API token. Whether the user's name that it came with is right is for who
    /// asks: each place has its own names.
    pub(super) fn api_token(&self, now: u64, token: &str) -> Option<Caller> {
        let mut known = self.settings.api_tokens.iter();
        let found = known.find(|known| known.token == token)?;
        is_alive(found.expires_at, now).then(|| Caller::ApiToken(found.clone()))
    }
}

fn is_alive(expires_at: Option<u64>, now: u64) -> bool {
    expires_at.is_none_or(|end| now < end)
}
