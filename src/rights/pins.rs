//! Whose slug is whose: a slug that is given up can be taken by somebody else, who must not inherit
//! what rules grant to it.
//!
//! The configuration says which UUID a slug has, or the first answer that names it is remembered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use lru::LruCache;

use crate::host::SharedData;
use crate::rights::Grant;
use crate::slots::{NO_VERSION, SlotKeys, Slots};

/// The number of slots; one has less than 70 bytes.
const SLOTS: u32 = 65_536;

/// Among how many slots a slug finds its own.
const PROBES: u32 = 8;

/// The most workspaces that a worker remembers.
const MAX_KNOWN: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// What is known about a slug and a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The slug belongs to another UUID.
    Other,
    /// It belongs to this one.
    Same,
    /// Nothing more can be remembered.
    Full,
}

/// Where a slug stands.
enum Found {
    /// All its slots have others.
    Full,
    /// Nowhere yet; key and name for it.
    Place(String, String),
    /// With this UUID.
    Uuid(String),
}

/// The pins of one site.
#[derive(Debug)]
pub struct Pins {
    workspaces: BTreeMap<String, String>,
    repositories: BTreeMap<String, String>,
    slots: Slots,
    known: RefCell<LruCache<Box<str>, Box<str>>>,
}

impl Pins {
    /// With what the configuration says: UUIDs by `workspace` and by `workspace/repository`.
    #[must_use]
    pub fn new(
        site: &str,
        workspaces: BTreeMap<String, String>,
        repositories: BTreeMap<String, String>,
    ) -> Self {
        Self::with_slots(site, workspaces, repositories, SLOTS)
    }

    fn with_slots(
        site: &str,
        workspaces: BTreeMap<String, String>,
        repositories: BTreeMap<String, String>,
        slots: u32,
    ) -> Self {
        Self {
            workspaces,
            repositories,
            slots: Slots::new("pin", site, slots, PROBES),
            known: RefCell::new(LruCache::new(MAX_KNOWN)),
        }
    }

    /// The UUID of a workspace's slug, if it is known.
    pub fn workspace(&self, slug: &str, shared: &dyn SharedData) -> Option<String> {
        if let Some(uuid) = self.workspaces.get(slug) {
            return Some(uuid.clone());
        }
        if let Some(uuid) = self.known.borrow_mut().get(slug) {
            return Some(uuid.to_string());
        }
        let Found::Uuid(uuid) = self.find(&format!("workspace\n{slug}"), shared) else {
            return None;
        };
        self.known
            .borrow_mut()
            .put(slug.into(), uuid.clone().into());
        Some(uuid)
    }

    /// Whether a workspace's slug belongs to `uuid`. The first UUID that is seen is remembered.
    pub fn pin_workspace(&self, slug: &str, uuid: &str, shared: &mut dyn SharedData) -> Pin {
        match self.workspace(slug, shared) {
            Some(known) if known == uuid => Pin::Same,
            Some(_) => Pin::Other,
            None => self.remember(&format!("workspace\n{slug}"), uuid, shared),
        }
    }

    /// Whether a repository's slug belongs to its UUID: looked up once for each answer. `owner` is the
    /// workspace's UUID, and its slug if the answer told it.
    pub fn check(
        &self,
        owner: (&str, Option<&str>),
        grant: &Grant,
        shared: &mut dyn SharedData,
    ) -> Pin {
        if grant.is_pinned.get() {
            return Pin::Same;
        }
        let pin = self.pin_repository(owner, &grant.slug, &grant.uuid, shared);
        grant.is_pinned.set(pin == Pin::Same);
        pin
    }

    fn pin_repository(
        &self,
        (owner, slug): (&str, Option<&str>),
        repository: &str,
        uuid: &str,
        shared: &mut dyn SharedData,
    ) -> Pin {
        let configured =
            slug.and_then(|slug| self.repositories.get(&format!("{slug}/{repository}")));
        match configured {
            Some(known) if known == uuid => Pin::Same,
            Some(_) => Pin::Other,
            None => self.remember(&format!("repository\n{owner}\n{repository}"), uuid, shared),
        }
    }

    fn find(&self, what: &str, shared: &dyn SharedData) -> Found {
        let SlotKeys { name, keys } = self.slots.place(what);
        for key in keys {
            let Some((bytes, _)) = shared.read(&key) else {
                return Found::Place(key, name);
            };
            let text = std::str::from_utf8(&bytes).ok();
            let pair = text.and_then(|text| text.split_once(' '));
            if let Some((_, uuid)) = pair.filter(|(found, _)| *found == name) {
                return Found::Uuid(uuid.to_owned());
            }
        }
        Found::Full
    }

    fn remember(&self, what: &str, uuid: &str, shared: &mut dyn SharedData) -> Pin {
        // Once more if somebody else takes the place.
        for _ in 0..PROBES {
            match self.find(what, shared) {
                Found::Uuid(known) if known == uuid => return Pin::Same,
                Found::Uuid(_) => return Pin::Other,
                Found::Full => return Pin::Full,
                Found::Place(key, name) => {
                    let record = format!("{name} {uuid}");
                    if shared.write(&key, record.as_bytes(), Some(NO_VERSION)) {
                        return Pin::Same;
                    }
                }
            }
        }
        Pin::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Memory;

    #[test]
    fn the_first_uuid_of_a_slug_stays() {
        let pinned = BTreeMap::from([("acme".to_owned(), "{a}".to_owned())]);
        let repositories = BTreeMap::from([("acme/widgets".to_owned(), "{w}".to_owned())]);
        let pins = Pins::new("https://a.test", pinned, repositories);
        let mut shared = Memory::default();
        let mut workspace = |slug, uuid| pins.pin_workspace(slug, uuid, &mut shared);
        assert_eq!(workspace("acme", "{a}"), Pin::Same);
        assert_eq!(workspace("acme", "{b}"), Pin::Other);
        assert_eq!(workspace("beta", "{b}"), Pin::Same);
        assert_eq!(workspace("beta", "{c}"), Pin::Other);
        assert_eq!(workspace("beta", "{b}"), Pin::Same);
        let mut repository =
            |slug, name, uuid| pins.pin_repository(("{a}", slug), name, uuid, &mut shared);
        assert_eq!(repository(Some("acme"), "widgets", "{w}"), Pin::Same);
        assert_eq!(repository(Some("acme"), "widgets", "{x}"), Pin::Other);
        assert_eq!(repository(Some("acme"), "tools", "{t}"), Pin::Same);
        assert_eq!(repository(None, "tools", "{u}"), Pin::Other);
        // Another site, and a worker without a memory of its own.
        let other = Pins::new("https://b.test", BTreeMap::new(), BTreeMap::new());
        assert_eq!(other.workspace("beta", &shared), None);
        let same = Pins::new("https://a.test", BTreeMap::new(), BTreeMap::new());
        assert_eq!(same.workspace("beta", &shared).as_deref(), Some("{b}"));
    }

    #[test]
    fn where_nothing_more_can_be_remembered_nothing_is_forgotten() {
        let pins = Pins::with_slots("s", BTreeMap::new(), BTreeMap::new(), 64);
        let mut shared = Memory::default();
        let mut kept = Vec::new();
        for index in 0..1_000 {
            let slug = format!("w{index}");
            if pins.pin_workspace(&slug, "{a}", &mut shared) == Pin::Same {
                kept.push(slug);
            }
        }
        assert!(kept.len() <= 64 && shared.0.len() <= 64);
        for slug in kept {
            assert_eq!(pins.pin_workspace(&slug, "{b}", &mut shared), Pin::Other);
        }
    }
}
