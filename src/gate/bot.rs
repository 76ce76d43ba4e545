//! Bots: which token each of them has now, where it goes, and what is known about it.
//!
//! A token that somebody made at Bitbucket is there from the beginning. One of a private consumer is
//! fetched by the clock, and again long before its end; it is never used beyond that, and nobody
//! else's credential takes its place.

use std::cell::RefCell;
use std::rc::Rc;

use crate::bitbucket::{Scopes, git_authorization};
use crate::config::{BotCredential, Config};
use crate::gate::access::Patience;
use crate::gate::bot_fetch::{BotFetch, fetch_of};
use crate::gate::protected::{Protected, Subject};
use crate::gate::refusal::Refusal;
use crate::gate::waiting::Wait;
use crate::gate::{Forward, Gate, Job, Reason};
use crate::host::{Host, Version};
use crate::http::{HeaderValue, Request};
use crate::oauth::{AccessToken, ClientCredentials, bearer_authorization};
use crate::policy::{Inject, Rule, TokenForm};
use crate::rights::Budget;
use crate::session::{BotDue, BotTokens, Grant, KeyRing, SeenBot, SignedIn};
use crate::time::{Seconds, UnixTime};

/// A bot, as this worker knows it.
#[derive(Debug)]
pub(super) struct Bot {
    pub(super) name: String,
    pub(super) budget: Budget,
    token: Token,
}

/// Where its token comes from.
#[derive(Debug)]
enum Token {
    /// The configuration. It is said to have no end.
    Fixed(Rc<Grant>),
    Fetched(Fetched),
}

/// A token that has to be fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) client: ClientCredentials,
    /// What it must allow.
    pub(super) scopes: Option<Scopes>,
    pub(super) tokens: BotTokens,
    cached: RefCell<Cached>,
}

/// The token that a worker opened last.
#[derive(Debug, Default)]
struct Cached {
    version: Option<Version>,
    grant: Option<Rc<Grant>>,
}

/// Why there is no token.
#[derive(Debug)]
pub(super) enum NoToken {
    /// Somebody fetches it, or this job has to be begun first.
    Later(Option<Job>),
    /// It could not be had a moment ago.
    Unavailable,
}

/// The bots of the configuration, in its order.
#[derive(Debug)]
pub(super) struct Bots(Vec<Bot>);

impl Bots {
    pub(super) fn new(config: &Config, ring: &KeyRing) -> Self {
        let origin = config.public.origin.as_str();
        let bots = config.access.bots.iter().map(|bot| Bot {
            name: bot.name.clone(),
            budget: Budget::new(origin, &format!("bot_{}", bot.name), bot.api_budget),
            token: match &bot.credential {
                BotCredential::AccessToken(token) => Token::Fixed(Rc::new(endless(token))),
                BotCredential::Client { client, scopes } => Token::Fetched(Fetched {
                    client: client.clone(),
                    scopes: scopes.clone(),
                    tokens: BotTokens::new(ring, &bot.name, client),
                    cached: RefCell::default(),
                }),
            },
        });
        Self(bots.collect())
    }

