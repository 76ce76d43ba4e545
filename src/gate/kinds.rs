//! The kinds of credentials that callers bring, and the bots, and when each was good last: what is about
//! to go stale shows in gauges before somebody's deploy fails.
//!
//! ```text
//! bitgate_credential_first_seen.kind.K      the first good one, in seconds since 1970
//! bitgate_credential_last_success.kind.K    the last good one
//! bitgate_credential_seconds_left.kind.K    how long that one is good; not there where nobody says
//! bitgate_bot_first_seen.bot.B              when the bot's token was fetched or accepted first
//! bitgate_bot_last_success.bot.B            when it was accepted last; of one that is fetched, see `bot`
//! ```

use std::cell::Cell;

use crate::config::{BotCredential, Callers, Config};
use crate::gate::presented::TokenKind;
use crate::host::SharedData;
use crate::time::{Seconds, UnixTime};

/// How often a worker writes that a kind is good.
const PAUSE: Seconds = Seconds(5);

/// What all workers know of a kind: three numbers with spaces between.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    first: u64,
    last: u64,
    ends_at: u64,
}

impl Seen {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut numbers = std::str::from_utf8(bytes).ok()?.split(' ');
        let mut number = || numbers.next()?.parse().ok();
        Some(Self {
            first: number()?,
            last: number()?,
            ends_at: number()?,
        })
    }
}

#[derive(Debug)]
struct Kind {
    /// For callers' credentials a word that logs and metrics have; for bots their name.
    name: String,
    family: Family,
    key: String,
    /// When this worker wrote last.
    written_at: Cell<UnixTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Caller,
    /// One whose token is in the configuration.
    FixedBot,
    FetchedBot,
}

impl Family {
    fn gauge(self, what: &str, name: &str) -> String {
        match self {
            Self::Caller => format!("bitgate_credential_{what}.kind.{name}"),
            Self::FixedBot | Self::FetchedBot => format!("bitgate_bot_{what}.bot.{name}"),
        }
    }
}

/// The kinds of one site: the issuers in their order, then Bitbucket's own tokens, then the bots.
#[derive(Debug)]
pub(super) struct Kinds(Vec<Kind>);

impl Kinds {
    pub(super) fn new(config: &Config) -> Self {
        let site = &config.public.origin;
        let kind = |family: Family, name: String| Kind {
            key: match family {
                Family::Caller => format!("bitgate.seen.{site}.{name}"),
                Family::FixedBot | Family::FetchedBot => format!("bitgate.seen.{site}.bot.{name}"),
            },
            name,
            family,
            written_at: Cell::new(UnixTime(0)),
        };
        let issuers = config.issuers.iter().map(|issuer| issuer.label());
        let is_taken = |callers: &Callers, token: &TokenKind| match token {
            TokenKind::Access => callers.access_tokens,
            TokenKind::Api => callers.api_tokens,
            TokenKind::OAuth => callers.oauth_tokens,
        };
        let callers = config.callers.as_ref();
        let tokens = TokenKind::ALL.into_iter();
        let tokens = tokens.filter(|token| callers.is_some_and(|it| is_taken(it, token)));
        let tokens = tokens.map(|token| token.as_str().to_owned());
        let bots = config.access.bots.iter().map(|bot| {
            let family = match bot.credential {
                BotCredential::AccessToken(_) => Family::FixedBot,
                BotCredential::Client { .. } => Family::FetchedBot,
            };
            kind(family, bot.name.clone())
        });
        let callers = issuers.chain(tokens);
        let kinds = callers.map(|name| kind(Family::Caller, name));
        Self(kinds.chain(bots).collect())
    }

    /// The word for a kind.
    pub(super) fn name(&self, place: usize) -> Option<&str> {
        Some(&self.0.get(place)?.name)
    }

    /// The place of one of Bitbucket's own tokens; an issuer has that of its number.
    pub(super) fn place_of(&self, token: TokenKind) -> usize {
        let is_it = |kind: &Kind| kind.family == Family::Caller && kind.name == token.as_str();
        self.0.iter().rposition(is_it).unwrap_or(usize::MAX)
    }

    /// The token of a bot, by its place in the configuration, was fetched or accepted.
    pub(super) fn bot_succeeded(&self, place: usize, now: UnixTime, shared: &mut dyn SharedData) {
        let before = self.0.iter().filter(|kind| kind.family == Family::Caller);
        self.succeeded(before.count().saturating_add(place), None, now, shared);
    }

    /// A credential of this kind is good, until `ends_at` if it says so.
    pub(super) fn succeeded(
        &self,
        place: usize,
        ends_at: Option<UnixTime>,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        let Some(kind) = self.0.get(place) else {
            return;
        };
        let written_at = kind.written_at.get();
        if now < written_at.plus(PAUSE) && now >= written_at {
            return;
        }
        kind.written_at.set(now);
        let found = shared.read(&kind.key);
        let seen = found.as_ref().and_then(|(bytes, _)| Seen::read(bytes));
        let first = seen.map_or(now.0, |seen| seen.first);
        let ends_at = ends_at.unwrap_or(UnixTime(0)).0;
        let text = format!("{first} {} {ends_at}", now.0);
        // Somebody who was faster said the same.
        shared.write(
            &kind.key,
            text.as_bytes(),
            found.map(|(_, version)| version),
        );
    }

    /// Names and numbers of gauges.
    pub(super) fn gauges(&self, now: UnixTime, shared: &dyn SharedData) -> Vec<(String, u64)> {
        let mut gauges = Vec::new();
        for kind in &self.0 {
            let found = shared.read(&kind.key);
            let seen = found.and_then(|(bytes, _)| Seen::read(&bytes));
            let seen = seen.unwrap_or_default();
            let mut add = |what, value| gauges.push((kind.family.gauge(what, &kind.name), value));
            add("first_seen", seen.first);
            if kind.family != Family::FetchedBot {
                add("last_success", seen.last);
            }
            if seen.ends_at > 0 {
                add("seconds_left", UnixTime(seen.ends_at).since(now).0);
            }
        }
        gauges
    }
}
