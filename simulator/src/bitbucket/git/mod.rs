//! Git over HTTPS and LFS, as far as they are a matter of who may what. The rest needs processes
//! and files, and is in `crate::git`.

mod answer;
mod media;
mod path;

pub(crate) use media::{MediaRequest, is_oid};
pub(crate) use path::{GitPath, Resource};

use http::HeaderMap;
use serde_json::Value;

use crate::bitbucket::Bitbucket;
use crate::bitbucket::api::implies;
use crate::bitbucket::caller::Caller;
use crate::bitbucket::credential::{Authorization, CredentialKind};
use crate::bitbucket::directory::{Permission, Repository};
use crate::bitbucket::fault::{self, FaultResponse};
use crate::bitbucket::ledger::Entry;
use crate::{Request, Response};

use answer::Refusal;
use media::Media;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum GitAnswer {
    Granted(Box<Granted>),
    /// It is in the ledger already.
    Refused(Response),
}

/// A request that is to be served, and then recorded.
#[derive(Debug)]
pub(crate) struct Granted {
    /// The UUID of the repository.
    pub(crate) repository: String,
    pub(crate) resource: Resource,
    /// Where objects of LFS are, and what opens each.
    pub(crate) media: Media,
    /// Milliseconds to wait before: a bad day.
    pub(crate) delay_ms: u64,
    pub(crate) entry: Entry,
}

impl Bitbucket {
    /// Answers a request for a path of git. Its body is only looked at if it is one of LFS.
    pub(crate) fn git(&mut self, now: u64, request: &Request, path: &GitPath) -> GitAnswer {
        let mut entry = Entry::of(now, request);
        let fault = fault::take(&mut self.faults, [request.uri().path(), entry.kind]);
        let delay_ms = match fault {
            None => 0,
            Some(FaultResponse::Slow(milliseconds)) => milliseconds,
            Some(fault) => {
                let answer = fault::apply(fault, || Refusal::NotFound.response(path.resource));
                return GitAnswer::Refused(self.recorded(entry, answer));
            }
        };
        match self.git_access(now, request, path, &mut entry) {
            Ok(repository) => GitAnswer::Granted(Box::new(Granted {
                repository,
                resource: path.resource,
                media: Media::of(&self.settings),
                delay_ms,
                entry,
            })),
            Err(refusal) => {
                let answer = refusal.response(path.resource);
                GitAnswer::Refused(self.recorded(entry, answer))
            }
        }
    }

    fn recorded(&mut self, entry: Entry, answer: Response) -> Response {
        self.record(entry, answer.status().as_u16());
        answer
    }

    /// Puts a request with its answer into the ledger.
    pub(crate) fn record(&mut self, mut entry: Entry, status: u16) {
        entry.status = status;
        self.ledger.push(entry);
    }

    /// The UUID of the repository, if the request may have what it asks for.
    fn git_access(
        &mut self,
        now: u64,
        request: &Request,
        path: &GitPath,
        entry: &mut Entry,
    ) -> Result<String, Refusal> {
        if !path.resource.takes(request.method()) {
            return Err(Refusal::MethodNotAllowed);
        }
        let Some(wanted) = wanted(request, path.resource) else {
            return Err(Refusal::Dumb);
        };
        let caller = self.git_caller(now, request.headers())?;
        if let Some(caller) = &caller {
            entry.credential = caller.kind();
            entry.account_id = caller.account_id().map(str::to_owned);
            entry.client_id = caller.client_id().map(str::to_owned);
            let limit = self.settings.git_limit.filter(|calls| *calls > 0);
            let counted = format!("git {}", caller.credential());
            if !self.limits.admit(&counted, now, limit) {
                return Err(Refusal::TooMany(self.settings.retry_after));
            }
        }
        if path.resource.is_lfs() && !self.settings.takes_lfs_of(caller.as_ref()) {
            return Err(Refusal::Forbidden);
        }
        let repository = self.repository_for(caller.as_ref(), path, wanted)?;
        Ok(repository.uuid.clone())
    }

