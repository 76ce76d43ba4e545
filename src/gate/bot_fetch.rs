//! Fetching a bot's token (RFC 6749 section 4.4), for all workers.

use std::fmt;
use std::rc::Rc;

use crate::bitbucket::{Granted, token_call};
use crate::gate::bot::Fetched;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason};
use crate::host::Host;
use crate::http::{Call, Reply};
use crate::oauth::{InvalidTokenResponse, TokenRequest};
use crate::session::{BotFailure, BotLease};
use crate::time::UnixTime;

/// A call for a token, on its way.
pub struct BotFetch {
    gate: Rc<Gate>,
    fetched: Rc<Fetched>,
    lease: BotLease,
    call: Call,
    /// The life of the token is counted from here: when the answer arrives it is younger.
    asked_at: UnixTime,
}

/// Why there is no token, for whoever can do something about it.
struct Failed {
    failure: BotFailure,
    reason: Reason,
    detail: String,
}

impl BotFetch {
    pub(super) fn new(
        gate: &Rc<Gate>,
        fetched: &Rc<Fetched>,
        lease: BotLease,
        asked_at: UnixTime,
    ) -> Self {
        let web = &gate.config.bitbucket.web;
        Self {
            call: token_call(web, &fetched.client, &TokenRequest::ClientCredentials),
            gate: Rc::clone(gate),
            fetched: Rc::clone(fetched),
            lease,
            asked_at,
        }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn brings(&self) -> String {
        fetch_of(self.fetched.place)
    }

    /// Publishes what came back, for every worker.
    pub(super) fn finish(self, reply: Reply, host: &mut Host<'_>) -> Event {
        let Self { fetched, lease, .. } = &self;
        let published = self.publish(reply, host);
        let mut event = Event::new(match &published {
            Ok(()) => EventKind::BotFetched,
            Err(_) => EventKind::BotNotFetched,
        });
        event.bot = Some(fetched.name.clone());
        let Host { now, shared, .. } = host;
        match published {
            Ok(()) => self.gate.kinds.bot_succeeded(fetched.place, *now, *shared),
            Err(failed) => {
                fetched.tokens.failed(lease, failed.failure, *now, *shared);
                event.reason = Some(failed.reason);
                event.detail = Some(failed.detail);
            }
        }
        event
    }

    fn publish(&self, reply: Reply, host: &mut Host<'_>) -> Result<(), Failed> {
        let fetched = &self.fetched;
        let granted = Granted::read(reply, self.asked_at).map_err(|error| Failed::of(&error))?;
        if let (Some(wanted), Some(scopes)) = (&fetched.scopes, &granted.scopes)
            && let missing = scopes.missing(wanted)
            && !missing.is_empty()
        {
            let names = missing.join(", ");
            return Err(Failed {
                failure: BotFailure::Refused,
                reason: Reason::MissingScope,
                detail: format!(
                    "expected a token with {names}, but found less: tick them on the consumer"
                ),
            });
        }
        let mut grant = granted.grant;
        // Consumers that are not migrated get one. The credentials are as good, and stay here anyway.
        grant.refresh_token = None;
        let ring = self.gate.sessions.ring();
        let sealed = fetched.tokens.seal(ring, &grant, host.now, host.random);
        let sealed = sealed.map_err(|error| Failed {
            failure: BotFailure::Unavailable,
            reason: Reason::NoRandomness,
            detail: error.to_string(),
        })?;
        fetched
            .tokens
            .fetched(&grant, &sealed, self.asked_at, host.now, host.shared);
        Ok(())
    }
}

impl Failed {
    fn of(error: &InvalidTokenResponse) -> Self {
        let (failure, reason, hint) = match error {
            InvalidTokenResponse::Refused(_) => (
                BotFailure::Refused,
                Reason::ClientRefused,
                ": check client_id and client_secret, and that the consumer is private and has a \
                 callback URL",
            ),
            InvalidTokenResponse::Malformed(_)
            | InvalidTokenResponse::Unavailable(_)
            | InvalidTokenResponse::NoAnswer(_) => (
                BotFailure::Unavailable,
                Refusal::reason_of_no_token(error),
                "",
            ),
        };
        Self {
            failure,
            reason,
            detail: format!("token endpoint: {error}{hint}"),
        }
    }
}

/// The word for what requests wait for that need a token of the bot.
pub(super) fn fetch_of(place: usize) -> String {
    format!("bot\n{place}")
}

impl fmt::Debug for BotFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BotFetch({:?})", self.call)
    }
}
