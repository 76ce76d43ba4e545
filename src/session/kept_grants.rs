//! Sealed grants that are too large to travel with every request, in data that all workers share.
//!
//! Whoever has the keys could read them, and they are as good as the cookies from which they can be had
//! again: when this instance forgets one, or never knew it, the browser is sent to bring it.

use crate::host::{SharedData, Version};
use crate::slots::{NO_VERSION, SlotKeys, Slots};
use crate::time::UnixTime;

/// The number of slots. One with two tokens of 2,600 characters has 7.3 KB; what finds none is carried by
/// its cookies.
const SLOTS: u32 = 65_536;

/// Among how many slots a session finds its own.
const PROBES: u32 = 8;

/// How often one slot is tried when others write to it at the same time.
const ATTEMPTS: u32 = 8;

/// A sealed grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// When its access token ends: of two grants of a session this tells the newer one.
    pub(super) ends_at: UnixTime,
    /// The box.
    pub(super) sealed: String,
}

/// The slots of one consumer's grants:
///
/// ```text
/// record = name SP kept-until SP grant-ends-at SP box
/// ```
#[derive(Debug)]
pub(super) struct KeptGrants(Slots);

struct Record {
    name: String,
    kept_until: u64,
    kept: Kept,
}

impl Record {
    fn read(bytes: Vec<u8>) -> Option<Self> {
        let mut text = String::from_utf8(bytes).ok()?;
        let mut words = text.splitn(4, ' ');
        let (name, until) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
        let (ends_at, sealed) = (words.next()?.parse().ok()?, words.next()?);
        let before = text.len().checked_sub(sealed.len())?;
        // In place: it is large.
        text.drain(..before);
        Some(Self {
            name,
            kept_until: until,
            kept: Kept {
                ends_at: UnixTime(ends_at),
                sealed: text,
            },
        })
    }
}

impl KeptGrants {
    /// The slots of a place for grants at a site.
    pub(super) fn new(site: &str, place: &str) -> Self {
        let owner = format!("{site}\n{place}");
        Self(Slots::new("grant", &owner, SLOTS, PROBES))
    }

    /// The grant of a session.
    pub(super) fn find(&self, session_id: &str, shared: &dyn SharedData) -> Option<Kept> {
        self.look(session_id, UnixTime(0), shared).kept
    }

    /// Keeps a grant as long as its session can live, unless there is a newer one. `false` if all slots
    /// that it could have are needed by others.
    pub(super) fn keep(
        &self,
        session_id: &str,
        kept: &Kept,
        until: UnixTime,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) -> bool {
        for _ in 0..ATTEMPTS {
            let seen = self.look(session_id, now, shared);
            if seen
                .kept
                .is_some_and(|known| known == *kept || known.ends_at > kept.ends_at)
            {
                return true;
            }
            let Some((key, version)) = seen.slot else {
                return false;
            };
            let (name, Kept { ends_at, sealed }) = (seen.name, kept);
            let record = format!("{name} {} {} {sealed}", until.0, ends_at.0);
            if shared.write(&key, record.as_bytes(), Some(version)) {
                return true;
            }
        }
        false
    }

    /// Empties the slot of a session that was signed out.
    pub(super) fn forget(&self, session_id: &str, shared: &mut dyn SharedData) {
        let seen = self.look(session_id, UnixTime(0), shared);
        if let (Some(_), Some((key, version))) = (seen.kept, seen.slot) {
            // Somebody who is faster puts what the check of sign-outs refuses.
            shared.write(&key, b"-", Some(version));
        }
    }

    fn look(&self, session_id: &str, now: UnixTime, shared: &dyn SharedData) -> Seen {
        let SlotKeys { name, keys } = self.0.place_of_session(session_id);
        let (mut slot, mut kept) = (None, None);
        for key in keys {
            let Some((bytes, version)) = shared.read(&key) else {
                // Never written, so nothing was ever put behind it.
                slot = slot.or(Some((key, NO_VERSION)));
                break;
            };
            match Record::read(bytes) {
                Some(record) if record.name == name => {
                    (slot, kept) = (Some((key, version)), Some(record.kept));
                    break;
                }
                Some(record) if now.0 < record.kept_until => {}
                Some(_) | None => slot = slot.or(Some((key, version))),
            }
        }
        Seen { name, slot, kept }
    }
}

