//! Bitbucket Cloud: two hosts, one state, no clock and no network of its own.

mod api;
mod authorize;
mod caller;
mod control;
mod credential;
mod directory;
mod fault;
mod git;
mod grants;
mod ledger;
mod limit;
mod parameters;
mod people;
mod pipelines;
mod settings;
mod token;
mod uuid;

pub use credential::{AccessToken, AccessTokenKind, ApiToken, CredentialKind};
pub use directory::{Directory, Group, Permission, Project, Refused, Repository, Role, Workspace};
pub use fault::{Fault, FaultResponse, Wire};
pub(crate) use git::{GitAnswer, GitPath, Granted, MediaRequest, Resource, is_oid};
pub use ledger::Entry;
pub use limit::Usage;
pub use pipelines::{Environment, SigningKey, Step, hmac, unsigned};
pub use settings::{Consumer, Email, Mode, NonMember, Paging, Person, Pkce, Settings};

use std::collections::BTreeMap;

use crate::bitbucket::grants::Grants;
use crate::bitbucket::ledger::Ledger;
use crate::bitbucket::limit::Limits;
use crate::bitbucket::people::Places;
use crate::bitbucket::pipelines::Pipelines;
use crate::{Request, Response, header, response};

/// The simulator.
#[derive(Debug)]
pub struct Bitbucket {
    /// May be changed between requests.
    pub settings: Settings,
    grants: Grants,
    ledger: Ledger,
    limits: Limits,
    places: Places,
    pipelines: Pipelines,
    faults: Vec<Fault>,
}

impl Bitbucket {
    /// A Bitbucket that nobody asked anything yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let grants = Grants::new(settings.seed);
        Self {
            settings,
            grants,
            ledger: Ledger::default(),
            limits: Limits::default(),
            places: Places::default(),
            pipelines: Pipelines::default(),
            faults: Vec::new(),
        }
    }

    /// Answers a request that comes at `now`, in seconds since 1970. The host it is for is in its
    /// `Host` field.
    pub fn handle(&mut self, now: u64, request: &Request) -> Response {
        let host = header(request, "host").unwrap_or_default();
        let (is_web, is_api) = (
            host == self.settings.web_host,
            host == self.settings.api_host,
        );
        let path = request.uri().path().to_owned();
        if path.starts_with("/_simulator/") {
            return self.control(now, request);
        }
        if !is_web && !is_api {
            return response(421, "text/plain", "This is not a host of Bitbucket.\n");
        }
        if is_web && let Some(path) = GitPath::read(&path) {
            return self.git_without_files(now, request, &path);
        }
        let mut entry = Entry::of(now, request);
        let answer = match fault::take(&mut self.faults, [&path, entry.kind]) {
            Some(fault) => fault::apply(fault, || self.route(now, request, is_web, &mut entry)),
            None => self.route(now, request, is_web, &mut entry),
        };
        entry.status = answer.status().as_u16();
        self.ledger.push(entry);
        answer
    }

    /// As far as git goes without processes: [`crate::server::spawn_with_git`] goes further.
    fn git_without_files(&mut self, now: u64, request: &Request, path: &GitPath) -> Response {
        match self.git(now, request, path) {
            GitAnswer::Refused(answer) => answer,
            GitAnswer::Granted(granted) => {
                self.record(granted.entry, 501);
                response(501, "text/plain", "Granted, but there are no files here\n")
            }
        }
    }

    fn route(&mut self, now: u64, request: &Request, is_web: bool, entry: &mut Entry) -> Response {
        // One host may stand for both.
        let is_api = header(request, "host") == Some(self.settings.api_host.as_str());
        match request.uri().path() {
            "/site/oauth2/authorize" if is_web => self.authorize(now, request, entry),
            "/site/oauth2/access_token" if is_web => self.token(now, request, entry),
            path if is_api && api::is_ours(path) => self.api(now, request, entry),
            _ => response(404, "text/html", "<h1>Not found</h1>"),
        }
    }

    /// What was asked so far, without what the control endpoints were asked.
    #[must_use]
    pub fn ledger(&self) -> &[Entry] {
        self.ledger.entries()
    }

    /// How many requests came for a path, or for a kind of paths such as
    /// `/2.0/workspaces/{workspace}`. It is right however many came.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.ledger.count(path)
    }

    /// How many requests came, by the kind of their path and the status of their answer. It is
    /// right however many came.
    #[must_use]
    pub fn calls(&self) -> &BTreeMap<(&'static str, u16), usize> {
        self.ledger.kinds()
    }

    /// How many requests came, by what they came with and the status of their answer. It is right
    /// however many came.
    #[must_use]
    pub fn credentials(&self) -> &BTreeMap<(CredentialKind, u16), usize> {
        self.ledger.credentials()
    }

    /// How many requests got a 429 because the hour was full. A fault is none of them.
    #[must_use]
    pub fn rate_limited(&self) -> u64 {
        self.limits.refused()
    }

    /// What a consumer (by its key), an access token or an API token asked of the API.
    #[must_use]
    pub fn usage_of(&self, credential: &str) -> Usage {
        self.limits.usage(credential)
    }

    /// Makes the next requests for a path fail.
    pub fn fail_next(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Takes back all faults that are still to come.
    pub fn forgive(&mut self) {
        self.faults.clear();
    }

    /// Whether an access token is good at `now`.
    #[must_use]
    pub fn is_good(&self, now: u64, token: &str) -> bool {
        self.grants.subject_of(token, now).is_some()
    }

    /// The access tokens that an account was given, the newest last.
    #[must_use]
    pub fn access_tokens_of(&self, account_id: &str) -> Vec<String> {
        self.grants.access_tokens_of(account_id)
    }

    /// Ends all access tokens, but not the refresh tokens.
    pub fn expire_access_tokens(&mut self) {
        self.grants.expire_access_tokens();
    }

    /// The person takes the consent back: all tokens end.
    pub fn revoke(&mut self, account_id: &str) {
        self.grants.revoke_account(account_id);
    }

    /// The account is closed: nobody signs in with it, it is in no workspace, and all its tokens
    /// end.
    pub fn close_account(&mut self, account_id: &str) {
        self.grants.revoke_account(account_id);
        self.settings.directory.remove_account(account_id);
        let api_tokens = &mut self.settings.api_tokens;
        api_tokens.retain(|token| token.account_id != account_id);
        self.settings
            .people
            .retain(|person| person.account_id != account_id);
    }
}

