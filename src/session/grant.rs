//! The grant: the pair of provider tokens, as it is sealed.

use std::mem;

use zeroize::Zeroize;

use crate::host::{NoRandomness, Random};
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::key_ring::KeyRing;
use crate::session::message::{read, some, write};
use crate::session::sealed_box::Place;
use crate::time::{Seconds, UnixTime};

/// What the provider granted to one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The credential for the provider's API.
    pub access_token: AccessToken,
    /// Buys the next pair, if one was issued.
    pub refresh_token: Option<RefreshToken>,
    /// When the access token ends.
    pub expires_at: UnixTime,
    /// How long it lives from its issue.
    pub lifetime: Seconds,
    /// What the access token may, as the provider said it; `None` if it did not say.
    pub scopes: Option<String>,
}

/// The life of an access token at Bitbucket. A grant that lives so long does not say so.
pub(crate) const USUAL_LIFETIME: Seconds = Seconds(7_200);

/// The sealed form.
#[derive(prost::Message)]
#[prost(skip_debug)]
struct Document {
    #[prost(string, tag = "1")]
    access_token: String,
    #[prost(string, optional, tag = "2")]
    refresh_token: Option<String>,
    #[prost(uint64, tag = "3")]
    expires_at: u64,
    /// Not said if it is the usual one.
    #[prost(uint64, optional, tag = "4")]
    lifetime: Option<u64>,
    #[prost(string, optional, tag = "5")]
    scopes: Option<String>,
}

impl Drop for Document {
    fn drop(&mut self) {
        self.access_token.zeroize();
        self.refresh_token.zeroize();
    }
}

impl Grant {
    /// Opens the box of a grant that was sealed for `place`.
    pub(super) fn open(ring: &KeyRing, place: Place<'_>, text: &str) -> Option<Self> {
        let plain = ring.open_box(place, text)?;
        let mut document: Document = read(&plain)?;
        Some(Self {
            access_token: AccessToken::new(some(mem::take(&mut document.access_token))?),
            refresh_token: document.refresh_token.take().map(RefreshToken::new),
            expires_at: UnixTime(document.expires_at),
            lifetime: document.lifetime.map_or(USUAL_LIFETIME, Seconds),
            scopes: document.scopes.take(),
        })
    }

    /// When it is time to renew: after 75 to 80% of the access token's life. Where in between
    /// depends on the token, so that many of them spread and every instance says the same.
    #[must_use]
    pub fn renew_at(&self) -> UnixTime {
        let sum = self
            .access_token
            .expose()
            .bytes()
            .fold(0_u64, |sum, byte| sum.wrapping_add(byte.into()));
        let percent = sum.checked_rem(6).unwrap_or(0).saturating_add(20);
        let left = self.lifetime.0.saturating_mul(percent).checked_div(100);
        self.expires_at.minus(Seconds(left.unwrap_or(0)))
    }

    /// Seals the grant into one text.
    pub(super) fn seal(
        &self,
        ring: &KeyRing,
        place: Place<'_>,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NoRandomness> {
        let refresh_token = self.refresh_token.as_ref().map(RefreshToken::expose);
        let document = Document {
            access_token: self.access_token.expose().to_owned(),
            refresh_token: refresh_token.map(str::to_owned),
            expires_at: self.expires_at.0,
            lifetime: Some(self.lifetime.0).filter(|lifetime| *lifetime != USUAL_LIFETIME.0),
            scopes: self.scopes.clone(),
        };
        ring.seal_box(place, &write(&document), now, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Cookies, Headers, SetCookie};
    use crate::session::carried::Carried;
    use crate::session::{GrantCookies, Sealed, SessionKey};
    use crate::slots::Memory;

    #[derive(Debug)]
    struct Ones;

    impl Random for Ones {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
            bytes.fill(1);
            Ok(())
        }
    }

    /// RFC 6749 appendix A.12 lets a token hold quotes and backslashes, and no form of writing it may lose one.
    #[test]
    fn every_visible_character_of_a_token_survives() {
        let key = SessionKey::new("k", [7; 32].into()).unwrap();
        let ring = KeyRing::new("https://a.test", &[key]).unwrap();
        let all: String = ('!'..='~').collect();
        let grant = Grant {
            access_token: AccessToken::new(all.as_str()),
            refresh_token: Some(RefreshToken::new(all.as_str())),
            expires_at: UnixTime(9),
            lifetime: Seconds(60),
            scopes: Some(all.clone()),
        };
        let names = GrantCookies::of("a", "ci", "id");
        let text = grant
            .seal(&ring, names.place("s"), UnixTime(0), &mut Ones)
            .unwrap();
        let none = names.present(&Cookies::read(&Headers::default()));
        let sealed = Sealed {
            session_id: "s",
            session_ends_at: UnixTime(60),
            ends_at: UnixTime(9),
            text: &text,
        };
        let cookies = names.set(sealed, none, UnixTime(0), &Memory::default());
        let lines = cookies.iter().filter_map(SetCookie::header_value);
        let pairs: Vec<String> = lines
            .map(|line| line.as_str().split("; ").next().unwrap().to_owned())
            .collect();
        let headers = Headers::new(vec![("cookie".to_owned(), pairs.join("; ").into_bytes())]);
        let Some(Carried::Whole(parts)) = names.read(&Cookies::read(&headers)) else {
            panic!("expected the grant itself");
        };
        let text = parts.join();
        assert_eq!(Grant::open(&ring, names.place("s"), &text), Some(grant));
        // Nowhere else: not as the main grant, not as another consumer's, nor of another session.
        for (names, session_id) in [
            (GrantCookies::main("a"), "s"),
            (GrantCookies::of("a", "cd", "id"), "s"),
            (GrantCookies::of("a", "ci", "other"), "s"),
            (names, "t"),
        ] {
            assert_eq!(Grant::open(&ring, names.place(session_id), &text), None);
        }
    }

    #[test]
    fn a_grant_is_renewed_in_the_last_quarter_of_its_life() {
        let mut seen = std::collections::BTreeSet::new();
        for byte in b'a'..=b'z' {
            let grant = Grant {
                access_token: AccessToken::new(char::from(byte).to_string()),
                refresh_token: None,
                expires_at: UnixTime(10_000),
                lifetime: Seconds(1_000),
                scopes: None,
            };
            seen.insert(grant.renew_at().0);
        }
        assert_eq!(seen.first(), Some(&9_750));
        assert_eq!(seen.last(), Some(&9_800));
        assert_eq!(seen.len(), 6, "they spread");
    }
}
