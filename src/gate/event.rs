//! What happened, for the log: one line of JSON, without a secret.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::gate::Reason;
use crate::gate::client::RequestId;
use crate::http::Request;

/// How loud an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A question that changes nothing, asked every few seconds by some.
    Debug,
    /// Everyday: a stranger was turned away, somebody signed in.
    Info,
    /// Somebody should look at it: Bitbucket, the configuration, or a signature of an attack.
    Warn,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Somebody without a session was sent to sign in.
    LoginStarted,
    /// Somebody asked who they are.
    Asked,
    /// A bot has a new token.
    BotFetched,
    /// A service, or Bitbucket behind it, does not accept the credential of a bot.
    BotRefused,
    /// A credential fails again and again.
    CredentialFailing,
    /// A bot could not be given a new token.
    BotNotFetched,
    /// An issuer has other keys than before.
    KeysChanged,
    /// An issuer has the same keys as before.
    KeysFetched,
    /// The keys of an issuer could not be fetched; those before stay.
    KeysNotFetched,
    /// Rights or groups were looked up.
    LookedUp,
    /// Rights or groups could not be looked up.
    NotLookedUp,
    /// A session could not be renewed.
    NotRenewed,
    /// The request was refused.
    Refused,
    /// A session was renewed.
    Renewed,
    /// A rule on trial would have decided like this; the next one did.
    Shadowed,
    /// Somebody signed in.
    SignedIn,
    /// Somebody signed out.
    SignedOut,
    /// A browser was sent on to a page of the site.
    Redirected,
}

impl EventKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::LoginStarted,
        Self::Asked,
        Self::BotFetched,
        Self::BotNotFetched,
        Self::BotRefused,
        Self::CredentialFailing,
        Self::KeysChanged,
        Self::KeysFetched,
        Self::KeysNotFetched,
        Self::LookedUp,
        Self::NotLookedUp,
        Self::NotRenewed,
        Self::Refused,
        Self::Renewed,
        Self::Shadowed,
        Self::SignedIn,
        Self::SignedOut,
        Self::Redirected,
    ];

    /// The word for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoginStarted => "login_started",
            Self::Asked => "asked",
            Self::BotFetched => "bot_fetched",
            Self::BotNotFetched => "bot_not_fetched",
            Self::BotRefused => "bot_refused",
            Self::CredentialFailing => "credential_failing",
            Self::KeysChanged => "keys_changed",
            Self::KeysFetched => "keys_fetched",
            Self::KeysNotFetched => "keys_not_fetched",
            Self::LookedUp => "looked_up",
            Self::NotLookedUp => "not_looked_up",
            Self::NotRenewed => "not_renewed",
            Self::Refused => "refused",
            Self::Renewed => "renewed",
            Self::Shadowed => "shadowed",
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::Redirected => "redirected",
        }
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Cookies of a session that count as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionCookie {
    /// They do not open: sealed with a key that this instance does not have, changed, incomplete, or
    /// of two sessions. Many of them mean that instances have different keys.
    Unreadable,
}

impl SessionCookie {
    /// The name of its counter.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Unreadable => "bitgate_unreadable_sessions_total",
        }
    }
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
    /// What kind of credential the request brought: a word for an issuer, or for one of Bitbucket's tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Whether it is counted and not told: the same was told before.
    #[serde(skip)]
    pub is_quiet: bool,
    /// A program or a person with a credential of their own, in a word that does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The session's id: what `revocations.sessions` takes back. Nobody can sign in with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The further consumer that it is about; not there for the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The bot that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bot: Option<String>,
    /// What was wrong with the cookies of a session that was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_cookie: Option<SessionCookie>,
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
            credential: None,
            is_quiet: false,
            caller: None,
            session: None,
            consumer: None,
            bot: None,
            session_cookie: None,
            request_id: None,
        }
    }

    /// With the id of the request that it is about.
    pub(super) fn of(mut self, request: &Request) -> Self {
        let id = RequestId::of(&request.headers);
        self.request_id = id.map(|id| id.as_str().to_owned());
        self
    }

    /// How loud it is.
    #[must_use]
    pub fn level(&self) -> Level {
        if self.is_quiet {
            return Level::Debug;
        }
        match (self.event, self.reason) {
            (EventKind::Asked | EventKind::KeysFetched | EventKind::LookedUp, None) => Level::Debug,
            (EventKind::KeysNotFetched, None) => Level::Warn,
            (EventKind::BotRefused | EventKind::CredentialFailing, _) => Level::Warn,
            (EventKind::Shadowed, _) => Level::Info,
            (_, None) => Level::Info,
            (_, Some(reason)) => reason.level(),
        }
    }

    /// The name of its counter: `bitgate_events_total.event.refused.reason.no_session`. Envoy makes
    /// labels of it with the `stats_tags` of the examples.
    #[must_use]
    pub fn metric(&self) -> String {
        Self::metric_of(self.event, self.reason)
    }

    /// The name of the counter of credentials that failed, if one did:
    /// `bitgate_credential_failures_total.kind.pipelines_acme.reason.token_expired`.
    #[must_use]
    pub fn credential_metric(&self) -> Option<String> {
        let (kind, reason) = (self.credential.as_ref()?, self.reason?);
        Some(format!(
            "bitgate_credential_failures_total.kind.{kind}.reason.{reason}"
        ))
    }

    /// The name of the counter of failures of a bot's credential, if this is one:
    /// `bitgate_bot_failures_total.bot.deployer.reason.client_refused`.
    #[must_use]
    pub fn bot_metric(&self) -> Option<String> {
        let bot = self.bot.as_ref()?;
        let reason = match (self.event, self.reason) {
            (EventKind::BotRefused, _) => EventKind::BotRefused.as_str(),
            (EventKind::BotNotFetched | EventKind::NotLookedUp, Some(reason)) => reason.code(),
            _ => return None,
        };
        Some(format!(
            "bitgate_bot_failures_total.bot.{bot}.reason.{reason}"
        ))
    }

    /// [`Event::metric`] of such an event.
    #[must_use]
    pub fn metric_of(event: EventKind, reason: Option<Reason>) -> String {
        let reason = reason.map_or("none", Reason::code);
        format!(
            "bitgate_events_total.event.{}.reason.{reason}",
            event.as_str()
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JSON escapes line ends and quotes, so that no value can forge a line.
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_of_a_bot_is_counted_by_reason() {
        let event = |kind, reason| Event {
            bot: Some("deployer".to_owned()),
            reason,
            ..Event::new(kind)
        };
        for (kind, reason, wanted) in [
            (
                EventKind::BotNotFetched,
                Some(Reason::ClientRefused),
                Some("client_refused"),
            ),
            (
                EventKind::NotLookedUp,
                Some(Reason::RateLimited),
                Some("rate_limited"),
            ),
            (EventKind::BotRefused, None, Some("bot_refused")),
            (EventKind::BotFetched, None, None),
            (EventKind::LookedUp, None, None),
        ] {
            let wanted = wanted
                .map(|reason| format!("bitgate_bot_failures_total.bot.deployer.reason.{reason}"));
            assert_eq!(event(kind, reason).bot_metric(), wanted);
        }
        let nobodys = Event {
            reason: Some(Reason::RateLimited),
            ..Event::new(EventKind::NotLookedUp)
        };
        assert_eq!(nobodys.bot_metric(), None);
    }
}
