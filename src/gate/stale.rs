//! Credentials that go stale: counted by kind and reason, reported once, and slowed down.

use crate::gate::caller::{Caller, Proof};
use crate::gate::failing::Report;
use crate::gate::presented::Presented;
use crate::gate::{Event, EventKind, Gate, Step};
use crate::host::Host;
use crate::http::{HeaderValue, Request};
use crate::issuers::Judged;

/// The kind of credential that a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It failed a moment ago.
    Failing,
    /// This one, by its place.
    Kind(usize),
    /// None that can be told.
    Unknown,
}

impl Gate {
    pub(super) fn kind_of(&self, presented: &Presented) -> Shown {
        match presented {
            Presented::Failing(_) => Shown::Failing,
            Presented::Token(_, token, _) => Shown::Kind(self.kinds.place_of(*token)),
            Presented::Jwt(_, judged) => match judged {
                Judged::Verified(token) => Shown::Kind(token.issuer),
                Judged::Fetch(issuer, _)
                | Judged::Refused(issuer, _)
                | Judged::Unavailable(issuer)
                | Judged::Wait(issuer, _) => Shown::Kind(*issuer),
                Judged::NotOurs => Shown::Unknown,
            },
            Presented::Bad(_) | Presented::Nothing | Presented::Others(_) => Shown::Unknown,
        }
    }

    /// The credential is good.
    pub(super) fn succeeded(
        &self,
        shown: Shown,
        caller: &Caller,
        request: &Request,
        host: &mut Host<'_>,
    ) {
        if let Some(value) = request.headers.all("authorization").next() {
            self.failing.succeeded(value);
        }
        let ends_at = match &caller.proof {
            Proof::Credential(_) => None,
            Proof::Token(token, _) => Some(token.expires_at),
        };
        if let Shown::Kind(place) = shown {
            self.kinds.succeeded(place, ends_at, host.now, host.shared);
        }
    }

    /// The credential is no good: the answer, with how it is told.
    pub(super) fn failed(
        &self,
        shown: Shown,
        step: Step,
        request: &Request,
        host: &Host<'_>,
    ) -> Step {
        let Step::Respond(response, mut event) = step else {
            return step;
        };
        let value = request.headers.all("authorization").next();
        let report = match (shown, value, event.reason) {
            (Shown::Kind(_) | Shown::Unknown, Some(value), Some(reason)) => {
                self.failing.failed(value, reason, host.now)
            }
            _ => Report::Quiet,
        };
        event.credential = Some(match shown {
            Shown::Failing => "failing".to_owned(),
            Shown::Kind(place) => self.kinds.name(place).unwrap_or_default().to_owned(),
            Shown::Unknown => "unknown".to_owned(),
        });
        event.is_quiet = report != Report::Line;
        let response = match shown {
            Shown::Failing => response.with("retry-after", HeaderValue::fixed("10")),
            Shown::Kind(_) | Shown::Unknown => response,
        };
        let failing = match report {
            Report::Failing(since) => vec![Event {
                detail: Some(format!(
                    "it has failed five times since {}: what follows is counted and not told",
                    since.0
                )),
                event: EventKind::CredentialFailing,
                is_quiet: false,
                ..event.clone()
            }],
            Report::Line | Report::Quiet => Vec::new(),
        };
        Step::Respond(response, event).noting(failing)
    }
}
