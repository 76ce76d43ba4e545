//! Fetching the keys of an issuer.

use std::fmt;
use std::rc::Rc;

use crate::host::Host;
use crate::http::{Call, Reply};
use crate::issuers::source::Source;
use crate::issuers::state::State;
use crate::jose::{InvalidKeySet, KeySet};

/// A question for keys, to be asked in nobody's name.
#[derive(Debug)]
pub struct KeyFetch {
    source: Rc<Source>,
    call: Rc<Call>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The issuer's word for logs.
    pub issuer: String,
    /// Whether the keys are other ones than before.
    pub result: Result<Change, KeyFailure>,
}

/// What newer keys change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// They are other ones.
    New,
    /// They are the same.
    Same,
}

/// Why there are no newer keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyFailure {
    /// Another status.
    Status(u16),
    /// Another kind of document.
    MediaType,
    /// No set of keys.
    Document(InvalidKeySet),
    /// No answer at all.
    NoAnswer(Reply),
}

impl KeyFetch {
    pub(super) fn new(source: Rc<Source>, call: Rc<Call>) -> Self {
        Self { source, call }
    }

    /// The call to make.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What requests wait for that it brings.
    #[must_use]
    pub fn brings(&self) -> String {
        self.source.key.clone()
    }

    /// Publishes the keys for every worker, or that there are none; those before stay then.
    pub fn finish(self, reply: Reply, host: &mut Host<'_>) -> Fetched {
        let result = self.publish(reply, host);
        if result.is_err() {
            State::failed(&self.source.key, host.now, host.shared);
        }
        Fetched {
            issuer: self.source.issuer.label(),
            result,
        }
    }

    fn publish(&self, reply: Reply, host: &mut Host<'_>) -> Result<Change, KeyFailure> {
        let document = match reply {
            Reply::Answer {
                status: 200,
                media_type,
                body,
                ..
            } if is_json(&media_type) => body,
            Reply::Answer { status: 200, .. } => return Err(KeyFailure::MediaType),
            Reply::Answer { status, .. } => return Err(KeyFailure::Status(status)),
            Reply::TimedOut | Reply::TooLarge | Reply::Unreachable => {
                return Err(KeyFailure::NoAnswer(reply));
            }
        };
        KeySet::parse(&document).map_err(KeyFailure::Document)?;
        let source = &self.source;
        let before = source.document(host.shared);
        let (generation, change) = match before {
            Some((generation, old)) if old == document => (generation, Change::Same),
            Some((generation, _)) => (generation.saturating_add(1), Change::New),
            None => (1, Change::New),
        };
        if change == Change::New {
            let bytes = [&generation.to_be_bytes(), document.as_slice()].concat();
            host.shared.write(&source.document_key(), &bytes, None);
        }
        State::succeeded(&source.key, generation, host.now, host.shared);
        source.take_over(host.shared);
        Ok(change)
    }
}

/// `application/jwk-set+json` (RFC 7517 section 8.5.2), or what most servers say.
fn is_json(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "application/jwk-set+json")
}

impl fmt::Display for KeyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "expected keys, but found status {status}"),
            Self::MediaType => f.write_str("expected keys, but found another media type"),
            Self::Document(error) => write!(f, "{error}"),
            Self::NoAnswer(reply) => write!(f, "expected keys, but found {reply:?}"),
        }
    }
}

impl std::error::Error for KeyFailure {}
