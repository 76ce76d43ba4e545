//! The grant: the pair of provider tokens, as it is sealed.

use std::borrow::Cow;

use serde::Serialize;
use zeroize::Zeroizing;

use crate::host::{NoRandomness, Random};
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::fields::Fields;
use crate::session::grant_cookies::TooLarge;
use crate::session::key_ring::KeyRing;
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

/// The sealed form. Short names: it travels with every request.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "a")]
    access_token: &'a str,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(rename = "e")]
    expires_at: u64,
    #[serde(rename = "l", skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none")]
    scopes: Option<&'a str>,
}

/// Why a grant cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotWritten {
    NoRandomness,
    TooLarge,
}

impl From<NoRandomness> for NotWritten {
    fn from(_: NoRandomness) -> Self {
        Self::NoRandomness
    }
}

impl From<TooLarge> for NotWritten {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl Grant {
    /// Opens the box of a grant that was sealed for `place`.
    pub(super) fn open(ring: &KeyRing, place: Place<'_>, text: &str) -> Option<Self> {
        let plain = ring.open_box(place, text)?;
        let mut fields = Fields::read(&plain)?;
        let grant = Self {
            access_token: AccessToken::new(fields.text("a")?),
            refresh_token: fields.text("r").map(RefreshToken::new),
            expires_at: UnixTime(fields.number("e")?),
            lifetime: fields.number("l").map_or(USUAL_LIFETIME, Seconds),
            scopes: fields.text("s").map(Cow::into_owned),
        };
        fields.end()?;
        Some(grant)
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
    ) -> Result<String, NotWritten> {
        let sealed = Document {
            access_token: self.access_token.expose(),
            refresh_token: self.refresh_token.as_ref().map(RefreshToken::expose),
            expires_at: self.expires_at.0,
            lifetime: Some(self.lifetime.0).filter(|lifetime| *lifetime != USUAL_LIFETIME.0),
            scopes: self.scopes.as_deref(),
        };
        // A structure of strings and numbers always serializes.
        let plain = Zeroizing::new(serde_json::to_vec(&sealed).map_err(|_| NotWritten::TooLarge)?);
        Ok(ring.seal_box(place, &plain, now, random)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Cookies, Headers, SetCookie};
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

    /// RFC 6749 appendix A.12 lets a token hold quotes and backslashes, which JSON escapes.
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
        let text = names.read(&Cookies::read(&headers)).unwrap().text();
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
