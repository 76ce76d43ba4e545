//! The grant: the pair of provider tokens, in up to five cookies that only belong together.
//!
//! ```text
//! __Host-bitgate-grant    = count "." first part of the box
//! __Host-bitgate-grant.1  = second part …
//! ```
//! One box is sealed and then cut, so parts of two grants never open.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::host::{NoRandomness, Random};
use crate::http::{Cookies, SetCookie};
use crate::oauth::{AccessToken, RefreshToken};
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::sealed_box::Place;
use crate::time::{Seconds, UnixTime};

/// The cookies of a grant, in order.
pub(super) const NAMES: [&str; 5] = [
    "__Host-bitgate-grant",
    "__Host-bitgate-grant.1",
    "__Host-bitgate-grant.2",
    "__Host-bitgate-grant.3",
    "__Host-bitgate-grant.4",
];

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
}

/// The life of an access token at Bitbucket. A grant that lives so long does not say so.
pub(crate) const USUAL_LIFETIME: Seconds = Seconds(7_200);

/// The sealed form. Short names: it travels with every request.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    #[serde(rename = "a", borrow)]
    access_token: Cow<'a, str>,
    #[serde(rename = "r", borrow, default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Cow<'a, str>>,
    #[serde(rename = "e")]
    expires_at: u64,
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    lifetime: Option<u64>,
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

/// The parts of a grant as a request brought them. Nothing is copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    parts: [&'a str; NAMES.len()],
}

impl<'a> Parts<'a> {
    /// `None` if the first cookie is missing, has no count, or another part is missing.
    pub(super) fn read(cookies: &Cookies<'a>) -> Option<Self> {
        let mut names = NAMES.into_iter();
        let (count, first) = cookies.single(names.next()?)?.split_once('.')?;
        let count = (1..=NAMES.len()).find(|n| count == digit(*n))?;
        let mut parts = [""; NAMES.len()];
        let mut slots = parts.iter_mut();
        *slots.next()? = first;
        for (name, slot) in names.zip(slots).take(count.saturating_sub(1)) {
            *slot = cookies.single(name)?;
        }
        Some(Self { parts })
    }

    /// Whether the parts make up `text`.
    pub(super) fn are(&self, text: &str) -> bool {
        let rest = self
            .parts
            .iter()
            .try_fold(text, |rest, part| rest.strip_prefix(part));
        rest == Some("")
    }

    pub(super) fn join(&self) -> String {
        self.parts.concat()
    }
}

fn digit(count: usize) -> &'static str {
    ["0", "1", "2", "3", "4", "5"]
        .get(count)
        .copied()
        .unwrap_or("")
}

impl Grant {
    /// Opens the box of the grant of `session_id`.
    pub(super) fn open(ring: &KeyRing, session_id: &str, text: &str) -> Option<Self> {
        let plain = ring.open_box(place(session_id), text)?;
        let sealed: Sealed<'_> = serde_json::from_slice(&plain).ok()?;
        Some(Self {
            access_token: AccessToken::new(sealed.access_token),
            refresh_token: sealed.refresh_token.map(RefreshToken::new),
            expires_at: UnixTime(sealed.expires_at),
            lifetime: sealed.lifetime.map_or(USUAL_LIFETIME, Seconds),
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
        session_id: &str,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NotWritten> {
        let sealed = Sealed {
            access_token: self.access_token.expose().into(),
            refresh_token: self
                .refresh_token
                .as_ref()
                .map(|token| token.expose().into()),
            expires_at: self.expires_at.0,
            lifetime: Some(self.lifetime.0).filter(|lifetime| *lifetime != USUAL_LIFETIME.0),
        };
        // A structure of strings and numbers always serializes.
        let plain = Zeroizing::new(serde_json::to_vec(&sealed).map_err(|_| NotWritten::TooLarge)?);
        Ok(ring.seal_box(place(session_id), &plain, now, random)?)
    }
}

/// Cuts a sealed grant into cookies that live for `max_age`. Cookies of an earlier grant that the
/// request brought, by name, and this one does not need are taken away.
pub(super) fn cookies_of(
    text: &str,
    max_age: Seconds,
    present: &[&'static str],
) -> Result<Vec<SetCookie>, NotWritten> {
    let parts = split(text).ok_or(NotWritten::TooLarge)?;
    let count = digit(parts.len());
    let mut cookies = Vec::with_capacity(NAMES.len());
    for (index, name) in NAMES.into_iter().enumerate() {
        match parts.get(index) {
            Some(part) if index == 0 => {
                cookies.push(SetCookie::new(name, format!("{count}.{part}"), max_age));
            }
            Some(part) => cookies.push(SetCookie::new(name, (*part).to_owned(), max_age)),
            None if present.contains(&name) => cookies.push(SetCookie::removal(name)),
            None => {}
        }
    }
    Ok(cookies)
}

/// The names of a grant's cookies that are there.
pub(super) fn present_names(cookies: &Cookies<'_>) -> Vec<&'static str> {
    let names = NAMES.into_iter();
    names.filter(|name| cookies.contains(name)).collect()
}

fn place(session_id: &str) -> Place<'_> {
    let [cookie, ..] = NAMES;
    Place {
        purpose: Purpose::Grant,
        cookie,
        session_id,
    }
}

/// Cuts the text into parts that fit their cookies; `None` if it needs more than there are.
fn split(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::with_capacity(NAMES.len());
    let mut rest = text;
    for (index, name) in NAMES.into_iter().enumerate() {
        // The count and its dot.
        let prefix = if index == 0 { 2 } else { 0 };
        let room = SetCookie::room(name.len()).saturating_sub(prefix);
        let (part, after) = rest.split_at_checked(room.min(rest.len()))?;
        parts.push(part);
        rest = after;
        if rest.is_empty() {
            return Some(parts);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;
    use crate::session::SessionKey;

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
        };
        let text = grant.seal(&ring, "s", UnixTime(0), &mut Ones).unwrap();
        let cookies = cookies_of(&text, Seconds(60), &[]).unwrap();
        let lines = cookies.iter().filter_map(SetCookie::header_value);
        let pairs: Vec<String> = lines
            .map(|line| line.as_str().split("; ").next().unwrap().to_owned())
            .collect();
        let headers = Headers::new(vec![("cookie".to_owned(), pairs.join("; ").into_bytes())]);
        let text = Parts::read(&Cookies::read(&headers)).unwrap().join();
        assert_eq!(Grant::open(&ring, "s", &text), Some(grant));
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
            };
            seen.insert(grant.renew_at().0);
        }
        assert_eq!(seen.first(), Some(&9_750));
        assert_eq!(seen.last(), Some(&9_800));
        assert_eq!(seen.len(), 6, "they spread");
    }

    #[test]
    fn a_text_is_cut_into_no_more_parts_than_there_are_names() {
        let most: usize = NAMES
            .into_iter()
            .map(|name| SetCookie::room(name.len()))
            .sum::<usize>()
            - 2;
        for (length, parts) in [
            (1, Some(1)),
            (4_005, Some(1)),
            (4_100, Some(2)),
            (most, Some(5)),
            (most + 1, None),
        ] {
            let text = "x".repeat(length);
            let cut = split(&text);
            assert_eq!(cut.as_ref().map(Vec::len), parts, "{length}");
            if let Some(cut) = cut {
                assert_eq!(cut.concat(), text);
            }
        }
    }
}
