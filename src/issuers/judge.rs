//! Judging a token.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::bitbucket::read_step;
use crate::host::{Host, SharedData};
use crate::issuers::cache::{Digest, VerifiedTokens};
use crate::issuers::source::{Known, Source};
use crate::issuers::state::{Asking, State};
use crate::issuers::{Issuer, KeyFetch, Keys, Kind, VerifiedToken};
use crate::jose::{Claims, Expected, InvalidToken, Jws, Unverified, unverified_issuers};
use crate::time::UnixTime;

/// What a token is worth. The number is that of the issuer in the configuration.
#[derive(Debug)]
pub enum Judged {
    /// It names no issuer of ours: it is not for us to judge.
    NotOurs,
    /// Its issuer signed it, for us.
    Verified(Rc<VerifiedToken>),
    /// It is not accepted, and nothing else that the request brings may take its place.
    Refused(usize, InvalidToken),
    /// Keys have to be fetched first.
    Fetch(usize, KeyFetch),
    /// Somebody else fetches them: the word to wait for.
    Wait(usize, String),
    /// Nothing can be said about it now.
    Unavailable(usize),
}

/// An issuer, and where its keys come from.
#[derive(Debug)]
struct Entry {
    issuer: Issuer,
    keys: KeysOf,
}

#[derive(Debug)]
enum KeysOf {
    Inline(Known),
    Remote(Rc<Source>),
}

/// The issuers of one site.
pub struct Issuers {
    entries: Vec<Entry>,
    verified: RefCell<VerifiedTokens>,
}

impl Issuers {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(site: &str, issuers: &[Issuer]) -> Self {
        let entry = |issuer: &Issuer| {
            let keys = match &issuer.keys {
                Keys::Inline(keys) => KeysOf::Inline(Known {
                    generation: 0,
                    keys: Rc::clone(keys),
                }),
                Keys::Remote(call) => {
                    let source = Source::new(site, &issuer.issuer, issuer.label(), call.clone());
                    KeysOf::Remote(Rc::new(source))
                }
            };
            Entry {
                issuer: issuer.clone(),
                keys,
            }
        };
        Self {
            entries: issuers.iter().map(entry).collect(),
            verified: RefCell::new(VerifiedTokens::new()),
        }
    }

    /// The `iss` of an issuer, by its number.
    #[must_use]
    pub fn name_of(&self, index: usize) -> Rc<str> {
        let entry = self.entries.get(index);
        entry.map_or_else(|| Rc::from(""), |entry| Rc::clone(&entry.issuer.issuer))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Judges a token. One that was verified before costs a hash, and no look at shared data.
    pub fn judge(&self, token: &str, host: &mut Host<'_>) -> Judged {
        // An opaque token is not worth a hash.
        if self.entries.is_empty() || !token.contains('.') {
            return Judged::NotOurs;
        }
        let digest = Digest::of(token);
        if let Some(verified) = self.verified_before(&digest, host.now) {
            return Judged::Verified(verified);
        }
        let issuers = unverified_issuers(token);
        let is_named = |entry: &Entry| issuers.iter().any(|named| **named == *entry.issuer.issuer);
        let Some(index) = self.entries.iter().position(is_named) else {
            return Judged::NotOurs;
        };
        let Some(entry) = self.entries.get(index) else {
            return Judged::NotOurs;
        };
        match entry.verify(index, token, host) {
            Ok((generation, verified)) => {
                let verified = Rc::new(verified);
                let mut cache = self.verified.borrow_mut();
                cache.keep(digest, generation, Rc::clone(&verified));
                Judged::Verified(verified)
            }
            Err(judged) => judged,
        }
    }

    fn verified_before(&self, digest: &Digest, now: UnixTime) -> Option<Rc<VerifiedToken>> {
        let mut cache = self.verified.borrow_mut();
        let (generation, verified) = cache.find(digest)?;
        let entry = self.entries.get(verified.issuer)?;
        let is_current = entry.generation() == Some(generation);
        if !is_current || Claims::is_over(verified.expires_at, now) {
            cache.forget(digest);
            return None;
        }
        Some(verified)
    }

    /// What the clock brings, every second or so on every worker: takes over what others have
    /// fetched, and asks for keys that are old. One of all workers asks.
    pub fn on_tick(&self, host: &mut Host<'_>) -> Vec<KeyFetch> {
        let now = host.now;
        let mut fetches = Vec::new();
        for source in self.sources() {
            source.take_over(host.shared);
            fetches.extend(source.ask(|state| state.look_for_refresh(now), host).ok());
        }
        fetches
    }

    /// How old the keys in use are, in seconds: since 1970 if there never were any. Names and numbers
    /// of gauges.
    #[must_use]
    pub fn gauges(&self, now: UnixTime, shared: &dyn SharedData) -> Vec<(String, u64)> {
        let gauge = |source: &Rc<Source>| {
            let (state, _) = State::read(&source.state_key, shared);
            let name = format!("bitgate_issuer_keys_age_seconds.issuer.{}", source.label);
            (name, now.since(state.fetched_at).0)
        };
        self.sources().map(gauge).collect()
    }

    fn sources(&self) -> impl Iterator<Item = &Rc<Source>> {
        self.entries.iter().filter_map(|entry| match &entry.keys {
            KeysOf::Inline(_) => None,
            KeysOf::Remote(source) => Some(source),
        })
    }
}

impl Entry {
    fn generation(&self) -> Option<u64> {
        match &self.keys {
            KeysOf::Inline(known) => Some(known.generation),
            KeysOf::Remote(source) => source.known().map(|known| known.generation),
        }
    }

