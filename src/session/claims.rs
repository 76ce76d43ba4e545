//! The session token: a box like all others, so a cookie of 300 bytes. The only place that knows what is
//! in it.

use std::borrow::Cow;

use serde::Serialize;

use crate::host::{NoRandomness, Random};
use crate::identity::Identity;
use crate::session::fields::Fields;
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::sealed_box::Place;
use crate::session::{SESSION_COOKIE, Session};
use crate::time::UnixTime;

/// No token of ours is longer: an identity has bounds.
const MAX_TOKEN_BYTES: usize = 3_000;

/// Short names: it travels with every request.
#[derive(Serialize)]
struct Claims<'a> {
    #[serde(rename = "i")]
    id: &'a str,
    #[serde(rename = "a")]
    account_id: &'a str,
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    nickname: Option<&'a str>,
    #[serde(rename = "t")]
    issued_at: u64,
    #[serde(rename = "x")]
    expires_at: u64,
    #[serde(rename = "u")]
    seen_at: u64,
}

/// It is bound to the client as well, in the place where other boxes have what they belong to.
fn place(client_id: &str) -> String {
    // No cookie's name has a space.
    [SESSION_COOKIE, client_id].join(" ")
}

fn place_of(cookie: &str) -> Place<'_> {
    Place {
        purpose: Purpose::Session,
        cookie,
        session_id: "",
    }
}

impl Session {
    /// Seals the session for the client `client_id`, on the ring's site.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub(super) fn seal(
        &self,
        ring: &KeyRing,
        client_id: &str,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NoRandomness> {
        let identity = &self.identity;
        let claims = Claims {
            id: &self.id,
            account_id: &identity.account_id,
            email: identity.email.as_deref(),
            nickname: identity.nickname.as_deref(),
            issued_at: self.issued_at.0,
            expires_at: self.expires_at.0,
            seen_at: self.seen_at.0,
        };
        // A structure of strings and numbers always serializes.
        let plain = serde_json::to_vec(&claims).map_err(|_| NoRandomness)?;
        ring.seal_box(place_of(&place(client_id)), &plain, now, random)
    }

    /// Opens a token that was sealed for this site and client; `None` for every other text.
    /// Whether the session still lives is another question.
    pub(super) fn open(ring: &KeyRing, client_id: &str, token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let plain = ring.open_box(place_of(&place(client_id)), token)?;
        let mut fields = Fields::read(&plain)?;
        let session = Self {
            id: fields.text("i")?.into_owned(),
            identity: Identity {
                account_id: fields.text("a")?.into_owned(),
                email: fields.text("e").map(Cow::into_owned),
                nickname: fields.text("n").map(Cow::into_owned),
            },
            issued_at: UnixTime(fields.number("t")?),
            expires_at: UnixTime(fields.number("x")?),
            seen_at: UnixTime(fields.number("u")?),
        };
        fields.end()?;
        Some(session)
    }
}
