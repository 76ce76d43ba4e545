//! What Bitbucket was asked. Never a secret, a code or a token.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{Request, header};

/// The most entries that are kept.
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
    /// The scheme of its credentials, such as `Basic`.
    pub authorization: Option<String>,
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
        let scheme = header(request, "authorization").and_then(|value| value.split(' ').next());
        Self {
            time,
            host: header(request, "host").unwrap_or_default().to_owned(),
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            authorization: scheme.map(str::to_owned),
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
            "authorization": self.authorization,
            "client_id": self.client_id,
            "account_id": self.account_id,
            "grant_type": self.grant_type,
            "refresh_token": self.refresh_token,
            "status": self.status,
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    locked: HashMap<String, u64>,
}

impl Ledger {
    pub(super) fn push(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Until when a client gets nothing but refusals.
    pub(super) fn locked_until(&self, client_id: &str) -> u64 {
        self.locked.get(client_id).copied().unwrap_or(0)
    }

    pub(super) fn lock(&mut self, client_id: &str, until: u64) {
        self.locked.insert(client_id.to_owned(), until);
    }
}