    fn verify(
        &self,
        index: usize,
        token: &str,
        host: &mut Host<'_>,
    ) -> Result<(u64, VerifiedToken), Judged> {
        let refused = |why| Judged::Refused(index, why);
        let jws = Jws::parse(token).map_err(refused)?;
        let known = self.keys(index, host)?;
        let read = self.read(index, &jws, host.now);
        let why = match self.check(&jws, &known, host) {
            Ok(()) => return read.map(|token| (known.generation, token)).map_err(refused),
            Err(Unverified::CannotVerify) => return Err(Judged::Unavailable(index)),
            Err(Unverified::Invalid(why)) => why,
        };
        // A token that names no key says nothing about which one it means.
        let may_be_new = match why {
            InvalidToken::UnknownKey => true,
            InvalidToken::BadSignature => !jws.names_a_key(),
            InvalidToken::Algorithm
            | InvalidToken::Claim
            | InvalidToken::Expired
            | InvalidToken::Malformed
            | InvalidToken::NotYetValid
            | InvalidToken::WrongAudience
            | InvalidToken::WrongIssuer => false,
        };
        let KeysOf::Remote(source) = &self.keys else {
            return Err(refused(why));
        };
        if !may_be_new {
            return Err(refused(why));
        }
        // What no key could make good is worth no question: an old token names an old key.
        let verified = read.map_err(refused)?;
        if source.take_over(host.shared)
            && let Some(newer) = source.known()
            && self.check(&jws, &newer, host) == Ok(())
        {
            return Ok((newer.generation, verified));
        }
        let now = host.now;
        match source.ask(|state| state.look_for_unknown(now), host) {
            Err(Asking::Fresh) => Err(refused(why)),
            other => Err(waits(index, source, other)),
        }
    }

    /// The keys in use, or what has to be done to have any.
    fn keys(&self, index: usize, host: &mut Host<'_>) -> Result<Known, Judged> {
        let source = match &self.keys {
            KeysOf::Inline(known) => return Ok(known.clone()),
            KeysOf::Remote(source) => source,
        };
        if source.known().is_none() {
            source.take_over(host.shared);
        }
        if let Some(known) = source.known() {
            return Ok(known);
        }
        let now = host.now;
        Err(waits(
            index,
            source,
            source.ask(|state| state.look_for_refresh(now), host),
        ))
    }

    fn check(&self, jws: &Jws<'_>, known: &Known, host: &Host<'_>) -> Result<(), Unverified> {
        known
            .keys
            .verify(jws, &self.issuer.algorithms, host.signatures)
    }

    /// What the token says, which is worth nothing before its signature is verified.
    fn read(
        &self,
        index: usize,
        jws: &Jws<'_>,
        now: UnixTime,
    ) -> Result<VerifiedToken, InvalidToken> {
        let issuer = &self.issuer;
        let expected = Expected {
            issuer: &issuer.issuer,
            audiences: &issuer.audiences,
            required: &issuer.required,
        };
        let claims = Claims::read(jws.payload(), &expected, now)?;
        let step = match &issuer.kind {
            Kind::Other => None,
            Kind::Pipelines {
                workspace,
                workspace_uuid,
            } => {
                let step = read_step(&claims, workspace)?;
                if step.workspace != *workspace_uuid {
                    return Err(InvalidToken::Claim);
                }
                Some(step)
            }
        };
        Ok(VerifiedToken {
            issuer: index,
            subject: claims.subject,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            step,
        })
    }
}

/// What becomes of a request that needs keys.
fn waits(index: usize, source: &Source, asked: Result<KeyFetch, Asking>) -> Judged {
    match asked {
        Ok(fetch) => Judged::Fetch(index, fetch),
        Err(Asking::Free | Asking::Leased) => Judged::Wait(index, source.state_key.clone()),
        Err(Asking::Failing | Asking::Fresh) => Judged::Unavailable(index),
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issuers").field(&self.entries).finish()
    }
}