    fn repository_for(
        &self,
        caller: Option<&Caller>,
        path: &GitPath,
        wanted: Permission,
    ) -> Result<&Repository, Refusal> {
        let space = self.settings.directory.space(&path.workspace);
        let found = space.and_then(|space| Some((space, space.repository(&path.repository)?)));
        let Some(caller) = caller else {
            // Nobody learns without a credential which private repositories there are.
            let is_open = |(_, repository): &(_, &Repository)| !repository.is_private;
            return match (found.filter(is_open), wanted) {
                (Some((_, repository)), Permission::Read) => Ok(repository),
                _ => Err(Refusal::Challenge(self.settings.lfs_challenge)),
            };
        };
        let (space, repository) = found.ok_or(Refusal::NotFound)?;
        let permission = caller.permission(space, repository);
        if repository.is_private && permission.is_none() {
            return Err(Refusal::NotFound);
        }
        let is_public_read = !repository.is_private && wanted == Permission::Read;
        let is_permitted = is_public_read || permission >= Some(wanted);
        match is_permitted && may(caller, wanted) {
            true => Ok(repository),
            false if wanted == Permission::Read => Err(Refusal::Forbidden),
            false => Err(Refusal::ReadOnly),
        }
    }

    /// Who comes with a name and a token. `None` is nobody in particular.
    fn git_caller(&self, now: u64, headers: &HeaderMap) -> Result<Option<Caller>, Refusal> {
        let (user, password) = match Authorization::read(headers) {
            Authorization::Absent => return Ok(None),
            Authorization::Basic { user, password } => (user, password),
            Authorization::Bearer(_) | Authorization::Unreadable => {
                return Err(Refusal::WrongLogin);
            }
        };
        let caller = match CredentialKind::of(&password) {
            CredentialKind::AppPassword => {
                return Err(Refusal::AppPassword(self.settings.app_password_status));
            }
            CredentialKind::ApiToken => self
                .api_token(now, &password)
                .filter(|caller| self.is_git_name_of(&user, caller)),
            _ if user == "x-token-auth" => self.bearer(now, &password),
            _ => None,
        };
        caller.map(Some).ok_or(Refusal::WrongLogin)
    }

    /// The address of the account is no name here.
    fn is_git_name_of(&self, name: &str, caller: &Caller) -> bool {
        let mut people = self.settings.people.iter();
        let person = people.find(|person| Some(person.account_id.as_str()) == caller.account_id());
        name == "x-bitbucket-api-token-auth" || person.is_some_and(|person| person.nickname == name)
    }
}

/// What a request needs; `None` for what is refused to everybody.
fn wanted(request: &Request, resource: Resource) -> Option<Permission> {
    match resource {
        Resource::Dumb => None,
        Resource::Refs => match request.uri().query() {
            Some("service=git-upload-pack") => Some(Permission::Read),
            Some("service=git-receive-pack") => Some(Permission::Write),
            Some(_) | None => None,
        },
        Resource::UploadPack => Some(Permission::Read),
        Resource::ReceivePack | Resource::LfsLocksVerify => Some(Permission::Write),
        Resource::LfsBatch => {
            let body = serde_json::from_slice::<Value>(request.body()).unwrap_or_default();
            match body["operation"] == "upload" {
                true => Some(Permission::Write),
                false => Some(Permission::Read),
            }
        }
        Resource::LfsLocks | Resource::LfsUnknown => match *request.method() {
            http::Method::GET => Some(Permission::Read),
            _ => Some(Permission::Write),
        },
    }
}

/// Whether the scopes are for it. Those of API tokens imply nothing.
fn may(caller: &Caller, wanted: Permission) -> bool {
    let mut scopes = caller.scopes().iter();
    match (caller, wanted) {
        (Caller::ApiToken(_), Permission::Read) => {
            scopes.any(|scope| scope == "read:repository:bitbucket")
        }
        (Caller::ApiToken(_), _) => scopes.any(|scope| scope == "write:repository:bitbucket"),
        (_, Permission::Read) => scopes.any(|scope| implies(scope, "repository")),
        (_, _) => scopes.any(|scope| implies(scope, "repository:write")),
    }
}

#[cfg(test)]
mod tests;
