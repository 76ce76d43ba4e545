//! Whose slug is whose: a slug that is given up can be taken by somebody else, who must not inherit
//! what rules grant to it.
//!
//! The configuration says which UUID a slug has, or the first answer that names it is remembered.

use crate::host::SharedData;
use crate::rights::Row;
use crate::slots::{NO_VERSION, SlotKeys, Slots};

/// The number of slots; one has less than 70 bytes.
const SLOTS: u32 = 65_536;

/// Among how many slots a slug finds its own.
const PROBES: u32 = 8;

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
    workspaces: Vec<(String, String)>,
    repositories: Vec<(String, String)>,
    slots: Slots,
}

fn configured<'p>(pins: &'p [(String, String)], slug: &str) -> Option<&'p str> {
    let found = pins.iter().find(|(known, _)| known == slug);
    found.map(|(_, uuid)| uuid.as_str())
}

impl Pins {
    /// With what the configuration says: UUIDs by `workspace` and by `workspace/repository`.
    #[must_use]
    pub fn new(
        site: &str,
        workspaces: Vec<(String, String)>,
        repositories: Vec<(String, String)>,
    ) -> Self {
        Self {
            workspaces,
            repositories,
            slots: Slots::new("pin", site, SLOTS, PROBES),
        }
    }

    /// The UUID of a workspace's slug, if it is known.
    pub fn workspace(&self, slug: &str, shared: &dyn SharedData) -> Option<String> {
        if let Some(uuid) = configured(&self.workspaces, slug) {
            return Some(uuid.to_owned());
        }
        match self.find(&format!("workspace\n{slug}"), shared) {
            Found::Uuid(uuid) => Some(uuid),
            Found::Full | Found::Place(..) => None,
        }
    }

    /// Whether a workspace's slug belongs to its UUID, as a row says: looked up once for each answer.
    /// The first UUID that is seen is remembered.
    pub fn pin_workspace(&self, row: &Row, shared: &mut dyn SharedData) -> Pin {
        let Row { key, value, .. } = row;
        self.once(row, || match configured(&self.workspaces, key) {
            Some(uuid) if uuid == value => Pin::Same,
            Some(_) => Pin::Other,
            None => self.remember(&format!("workspace\n{key}"), value, shared),
        })
    }

    /// The UUID of a repository's slug, if it is known. `owner` is the workspace's UUID, and its slug if
    /// the answer told it.
    pub fn repository(
        &self,
        (owner, slug): (&str, Option<&str>),
        name: &str,
        shared: &dyn SharedData,
    ) -> Option<String> {
        let path = format!("{}/{name}", slug.unwrap_or_default());
        if let Some(uuid) = configured(&self.repositories, &path) {
            return Some(uuid.to_owned());
        }
        match self.find(&format!("repository\n{owner}\n{name}"), shared) {
            Found::Uuid(uuid) => Some(uuid),
            Found::Full | Found::Place(..) => None,
        }
    }

    /// [`Pins::pin_workspace`] for a repository with this UUID. `owner` is the workspace's UUID, and its slug if the
    /// answer told it.
    pub fn pin_repository(
        &self,
        (owner, slug): (&str, Option<&str>),
        row: &Row,
        uuid: &str,
        shared: &mut dyn SharedData,
    ) -> Pin {
        let name = &row.key;
        self.once(row, || {
            let path = format!("{}/{name}", slug.unwrap_or_default());
            match configured(&self.repositories, &path) {
                Some(known) if known == uuid => Pin::Same,
                Some(_) => Pin::Other,
                None => self.remember(&format!("repository\n{owner}\n{name}"), uuid, shared),
            }
        })
    }

    fn once(&self, row: &Row, look: impl FnOnce() -> Pin) -> Pin {
        if row.is_pinned.get() {
            return Pin::Same;
        }
        let pin = look();
        row.is_pinned.set(pin == Pin::Same);
        pin
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
    use crate::policy::Permission;
    use crate::slots::Memory;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn the_first_uuid_of_a_slug_stays() {
        let (pinned, repositories) = ([("acme", "{a}")], [("acme/widgets", "{w}")]);
        let pins = Pins::new("https://a.test", pairs(&pinned), pairs(&repositories));
        let mut shared = Memory::default();
        let mut workspace = |slug: &str, uuid: &str| {
            pins.pin_workspace(&Row::new(slug, uuid.to_owned()), &mut shared)
        };
        assert_eq!(workspace("acme", "{a}"), Pin::Same);
        assert_eq!(workspace("acme", "{b}"), Pin::Other);
        assert_eq!(workspace("beta", "{b}"), Pin::Same);
        assert_eq!(workspace("beta", "{c}"), Pin::Other);
        assert_eq!(workspace("beta", "{b}"), Pin::Same);
        let mut repository = |slug: Option<&str>, name: &str, uuid: &str| {
            let row = Row::of_repository(name, Permission::Read, uuid);
            pins.pin_repository(("{a}", slug), &row, uuid, &mut shared)
        };
        assert_eq!(repository(Some("acme"), "widgets", "{w}"), Pin::Same);
        assert_eq!(repository(Some("acme"), "widgets", "{x}"), Pin::Other);
        assert_eq!(repository(Some("acme"), "tools", "{t}"), Pin::Same);
        assert_eq!(repository(None, "tools", "{u}"), Pin::Other);
        // Another site, and a worker without a memory of its own.
        let other = Pins::new("https://b.test", Vec::new(), Vec::new());
        assert_eq!(other.workspace("beta", &shared), None);
        let same = Pins::new("https://a.test", Vec::new(), Vec::new());
        assert_eq!(same.workspace("beta", &shared).as_deref(), Some("{b}"));
    }

    #[test]
    fn where_nothing_more_can_be_remembered_nothing_is_forgotten() {
        let mut pins = Pins::new("s", Vec::new(), Vec::new());
        pins.slots = Slots::new("pin", "s", 64, PROBES);
        let mut shared = Memory::default();
        let mut pin = |slug: &str, uuid: &str| {
            pins.pin_workspace(&Row::new(slug, uuid.to_owned()), &mut shared)
        };
        let slugs: Vec<String> = (0..1_000).map(|index| format!("w{index}")).collect();
        let kept: Vec<&String> = slugs
            .iter()
            .filter(|slug| pin(slug, "{a}") == Pin::Same)
            .collect();
        assert!((32..=64).contains(&kept.len()), "{}", kept.len());
        for slug in kept {
            assert_eq!(pin(slug, "{b}"), Pin::Other);
        }
    }
}
