//! Signed tokens that others made: JWS in its compact form (RFC 7515), their keys (RFC 7517) and claims
//! (RFC 7519), read as RFC 8725 asks, as if no provider existed.
//!
//! Nothing that a token says about itself is believed before its signature is verified with a key
//! that the configuration leads to: keys and addresses in its header are never looked at, and the
//! algorithm must be one that its issuer is known to use.

mod algorithm;
mod claims;
mod compact;
mod der;
mod key_set;
mod probe;
#[cfg(test)]
mod signer;

pub use claims::{Claims, Expected, RequiredClaim, names_issuer, unverified_claims};
pub use compact::Jws;
pub use key_set::{InvalidKeySet, KeySet, Unverified};
pub use probe::can_verify;
#[cfg(test)]
pub(crate) use signer::Signer;

use std::fmt;

/// The most bytes of a token: what fits into one header field of most servers.
pub const MAX_TOKEN_BYTES: usize = 16_384;

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidToken {
    /// Another algorithm than the issuer's, or none.
    Algorithm,
    /// No key of the issuer made the signature.
    BadSignature,
    /// A claim that must have a certain value has another one, or none.
    Claim,
    /// Its time is over.
    Expired,
    /// No token at all, or one that can be read in two ways.
    Malformed,
    /// Its time has not come.
    NotYetValid,
    /// It names a key that the issuer does not have.
    UnknownKey,
    /// It is meant for somebody else.
    WrongAudience,
    /// Another issuer.
    WrongIssuer,
}

impl InvalidToken {
    /// The word for logs, headers and metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Algorithm => "algorithm",
            Self::BadSignature => "bad_signature",
            Self::Claim => "claim",
            Self::Expired => "expired",
            Self::Malformed => "malformed",
            Self::NotYetValid => "not_yet_valid",
            Self::UnknownKey => "unknown_key",
            Self::WrongAudience => "wrong_audience",
            Self::WrongIssuer => "wrong_issuer_claim",
        }
    }
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected a valid token, but found another: {}",
            self.word()
        )
    }
}

impl std::error::Error for InvalidToken {}
