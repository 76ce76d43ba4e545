//! Bots: which token each of them has now, where it goes, and what is known about it.
//!
//! A token that somebody made at Bitbucket is there from the beginning. One of a private consumer is
//! fetched by the clock, and again long before its end; it is never used beyond that, and nobody
//! else's credential takes its place.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::bitbucket::{Scopes, git_authorization};
use crate::config::{BotCredential, Config};
use crate::gate::access::Patience;
use crate::gate::bot_fetch::{BotFetch, fetch_of};
use crate::gate::protected::{Protected, Subject};
use crate::gate::refusal::Refusal;
use crate::gate::waiting::Wait;
use crate::gate::{Gate, Job, Reason};
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
    pub(super) budget: Budget,
    /// When it was told last that a service does not accept the credential.
    pub(super) refused_at: Cell<UnixTime>,
    token: Token,
}

/// Where its token comes from.
#[derive(Debug)]
enum Token {
    /// The configuration. It is said to have no end.
    Fixed(Rc<Grant>),
    Fetched(Rc<Fetched>),
}

/// A token that has to be fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Of the bot.
    pub(super) name: String,
    /// The bot's in the configuration.
    pub(super) place: usize,
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
        let bots = config.access.bots.iter().enumerate();
        let bots = bots.map(|(place, bot)| Bot {
            budget: Budget::new(origin, &format!("bot_{}", bot.name), bot.api_budget),
            refused_at: Cell::new(UnixTime(0)),
            token: match &bot.credential {
                BotCredential::AccessToken(token) => Token::Fixed(Rc::new(endless(token))),
                BotCredential::Client { client, scopes } => Token::Fetched(Rc::new(Fetched {
                    name: bot.name.clone(),
                    place,
                    client: client.clone(),
                    scopes: scopes.clone(),
                    tokens: BotTokens::new(ring, &bot.name, client),
                    cached: RefCell::default(),
                })),
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
    pub(super) fn fetched(&self) -> Option<&Rc<Fetched>> {
        match &self.token {
            Token::Fixed(_) => None,
            Token::Fetched(fetched) => Some(fetched),
        }
    }
}

impl Fetched {
    /// The token that this worker has, if it still lives.
    pub(super) fn at_hand(&self, now: UnixTime) -> Option<Rc<Grant>> {
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
            (BotDue::Free, seen) => Err(NoToken::Later(self.fetch(fetched, seen, host))),
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

    fn fetch(
        self: &Rc<Self>,
        fetched: &Rc<Fetched>,
        seen: SeenBot,
        host: &mut Host<'_>,
    ) -> Option<Job> {
        // `None`: somebody was faster.
        let lease = fetched.tokens.lease(seen, self.patience(), host)?;
        Some(Job::Bot(Box::new(BotFetch::new(
            self, fetched, lease, host.now,
        ))))
    }

    /// What the clock brings: every worker takes over what another one fetched, and one of them fetches
    /// what is due.
    pub(super) fn bot_jobs(self: &Rc<Self>, host: &mut Host<'_>) -> Vec<Job> {
        let mut jobs = Vec::new();
        for fetched in self.bots.iter().filter_map(Bot::fetched) {
            if let (_, (BotDue::Free, seen)) = self.look_for_token(fetched, host) {
                jobs.extend(self.fetch(fetched, seen, host));
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
        let (Inject::Bot(place, form) | Inject::OwnOrBot(place, form)) = rule.inject else {
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
        // Whoever has a session has a token.
        if matches!(subject.rule.inject, Inject::OwnOrBot(..)) {
            return Ok(None);
        }
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
        for fetched in self.bots.iter().filter_map(Bot::fetched) {
            let seen = fetched.tokens.look(host.shared);
            for (name, value) in [
                ("failures", seen.failures()),
                ("last_success", seen.fetched_at().0),
                ("token_seconds_left", seen.left(host.now).0),
            ] {
                gauges.push((format!("bitgate_bot_{name}.bot.{}", fetched.name), value));
            }
        }
        gauges
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gate::{EventKind, Progress};
    use crate::host::{NoRandomness, Random};
    use crate::http::Reply;
    use crate::slots::Memory;

    #[derive(Debug)]
    struct Sevens;

    impl Random for Sevens {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
            bytes.fill(7);
            Ok(())
        }
    }

    fn gate() -> Rc<Gate> {
        let config = json!({
            "public_url": "https://a.test",
            "bitbucket": {
                "client_id": "id",
                "client_secret": {"env": "SECRET"},
                "scopes": ["account"],
                "web": {"cluster": "web"},
                "api": {"cluster": "api"},
            },
            "session": {"keys": [{"kid": "k", "key": {"env": "KEY"}}]},
            "bots": {
                "fixed": {"access_token": {"env": "SECRET"}},
                "fetched": {"client_credentials": {"client_id": "b", "client_secret": {"env": "SECRET"}}},
            },
            "rules": [
                {"match": {"path": "/a"}, "allow": "signed_in", "inject": {"bot": "fixed", "as": "git"}},
                {"match": {"path": "/b"}, "allow": "signed_in", "inject": {"bot": "fetched"}},
                {"match": {"path": "/c"}, "allow": "signed_in", "inject": "bearer"},
            ],
        });
        let environment = |name: &str| match name {
            "KEY" => Some("dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=".to_owned()),
            _ => Some("unit-test-secret".to_owned()),
        };
        Gate::new(Config::parse(config.to_string().as_bytes(), &environment).unwrap()).unwrap()
    }

    fn host(now: u64, shared: &mut Memory) -> Host<'_> {
        // It has no state.
        let random = Box::leak(Box::new(Sevens));
        Host {
            now: UnixTime(now),
            random,
            shared,
            signatures: &crate::host::NativeSignatures,
        }
    }

    fn answer(status: u16, body: &str) -> Reply {
        Reply::Answer {
            status,
            media_type: "application/json".to_owned(),
            body: body.as_bytes().to_vec(),
            retry_after: None,
        }
    }

    fn finish(job: Job, reply: Reply, now: u64, memory: &mut Memory) -> EventKind {
        match job.resume(reply, &mut host(now, memory)) {
            Progress::Done(event) => event.event,
            Progress::Again(_) => panic!("one call is enough"),
        }
    }

    /// What a request on the rule gets: its header, or what becomes of it.
    fn ask(
        gate: &Rc<Gate>,
        rule: usize,
        now: u64,
        memory: &mut Memory,
    ) -> Result<String, Box<Protected>> {
        let fields = [
            (":method", "GET"),
            (":authority", "a.test"),
            (":path", "/x"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let request = Request::read(fields.to_vec()).unwrap();
        let named = (rule, &gate.config.policy.rules()[rule]);
        let mut host = host(now, memory);
        let found = gate.bot_authorization(named, &request, Patience::Left, &mut host);
        let value = found?;
        Ok(value.map_or(String::new(), |value| value.as_str().to_owned()))
    }

    fn waits(found: Result<String, Box<Protected>>) -> Option<Job> {
        match found.err().map(|stopped| *stopped) {
            Some(Protected::Waits(wait)) => {
                assert!(
                    wait.job
                        .as_ref()
                        .is_none_or(|job| job.brings() == wait.wants)
                );
                wait.job
            }
            None | Some(Protected::Decided(_)) => panic!("expected a wait"),
        }
    }

    #[test]
    fn requests_on_all_workers_wait_for_one_call() {
        let (one, two) = (gate(), gate());
        let mut memory = Memory::default();
        let job = waits(ask(&one, 1, 1_000, &mut memory)).expect("the first one asks");
        assert!(waits(ask(&one, 1, 1_000, &mut memory)).is_none());
        assert!(waits(ask(&two, 1, 1_001, &mut memory)).is_none());
        assert!(two.bot_jobs(&mut host(1_001, &mut memory)).is_empty());
        assert_eq!(job.call().body, b"grant_type=client_credentials");
        let body =
            r#"{"access_token":"t","token_type":"bearer","expires_in":600,"refresh_token":"r"}"#;
        let event = finish(job, answer(200, body), 1_002, &mut memory);
        assert_eq!(event, EventKind::BotFetched);
        for gate in [&one, &two] {
            assert_eq!(ask(gate, 1, 1_002, &mut memory).ok().unwrap(), "Bearer t");
            // Counted from when it was asked for.
            assert_eq!(ask(gate, 1, 1_599, &mut memory).ok().unwrap(), "Bearer t");
        }
        let job = waits(ask(&two, 1, 1_600, &mut memory)).expect("it is over");
        let event = finish(job, answer(503, ""), 1_601, &mut memory);
        assert_eq!(event, EventKind::BotNotFetched);
        for gate in [&one, &two] {
            let stopped = ask(gate, 1, 1_602, &mut memory);
            let stopped = stopped.err().map(|stopped| *stopped);
            assert!(matches!(stopped, Some(Protected::Decided(_))));
        }
    }

    #[test]
    fn a_fixed_token_is_always_there_and_no_rule_without_a_bot_gets_one() {
        let (gate, mut memory) = (gate(), Memory::default());
        let value = ask(&gate, 0, 1, &mut memory).ok().unwrap();
        assert!(value.starts_with("Basic "), "{value}");
        assert_eq!(ask(&gate, 2, 1, &mut memory).ok().unwrap(), "");
        let gauges = gate.bot_gauges(&host(1, &mut memory));
        let names: Vec<_> = gauges.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "bitgate_bot_failures.bot.fetched",
                "bitgate_bot_last_success.bot.fetched",
                "bitgate_bot_token_seconds_left.bot.fetched",
            ]
        );
        assert!(!format!("{gate:?}").contains("unit-test-secret"));
    }
}
