//! The keys that seal and open: one derived key per purpose, so that no kind of sealed value can
//! stand in for another.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use hmac_sha256::{HKDF, HMAC};
use zeroize::Zeroizing;

use crate::session::identity_token::SigningKey;
use crate::time::UnixTime;

/// A key of the configuration.
#[derive(Clone)]
pub struct SessionKey {
    kid: String,
    bytes: Zeroizing<[u8; 32]>,
    not_before: Option<UnixTime>,
}

impl SessionKey {
    /// Names a key of 32 bytes. `None` if `kid` is not 1 to 32 letters, digits, `-` or `_`.
    #[must_use]
    pub fn new(kid: &str, bytes: Zeroizing<[u8; 32]>) -> Option<Self> {
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        let valid = (1..=32).contains(&kid.len()) && kid.bytes().all(is_word);
        valid.then(|| Self {
            kid: kid.to_owned(),
            bytes,
            not_before: None,
        })
    }

    /// The same key, which opens at once and seals from `moment` on: by then every instance has it.
    #[must_use]
    pub fn not_before(self, moment: UnixTime) -> Self {
        Self {
            not_before: Some(moment),
            ..self
        }
    }

    /// Whether it has these bytes. Not in constant time: the configuration asks, nobody else.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.bytes.as_slice() == bytes
    }

    /// Whether another key is the same under another name.
    #[must_use]
    pub fn has_bytes_of(&self, other: &Self) -> bool {
        self.is(other.bytes.as_slice())
    }

    /// The key's public name.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionKey({})", self.kid)
    }
}

/// What a box is for. Identity tokens are no boxes, and have keys of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Bot,
    Grant,
    Login,
    Returns,
    Session,
}

impl Purpose {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Grant => "grant",
            Self::Login => "login",
            Self::Returns => "returns",
            Self::Session => "session",
        }
    }
}

/// One key of the ring, with what is derived from it.
pub(super) struct Keys {
    pub(super) kid: String,
    not_before: UnixTime,
    pub(super) signing: SigningKey,
    bot: XChaCha20Poly1305,
    grant: XChaCha20Poly1305,
    login: XChaCha20Poly1305,
    returns: XChaCha20Poly1305,
    session: XChaCha20Poly1305,
    names: Zeroizing<[u8; 32]>,
    tokens: Zeroizing<[u8; 32]>,
}

impl Keys {
    fn derive(key: &SessionKey, site: &str) -> Option<Self> {
        let root = Zeroizing::new(HKDF::extract(b"bitgate", key.bytes.as_slice()));
        let derived = |purpose: &str| {
            let mut out = Zeroizing::new([0_u8; 32]);
            HKDF::expand(
                out.as_mut_slice(),
                root.as_slice(),
                format!("v1\n{purpose}\n{site}"),
            );
            out
        };
        let cipher = |purpose: Purpose| {
            XChaCha20Poly1305::new_from_slice(derived(purpose.as_str()).as_slice()).ok()
        };
        Some(Self {
            kid: key.kid.clone(),
            not_before: key.not_before.unwrap_or(UnixTime(0)),
            signing: SigningKey::new(derived("identity-token")),
            bot: cipher(Purpose::Bot)?,
            grant: cipher(Purpose::Grant)?,
            login: cipher(Purpose::Login)?,
            returns: cipher(Purpose::Returns)?,
            session: cipher(Purpose::Session)?,
            names: derived("names"),
            tokens: derived("tokens"),
        })
    }

    pub(super) fn cipher(&self, purpose: Purpose) -> &XChaCha20Poly1305 {
        match purpose {
            Purpose::Bot => &self.bot,
            Purpose::Grant => &self.grant,
            Purpose::Login => &self.login,
            Purpose::Returns => &self.returns,
            Purpose::Session => &self.session,
        }
    }
}

/// All keys of one site: every one opens, and the first in the list whose time has come seals.
pub struct KeyRing {
    site: String,
    first: Keys,
    others: Vec<Keys>,
}

