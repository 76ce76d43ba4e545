//! The one way to write a session into cookies and to read it back.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::host::{Host, NoRandomness, Random, SharedData};
use crate::http::{Cookies, SetCookie};
use crate::session::cache::VerifiedSessions;
use crate::session::carried::{Brought, Carried, Compared};
use crate::session::grant_cookies::{
    NAMED_APART_PREFIX, NAMED_PREFIX, Sealed, is_large, main_names,
};
use crate::session::travel::Travel;
use crate::session::{
    APART_PREFIX, COOKIE_PREFIX, ENDPOINTS, Grant, GrantCookies, KeyRing, Revocations,
    SESSION_COOKIE, Session, SignedIn,
};
use crate::time::{Seconds, UnixTime};

/// How many cookies with our prefix are taken away. A browser of ours never has more; a stranger
/// who sends thousands gets no answer of thousands of lines. With three further consumers it has up
/// to 6 of the session, 15 of their grants, 4 logins and 4 counts of returns.
const MAX_REMOVED: usize = 32;

/// A session in use is sealed again when this part of the idle timeout has passed.
const SLIDES_PER_IDLE_TIMEOUT: u64 = 10;

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// From sign-in; no use can move it.
    pub max_age: Seconds,
    /// From the last use.
    pub idle_timeout: Seconds,
}

/// Why a request has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// There was one: it was idle for too long, too old, or its access token has ended and cannot
    /// be renewed.
    Expired,
    /// It is good, and this instance does not know its grant: the browser has that.
    Away,
    /// It was taken back.
    Revoked,
    /// No cookies of a session, or ones that do not open. An unreadable cookie is an absent one.
    Missing,
}

/// A session that begins.
#[derive(Debug)]
pub struct Issued {
    /// Its id.
    pub session_id: String,
    /// What carries it.
    pub cookies: Vec<SetCookie>,
}

/// Why a session cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIssued {
    /// The host had no random bytes.
    NoRandomness,
    /// The tokens do not fit the five cookies of a grant.
    TooLarge,
}

/// Sessions of one site and one client.
pub struct SessionStore {
    pub(super) ring: KeyRing,
    pub(super) client_id: String,
    lifetimes: Lifetimes,
    revocations: Revocations,
    verified: RefCell<VerifiedSessions>,
    /// Since they were counted last.
    opened: Cell<u64>,
    main: Rc<GrantCookies>,
}

impl SessionStore {
    /// A store without anything remembered.
    #[must_use]
    pub fn new(ring: KeyRing, client_id: &str, lifetimes: Lifetimes) -> Self {
        let verified = RefCell::new(VerifiedSessions::new());
        Self {
            main: Rc::new(GrantCookies::main(ring.site())),
            ring,
            client_id: client_id.to_owned(),
            lifetimes,
            revocations: Revocations::default(),
            verified,
            opened: Cell::new(0),
        }
    }

    /// Where the grant of the main sign-in lies.
    #[must_use]
    pub fn main(&self) -> &Rc<GrantCookies> {
        &self.main
    }

    /// With sessions that were taken back.
    #[must_use]
    pub fn with_revocations(mut self, revocations: Revocations) -> Self {
        self.revocations = revocations;
        self
    }

