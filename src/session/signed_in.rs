//! What the cookies of a request opened to.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use crate::oauth::{bearer_authorization, bearer_parts};
use crate::session::travel::Travel;
use crate::session::{Absence, CLOCK_SKEW_SECONDS, Grant, Lifetimes, Sealed, Session, SignedOut};
use crate::slots::SlotKeys;
use crate::time::{Seconds, UnixTime};

/// A session with one of its grants, both opened: that of the main sign-in unless something else is
/// said.
#[derive(Debug)]
pub struct SignedIn {
    /// Who, and since when.
    pub session: Session,
    /// Their tokens.
    pub grant: Grant,
    pub(super) travel: Travel,
    /// Worked out once, since every request asks.
    renew_at: UnixTime,
    /// The same for whether the access token can stand in a header.
    is_bearer: OnceCell<bool>,
    /// The same for where a sign-out would be.
    sign_out_place: OnceCell<SlotKeys>,
    /// The sealed session that follows this one, so that parallel requests get the same.
    pub(super) successor: RefCell<Option<(UnixTime, String)>>,
}

impl Session {
    /// Whether it is still good, whatever became of its grants.
    pub(super) fn liveness(&self, lifetimes: Lifetimes, now: UnixTime) -> Result<(), Absence> {
        // Sealed by an instance whose clock is ahead, but not by much.
        let skew = Seconds(CLOCK_SKEW_SECONDS);
        if now.plus(skew) < self.issued_at || now.plus(skew) < self.seen_at {
            return Err(Absence::Missing);
        }
        match now >= self.ends_at_if_seen(self.seen_at, lifetimes) {
            true => Err(Absence::Expired),
            false => Ok(()),
        }
    }

    /// The configuration may have become stricter since sign-in.
    fn ends_at_if_seen(&self, seen_at: UnixTime, lifetimes: Lifetimes) -> UnixTime {
        let by_age = self.issued_at.plus(lifetimes.max_age);
        let by_idleness = seen_at.plus(lifetimes.idle_timeout);
        self.expires_at.min(by_age).min(by_idleness)
    }
}

impl SignedIn {
    pub(super) fn new(session: Session, grant: Grant, travel: Travel) -> Rc<Self> {
        Rc::new(Self {
            session,
            travel,
            renew_at: grant.renew_at(),
            is_bearer: OnceCell::new(),
            sign_out_place: OnceCell::new(),
            grant,
            successor: RefCell::new(None),
        })
    }

    /// Its grant, sealed into `text`.
    pub(super) fn sealed<'a>(&'a self, text: &'a str) -> Sealed<'a> {
        Sealed {
            session_id: &self.session.id,
            session_ends_at: self.session.expires_at,
            ends_at: self.grant.expires_at,
            text,
        }
    }

    /// Where a sign-out of the session is remembered in `signed_out`.
    pub fn sign_out_place(&self, signed_out: &SignedOut) -> &SlotKeys {
        self.sign_out_place
            .get_or_init(|| signed_out.place(&self.session.id))
    }

    /// The two parts of `Authorization: Bearer` with the access token; `None` if that is no header value.
    #[must_use]
    pub fn bearer_parts(&self) -> Option<[&str; 2]> {
        let token = &self.grant.access_token;
        let is_bearer = || bearer_authorization(token).is_some();
        let is_bearer = self.is_bearer.get_or_init(is_bearer);
        is_bearer.then(|| bearer_parts(token))
    }

    /// When it is time to renew the grant.
    #[must_use]
    pub fn renew_at(&self) -> UnixTime {
        self.renew_at
    }

    pub(super) fn liveness(&self, lifetimes: Lifetimes, now: UnixTime) -> Result<(), Absence> {
        self.session.liveness(lifetimes, now)?;
        match now >= self.ends_at(lifetimes) {
            true => Err(Absence::Expired),
            false => Ok(()),
        }
    }

    pub(super) fn ends_at(&self, lifetimes: Lifetimes) -> UnixTime {
        self.ends_at_if_seen(self.session.seen_at, lifetimes)
    }

    /// The earliest of all ends.
    pub(super) fn ends_at_if_seen(&self, seen_at: UnixTime, lifetimes: Lifetimes) -> UnixTime {
        let end = self.session.ends_at_if_seen(seen_at, lifetimes);
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
            scopes: None,
        };
        Self::new(session, grant, Travel::Right)
    }
}