impl KeyRing {
    /// Derives the keys for `site`, the public origin. `None` if there is no key.
    #[must_use]
    pub fn new(site: &str, keys: &[SessionKey]) -> Option<Self> {
        let mut derived = keys.iter().map(|key| Keys::derive(key, site));
        let first = derived.next()??;
        let others = derived.collect::<Option<_>>()?;
        Some(Self {
            site: site.to_owned(),
            first,
            others,
        })
    }

    /// The public origin that the keys belong to.
    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// A secret to name tokens with in the memory of one worker.
    #[must_use]
    pub fn token_secret(&self) -> Zeroizing<[u8; 32]> {
        self.first.tokens.clone()
    }

    /// A name for a secret that somebody brought, which does not tell it: 22 characters of base64url.
    #[must_use]
    pub fn name_of(&self, owner: &str, secret: &str) -> String {
        // No owner has a line end.
        let text = Zeroizing::new(format!("{owner}\n{secret}"));
        let mac = HMAC::mac(text.as_bytes(), self.first.names.as_slice());
        URL_SAFE_NO_PAD.encode(mac.get(..16).unwrap_or_default())
    }

    /// The first key whose time has come; before all of their times, the one that comes first.
    pub(super) fn sealing(&self, now: UnixTime) -> &Keys {
        let active = self.all().find(|keys| keys.not_before <= now);
        let earliest = || self.all().min_by_key(|keys| keys.not_before);
        active.or_else(earliest).unwrap_or(&self.first)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The newest time that a key began to seal, and its kid, as of `now`.
    #[must_use]
    pub fn newest(&self, now: UnixTime) -> (UnixTime, &str) {
        let keys = self.sealing(now);
        (keys.not_before, &keys.kid)
    }

    /// Whether there is a key called `kid`.
    #[must_use]
    pub fn has(&self, kid: &str) -> bool {
        self.named(kid).is_some()
    }

    pub(super) fn named(&self, kid: &str) -> Option<&Keys> {
        self.all().find(|keys| keys.kid == kid)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids = std::iter::once(&self.first)
            .chain(&self.others)
            .map(|keys| &keys.kid);
        f.debug_list().entries(kids).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_is_a_short_word() {
        let key = |kid: &str| SessionKey::new(kid, Zeroizing::new([7; 32]));
        assert!(key("2026-11").is_some());
        let long = "a".repeat(33);
        for kid in ["", "a.b", "a b", "a\nb", "\u{e9}", long.as_str()] {
            assert!(key(kid).is_none(), "{kid:?}");
        }
    }

    #[test]
    fn the_first_key_whose_time_has_come_seals() {
        let key = |kid: &str, byte| SessionKey::new(kid, Zeroizing::new([byte; 32])).unwrap();
        let keys = [
            key("next", 3).not_before(UnixTime(200)),
            key("new", 2).not_before(UnixTime(100)),
            key("old", 1),
        ];
        let ring = KeyRing::new("https://a.test", &keys).unwrap();
        for (now, kid) in [
            (0, "old"),
            (99, "old"),
            (100, "new"),
            (199, "new"),
            (200, "next"),
        ] {
            assert_eq!(ring.sealing(UnixTime(now)).kid, kid, "{now}");
        }
        // Without an old one the earliest seals, rather than none.
        let ring = KeyRing::new("https://a.test", &keys[..2]).unwrap();
        assert_eq!(ring.sealing(UnixTime(0)).kid, "new");
    }

    #[test]
    fn no_key_shows_in_debug_output() {
        let key = SessionKey::new("k", Zeroizing::new([7; 32])).unwrap();
        let ring = KeyRing::new("https://a.test", std::slice::from_ref(&key)).unwrap();
        assert_eq!(format!("{key:?} {ring:?}"), r#"SessionKey(k) ["k"]"#);
    }
}
