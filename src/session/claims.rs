//! The session token: a JWE in compact serialization (RFC 7516), A256KW and A256GCM. The only place
//! that knows the names of its claims.

use std::collections::HashSet;

use jwt_simple::claims::{Audiences, JWTClaims};
use jwt_simple::prelude::{
    A256KWKey, DecryptionOptions, Duration, EncryptionOptions, VerificationOptions,
};
use serde::{Deserialize, Serialize};

use crate::host::{NoRandomness, Random};
use crate::identity::Identity;
use crate::session::Session;
use crate::session::key_ring::KeyRing;
use crate::time::UnixTime;

/// Kind and version of the token.
const TYPE: &str = "bitgate-session/1";

/// No token of ours is longer: an identity has bounds.
const MAX_TOKEN_BYTES: usize = 3_000;

#[derive(Serialize, Deserialize)]
struct Claims {
    typ: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nickname: Option<String>,
    /// Not a registered claim: when the session was last seen in use.
    seen: u64,
}

impl Session {
    /// Seals the session for the client `client_id`, on the ring's site.
    ///
    /// The JWE library draws its own random bytes and stops the program if there are none, so the
    /// host is asked first.
    pub(super) fn seal(
        &self,
        ring: &KeyRing,
        client_id: &str,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NoRandomness> {
        random.fill(&mut [0_u8; 32])?;
        let claims = JWTClaims {
            issued_at: Some(Duration::from_secs(self.issued_at.0)),
            expires_at: Some(Duration::from_secs(self.expires_at.0)),
            invalid_before: None,
            issuer: Some(ring.site().to_owned()),
            subject: Some(self.identity.account_id.clone()),
            audiences: Some(Audiences::AsString(client_id.to_owned())),
            jwt_id: Some(self.id.clone()),
            nonce: None,
            custom: Claims {
                typ: TYPE.to_owned(),
                email: self.identity.email.clone(),
                nickname: self.identity.nickname.clone(),
                seen: self.seen_at.0,
            },
        };
        let key = &ring.sealing(now).session;
        // It fails on a key of another size only, which the ring does not have.
        key.encrypt_with_options(claims, &EncryptionOptions::default())
            .map_err(|_| NoRandomness)
    }

    /// Opens a token that was sealed for this site and client; `None` for every other text.
    /// Whether the session still lives is another question.
    pub(super) fn open(ring: &KeyRing, client_id: &str, token: &str) -> Option<Self> {
        let header = A256KWKey::decode_metadata(token).ok()?;
        let keys = ring.named(header.key_id()?)?;
        let options = DecryptionOptions {
            max_token_length: Some(MAX_TOKEN_BYTES),
            max_header_length: Some(256),
            required_key_id: Some(keys.kid.clone()),
            claim_options: Some(VerificationOptions {
                // Times are judged by `SignedIn::liveness`, which tells an old session from
                // none: at time zero the library lets every one of them through.
                artificial_time: Some(Duration::from_secs(0)),
                time_tolerance: Some(Duration::from_secs(0)),
                accept_future: true,
                allowed_issuers: Some(HashSet::from([ring.site().to_owned()])),
                allowed_audiences: Some(HashSet::from([client_id.to_owned()])),
                ..VerificationOptions::default()
            }),
        };
        let claims: JWTClaims<Claims> = keys.session.decrypt_token(token, Some(options)).ok()?;
        let custom = claims.custom;
        if custom.typ != TYPE {
            return None;
        }
        Some(Self {
            id: claims.jwt_id?,
            identity: Identity {
                account_id: claims.subject?,
                email: custom.email,
                nickname: custom.nickname,
            },
            issued_at: UnixTime(claims.issued_at?.as_secs()),
            expires_at: UnixTime(claims.expires_at?.as_secs()),
            seen_at: UnixTime(custom.seen),
        })
    }
}
