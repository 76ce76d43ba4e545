//! Slots in shared data: there is no delete, no list and no atomic create, so a fixed number of keys
//! is written again and again, and a session finds its own among a few of them.

use std::borrow::Cow;
use std::fmt;
use std::iter::once;
use std::ops::Range;
use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac_sha256::HMAC;

use crate::host::Version;

/// A version that no key has: the host counts up from 1. On a key that is absent the host does not
/// compare versions, so this one creates it, and fails if somebody else has just done so.
pub(crate) const NO_VERSION: Version = Version::MAX;

/// The slots for one use.
pub(crate) struct Slots {
    /// With the secret in it: to begin anew with that would hash it each time.
    mac: HMAC,
    prefix: Rc<str>,
    count: u32,
    probes: u32,
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slots({})", self.prefix)
    }
}

/// Where something about a session may lie.
#[derive(Debug)]
pub struct SlotKeys {
    /// What its record is called.
    pub(crate) name: String,
    /// The keys to look at, in this order.
    pub(crate) keys: Keys,
}

/// Keys of slots. The first one is there; most often nothing was ever written to it, and then nobody asks
/// for the others, which are made when they are wanted.
#[derive(Debug)]
pub(crate) struct Keys {
    first: String,
    others: Others,
}

/// Those behind the first.
#[derive(Clone, Debug)]
pub(crate) struct Others {
    prefix: Rc<str>,
    start: u32,
    count: u32,
    probes: Range<u32>,
}

impl Keys {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Cow<'_, str>> {
        let others = self.others.clone().map(Cow::Owned);
        once(Cow::Borrowed(self.first.as_str())).chain(others)
    }
}

impl IntoIterator for Keys {
    type Item = String;
    type IntoIter = std::iter::Chain<std::iter::Once<String>, Others>;

    fn into_iter(self) -> Self::IntoIter {
        once(self.first).chain(self.others)
    }
}

impl Others {
    fn key(&self, probe: u32) -> String {
        let index = self.start.wrapping_add(probe).checked_rem(self.count);
        format!("{}.{}", self.prefix, index.unwrap_or(0))
    }
}

impl Iterator for Others {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let probe = self.probes.next()?;
        Some(self.key(probe))
    }
}

impl SlotKeys {
    /// What its record is called: the id of a session, or a name that does not tell what it stands for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Slots {
    /// `count` slots for `using`, apart from those of other `owner`s: a session has `probes` of them.
    /// What is derived does not depend on the session keys, which change.
    pub(crate) fn new(using: &str, owner: &str, count: u32, probes: u32) -> Self {
        let secret = HMAC::mac(owner, format!("bitgate {using} v1"));
        let label = HMAC::mac("label", secret);
        let label = URL_SAFE_NO_PAD.encode(label.get(..6).unwrap_or_default());
        Self {
            mac: HMAC::new(secret),
            prefix: format!("bitgate.{using}.{label}").into(),
            count,
            probes,
        }
    }

    /// The place of a session. Its id is random and nobody else can choose it, so it is a name as it is,
    /// and ids are spread without a hash. It is no secret: log lines have it.
    pub(crate) fn place_of_session(&self, id: &str) -> SlotKeys {
        let start = id.bytes().fold(0_u32, |number, byte| {
            number.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        self.keys(id.to_owned(), start)
    }

    /// The place of what others may choose the name of. It takes a MAC.
    pub(crate) fn place(&self, what: &str) -> SlotKeys {
        let mut mac = self.mac.clone();
        mac.update(what);
        let mac = mac.finalize();
        let (head, rest) = mac.split_at_checked(4).unwrap_or_default();
        let start = head.iter().fold(0_u32, |number, byte| {
            number.wrapping_shl(8) | u32::from(*byte)
        });
        let name = URL_SAFE_NO_PAD.encode(rest.get(..16).unwrap_or_default());
        self.keys(name, start)
    }

    fn keys(&self, name: String, start: u32) -> SlotKeys {
        let others = Others {
            prefix: Rc::clone(&self.prefix),
            start,
            count: self.count,
            probes: 1..self.probes,
        };
        SlotKeys {
            name,
            keys: Keys {
                first: others.key(0),
                others,
            },
        }
    }
}

/// Shared data of one worker, for tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Memory(pub(crate) std::collections::HashMap<String, (Vec<u8>, Version)>);

#[cfg(test)]
impl crate::host::SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0.get(key).cloned()
    }

    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool {
        let version = self.0.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && expected.is_some_and(|expected| expected != version) {
            return false;
        }
        let next = version.checked_add(1).unwrap();
        self.0.insert(key.to_owned(), (value.to_vec(), next));
        true
    }
}
