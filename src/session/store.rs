//! The one way to write a session into cookies and to read it back.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::host::{NoRandomness, Random};
use crate::http::{Cookies, SetCookie};
use crate::session::cache::VerifiedSessions;
use crate::session::grant::{NAMES as GRANT_NAMES, NotWritten, Parts, cookies_of, present_names};
use crate::session::{
    CLOCK_SKEW_SECONDS, COOKIE_PREFIX, Grant, KeyRing, Revocations, SESSION_COOKIE, Session,
    SignedOut,
};
use crate::slots::SlotKeys;
use crate::time::{Seconds, UnixTime};

/// How many cookies with our prefix are taken away. A browser of ours never has more; a stranger
/// who sends thousands gets no answer of thousands of lines.
const MAX_REMOVED: usize = 16;

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

/// A session with its grant, both opened.
#[derive(Debug)]
pub struct SignedIn {
    /// Who, and since when.
    pub session: Session,
    /// Their tokens.
    pub grant: Grant,
    /// Worked out once, since every request asks.
    renew_at: UnixTime,
    /// The same for where a sign-out would be.
    sign_out_place: OnceCell<SlotKeys>,
    /// The sealed session that follows this one, so that parallel requests get the same.
    successor: RefCell<Option<(UnixTime, String)>>,
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
        }
    }

    /// With sessions that were taken back.
    #[must_use]
    pub fn with_revocations(self, revocations: Revocations) -> Self {
        Self {
            revocations,
            ..self
        }
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
        let parts = Parts::read(cookies).ok_or(Absence::Missing)?;
        let known = self.verified.borrow_mut().find(token, &parts);
        let signed_in = match known {
            Some(signed_in) => signed_in,
            None => self.verify(token, &parts).ok_or(Absence::Missing)?,
        };
        signed_in.liveness(self.lifetimes, now)?;
        match self.revocations.cover(&signed_in.session) {
            true => Err(Absence::Revoked),
            false => Ok(signed_in),
        }
    }

    fn verify(&self, token: &str, parts: &Parts<'_>) -> Option<Rc<SignedIn>> {
        let session = Session::open(&self.ring, &self.client_id, token)?;
        let text = parts.join();
        let grant = Grant::open(&self.ring, &session.id, &text)?;
        let signed_in = Rc::new(SignedIn {
            session,
            renew_at: grant.renew_at(),
            sign_out_place: OnceCell::new(),
            grant,
            successor: RefCell::new(None),
        });
        self.verified
            .borrow_mut()
            .keep(token, text, Rc::clone(&signed_in));
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
        let text = grant.seal(&self.ring, &session.id, now, random)?;
        cookies.extend(cookies_of(&text, max_age, &present_names(present))?);
        Ok(Issued {
            session_id: session.id,
            cookies,
        })
    }

    /// Seals the grant that follows the one of `session_id`. `None` without random bytes, or if it
    /// does not fit its cookies.
    pub fn seal_grant(
        &self,
        session_id: &str,
        grant: &Grant,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Option<String> {
        let text = grant.seal(&self.ring, session_id, now, random).ok()?;
        cookies_of(&text, Seconds(0), &[]).ok()?;
        Some(text)
    }

    /// The session with the sealed grant that follows its own.
    #[must_use]
    pub fn follow(&self, signed_in: &SignedIn, sealed: &str) -> Option<Rc<SignedIn>> {
        let session = signed_in.session.clone();
        let grant = Grant::open(&self.ring, &session.id, sealed)?;
        Some(Rc::new(SignedIn {
            session,
            renew_at: grant.renew_at(),
            sign_out_place: OnceCell::new(),
            grant,
            successor: RefCell::new(None),
        }))
    }

    /// The cookies of a sealed grant, for as long as its session can live. `present` names those
    /// that the browser has.
    #[must_use]
    pub fn grant_cookies(
        sealed: &str,
        session_ends_at: UnixTime,
        present: &[&'static str],
        now: UnixTime,
    ) -> Vec<SetCookie> {
        cookies_of(sealed, session_ends_at.since(now), present).unwrap_or_default()
    }

    /// The names of the grant's cookies that a request brought.
    #[must_use]
    pub fn grant_names(cookies: &Cookies<'_>) -> Vec<&'static str> {
        present_names(cookies)
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
        names.extend([SESSION_COOKIE].into_iter().chain(GRANT_NAMES));
        names.sort_unstable();
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

impl SignedIn {
    /// Where a sign-out of the session is remembered in `signed_out`.
    pub fn sign_out_place(&self, signed_out: &SignedOut) -> &SlotKeys {
        self.sign_out_place
            .get_or_init(|| signed_out.place(&self.session.id))
    }

    /// When it is time to renew the grant.
    #[must_use]
    pub fn renew_at(&self) -> UnixTime {
        self.renew_at
    }

    fn liveness(&self, lifetimes: Lifetimes, now: UnixTime) -> Result<(), Absence> {
        let Session {
            issued_at, seen_at, ..
        } = &self.session;
        // Sealed by an instance whose clock is ahead, but not by much.
        let skew = Seconds(CLOCK_SKEW_SECONDS);
        if now.plus(skew) < *issued_at || now.plus(skew) < *seen_at {
            return Err(Absence::Missing);
        }
        if now >= self.ends_at(lifetimes) {
            Err(Absence::Expired)
        } else {
            Ok(())
        }
    }

    fn ends_at(&self, lifetimes: Lifetimes) -> UnixTime {
        self.ends_at_if_seen(self.session.seen_at, lifetimes)
    }

    /// The earliest of all ends. The configuration may have become stricter since sign-in.
    fn ends_at_if_seen(&self, seen_at: UnixTime, lifetimes: Lifetimes) -> UnixTime {
        let Session {
            issued_at,
            expires_at,
            ..
        } = &self.session;
        let by_age = issued_at.plus(lifetimes.max_age);
        let by_idleness = seen_at.plus(lifetimes.idle_timeout);
        let end = (*expires_at).min(by_age).min(by_idleness);
        // What cannot be renewed ends with its token.
        match self.grant.refresh_token {
            Some(_) => end,
            None => end.min(self.grant.expires_at),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests() -> Rc<Self> {
        let identity = crate::identity::Identity {
            account_id: "a".to_owned(),
            email: None,
            nickname: None,
        };
        let (zero, id) = (UnixTime(0), String::new());
        let session = Session {
            id,
            identity,
            issued_at: zero,
            expires_at: zero,
            seen_at: zero,
        };
        let access_token = crate::oauth::AccessToken::new("t");
        let grant = Grant {
            access_token,
            refresh_token: None,
            expires_at: zero,
            lifetime: Seconds(0),
        };
        Rc::new(Self {
            session,
            renew_at: grant.renew_at(),
            sign_out_place: OnceCell::new(),
            grant,
            successor: RefCell::new(None),
        })
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
