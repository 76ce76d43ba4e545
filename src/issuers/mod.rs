//! Whose signed tokens are accepted from callers, their keys, and what was verified.
//!
//! ```text
//! token ──▶ verified before? ──▶ iss is one of ours? ──▶ its keys ──▶ signature ──▶ claims
//!               │ yes                 │ no                  │ none, or not the one it names
//!               ▼                     ▼                     ▼
//!            Verified              NotOurs       Fetch, Wait, Refused or Unavailable
//! ```
//! A token is judged by the issuer that it names, and by that one alone. Keys are fetched by one worker
//! for all; the last good ones stay in use for as long as newer ones cannot be had.

mod cache;
mod fetch;
mod judge;
mod source;
mod state;

pub use fetch::{Change, Fetched, KeyFailure, KeyFetch};
pub use judge::{Issuers, Judged};

use std::rc::Rc;

use crate::host::SignatureAlgorithm;
use crate::http::Call;
use crate::identity::PipelineStep;
use crate::jose::{KeySet, RequiredClaim};
use crate::time::UnixTime;

/// Somebody whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Exactly their `iss`.
    pub issuer: String,
    /// What their tokens are about.
    pub kind: Kind,
    /// Where their keys are.
    pub keys: Keys,
    /// Of which one must be in `aud`; at least one.
    pub audiences: Vec<String>,
    /// How their tokens may be signed; at least one.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// What their tokens must say besides.
    pub required: Vec<RequiredClaim>,
}

/// What an issuer's tokens are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Programs of any kind.
    Other,
    /// Steps of the pipelines of a Bitbucket workspace.
    Pipelines {
        /// Its slug.
        workspace: String,
        /// Its UUID, with braces and in lower case.
        workspace_uuid: String,
    },
}

/// Where an issuer's keys are.
#[derive(Clone, Debug)]
pub enum Keys {
    /// In the configuration.
    Inline(Rc<KeySet>),
    /// Behind this call.
    Remote(Rc<Call>),
}

/// A token that its issuer signed, and that is meant for us.
#[derive(Debug, PartialEq)]
pub struct VerifiedToken {
    /// Which of the configuration's issuers it is.
    pub issuer: usize,
    /// `sub`: 1 to 255 ASCII characters, none of them a control.
    pub subject: String,
    /// `iat`, if it says so.
    pub issued_at: Option<UnixTime>,
    /// `exp`.
    pub expires_at: UnixTime,
    /// The step, if the issuer is of [`Kind::Pipelines`].
    pub step: Option<PipelineStep>,
}

impl Issuer {
    /// A word for logs and metrics: letters, digits, `_` and `-`.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.kind {
            Kind::Pipelines { workspace, .. } => format!("pipelines_{workspace}"),
            Kind::Other => {
                let text = self.issuer.strip_prefix("https://").unwrap_or(&self.issuer);
                let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
                let mark = |c| if is_word(c) { c } else { '_' };
                text.chars().map(mark).collect()
            }
        }
    }
}