    pub(super) fn get(&self, place: usize) -> Option<&Bot> {
        self.0.get(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Bot> {
        self.0.iter()
    }
}

fn endless(token: &AccessToken) -> Grant {
    Grant {
        access_token: token.clone(),
        refresh_token: None,
        expires_at: UnixTime(u64::MAX),
        lifetime: Seconds(0),
        scopes: None,
    }
}

impl Bot {
    /// What there is to fetch, if its token is not in the configuration.
    pub(super) fn fetched(&self) -> Option<&Fetched> {
        match &self.token {
            Token::Fixed(_) => None,
            Token::Fetched(fetched) => Some(fetched),
        }
    }
}

impl Fetched {
    /// The token that this worker has, if it still lives.
    fn at_hand(&self, now: UnixTime) -> Option<Rc<Grant>> {
        let cached = self.cached.borrow();
        let grant = cached.grant.as_ref();
        grant.filter(|grant| now < grant.expires_at).cloned()
    }

    /// Opens the token that lies in shared data, unless this worker has done so. One that does not open
    /// takes nothing away.
    fn take_over(&self, ring: &KeyRing, seen: &SeenBot) {
        let mut cached = self.cached.borrow_mut();
        if cached.version == Some(seen.version()) {
            return;
        }
        cached.version = Some(seen.version());
        if let Some(grant) = self.tokens.token(ring, seen) {
            cached.grant = Some(Rc::new(grant));
        }
    }
}

impl Gate {
    /// The token of a bot. A warm request finds it in this worker's memory.
    pub(super) fn bot_token(
        self: &Rc<Self>,
        place: usize,
        host: &mut Host<'_>,
    ) -> Result<Rc<Grant>, NoToken> {
        // The configuration has it, or it was refused.
        let bot = self.bots.get(place).ok_or(NoToken::Unavailable)?;
        let fetched = match &bot.token {
            Token::Fixed(grant) => return Ok(Rc::clone(grant)),
            Token::Fetched(fetched) => fetched,
        };
        if let Some(grant) = fetched.at_hand(host.now) {
            return Ok(grant);
        }
        let (grant, due) = self.look_for_token(fetched, host);
        if let Some(grant) = grant {
            return Ok(grant);
        }
        match due {
            (BotDue::NotNow, _) => Err(NoToken::Unavailable),
            (BotDue::Leased, _) => Err(NoToken::Later(None)),
            (BotDue::Free, seen) => Err(NoToken::Later(self.fetch(place, seen, host))),
        }
    }

    fn look_for_token(
        &self,
        fetched: &Fetched,
        host: &Host<'_>,
    ) -> (Option<Rc<Grant>>, (BotDue, SeenBot)) {
        let seen = fetched.tokens.look(host.shared);
        fetched.take_over(self.sessions.ring(), &seen);
        let grant = fetched.at_hand(host.now);
        let due = seen.due(grant.is_some(), host.now);
        (grant, (due, seen))
    }

    fn fetch(self: &Rc<Self>, place: usize, seen: SeenBot, host: &mut Host<'_>) -> Option<Job> {
        let fetched = self.bots.get(place)?.fetched()?;
        // `None`: somebody was faster.
        let lease = fetched.tokens.lease(seen, self.patience(), host)?;
        let fetch = BotFetch::new(self, place, fetched, lease, host.now);
        Some(Job::Bot(Box::new(fetch)))
    }

    /// What the clock brings: every worker takes over what another one fetched, and one of them fetches
    /// what is due.
    pub(super) fn bots_on_tick(self: &Rc<Self>, host: &mut Host<'_>) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (place, bot) in self.bots.iter().enumerate() {
            if let Some(fetched) = bot.fetched()
                && let (_, (BotDue::Free, seen)) = self.look_for_token(fetched, host)
            {
                jobs.extend(self.fetch(place, seen, host));
            }
        }
        jobs
    }

    /// Bitbucket does not accept a token of the bot: the next one is fetched by the clock.
    pub(super) fn bot_token_rejected(
        &self,
        place: usize,
        token: &AccessToken,
        host: &mut Host<'_>,
    ) {
        if let Some(fetched) = self.bots.get(place).and_then(Bot::fetched) {
            let ring = self.sessions.ring();
            fetched.tokens.rejected(ring, token, host.now, host.shared);
        }
    }

    /// The `Authorization` that the rule puts there for a bot, `None` if it names none; or what becomes
    /// of the request instead. It never goes on without.
    pub(super) fn bot_authorization(
        self: &Rc<Self>,
        (index, rule): (usize, &Rule),
        request: &Request,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Result<Option<HeaderValue>, Box<Protected>> {
        let Inject::Bot(place, form) = rule.inject else {
            return Ok(None);
        };
        let no_token = match self.bot_token(place, host) {
            Ok(grant) => {
                let token = &grant.access_token;
                let value = match form {
                    TokenForm::Bearer => bearer_authorization(token),
                    TokenForm::Git => git_authorization(token),
                };
                match value {
                    Some(value) => return Ok(Some(value)),
                    // One that is no header value was refused when it was read.
                    None => NoToken::Unavailable,
                }
            }
            Err(no_token) => no_token,
        };
        Err(Box::new(match no_token {
            NoToken::Later(job) if patience == Patience::Left => Protected::Waits(Wait {
                job,
                wants: fetch_of(place),
                reason: Reason::BotUnavailable,
            }),
            NoToken::Later(_) | NoToken::Unavailable => {
                let refusal = Refusal::new(Reason::BotUnavailable);
                let refusal = refusal.with_retry(request.target.as_str());
                Protected::Decided(refusal.into_step(request, Some((index, rule))))
            }
        }))
    }

    /// The same for somebody with a session, which they use even if they cannot go on.
    pub(super) fn bot_authorization_for(
        self: &Rc<Self>,
        subject: Subject<'_>,
        signed_in: &SignedIn,
        host: &mut Host<'_>,
    ) -> Result<Option<HeaderValue>, Box<Protected>> {
        let named = (subject.index, subject.rule);
        let found = self.bot_authorization(named, subject.request, subject.patience, host);
        found.map_err(|stopped| match *stopped {
            Protected::Decided(step) => {
                let account_id = &signed_in.session.identity.account_id;
                let step = self.not_idle(step, signed_in, host).about(account_id);
                Box::new(Protected::Decided(step))
            }
            waits @ Protected::Waits(_) => Box::new(waits),
        })
    }

    /// What is known about the tokens of bots: names and numbers of gauges.
    pub(super) fn bot_gauges(&self, host: &Host<'_>) -> Vec<(String, u64)> {
        let mut gauges = Vec::new();
        for bot in self.bots.iter() {
            let Some(fetched) = bot.fetched() else {
                continue;
            };
            let seen = fetched.tokens.look(host.shared);
            let values = [
                ("failures", seen.failures().into()),
                ("last_success", seen.fetched_at().0),
                ("token_seconds_left", seen.left(host.now).0),
            ];
            gauges.extend(values.map(|(name, value)| {
                let name = format!("bitgate_bot_{name}.bot.{}", bot.name);
                (name, value)
            }));
        }
        gauges
    }
}

impl Forward {
    /// With the credential of a bot, if the rule names one.
    pub(super) fn with_authorization(mut self, value: Option<HeaderValue>) -> Self {
        if let Some(value) = value {
            let value = value.as_str().as_bytes().to_vec();
            self.set.push(("authorization".to_owned(), value));
        }
        self
    }
}
