//! `/2.0/…` and `/1.0/groups/…`: bearer header only, 410 on what was removed, and as much for each
//! caller as its scopes, its roles and its permissions allow.

mod fields;
mod page;
mod query;
mod refusal;
mod repository;
mod route;
mod row;
mod scope;
mod user;
mod workspace;

pub(super) use route::Route;

use std::sync::Arc;

use serde_json::Value;

use crate::bitbucket::directory::Space;
use crate::bitbucket::fault::too_many;
use crate::bitbucket::grants::Subject;
use crate::bitbucket::ledger::Entry;
use crate::bitbucket::parameters::Parameters;
use crate::bitbucket::people::Places;
use crate::bitbucket::settings::{AccessToken, AccessTokenKind, NonMember, Settings};
use crate::bitbucket::{Bitbucket, Role};
use crate::{Request, Response, header, json};

use fields::Fields;
use refusal::Refusal;

/// Whether a path belongs to the API.
pub(super) fn is_ours(path: &str) -> bool {
    path.starts_with("/2.0/") || path.starts_with("/1.0/")
}

/// Whose token it is.
#[derive(Clone, Debug)]
enum Caller {
    AccessToken(AccessToken),
    /// A person, or a consumer as itself.
    Account(Arc<Subject>),
}

impl Caller {
    /// What the hour is counted for.
    fn credential(&self) -> &str {
        match self {
            Self::AccessToken(token) => &token.token,
            Self::Account(subject) => &subject.client_id,
        }
    }

    fn scopes(&self) -> &[String] {
        match self {
            Self::AccessToken(token) => &token.scopes,
            Self::Account(subject) => &subject.scopes,
        }
    }
}

/// A request of a caller, and what is known about it.
struct Asked<'a> {
    settings: &'a Settings,
    places: &'a Places,
    caller: &'a Caller,
    /// The account id; a consumer as itself has one of its own, an access token none.
    account_id: Option<String>,
    parameters: &'a Parameters,
    /// As it was sent.
    path: &'a str,
}

/// A document, and the members that it has only for who names them in `fields`.
type Answer = (Value, &'static [&'static str]);

impl Bitbucket {
    pub(super) fn api(&mut self, now: u64, request: &Request, entry: &mut Entry) -> Response {
        if !is_uri(request.uri()) {
            return Refusal::BadRequest("Bad Request".to_owned()).response();
        }
        let Some(caller) = self.caller(now, request) else {
            return Refusal::Unauthorized.response();
        };
        let mut limit = self.settings.api_limit;
        match &caller {
            Caller::AccessToken(token) => limit = token.api_limit.or(limit),
            Caller::Account(subject) => {
                entry.account_id.clone_from(&subject.account_id);
                entry.client_id = Some(subject.client_id.clone());
            }
        }
        let limit = limit.filter(|calls| *calls > 0);
        if !self.limits.admit(caller.credential(), now, limit) {
            return too_many(self.settings.retry_after);
        }
        self.places.learn(&self.settings.people);
        match self.answer(&caller, request) {
            Ok(document) => json(200, &document),
            Err(refusal) => refusal.response(),
        }
    }

    fn caller(&self, now: u64, request: &Request) -> Option<Caller> {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let is_sent_elsewhere = [query, request.body()]
            .into_iter()
            .any(|form| form_urlencoded::parse(form).any(|(name, _)| name == "access_token"));
        let token = header(request, "authorization")?.strip_prefix("Bearer ")?;
        if is_sent_elsewhere {
            return None;
        }
        if let Some(subject) = self.grants.subject_of(token, now) {
            return Some(Caller::Account(Arc::clone(subject)));
        }
        let mut access_tokens = self.settings.access_tokens.iter();
        let found = access_tokens.find(|known| known.token == token)?;
        Some(Caller::AccessToken(found.clone()))
    }

