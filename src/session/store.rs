//! The one way to write a session into cookies and to read it back.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::host::{NoRandomness, Random};
use crate::http::{Cookies, SetCookie};
use crate::session::cache::VerifiedSessions;
use crate::session::grant::NotWritten;
use crate::session::grant_cookies::{NAMED_PREFIX, Parts};
use crate::session::{
    COOKIE_PREFIX, Grant, GrantCookies, KeyRing, Revocations, SESSION_COOKIE, Session, SignedIn,
};
use crate::sorted::sorted;
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
    ring: KeyRing,
    client_id: String,
    lifetimes: Lifetimes,
    revocations: Revocations,
    verified: RefCell<VerifiedSessions>,
    main: GrantCookies,
}

impl SessionStore {
    /// A store without anything remembered.
    #[must_use]
    pub fn new(ring: KeyRing, client_id: &str, lifetimes: Lifetimes) -> Self {
        let verified = RefCell::new(VerifiedSessions::new());
        Self {
            ring,
            client_id: client_id.to_owned(),
            lifetimes,
            revocations: Revocations::default(),
            verified,
            main: GrantCookies::main(),
        }
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
    pub fn open(&self, cookies: &Cookies<'_>, now: UnixTime) -> Result<Rc<SignedIn>, Absence> {
        let token = cookies.single(SESSION_COOKIE).ok_or(Absence::Missing)?;
        let parts = self.main.read(cookies).ok_or(Absence::Missing)?;
        let known = self.verified.borrow_mut().find(None, token, &parts);
        let signed_in = match known {
            Some(signed_in) => signed_in,
            None => {
                let session = Session::open(&self.ring, &self.client_id, token);
                let session = session.ok_or(Absence::Missing)?;
                self.verify(&self.main, session, token, &parts)
                    .ok_or(Absence::Missing)?
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
    #[must_use]
    pub fn open_named(
        &self,
        signed_in: &SignedIn,
        names: &GrantCookies,
        cookies: &Cookies<'_>,
    ) -> Option<Rc<SignedIn>> {
        let token = cookies.single(SESSION_COOKIE)?;
        let parts = names.read(cookies)?;
        let consumer = names.consumer();
        let known = self.verified.borrow_mut().find(consumer, token, &parts);
        known.or_else(|| self.verify(names, signed_in.session.clone(), token, &parts))
    }

    fn verify(
        &self,
        names: &GrantCookies,
        session: Session,
        token: &str,
        parts: &Parts<'_>,
    ) -> Option<Rc<SignedIn>> {
        let text = parts.join();
        let grant = Grant::open(&self.ring, names.place(&session.id), &text)?;
        let signed_in = SignedIn::new(session, grant);
        let mut verified = self.verified.borrow_mut();
        verified.keep(names.consumer(), token, text, Rc::clone(&signed_in));
        Some(signed_in)
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
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<Issued, NotIssued> {
        let session = Session {
            id: Session::generate_id(random)?,
            identity,
            issued_at: now,
            expires_at: now.plus(self.lifetimes.max_age),
            seen_at: now,
        };
        let max_age = self.lifetimes.max_age;
        let token = session.seal(&self.ring, &self.client_id, now, random)?;
        let mut cookies = vec![SetCookie::new(SESSION_COOKIE, token, max_age)];
        let text = grant.seal(&self.ring, self.main.place(&session.id), now, random)?;
        let there = self.main.present(present);
        let set = self.main.cut(&text, max_age, there);
        cookies.extend(set.map_err(NotWritten::from)?);
        // Those of an earlier session never open again, and weigh on every request.
        let named = present.names_with_prefix(NAMED_PREFIX).into_iter();
        let named = named.take(MAX_REMOVED).map(str::to_owned);
        cookies.extend(named.map(SetCookie::removal));
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
        Some(SignedIn::new(session, grant))
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
        let mut names = present.names_with_prefix(COOKIE_PREFIX);
        names.truncate(MAX_REMOVED);
        names.push(SESSION_COOKIE);
        names.extend(GrantCookies::main_names());
        let mut names = sorted(names);
        names.dedup();
        names
            .into_iter()
            .map(|name| SetCookie::removal(name.to_owned()))
            .collect()
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

impl From<NotWritten> for NotIssued {
    fn from(error: NotWritten) -> Self {
        match error {
            NotWritten::NoRandomness => Self::NoRandomness,
            NotWritten::TooLarge => Self::TooLarge,
        }
    }
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionStore")
            .field("ring", &self.ring)
            .finish_non_exhaustive()
    }
}