/// What the slots of a session hold.
struct Seen {
    /// What names the session.
    name: String,
    /// The slot that is its own, or else one that is free, and its version.
    slot: Option<(String, Version)>,
    kept: Option<Kept>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Memory;

    const NOW: UnixTime = UnixTime(1_000);
    const END: UnixTime = UnixTime(9_000);

    fn kept(ends_at: u64, sealed: &str) -> Kept {
        Kept {
            ends_at: UnixTime(ends_at),
            sealed: sealed.to_owned(),
        }
    }

    #[test]
    fn a_newer_grant_takes_the_place_of_the_older_one_alone() {
        let (grants, mut memory) = (KeptGrants::new("site", "main"), Memory::default());
        assert_eq!(grants.find("a", &memory), None);
        assert!(grants.keep("a", &kept(2_000, "old"), END, NOW, &mut memory));
        assert!(grants.keep("a", &kept(3_000, "new"), END, NOW, &mut memory));
        assert!(grants.keep("a", &kept(2_000, "old"), END, NOW, &mut memory));
        assert_eq!(grants.find("a", &memory), Some(kept(3_000, "new")));
        assert_eq!(grants.find("b", &memory), None);
        assert_eq!(memory.0.len(), 1);
        // What others have is theirs.
        assert_eq!(KeptGrants::new("site", "ci").find("a", &memory), None);
        assert_eq!(KeptGrants::new("b.test", "main").find("a", &memory), None);
        grants.forget("a", &mut memory);
        assert_eq!(grants.find("a", &memory), None);
    }

    #[test]
    fn what_finds_no_slot_is_not_kept_until_another_is_over() {
        let grants = KeptGrants(Slots::new("grant", "few", 4, 4));
        let mut memory = Memory::default();
        for session in ["a", "b", "c", "d"] {
            assert!(grants.keep(session, &kept(2_000, session), END, NOW, &mut memory));
        }
        assert!(!grants.keep("e", &kept(2_000, "e"), END, NOW, &mut memory));
        for session in ["a", "b", "c", "d"] {
            assert_eq!(grants.find(session, &memory), Some(kept(2_000, session)));
        }
        assert!(grants.keep("e", &kept(2_000, "e"), UnixTime(19_000), END, &mut memory));
        assert_eq!(grants.find("e", &memory), Some(kept(2_000, "e")));
        // Who signs out leaves room.
        let mut memory = Memory::default();
        for session in ["a", "b", "c", "d"] {
            assert!(grants.keep(session, &kept(2_000, session), END, NOW, &mut memory));
        }
        grants.forget("c", &mut memory);
        assert!(grants.keep("e", &kept(2_000, "e"), END, NOW, &mut memory));
        assert_eq!(grants.find("b", &memory), Some(kept(2_000, "b")));
        assert_eq!(grants.find("d", &memory), Some(kept(2_000, "d")));
    }

    #[test]
    fn what_others_write_there_is_no_grant() {
        let (grants, mut memory) = (KeptGrants::new("site", "main"), Memory::default());
        assert!(grants.keep("a", &kept(2_000, "old"), END, NOW, &mut memory));
        let key = memory.0.keys().next().unwrap().clone();
        for bytes in [&b""[..], b"-", b"\xff", b"a b c d", b"a 1 2"] {
            memory.0.insert(key.clone(), (bytes.to_vec(), 7));
            assert_eq!(grants.find("a", &memory), None);
            grants.forget("a", &mut memory);
            assert!(grants.keep("a", &kept(2_000, "old"), END, NOW, &mut memory));
        }
    }
}