    fn answer(&self, caller: &Caller, request: &Request) -> Result<Value, Refusal> {
        let route = Route::read(request.uri().path());
        if route == Route::Removed {
            return Err(Refusal::Removed);
        }
        if *request.method() != http::Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        let query = request.uri().query().unwrap_or_default();
        let parameters = Parameters::read(query.as_bytes())
            .map_err(|_| Refusal::BadRequest("A parameter is there twice".to_owned()))?;
        let asked = Asked {
            settings: &self.settings,
            places: &self.places,
            caller,
            account_id: match caller {
                Caller::AccessToken(_) => None,
                Caller::Account(subject) => Some(
                    subject
                        .account_id
                        .clone()
                        .unwrap_or_else(|| format!("app:{}", subject.client_id)),
                ),
            },
            parameters: &parameters,
            path: request.uri().path(),
        };
        let (document, on_request) = asked.answer(&route)?;
        let fields = parameters.get("fields").unwrap_or_default();
        match route {
            Route::Groups(_) => Ok(document),
            _ => Ok(Fields::read(fields).of(document, on_request)),
        }
    }
}

impl Asked<'_> {
    fn answer(&self, route: &Route) -> Result<Answer, Refusal> {
        self.check_scopes(route)?;
        match route {
            Route::User => self.user(),
            Route::Emails => self.emails(),
            Route::UserWorkspaces => self.user_workspaces(),
            Route::UserPermission(workspace) => self.user_permission(workspace),
            Route::UserRepositoryPermissions(workspace) => {
                self.user_repository_permissions(workspace)
            }
            Route::Workspace(workspace) => self.workspace(workspace),
            Route::Permissions(workspace) => self.permissions(workspace),
            Route::RepositoryPermissions(workspace) => self.repository_permissions(workspace, None),
            Route::RepositoryPermissionsOn(workspace, repository) => {
                self.repository_permissions(workspace, Some(repository))
            }
            Route::Groups(workspace) => self.groups(workspace),
            Route::Repositories(workspace) => self.repositories(workspace),
            Route::Repository(workspace, repository) => self.repository(workspace, repository),
            Route::Authorize | Route::Removed | Route::Token | Route::Unknown => {
                Err(Refusal::NotFound("Resource not found".to_owned()))
            }
        }
    }

    fn check_scopes(&self, route: &Route) -> Result<(), Refusal> {
        let mut required = scope::required(route).to_vec();
        if let Caller::AccessToken(_) = self.caller {
            match route {
                // They are nobody's.
                Route::User | Route::Emails => return Err(Refusal::Unauthorized),
                Route::UserWorkspaces
                | Route::UserPermission(_)
                | Route::UserRepositoryPermissions(_) => {}
                // What needs `account`, which they cannot have, is a matter of their role.
                _ => required.retain(|scope| *scope != "account"),
            }
        }
        scope::check(&required, self.caller.scopes())
    }

    /// A workspace that the caller is something in.
    fn space(&self, name: &str) -> Result<&Space, Refusal> {
        let unknown = || Refusal::no_workspace(name);
        let space = self.settings.directory.space(name).ok_or_else(unknown)?;
        let is_inside = match self.caller {
            Caller::AccessToken(token) => token.workspace == space.workspace.uuid,
            Caller::Account(_) => self.role(space).is_some(),
        };
        match (is_inside, self.settings.non_member) {
            (true, _) => Ok(space),
            (false, NonMember::Forbidden) => Err(Refusal::Forbidden),
            (false, NonMember::NotFound) => Err(unknown()),
        }
    }

    /// A workspace that the caller administers.
    fn administered(&self, name: &str) -> Result<&Space, Refusal> {
        let space = self.space(name)?;
        let is_admin = match self.caller {
            Caller::AccessToken(token) => {
                token.is_admin && token.kind == AccessTokenKind::Workspace
            }
            Caller::Account(_) => self.role(space) == Some(Role::Owner),
        };
        is_admin.then_some(space).ok_or(Refusal::Forbidden)
    }

    fn role(&self, space: &Space) -> Option<Role> {
        space.members.get(self.account_id.as_ref()?).copied()
    }
}

/// RFC 3986: these are in no URI, not even in a query. Braces around a UUID must be encoded.
fn is_uri(uri: &http::Uri) -> bool {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    !target.contains(|c: char| !c.is_ascii_graphic() || "{}\"<>\\^`|".contains(c))
}

#[cfg(test)]
mod tests;
