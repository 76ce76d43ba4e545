//! The section `session`.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::config::reader::{Node, Reader, quoted};
use crate::session::{Lifetimes, SessionKey};
use crate::time::Seconds;

const MAX_AGE: Seconds = Seconds::from_hours(12);
const IDLE_TIMEOUT: Seconds = Seconds::from_hours(1);

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
            Some(node) => self.duration(&node, Seconds(1), LONGEST),
            None => Some(default),
        };
        let max_age = lifetime("max_age", MAX_AGE);
        let idle_timeout = lifetime("idle_timeout", IDLE_TIMEOUT);
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
        for item in self.list(node)? {
            let Some(key) = self.key(&item, inline_allowed) else {
                complete = false;
                continue;
            };
            if keys.iter().any(|other| other.kid() == key.kid()) {
                let path = item.path_of("kid");
                self.wrong(&path, "expected each kid once", &quoted(key.kid()));
            }
            keys.push(key);
        }
        complete.then_some(keys)
    }

    fn key(&self, node: &Node<'_>, inline_allowed: bool) -> Option<SessionKey> {
        let section = self.object(node, &["kid", "key"])?;
        let kid = self.required(&section, "kid");
        let key = self.required(&section, "key").and_then(|node| {
            let text = self.secret(&node, inline_allowed)?;
            let bytes = decode(&text);
            if bytes.is_none() {
                self.wrong(&node.path, "expected base64 of 32 bytes", "something else");
            }
            bytes
        });
        let kid = kid.and_then(|node| {
            let text = self.string(&node)?;
            // The key's bytes do not matter for the name's form.
            let valid = SessionKey::new(text, Zeroizing::new([0; 32])).is_some();
            if !valid {
                let expected = "expected 1 to 32 letters, digits, \"-\" or \"_\"";
                self.wrong(&node.path, expected, &quoted(text));
            }
            valid.then_some(text)
        });
        SessionKey::new(kid?, key?)
    }
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