/// Who works where. Each of these is [`Directory`]'s.
impl Bitbucket {
    /// Somebody leaves a workspace, and with it all permissions and groups there.
    ///
    /// # Errors
    /// If there is no such workspace.
    pub fn remove_member(&mut self, workspace: &str, account_id: &str) -> Result<(), Refused> {
        let directory = &mut self.settings.directory;
        directory.set_role(workspace, account_id, None)
    }

    /// Gives an account an explicit permission on a repository, or takes it.
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
        let directory = &mut self.settings.directory;
        directory.set_permission(workspace, repository, account_id, permission)
    }

    /// Gives a workspace another slug; the old one leads nowhere.
    ///
    /// # Errors
    /// If there is no such workspace, or the slug is another one's.
    pub fn rename_workspace(&mut self, workspace: &str, slug: &str) -> Result<(), Refused> {
        self.settings.directory.rename_workspace(workspace, slug)
    }

    /// Somebody takes a slug that is free, for a workspace that nobody is in.
    ///
    /// # Errors
    /// If the slug or the UUID is another one's.
    pub fn reuse_slug(&mut self, slug: &str, uuid: &str) -> Result<(), Refused> {
        self.settings.directory.add_workspace(Workspace {
            uuid: uuid.to_owned(),
            slug: slug.to_owned(),
            name: "Somebody else".to_owned(),
        })
    }

    /// What an account is in a workspace, by slug or UUID.
    #[must_use]
    pub fn role_of(&self, account_id: &str, workspace: &str) -> Option<Role> {
        self.settings.directory.role_of(account_id, workspace)
    }

    /// The explicit permission of an account on a repository, each by slug or UUID.
    #[must_use]
    pub fn permission_of(
        &self,
        account_id: &str,
        workspace: &str,
        repository: &str,
    ) -> Option<Permission> {
        let directory = &self.settings.directory;
        directory.permission_of(account_id, workspace, repository)
    }

    /// The groups that an account is in: slug of the workspace, slug of the group.
    #[must_use]
    pub fn groups_of(&self, account_id: &str) -> Vec<(String, String)> {
        self.settings.directory.groups_of(account_id)
    }
}

#[cfg(test)]
mod tests;
