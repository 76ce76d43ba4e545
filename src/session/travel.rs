//! How a large grant comes to an instance that does not know it, and off the way of requests again.

use crate::host::Host;
use crate::http::{Cookies, SetCookie};
use crate::session::carried::{Carried, Compared};
use crate::session::grant_cookies::Sealed;
use crate::session::{Grant, GrantCookies, Session, SessionStore, SignedIn};

/// How a grant came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Travel {
    /// As it should.
    Right,
    /// Whole, though it is too large for that.
    Heavy,
    /// The cookies name an older one than that which is known here.
    Behind,
}

impl SessionStore {
    /// The session, which may be over, and the cookies that bring its grant of `names`, which lies apart, to
    /// whichever instance is asked next. This one keeps it.
    #[must_use]
    pub fn bring(
        &self,
        names: &GrantCookies,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Option<(Session, Vec<SetCookie>)> {
        let session = self.alone(cookies)?;
        let reference = match names.read(cookies) {
            Some(Carried::Whole(_)) => return Some((session, Vec::new())),
            Some(Carried::Kept(reference)) => Some(reference),
            None => None,
        };
        let apart = names.read_apart(cookies).map(|parts| parts.join());
        let known = names.find(&session.id, host.shared);
        let both = apart.into_iter().chain(known.map(|kept| kept.sealed));
        let opened = both.filter_map(|text| {
            let grant = Grant::open(&self.ring, names.place(&session.id), &text)?;
            let is_named = reference.is_some_and(|reference| reference.names(&text));
            Some((is_named, grant, text))
        });
        // The refresh token of an older one is used up.
        let least = reference.map(|reference| reference.ends_at);
        let opened = opened.filter(|(_, grant, _)| Some(grant.expires_at) >= least);
        let (_, grant, text) =
            opened.max_by_key(|(is_named, grant, _)| (*is_named, grant.expires_at))?;
        let sealed = Sealed {
            session_id: &session.id,
            session_ends_at: session.expires_at,
            ends_at: grant.expires_at,
            text: &text,
        };
        names.keep(sealed, host.now, host.shared);
        let set = names.bring(sealed, names.present(cookies), host.now);
        Some((session, set))
    }

    /// The same if this instance does not know the grant yet.
    #[must_use]
    pub fn learn(
        &self,
        signed_in: &SignedIn,
        names: &GrantCookies,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Vec<SetCookie> {
        let Some(Carried::Kept(reference)) = names.read(cookies) else {
            return Vec::new();
        };
        let known = names.find(&signed_in.session.id, host.shared);
        if known.is_some_and(|kept| reference.compare(&kept) != Compared::Older) {
            return Vec::new();
        }
        let brought = self.bring(names, cookies, host);
        brought.map(|(_, set)| set).unwrap_or_default()
    }

    /// The cookies that let a grant travel as it should from now on; most often there is nothing to do.
    #[must_use]
    pub fn settle(
        &self,
        signed_in: &SignedIn,
        names: &GrantCookies,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Vec<SetCookie> {
        if signed_in.travel == Travel::Right {
            return Vec::new();
        }
        let session_id = &signed_in.session.id;
        let present = names.present(cookies);
        let (is_brought, text) = match (signed_in.travel, names.read(cookies)) {
            (Travel::Heavy, Some(Carried::Whole(parts))) => {
                let text = parts.join();
                if !names.keep(signed_in.sealed(&text), host.now, host.shared) {
                    return Vec::new();
                }
                (parts.lies_apart, Some(text))
            }
            (Travel::Behind, Some(Carried::Kept(_))) => (false, None),
            (Travel::Right | Travel::Heavy | Travel::Behind, _) => return Vec::new(),
        };
        let Some(newest) = names.find(session_id, host.shared) else {
            return Vec::new();
        };
        let sealed = Sealed {
            ends_at: newest.ends_at,
            ..signed_in.sealed(&newest.sealed)
        };
        match is_brought && text.as_ref() == Some(&newest.sealed) {
            true => names.set_reference(sealed, present, host.now),
            false => names.set(sealed, present, host.now, host.shared),
        }
    }
}
