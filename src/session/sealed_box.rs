//! A box: bytes sealed with XChaCha20-Poly1305, as text for a cookie.
//!
//! ```text
//! box  = "1." kid "." BASE64URL(nonce ciphertext tag)     ; 24 bytes of nonce, 16 of tag
//! ```
//!
//! Purpose, cookie name, site, session id and kid are additional data: a box opens only where it
//! was made for. Decoding is strict, and every failure is the same.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    AeadInOut, XNonce,
    aead::{Aead, Payload},
};
use zeroize::Zeroizing;

use crate::host::{NoRandomness, Random};
use crate::session::key_ring::{KeyRing, Purpose};
use crate::time::UnixTime;

const VERSION: &str = "1";
const LABEL: &str = "bitgate box 1";
const NONCE_BYTES: usize = 24;

/// Where a box belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) purpose: Purpose,
    /// The cookie's name, for a session token and the grant of a further consumer with the client id; a
    /// bot's name with its client id.
    pub(super) cookie: &'a str,
    /// Empty where no session exists yet.
    pub(super) session_id: &'a str,
}

impl Place<'_> {
    /// No part can hold a line feed: cookie names are constants, base64url or have a consumer's or a
    /// bot's name and client id, which are visible ASCII; a site is an origin, ids are base64url, kids are words.
    fn additional_data(&self, site: &str, kid: &str) -> String {
        let Self {
            purpose,
            cookie,
            session_id,
        } = self;
        [LABEL, purpose.as_str(), cookie, site, session_id, kid].join("\n")
    }
}

impl KeyRing {
    /// Seals `plain` with the key that seals at `now`.
    pub(super) fn seal_box(
        &self,
        place: Place<'_>,
        plain: &[u8],
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NoRandomness> {
        let keys = self.sealing(now);
        let mut nonce = [0_u8; NONCE_BYTES];
        random.fill(&mut nonce)?;
        let aad = place.additional_data(self.site(), &keys.kid);
        let payload = Payload {
            msg: plain,
            aad: aad.as_bytes(),
        };
        // The cipher refuses nothing below 256 GB.
        let sealed = keys
            .cipher(place.purpose)
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| NoRandomness)?;
        let bytes = [nonce.as_slice(), sealed.as_slice()].concat();
        Ok(format!(
            "{VERSION}.{}.{}",
            keys.kid,
            URL_SAFE_NO_PAD.encode(bytes)
        ))
    }

    /// Opens a box that was sealed for `place` with any key of the ring.
    pub(super) fn open_box(&self, place: Place<'_>, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = text.split_once('.')?;
        let (kid, encoded) = rest.split_once('.')?;
        if version != VERSION {
            return None;
        }
        let keys = self.named(kid)?;
        let aad = place.additional_data(self.site(), kid);
        let mut bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let nonce = XNonce::try_from(bytes.get(..NONCE_BYTES)?).ok()?;
        bytes.drain(..NONCE_BYTES);
        // In place, so that there is one buffer to wipe.
        keys.cipher(place.purpose)
            .decrypt_in_place(&nonce, aad.as_bytes(), &mut *bytes)
            .ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::key_ring::SessionKey;

    #[derive(Debug)]
    struct Counter(u8);

    impl Random for Counter {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
            self.0 = self.0.wrapping_add(1);
            bytes.fill(self.0);
            Ok(())
        }
    }

    fn key(kid: &str, byte: u8) -> SessionKey {
        SessionKey::new(kid, Zeroizing::new([byte; 32])).unwrap()
    }

    const PLACE: Place<'_> = Place {
        purpose: Purpose::Grant,
        cookie: "c",
        session_id: "s",
    };

    #[test]
    fn a_box_opens_only_where_it_belongs() {
        let ring = KeyRing::new("https://a.test", &[key("new", 1), key("old", 2)]).unwrap();
        let text = ring
            .seal_box(PLACE, b"plain", UnixTime(0), &mut Counter(0))
            .unwrap();
        assert_eq!(ring.open_box(PLACE, &text).unwrap().as_slice(), b"plain");
        let elsewhere = [
            Place {
                purpose: Purpose::Login,
                ..PLACE
            },
            Place {
                cookie: "d",
                ..PLACE
            },
            Place {
                session_id: "t",
                ..PLACE
            },
        ];
        for place in elsewhere {
            assert_eq!(ring.open_box(place, &text), None, "{place:?}");
        }
        let other_site = KeyRing::new("https://b.test", &[key("new", 1)]).unwrap();
        assert_eq!(other_site.open_box(PLACE, &text), None);
        let other_kid = KeyRing::new("https://a.test", &[key("other", 1)]).unwrap();
        let renamed = text.replacen("new", "other", 1);
        assert_eq!(other_kid.open_box(PLACE, &renamed), None);
    }

    #[test]
    fn every_key_of_the_ring_opens_and_the_first_seals() {
        let before = KeyRing::new("https://a.test", &[key("old", 2)]).unwrap();
        let after = KeyRing::new("https://a.test", &[key("new", 1), key("old", 2)]).unwrap();
        let text = before
            .seal_box(PLACE, b"plain", UnixTime(0), &mut Counter(0))
            .unwrap();
        assert!(after.open_box(PLACE, &text).is_some());
        assert!(
            after
                .seal_box(PLACE, b"plain", UnixTime(0), &mut Counter(0))
                .unwrap()
                .starts_with("1.new.")
        );
    }

    #[test]
    fn every_changed_character_and_every_cut_is_refused() {
        let ring = KeyRing::new("https://a.test", &[key("k", 1)]).unwrap();
        let text = ring
            .seal_box(PLACE, b"some plain text", UnixTime(0), &mut Counter(0))
            .unwrap();
        for at in 0..text.len() {
            assert_eq!(ring.open_box(PLACE, text.split_at(at).0), None);
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(ring.open_box(PLACE, &changed), None, "{at}");
        }
        for tail in ["=", "A", " ", "\n", "."] {
            assert_eq!(
                ring.open_box(PLACE, &format!("{text}{tail}")),
                None,
                "{tail:?}"
            );
        }
    }
}
