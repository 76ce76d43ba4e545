//! Tokens that were verified before: a warm request hashes its token and does nothing else.

use std::num::NonZeroUsize;
use std::rc::Rc;

use hmac_sha256::Hash as Sha256;
use lru::LruCache;

use crate::issuers::VerifiedToken;

/// The most tokens of one worker, at some 0.5 KB.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

/// What names a token here: its SHA-256, so that no token lies in memory for longer than its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::hash(token.as_bytes()))
    }
}

/// A bounded map from tokens to what they say; the least recently used goes first.
pub(super) struct VerifiedTokens(LruCache<Digest, (u64, Rc<VerifiedToken>)>);

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        Self(LruCache::new(MAX_ENTRIES))
    }

    /// What a token says, and the generation of keys that it was verified with.
    pub(super) fn find(&mut self, digest: &Digest) -> Option<(u64, Rc<VerifiedToken>)> {
        self.0.get(digest).cloned()
    }

    pub(super) fn keep(&mut self, digest: Digest, generation: u64, token: Rc<VerifiedToken>) {
        self.0.put(digest, (generation, token));
    }

    pub(super) fn forget(&mut self, digest: &Digest) {
        self.0.pop(digest);
    }
}
