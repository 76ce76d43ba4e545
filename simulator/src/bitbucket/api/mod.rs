//! `/2.0/…` and `/1.0/groups/…`: tokens in a header only, 410 on what was removed, and as much for each
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

pub(super) use route::{Route, decode};
pub(super) use scope::implies;

use serde_json::Value;

use crate::bitbucket::Bitbucket;
use crate::bitbucket::caller::Caller;
use crate::bitbucket::credential::{Authorization, CredentialKind};
use crate::bitbucket::directory::Space;
use crate::bitbucket::fault::too_many;
use crate::bitbucket::ledger::Entry;
use crate::bitbucket::parameters::Parameters;
use crate::bitbucket::people::Places;
use crate::bitbucket::settings::{NonMember, Settings};
use crate::{Request, Response, json};

use fields::Fields;
use refusal::Refusal;

/// Whether a path belongs to the API.
pub(super) fn is_ours(path: &str) -> bool {
    path.starts_with("/2.0/") || path.starts_with("/1.0/")
}

/// A request of a caller, and what is known about it.
struct Asked<'a> {
    settings: &'a Settings,
    places: &'a Places,
    caller: &'a Caller,
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
        let route = Route::read(request.uri().path());
        if let Route::OidcDiscovery(workspace) | Route::OidcKeys(workspace) = &route {
            return self.oidc(now, request, &route, workspace);
        }
        let caller = match self.caller(now, request) {
            Ok(caller) => caller,
            Err(refusal) => return refusal.response(),
        };
        entry.credential = caller.kind();
        entry.account_id = match &caller {
            Caller::AppUser(_) => None,
            _ => caller.account_id().map(str::to_owned),
        };
        entry.client_id = caller.client_id().map(str::to_owned);
        let mut limit = self.settings.api_limit;
        if let Caller::AccessToken(token) = &caller {
            limit = token.api_limit.or(limit);
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

    /// Discovery and keys of Pipelines, which anybody may read.
    fn oidc(&mut self, now: u64, request: &Request, route: &Route, workspace: &str) -> Response {
        let limit = self.settings.anonymous_limit.filter(|calls| *calls > 0);
        if !self.limits.admit("", now, limit) {
            return too_many(self.settings.retry_after);
        }
        if !matches!(*request.method(), http::Method::GET | http::Method::HEAD) {
            return Refusal::MethodNotAllowed.response();
        }
        let document = match route {
            Route::OidcKeys(_) => self.oidc_keys(workspace),
            _ => self.oidc_discovery(workspace),
        };
        match document {
            Some(document) => json(200, &document),
            None => Refusal::NotFound("Resource not found".to_owned()).response(),
        }
    }

    fn caller(&self, now: u64, request: &Request) -> Result<Caller, Refusal> {
        let query = request.uri().query().unwrap_or_default().as_bytes();
        let is_sent_elsewhere = [query, request.body()]
            .into_iter()
            .any(|form| form_urlencoded::parse(form).any(|(name, _)| name == "access_token"));
        let caller = match Authorization::read(request.headers()) {
            _ if is_sent_elsewhere => None,
            Authorization::Absent | Authorization::Unreadable => None,
            Authorization::Bearer(token) => self.bearer(now, &token),
            Authorization::Basic { user, password } => match CredentialKind::of(&password) {
                CredentialKind::AppPassword => return Err(Refusal::AppPassword),
                CredentialKind::ApiToken => self
                    .api_token(now, &password)
                    .filter(|caller| self.is_mail_of(&user, caller)),
                _ => return Err(Refusal::WrongLogin),
            },
        };
        caller.ok_or(Refusal::Unauthorized)
    }

    /// Whether the name is the address that an account is known by: no other name is good here.
    fn is_mail_of(&self, name: &str, caller: &Caller) -> bool {
        let mut people = self.settings.people.iter();
        let person = people.find(|person| Some(person.account_id.as_str()) == caller.account_id());
        let mut emails = person.into_iter().flat_map(|person| &person.emails);
        emails.any(|email| email.is_primary && email.email.eq_ignore_ascii_case(name))
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
            Route::Authorize
            | Route::OidcDiscovery(_)
            | Route::OidcKeys(_)
            | Route::Removed
            | Route::Token
            | Route::Unknown => Err(Refusal::NotFound("Resource not found".to_owned())),
        }
    }

    fn check_scopes(&self, route: &Route) -> Result<(), Refusal> {
        if let Caller::ApiToken(token) = self.caller {
            return scope::check_api_token(route, &token.scopes);
        }
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
        match (self.caller.is_inside(space), self.settings.non_member) {
            (true, _) => Ok(space),
            (false, NonMember::Forbidden) => Err(Refusal::Forbidden),
            (false, NonMember::NotFound) => Err(unknown()),
        }
    }

    /// A workspace that the caller administers.
    fn administered(&self, name: &str) -> Result<&Space, Refusal> {
        let space = self.space(name)?;
        let is_admin = self.caller.administers(space);
        is_admin.then_some(space).ok_or(Refusal::Forbidden)
    }

    fn account_id(&self) -> &str {
        self.caller.account_id().unwrap_or_default()
    }
}

/// RFC 3986: these are in no URI, not even in a query. Braces around a UUID must be encoded.
fn is_uri(uri: &http::Uri) -> bool {
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    !target.contains(|c: char| !c.is_ascii_graphic() || "{}\"<>\\^`|".contains(c))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod machine_tests;
