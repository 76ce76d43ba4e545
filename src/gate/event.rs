//! What happened, for the log: one line of JSON, without a secret.

use std::fmt;

use serde::Serialize;

use crate::gate::Reason;

/// How loud an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Everyday: a stranger was turned away, somebody signed in.
    Info,
    /// Somebody should look at it: Bitbucket, the configuration, or a signature of an attack.
    Warn,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody without a session was sent to sign in.
    LoginStarted,
    /// Somebody asked who they are.
    Asked,
    /// The request was refused.
    Refused,
    /// Somebody signed in.
    SignedIn,
    /// A browser was sent on to a page of the site.
    Redirected,
}

/// One event. `Display` gives the log line.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What happened.
    pub event: EventKind,
    /// Why, if something was refused or began because of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// More about the reason: what was expected and found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The rule: its name, or its place in the list as `rules[2]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Who.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Envoy's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Event {
    pub(super) fn new(event: EventKind) -> Self {
        Self {
            event,
            reason: None,
            detail: None,
            rule: None,
            account_id: None,
            request_id: None,
        }
    }

    /// How loud it is.
    #[must_use]
    pub fn level(&self) -> Level {
        self.reason.map_or(Level::Info, Reason::level)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JSON escapes line ends and quotes, so that no value can forge a line.
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