    /// The keys, for the other things that are sealed.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.ring
    }

    /// The live session that the cookies carry.
    ///
    /// # Errors
    /// [`Absence`] says whether there was one.
    pub fn open(
        &self,
        cookies: &Cookies<'_>,
        now: UnixTime,
        shared: &dyn SharedData,
    ) -> Result<Rc<SignedIn>, Absence> {
        let token = cookies.single_bytes(SESSION_COOKIE);
        let token = token.ok_or(Absence::Missing)?;
        let brought = self.main.brought(cookies).ok_or(Absence::Missing)?;
        let known = self.verified.borrow_mut().find(None, token, &brought);
        let signed_in = match known {
            Some(signed_in) => signed_in,
            None => {
                let token = std::str::from_utf8(token).map_err(|_| Absence::Missing)?;
                let session = Session::open(&self.ring, &self.client_id, token);
                let session = session.ok_or(Absence::Missing)?;
                session.liveness(self.lifetimes, now)?;
                if self.revocations.cover(&session) {
                    return Err(Absence::Revoked);
                }
                self.verify(&self.main, session, (token, brought), cookies, shared)?
            }
        };
        signed_in.liveness(self.lifetimes, now)?;
        match self.revocations.cover(&signed_in.session) {
            true => Err(Absence::Revoked),
            false => Ok(signed_in),
        }
    }

    /// The session, which was opened from the same cookies, with the grant that lies in `names`. Not
    /// every session has one, and it may have ended.
    ///
    /// # Errors
    /// [`Absence`]: there is none, or the browser has it.
    pub fn open_named(
        &self,
        signed_in: &SignedIn,
        names: &GrantCookies,
        cookies: &Cookies<'_>,
        shared: &dyn SharedData,
    ) -> Result<Rc<SignedIn>, Absence> {
        let token = cookies.single(SESSION_COOKIE).ok_or(Absence::Missing)?;
        let brought = names.brought(cookies).ok_or(Absence::Missing)?;
        let (consumer, bytes) = (names.consumer(), token.as_bytes());
        let known = self.verified.borrow_mut().find(consumer, bytes, &brought);
        match known {
            Some(known) => Ok(known),
            None => {
                let session = signed_in.session.clone();
                self.verify(names, session, (token, brought), cookies, shared)
            }
        }
    }

    fn verify(
        &self,
        names: &GrantCookies,
        session: Session,
        (token, brought): (&str, Brought<'_>),
        cookies: &Cookies<'_>,
        shared: &dyn SharedData,
    ) -> Result<Rc<SignedIn>, Absence> {
        let carried = brought.read().ok_or(Absence::Missing)?;
        let (text, travel) = match carried {
            Carried::Whole(parts) => {
                let text = parts.join();
                let is_heavy = is_large(&text);
                (
                    text,
                    if is_heavy {
                        Travel::Heavy
                    } else {
                        Travel::Right
                    },
                )
            }
            Carried::Kept(reference) => {
                let known = names.find(&session.id, shared).and_then(|kept| {
                    let travel = match reference.compare(&kept) {
                        Compared::Same => Travel::Right,
                        Compared::Newer => Travel::Behind,
                        // Another instance has renewed it since.
                        Compared::Older => return None,
                    };
                    Some((kept.sealed, travel))
                });
                let apart = || {
                    let text = names.read_apart(cookies)?.join();
                    reference.names(&text).then_some((text, Travel::Right))
                };
                known.or_else(apart).ok_or(Absence::Away)?
            }
        };
        let grant = Grant::open(&self.ring, names.place(&session.id), &text);
        let grant = grant.filter(|grant| match (carried, travel) {
            (Carried::Kept(reference), Travel::Right) => reference.ends_at == grant.expires_at,
            (Carried::Kept(_) | Carried::Whole(_), _) => true,
        });
        let signed_in = SignedIn::new(session, grant.ok_or(Absence::Missing)?, travel);
        let mut verified = self.verified.borrow_mut();
        let seen = (brought.text().ok_or(Absence::Missing)?, text.len());
        verified.keep(names.consumer(), token, seen, Rc::clone(&signed_in));
        self.opened.set(self.opened.get().saturating_add(1));
        Ok(signed_in)
    }

    /// How many sessions were opened since this was asked last, each of its grants counted: those that were
    /// not in memory.
    pub fn take_opened(&self) -> u64 {
        self.opened.take()
    }

    /// The session, whatever became of its grants and of itself.
    #[must_use]
    pub fn alone(&self, cookies: &Cookies<'_>) -> Option<Session> {
        let token = cookies.single(SESSION_COOKIE)?;
        Session::open(&self.ring, &self.client_id, token)
    }

    /// Starts a session now, and gives the cookies that carry it.
    ///
    /// # Errors
    /// [`NotIssued`].
    pub fn issue(
        &self,
        identity: crate::identity::Identity,
        grant: &Grant,
        present: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Result<Issued, NotIssued> {
        let now = host.now;
        let session = Session {
            id: Session::generate_id(host.random)?,
            identity,
            issued_at: now,
            expires_at: now.plus(self.lifetimes.max_age),
            seen_at: now,
        };
        let max_age = self.lifetimes.max_age;
        let token = session.seal(&self.ring, &self.client_id, now, host.random)?;
        let mut cookies = vec![SetCookie::new(SESSION_COOKIE, token, max_age)];
        let text = self.seal_grant(&self.main, &session.id, grant, now, host.random)?;
        let sealed = Sealed {
            session_id: &session.id,
            session_ends_at: session.expires_at,
            ends_at: grant.expires_at,
            text: &text,
        };
        self.main.keep(sealed, now, host.shared);
        let there = self.main.present(present);
        cookies.extend(self.main.set(sealed, there, now, host.shared));
        // Those of an earlier session never open again, and weigh on every request.
        let named = |prefix| {
            let names = present.names_with_prefix(prefix).into_iter();
            let names = names.take(MAX_REMOVED).map(str::to_owned);
            names.map(SetCookie::removal)
        };
        cookies.extend(named(NAMED_PREFIX));
        cookies.extend(named(NAMED_APART_PREFIX).map(|cookie| cookie.below(ENDPOINTS)));
        Ok(Issued {
            session_id: session.id,
            cookies,
        })
    }

    /// Seals a grant of `session_id` for its cookies.
    ///
    /// # Errors
    /// [`NotIssued`].
    pub fn seal_grant(
        &self,
        names: &GrantCookies,
        session_id: &str,
        grant: &Grant,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NotIssued> {
        let text = grant.seal(&self.ring, names.place(session_id), now, random)?;
        match names.split(&text) {
            Some(_) => Ok(text),
            None => Err(NotIssued::TooLarge),
        }
    }

    /// The session with the sealed grant that follows its own in `names`.
    #[must_use]
    pub fn follow(
        &self,
        signed_in: &SignedIn,
        names: &GrantCookies,
        sealed: &str,
    ) -> Option<Rc<SignedIn>> {
        let session = signed_in.session.clone();
        let grant = Grant::open(&self.ring, names.place(&session.id), sealed)?;
        Some(SignedIn::new(session, grant, Travel::Right))
    }

    /// The cookie that moves the idle timeout, once per tenth of it; `None` if there is nothing to
    /// move, or no random bytes to seal it with: the next request will try again.
    pub fn slide(
        &self,
        signed_in: &SignedIn,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Option<SetCookie> {
        let step = self.lifetimes.idle_timeout.part(SLIDES_PER_IDLE_TIMEOUT);
        let session = &signed_in.session;
        if now.since(session.seen_at) < step.max(Seconds(1)) {
            return None;
        }
        let remaining = session.expires_at.since(now);
        let mut successor = signed_in.successor.borrow_mut();
        if let Some((sealed_at, token)) = successor.as_ref()
            && now.since(*sealed_at) < step.max(Seconds(1))
        {
            return Some(SetCookie::new(SESSION_COOKIE, token.clone(), remaining));
        }
        let next = Session {
            seen_at: now,
            ..session.clone()
        };
        let token = next.seal(&self.ring, &self.client_id, now, random).ok()?;
        *successor = Some((now, token.clone()));
        Some(SetCookie::new(SESSION_COOKIE, token, remaining))
    }

    /// Takes away every cookie of ours: those of a session, which are removed even if this request
    /// did not bring them, and others that it brought.
    #[must_use]
    pub fn removals(&self, present: &Cookies<'_>) -> Vec<SetCookie> {
        let [mut names, apart] = main_names();
        names.push(SESSION_COOKIE.to_owned());
        let removals = |mut names: Vec<String>, prefix| {
            let more = present.names_with_prefix(prefix).into_iter();
            for name in more.take(MAX_REMOVED) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
            names.into_iter().map(SetCookie::removal)
        };
        let apart = removals(apart, APART_PREFIX).map(|cookie| cookie.below(ENDPOINTS));
        removals(names, COOKIE_PREFIX).chain(apart).collect()
    }

    /// When the session ends if it is not used again.
    #[must_use]
    pub fn ends_at(&self, signed_in: &SignedIn) -> UnixTime {
        signed_in.ends_at(self.lifetimes)
    }

    /// When it ends if it is used now, and not again.
    #[must_use]
    pub fn ends_at_after_use(&self, signed_in: &SignedIn, now: UnixTime) -> UnixTime {
        signed_in.ends_at_if_seen(now, self.lifetimes)
    }
}

impl From<NoRandomness> for NotIssued {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore")
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}
