//! The session token: a box like all others, so a cookie of 300 bytes. The only place that knows what is
//! in it.

use crate::host::{NoRandomness, Random};
use crate::identity::Identity;
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::message::{read, some, write};
use crate::session::sealed_box::Place;
use crate::session::{SESSION_COOKIE, Session};
use crate::time::UnixTime;

/// No token of ours is longer: an identity has bounds.
const MAX_TOKEN_BYTES: usize = 3_000;

#[derive(prost::Message)]
struct Claims {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    account_id: String,
    #[prost(string, optional, tag = "3")]
    email: Option<String>,
    #[prost(string, optional, tag = "4")]
    nickname: Option<String>,
    #[prost(uint64, tag = "5")]
    issued_at: u64,
    #[prost(uint64, tag = "6")]
    expires_at: u64,
    #[prost(uint64, tag = "7")]
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
        let identity = self.identity.clone();
        let claims = Claims {
            id: self.id.clone(),
            account_id: identity.account_id,
            email: identity.email,
            nickname: identity.nickname,
            issued_at: self.issued_at.0,
            expires_at: self.expires_at.0,
            seen_at: self.seen_at.0,
        };
        ring.seal_box(place_of(&place(client_id)), &write(&claims), now, random)
    }

    /// Opens a token that was sealed for this site and client; `None` for every other text.
    /// Whether the session still lives is another question.
    pub(super) fn open(ring: &KeyRing, client_id: &str, token: &str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let plain = ring.open_box(place_of(&place(client_id)), token)?;
        let claims: Claims = read(&plain)?;
        Some(Self {
            id: some(claims.id)?,
            identity: Identity {
                account_id: some(claims.account_id)?,
                email: claims.email,
                nickname: claims.nickname,
            },
            issued_at: UnixTime(claims.issued_at),
            expires_at: UnixTime(claims.expires_at),
            seen_at: UnixTime(claims.seen_at),
        })
    }
}
