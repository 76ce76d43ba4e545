//! Bitbucket Cloud: two hosts, one state, no clock and no network of its own.

mod api;
mod authorize;
mod control;
mod fault;
mod grants;
mod ledger;
mod parameters;
mod settings;
mod token;

pub use fault::{Fault, FaultResponse, Wire};
pub use ledger::Entry;
pub use settings::{Consumer, Email, Mode, Person, Pkce, Settings};

use crate::bitbucket::grants::Grants;
use crate::bitbucket::ledger::Ledger;
use crate::{Request, Response, header, response};

/// The simulator.
#[derive(Debug)]
pub struct Bitbucket {
    /// May be changed between requests.
    pub settings: Settings,
    grants: Grants,
    ledger: Ledger,
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
            return self.control(request);
        }
        if !is_web && !is_api {
            return response(421, "text/plain", "This is not a host of Bitbucket.\n");
        }
        let mut entry = Entry::of(now, request);
        let answer = match fault::take(&mut self.faults, &path) {
            Some(fault) => fault::apply(fault, || self.route(now, request, is_web, &mut entry)),
            None => self.route(now, request, is_web, &mut entry),
        };
        entry.status = answer.status().as_u16();
        self.ledger.push(entry);
        answer
    }

    fn route(&mut self, now: u64, request: &Request, is_web: bool, entry: &mut Entry) -> Response {
        // One host may stand for both.
        let is_api = header(request, "host") == Some(self.settings.api_host.as_str());
        match request.uri().path() {
            "/site/oauth2/authorize" if is_web => self.authorize(now, request, entry),
            "/site/oauth2/access_token" if is_web => self.token(now, request, entry),
            path if is_api && path.starts_with("/2.0/") => self.api(now, request, entry),
            _ => response(404, "text/html", "<h1>Not found</h1>"),
        }
    }

    /// What was asked so far, without what the control endpoints were asked.
    #[must_use]
    pub fn ledger(&self) -> &[Entry] {
        self.ledger.entries()
    }

    /// How many requests came for `path`.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.ledger()
            .iter()
            .filter(|entry| entry.path == path)
            .count()
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

    /// The account is closed: nobody signs in with it, and all its tokens end.
    pub fn close_account(&mut self, account_id: &str) {
        self.grants.revoke_account(account_id);
        self.settings
            .people
            .retain(|person| person.account_id != account_id);
    }
}

#[cfg(test)]
mod tests;
