//! What several targets need: a site, a key, a clock that stands still, and bytes as fields.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use bitgate::host::{NoRandomness, Random, SharedData, Version};
use bitgate::http::{MAX_COOKIE_BYTES, Reply, SetCookie};
use bitgate::identity::Identity;
use bitgate::oauth::{AccessToken, RefreshToken};
use bitgate::session::{Grant, KeyRing, Lifetimes, SessionKey, SessionStore};
use bitgate::time::{Seconds, UnixTime};

pub(crate) const SITE: &str = "https://tools.example.com";
pub(crate) const CLIENT_ID: &str = "fuzz-consumer";
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);
pub(crate) const LIFETIMES: Lifetimes = Lifetimes {
    max_age: Seconds(43_200),
    idle_timeout: Seconds(3_600),
};

/// The bytes of [`KEY_TEXT`].
const KEY: [u8; 32] = {
    let mut key = [7; 32];
    key[31] = 8;
    key
};
pub(crate) const KEY_TEXT: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwg=";
pub(crate) const KID: &str = "fuzz";

/// Not random at all: the same input does the same every time.
#[derive(Debug)]
pub(crate) struct Seeded {
    state: u64,
    pub(crate) is_empty: bool,
}

impl Default for Seeded {
    fn default() -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            is_empty: false,
        }
    }
}

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        if self.is_empty {
            return Err(NoRandomness);
        }
        for byte in bytes {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            *byte = self.state.to_le_bytes()[0];
        }
        Ok(())
    }
}

/// Data that workers share, with nobody to share it with.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, (Vec<u8>, Version)>);

impl SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0.get(key).cloned()
    }

    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool {
        let version = self.0.get(key).map_or(0, |(_, version)| *version);
        let fits = version == 0 || expected.is_none_or(|expected| expected == version);
        if fits {
            self.0.insert(key.to_owned(), (value.to_vec(), version + 1));
        }
        fits
    }
}

pub(crate) fn ring() -> KeyRing {
    let key = SessionKey::new(KID, KEY.into()).expect("a good kid");
    KeyRing::new(SITE, &[key]).expect("a ring of one key")
}

pub(crate) fn store() -> SessionStore {
    SessionStore::new(ring(), CLIENT_ID, LIFETIMES)
}

pub(crate) fn identity() -> Identity {
    Identity {
        account_id: "557058:fuzz".to_owned(),
        email: Some("fuzz@example.com".to_owned()),
        nickname: Some("Füzz".to_owned()),
    }
}

/// Long enough for two cookies.
pub(crate) fn grant(now: UnixTime) -> Grant {
    Grant {
        access_token: AccessToken::new("a".repeat(2_000)),
        refresh_token: Some(RefreshToken::new("r".repeat(2_000))),
        expires_at: now.plus(Seconds(7_200)),
        lifetime: Seconds(7_200),
        scopes: None,
    }
}

/// `name=value` of a cookie, and how long it lives.
pub(crate) fn pair_of(cookie: &SetCookie) -> (String, String, u64) {
    let line = cookie.header_value().expect("a cookie of ours has a form");
    parse_set_cookie(line.as_str())
}

/// Reads a `Set-Cookie` of ours, and holds that it has all its attributes.
pub(crate) fn parse_set_cookie(line: &str) -> (String, String, u64) {
    let (pair, attributes) = line.split_once("; ").expect("attributes");
    let (name, value) = pair.split_once('=').expect("a pair");
    let (max_age, rest) = attributes.split_once("; ").expect("more attributes");
    assert!(line.len() <= MAX_COOKIE_BYTES, "browsers drop it: {line}");
    let path = match name.starts_with("__Secure-bitgate-grant") {
        true => "/_bitgate/",
        false => "/",
    };
    assert_eq!(
        rest,
        format!("Path={path}; Secure; HttpOnly; SameSite=Lax"),
        "{line}"
    );
    assert!(path != "/" || name.starts_with("__Host-bitgate"), "{line}");
    let max_age = max_age
        .strip_prefix("Max-Age=")
        .and_then(|age| age.parse().ok());
    (
        name.to_owned(),
        value.to_owned(),
        max_age.expect("a number of seconds"),
    )
}

/// A good answer with this body.
pub(crate) fn answer(status: u16, body: &[u8]) -> Reply {
    Reply::Answer {
        status,
        media_type: "application/json".to_owned(),
        body: body.to_vec(),
        retry_after: None,
    }
}

/// `\n`, `\r` and `\0` as the bytes that they mean: the inputs are lines, their values may be more.
pub(crate) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match (first, after.first()) {
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(b'r')) => Some(b'\r'),
            (b'\\', Some(b'0')) => Some(0),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() {
            &after[1..]
        } else {
            after
        };
    }
    bytes
}

/// `name: value` as a field, the name in lower case as Envoy hands it over. A pseudo-header's name
/// begins with its own colon.
pub(crate) fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let skip = usize::from(line.first() == Some(&b':'));
    let colon = line.iter().skip(skip).position(|byte| *byte == b':')? + skip;
    let (name, value) = line.split_at(colon);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Some((name, unescaped(value[1..].trim_ascii_start())))
}

/// A secret of the input, so that no input holds it: where it shows, it leaked.
pub(crate) fn secret_for(input: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    format!("canary-{:016x}", hasher.finish())
}

/// Whether a text is one line that a terminal shows as it is.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
