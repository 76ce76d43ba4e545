//! Fetching a bot's token (RFC 6749 section 4.4), for all workers.

use std::fmt;
use std::rc::Rc;

use crate::bitbucket::{Granted, token_call};
use crate::gate::bot::{Bot, Fetched};
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
    /// The bot's place in the configuration.
    place: usize,
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
        place: usize,
        fetched: &Fetched,
        lease: BotLease,
        asked_at: UnixTime,
    ) -> Self {
        let web = &gate.config.bitbucket.web;
        Self {
            call: token_call(web, &fetched.client, &TokenRequest::ClientCredentials),
            gate: Rc::clone(gate),
            place,
            lease,
            asked_at,
        }
    }

    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn brings(&self) -> String {
        fetch_of(self.place)
    }

    /// Publishes what came back, for every worker.
    pub(super) fn finish(self, reply: Reply, host: &mut Host<'_>) -> Event {
        let gate = Rc::clone(&self.gate);
        let bot = gate.bots.get(self.place);
        let event = match bot.and_then(|bot| Some((bot, bot.fetched()?))) {
            // It has the bot that it was made for.
            None => Event::new(EventKind::BotNotFetched),
            Some((_, fetched)) => match self.publish(fetched, reply, host) {
                Ok(()) => Event::new(EventKind::BotFetched),
                Err(failed) => {
                    let Failed {
                        failure,
                        reason,
                        detail,
                    } = failed;
                    fetched
                        .tokens
                        .failed(&self.lease, failure, host.now, host.shared);
                    Event {
                        reason: Some(reason),
                        detail: Some(detail),
                        ..Event::new(EventKind::BotNotFetched)
                    }
                }
            },
        };
        Event {
            bot: bot.map(|bot: &Bot| bot.name.clone()),
            ..event
        }
    }

    fn publish(&self, fetched: &Fetched, reply: Reply, host: &mut Host<'_>) -> Result<(), Failed> {
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
                    "expected the configured scopes, but found none of {names}: tick them on the \
                     bot's OAuth consumer"
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
            .fetched(&grant, &sealed, self.asked_at, host.shared);
        Ok(())
    }
}

impl Failed {
    fn of(error: &InvalidTokenResponse) -> Self {
        let detail = format!("token endpoint: {error}");
        match error {
            InvalidTokenResponse::Refused(_) => Self {
                failure: BotFailure::Refused,
                reason: Reason::ClientRefused,
                detail: format!(
                    "{detail}: check client_id and client_secret, and that the consumer has a \
                     callback URL and is ticked as private"
                ),
            },
            InvalidTokenResponse::Malformed(_)
            | InvalidTokenResponse::Unavailable(_)
            | InvalidTokenResponse::NoAnswer(_) => Self {
                failure: BotFailure::Unavailable,
                reason: Refusal::reason_of_no_token(error),
                detail,
            },
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
