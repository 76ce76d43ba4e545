//! Tokens that were verified before: a warm request hashes its token and does nothing else.
//!
//! A signature is 2,000 times as dear as this hash, and SHA-256 six times: Poly1305 with a secret key is a
//! universal hash. Whoever does not know the key, and never sees a hash, finds two tokens with the same one
//! by luck of 1 to 2^99 for a token of 1,300 bytes (Bernstein, The Poly1305-AES message-authentication
//! code, section 3).

use std::rc::Rc;

use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit;
use zeroize::Zeroizing;

use crate::issuers::VerifiedToken;

/// The most tokens of one worker, at some 0.5 KB.
const SLOTS: usize = 4_096;

/// What names a token here, so that no token lies in memory for longer than its request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 16]);

/// What makes them: a secret of the site.
pub(super) struct Digests(Zeroizing<[u8; 32]>);

impl Digests {
    pub(super) fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    pub(super) fn of(&self, token: &str) -> Digest {
        let hash = Poly1305::new((&*self.0).into());
        Digest(hash.compute_unpadded(token.as_bytes()).into())
    }
}

impl Digest {
    /// A place of its own for most tokens.
    fn slot(&self) -> usize {
        let [high, low, ..] = self.0;
        usize::from(u16::from_be_bytes([high, low]) >> 4_u32)
    }
}

struct Entry {
    digest: Digest,
    generation: u64,
    token: Rc<VerifiedToken>,
}

/// A bounded map from tokens to what they say: a slot for each, which the next token with the same
/// slot takes over. Only what an issuer signed is here, so no stranger can push anything out.
pub(super) struct VerifiedTokens(Option<Box<[Option<Box<Entry>>; SLOTS]>>);

impl VerifiedTokens {
    /// Without memory, before the first token.
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// What a token says, and the generation of keys that it was verified with.
    pub(super) fn find(&self, digest: &Digest) -> Option<(u64, &Rc<VerifiedToken>)> {
        let entry = self.0.as_ref()?.get(digest.slot())?.as_ref()?;
        (entry.digest == *digest).then_some((entry.generation, &entry.token))
    }

    pub(super) fn keep(&mut self, digest: Digest, generation: u64, token: Rc<VerifiedToken>) {
        let slots = self
            .0
            .get_or_insert_with(|| Box::new([const { None }; SLOTS]));
        if let Some(slot) = slots.get_mut(digest.slot()) {
            *slot = Some(Box::new(Entry {
                digest,
                generation,
                token,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use hmac_sha256::Hash;

    use super::*;
    use crate::time::UnixTime;

    #[test]
    fn each_token_has_a_slot_and_no_more_are_kept() {
        let mut cache = VerifiedTokens::new();
        let token = |number: usize| {
            Rc::new(VerifiedToken {
                issuer: number,
                subject: String::new(),
                issued_at: None,
                expires_at: UnixTime(0),
                step: None,
            })
        };
        let digests = Digests::new(Hash::hash(b"a secret").into());
        // A token ends with a signature.
        let name = |number: usize| {
            let signature = URL_SAFE_NO_PAD.encode(Hash::hash(number.to_string().as_bytes()));
            digests.of(&format!("header.claims.{signature}"))
        };
        assert!(cache.find(&name(0)).is_none());
        for number in 0..SLOTS * 4 {
            let digest = name(number);
            cache.keep(digest, 7, token(number));
            let (generation, found) = cache.find(&digest).unwrap();
            assert_eq!((generation, found.issuer), (7, number));
        }
        let is_kept = |number: &usize| cache.find(&name(*number)).is_some();
        let kept = (0..SLOTS * 4).filter(is_kept).count();
        assert!((SLOTS * 9 / 10..=SLOTS).contains(&kept), "{kept}");
        assert!(cache.find(&digests.of("another")).is_none());
    }
}
