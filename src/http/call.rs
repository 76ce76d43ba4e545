//! Outbound calls as values: what to ask, and what came back.

use std::fmt;

use crate::http::HeaderValue;
use crate::time::Seconds;

/// A request of ours to a cluster that the configuration names.
#[derive(Clone)]
pub struct Call {
    /// The cluster's name in Envoy.
    pub cluster: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// `https` or, for a loopback host, `http`.
    pub scheme: &'static str,
    /// Host and port, from the configuration.
    pub authority: String,
    /// Path and query.
    pub path: String,
    /// Header fields.
    pub headers: Vec<(&'static str, HeaderValue)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// The whole answer must be there by then.
    pub timeout: Seconds,
}

impl fmt::Debug for Call {
    /// Headers and body hold credentials, and the path may hold a code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            scheme,
            authority,
            ..
        } = self;
        write!(f, "Call({method} {scheme}://{authority})")
    }
}

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// An answer of the provider.
    Answer {
        /// Its status code.
        status: u16,
        /// Its media type without parameters, in lower case; empty if it had none.
        media_type: String,
        /// Its body, at most [`Reply::MAX_BODY_BYTES`].
        body: Vec<u8>,
        /// When to come again (RFC 9110 section 10.2.3), if it says so in seconds.
        retry_after: Option<Seconds>,
    },
    /// The answer was not there in time.
    TimedOut,
    /// A body larger than [`Reply::MAX_BODY_BYTES`].
    TooLarge,
    /// No connection, no healthy host, a reset, or a certificate that is not the provider's.
    Unreachable,
}

impl Reply {
    /// The most bytes of a body that are read: the groups of a workspace with some 3,000 members
    /// fit, which come in one piece.
    pub const MAX_BODY_BYTES: usize = 1_048_576;
}

impl fmt::Debug for Reply {
    /// A body may hold tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer {
                status,
                media_type,
                body,
                ..
            } => {
                write!(f, "Answer({status}, {media_type:?}, {} bytes)", body.len())
            }
            Self::TimedOut => f.write_str("TimedOut"),
            Self::TooLarge => f.write_str("TooLarge"),
            Self::Unreachable => f.write_str("Unreachable"),
        }
    }
}
