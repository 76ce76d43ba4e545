//! The section `session`.

use std::collections::HashMap;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::config::reader::{Node, Reader, quoted};
use crate::oauth::ClientCredentials;
use crate::session::{Lifetimes, Revocations, SessionKey};
use crate::time::{Seconds, UnixTime};

const MAX_AGE: Seconds = Seconds::from_hours(12);
const IDLE_TIMEOUT: Seconds = Seconds::from_hours(1);

/// Each is tried by its name, so this is no matter of speed but of order.
const MAX_KEYS: usize = 8;

/// Less is no session: it would end while its page loads.
const SHORTEST: Seconds = Seconds(60);

/// A month: longer sessions are stored credentials by another name.
const LONGEST: Seconds = Seconds::from_hours(30 * 24);

impl Reader<'_> {
    pub(super) fn session(
        &self,
        node: &Node<'_>,
        inline_allowed: bool,
    ) -> Option<(Vec<SessionKey>, Lifetimes)> {
        let section = self.object(node, &["keys", "max_age", "idle_timeout"])?;
        let keys = self
            .required(&section, "keys")
            .and_then(|node| self.keys(&node, inline_allowed));
        let lifetime = |name, default| match section.member(name) {
            Some(node) => self.duration(&node, SHORTEST, LONGEST),
            None => Some(default),
        };
        let max_age = lifetime("max_age", MAX_AGE);
        let idle_timeout = lifetime("idle_timeout", IDLE_TIMEOUT.min(max_age.unwrap_or(MAX_AGE)));
        if let (Some(max_age), Some(idle_timeout)) = (max_age, idle_timeout)
            && idle_timeout > max_age
        {
            let expected = format!("expected no more than max_age ({max_age})");
            let path = section.path_of("idle_timeout");
            self.wrong(&path, &expected, &idle_timeout.to_string());
        }
        Some((
            keys?,
            Lifetimes {
                max_age: max_age?,
                idle_timeout: idle_timeout?,
            },
        ))
    }

    fn keys(&self, node: &Node<'_>, inline_allowed: bool) -> Option<Vec<SessionKey>> {
        let mut keys: Vec<SessionKey> = Vec::new();
        let mut complete = true;
        let items = self.list(node)?;
        if items.len() > MAX_KEYS {
            let expected = format!("expected at most {MAX_KEYS} keys");
            self.wrong_at(node, &expected, &items.len().to_string());
        }
        for item in items {
            let Some(key) = self.key(&item, inline_allowed) else {
                complete = false;
                continue;
            };
            if keys.iter().any(|other| other.kid() == key.kid()) {
                let path = item.path_of("kid");
                self.wrong(&path, "expected each kid once", &quoted(key.kid()));
            }
            if keys.iter().any(|other| other.has_bytes_of(&key)) {
                let path = item.path_of("key");
                self.wrong(&path, "expected each key once", "the bytes of another");
            }
            keys.push(key);
        }
        complete.then_some(keys)
    }

    /// One secret, one purpose: who learns the consumer's secret must not be able to make sessions.
    pub(super) fn distinct_secrets(
        &self,
        path: &str,
        keys: &[SessionKey],
        client: &ClientCredentials,
    ) {
        let secret = client.secret.expose();
        let bytes = decode(secret);
        let is_secret = |key: &SessionKey| {
            bytes.as_ref().is_some_and(|bytes| key.is(bytes.as_slice()))
                || key.is(secret.as_bytes())
        };
        for (index, key) in keys.iter().enumerate() {
            if is_secret(key) {
                let path = format!("{path}[{index}].key");
                self.wrong(&path, "expected a key of its own", "the client secret");
            }
        }
    }

    fn key(&self, node: &Node<'_>, inline_allowed: bool) -> Option<SessionKey> {
        let section = self.object(node, &["kid", "key", "not_before"])?;
        let kid = self.required(&section, "kid");
        let key = self.required(&section, "key").and_then(|node| {
            let text = self.secret(&node, inline_allowed)?;
            let bytes = decode(&text);
            match &bytes {
                None => self.wrong_at(&node, "expected base64 of 32 bytes", "something else"),
                Some(bytes) if repeats_itself(bytes.as_slice()) => {
                    self.wrong_at(
                        &node,
                        "expected random bytes",
                        "ones that repeat themselves",
                    );
                }
                Some(_) => {}
            }
            bytes
        });
        let kid = kid.and_then(|node| {
            let text = self.string(&node)?;
            // The key's bytes do not matter for the name's form.
            let valid = SessionKey::new(text, Zeroizing::new([0; 32])).is_some();
            if !valid {
                let expected = "expected 1 to 32 letters, digits, \"-\" or \"_\"";
                self.wrong_at(&node, expected, &quoted(text));
            }
            valid.then_some(text)
        });
        let not_before = match section.member("not_before") {
            Some(node) => self.moment(&node).map(Some),
            None => Some(None),
        };
        let key = SessionKey::new(kid?, key?)?;
        Some(match not_before? {
            Some(moment) => key.not_before(moment),
            None => key,
        })
    }

    /// The section `revocations`.
    pub(super) fn revocations(&self, node: &Node<'_>) -> Option<Revocations> {
        let section = self.object(node, &["everybody", "accounts", "sessions", "workspaces"])?;
        let everybody = match section.member("everybody") {
            Some(node) => self.moment(&node).map(Some),
            None => Some(None),
        };
        let moments = |name| match section.member(name) {
            Some(node) => self.moments(&node),
            None => Some(HashMap::new()),
        };
        let (accounts, sessions) = (moments("accounts"), moments("sessions"));
        let workspaces = moments("workspaces");
        if section.member("workspaces").is_some() {
            self.warn(
                &section.path_of("workspaces"),
                "who is a member is not known yet, so this ends everybody's sessions from before",
            );
        }
        Some(Revocations {
            everybody: everybody?,
            accounts: accounts?,
            sessions: sessions?,
            workspaces: workspaces?,
        })
    }

    fn moments(&self, node: &Node<'_>) -> Option<HashMap<String, UnixTime>> {
        let mut moments = HashMap::new();
        for name in self.distinct_names(node)? {
            let moment = self.moment(&node.member(name)?)?;
            moments.insert(name.to_owned(), moment);
        }
        Some(moments)
    }
}

/// Whether a pattern of at most half the bytes makes up all of them: a key that nobody drew.
fn repeats_itself(bytes: &[u8]) -> bool {
    let longest = bytes.len().checked_div(2).unwrap_or(0);
    (1..=longest).any(|period| {
        bytes
            .iter()
            .zip(bytes.iter().skip(period))
            .all(|(a, b)| a == b)
    })
}

/// Base64 of either alphabet, with or without padding: tools differ.
fn decode(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = [STANDARD, URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok())
        .map(Zeroizing::new)?;
    <[u8; 32]>::try_from(bytes.as_slice())
        .ok()
        .map(Zeroizing::new)
}
