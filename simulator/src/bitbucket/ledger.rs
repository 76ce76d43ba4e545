//! What Bitbucket was asked. Never a secret, a code or a token.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::bitbucket::api::Route;
use crate::bitbucket::credential::{Authorization, CredentialKind};
use crate::bitbucket::git::{GitPath, MediaRequest};
use crate::{Request, header};

/// The most entries that are kept. What is counted is counted beyond it.
const MAX_ENTRIES: usize = 100_000;

/// One request.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When it came.
    pub time: u64,
    /// The host that it was for.
    pub host: String,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// The kind of its path, such as `/2.0/workspaces/{workspace}`.
    pub kind: &'static str,
    /// The scheme of its credentials, such as `Basic`.
    pub authorization: Option<String>,
    /// What it came with: what it is, if it is known, or what it looks like.
    pub credential: CredentialKind,
    /// The user's name, if it came with a name and a password.
    pub user: Option<String>,
    /// The consumer, if it said.
    pub client_id: Option<String>,
    /// The account it was about, if it was about one.
    pub account_id: Option<String>,
    /// The grant type that it asked for.
    pub grant_type: Option<String>,
    /// Which refresh token it used: the beginning of its SHA-256.
    pub refresh_token: Option<String>,
    /// The names of its header fields.
    pub headers: Vec<String>,
    /// The names of the parameters of its form.
    pub parameters: Vec<String>,
    /// The status of the answer.
    pub status: u16,
}

impl Entry {
    pub(super) fn of(time: u64, request: &Request) -> Self {
        let sent = Authorization::read(request.headers());
        let scheme = header(request, "authorization").and_then(|value| value.split(' ').next());
        Self {
            time,
            host: header(request, "host").unwrap_or_default().to_owned(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            kind: kind_of(request.uri().path()),
            authorization: scheme.map(str::to_owned),
            credential: sent.kind(),
            user: match sent {
                Authorization::Basic { user, .. } => Some(user),
                _ => None,
            },
            client_id: None,
            account_id: None,
            grant_type: None,
            refresh_token: None,
            headers: request.headers().keys().map(ToString::to_string).collect(),
            parameters: form_urlencoded::parse(request.body())
                .map(|(name, _)| name.into_owned())
                .collect(),
            status: 0,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "time": self.time,
            "host": self.host,
            "method": self.method,
            "path": self.path,
            "kind": self.kind,
            "authorization": self.authorization,
            "credential": self.credential.as_str(),
            "user": self.user,
            "client_id": self.client_id,
            "account_id": self.account_id,
            "grant_type": self.grant_type,
            "refresh_token": self.refresh_token,
            "status": self.status,
        })
    }
}

fn kind_of(path: &str) -> &'static str {
    match GitPath::read(path) {
        Some(git) => git.resource.kind(),
        None if MediaRequest::is_path(path) => "/_media/{object}",
        None => Route::read(path).kind(),
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    paths: HashMap<String, usize>,
    kinds: BTreeMap<(&'static str, u16), usize>,
    credentials: BTreeMap<(CredentialKind, u16), usize>,
    locked: HashMap<String, u64>,
}

impl Ledger {
    pub(super) fn push(&mut self, entry: Entry) {
        *self.kinds.entry((entry.kind, entry.status)).or_default() += 1;
        let credential = (entry.credential, entry.status);
        *self.credentials.entry(credential).or_default() += 1;
        match self.paths.get_mut(&entry.path) {
            Some(count) => *count += 1,
            None => {
                self.paths.insert(entry.path.clone(), 1);
            }
        }
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Requests for a path, or for a kind of paths.
    pub(super) fn count(&self, path: &str) -> usize {
        let of_kind = self.kinds.iter().filter(|((kind, _), _)| *kind == path);
        match self.paths.get(path) {
            Some(count) => *count,
            None => of_kind.map(|(_, count)| count).sum(),
        }
    }

    /// Requests by the kind of their path and the status of their answer.
    pub(super) fn kinds(&self) -> &BTreeMap<(&'static str, u16), usize> {
        &self.kinds
    }

    /// Requests by what they came with and the status of their answer.
    pub(super) fn credentials(&self) -> &BTreeMap<(CredentialKind, u16), usize> {
        &self.credentials
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.credentials.clear();
        self.paths.clear();
        self.kinds.clear();
    }

    /// Until when a client gets nothing but refusals.
    pub(super) fn locked_until(&self, client_id: &str) -> u64 {
        self.locked.get(client_id).copied().unwrap_or(0)
    }

    pub(super) fn lock(&mut self, client_id: &str, until: u64) {
        self.locked.insert(client_id.to_owned(), until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_hold_beyond_what_is_kept() {
        let request = http::Request::get("/2.0/workspaces/acme").body(Vec::new());
        let entry = Entry::of(0, &request.unwrap());
        let mut ledger = Ledger::default();
        for _ in 0..MAX_ENTRIES + 5 {
            ledger.push(entry.clone());
        }
        assert_eq!(ledger.entries().len(), MAX_ENTRIES);
        for path in ["/2.0/workspaces/acme", "/2.0/workspaces/{workspace}"] {
            assert_eq!(ledger.count(path), MAX_ENTRIES + 5);
        }
        ledger.clear();
        assert_eq!(ledger.count("/2.0/workspaces/acme"), 0);
    }
}
