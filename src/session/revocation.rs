//! Sessions that are taken back before they end.
//!
//! There is no store to delete them from. What every instance knows is the configuration, so not-before
//! times stand there; and what one instance knows, a sign-out, lies in data that its workers
//! share and that survives a reload of the VM.

use std::collections::HashMap;

use crate::host::{SharedData, Version};
use crate::session::Session;
use crate::slots::{NO_VERSION, SlotKeys, Slots};
use crate::time::UnixTime;

/// Sessions that began before a time are over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Everybody's.
    pub everybody: Option<UnixTime>,
    /// Those of an account, by its id.
    pub accounts: HashMap<String, UnixTime>,
    /// One session, by its id as in the log.
    pub sessions: HashMap<String, UnixTime>,
    /// Those of the members of a workspace, by its slug or UUID. A session does not say of which
    /// workspaces the person is a member, so until that is known it covers everybody's: nobody whom
    /// it means is left out.
    pub workspaces: HashMap<String, UnixTime>,
}

impl Revocations {
    /// Whether the session is among them.
    #[must_use]
    pub fn cover(&self, session: &Session) -> bool {
        let times = [
            self.everybody.as_ref(),
            self.accounts.get(&session.identity.account_id),
            self.sessions.get(&session.id),
        ];
        times
            .into_iter()
            .flatten()
            .chain(self.workspaces.values())
            .any(|not_before| session.issued_at < *not_before)
    }
}

/// The number of slots for sign-outs; one has less than 50 bytes.
const SLOTS: u32 = 65_536;

/// Among how many slots a sign-out finds its own.
const PROBES: u32 = 4;

/// How often one slot is tried when others write to it at the same time.
const ATTEMPTS: u32 = 4;

/// The sessions that were signed out on this instance and could still live: a copy of their cookies
/// is worth nothing here.
#[derive(Debug)]
pub struct SignedOut(Slots);

impl SignedOut {
    /// The sign-outs of `site`.
    #[must_use]
    pub fn new(site: &str) -> Self {
        Self::with_slots(site, SLOTS)
    }

    fn with_slots(site: &str, slots: u32) -> Self {
        Self(Slots::new("out", site, slots, PROBES))
    }

    /// Where a sign-out of the session is remembered: worked out once for a session.
    #[must_use]
    pub fn place(&self, session_id: &str) -> SlotKeys {
        self.0.place_of_session(session_id)
    }

    /// Whether the session was signed out here. Most often one look at a key that was never
    /// written, which is the cheapest question there is.
    #[must_use]
    pub fn has(place: &SlotKeys, now: UnixTime, shared: &dyn SharedData) -> bool {
        for key in place.keys.iter() {
            let Some((bytes, _)) = shared.read(&key) else {
                return false;
            };
            if read(&bytes).is_some_and(|(found, until)| found == place.name && now < until) {
                return true;
            }
        }
        false
    }

    /// Remembers the session until it would have ended. If all its slots are needed, the one
    /// that is needed for the shortest time is given up.
    pub fn remember(
        &self,
        session_id: &str,
        until: UnixTime,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        let record = |name: &str| format!("{name} {}", until.0).into_bytes();
        for _ in 0..ATTEMPTS {
            let SlotKeys { name, keys } = self.place(session_id);
            let mut best: Option<(UnixTime, String, Version)> = None;
            for key in keys {
                let found = shared.read(&key);
                let (end, version) = match &found {
                    None => (UnixTime(0), NO_VERSION),
                    Some((bytes, version)) => match read(bytes) {
                        Some((_, end)) if now < end => (end, *version),
                        Some(_) | None => (UnixTime(0), *version),
                    },
                };
                let is_better = best.as_ref().is_none_or(|(least, _, _)| end < *least);
                if is_better {
                    best = Some((end, key, version));
                }
                if found.is_none() {
                    break;
                }
            }
            let Some((_, key, version)) = best else {
                return;
            };
            if shared.write(&key, &record(&name), Some(version)) {
                return;
            }
        }
    }
}

fn read(bytes: &[u8]) -> Option<(&str, UnixTime)> {
    let (name, until) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
    Some((name, UnixTime(until.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::slots::Memory;

    fn has(out: &SignedOut, session_id: &str, now: u64, memory: &Memory) -> bool {
        SignedOut::has(&out.place(session_id), UnixTime(now), memory)
    }

    #[test]
    fn sessions_that_began_before_the_time_are_over() {
        let session = |id: &str, account: &str, issued_at| Session {
            id: id.to_owned(),
            identity: Identity {
                account_id: account.to_owned(),
                email: None,
                nickname: None,
            },
            issued_at: UnixTime(issued_at),
            expires_at: UnixTime(9_999),
            seen_at: UnixTime(issued_at),
        };
        let revocations = Revocations {
            everybody: Some(UnixTime(100)),
            accounts: HashMap::from([("ada".to_owned(), UnixTime(200))]),
            sessions: HashMap::from([("s1".to_owned(), UnixTime(300))]),
            workspaces: HashMap::new(),
        };
        for (id, account, issued_at, expected) in [
            ("s", "grace", 99, true),
            ("s", "grace", 100, false),
            ("s", "ada", 199, true),
            ("s", "ada", 200, false),
            ("s1", "grace", 299, true),
            ("s1", "grace", 300, false),
        ] {
            let covered = revocations.cover(&session(id, account, issued_at));
            assert_eq!(covered, expected, "{id} {account} {issued_at}");
        }
        assert!(!Revocations::default().cover(&session("s", "a", 0)));
        // Who is a member is not known, so nobody is taken for none.
        let acme = Revocations {
            workspaces: HashMap::from([("acme".to_owned(), UnixTime(100))]),
            ..Revocations::default()
        };
        assert!(acme.cover(&session("s", "a", 99)));
        assert!(!acme.cover(&session("s", "a", 100)));
    }

    #[test]
    fn a_sign_out_is_remembered_until_the_session_would_have_ended() {
        let (out, mut memory) = (SignedOut::new("https://a.test"), Memory::default());
        assert!(!has(&out, "s", 1, &memory));
        out.remember("s", UnixTime(100), UnixTime(1), &mut memory);
        assert!(has(&out, "s", 99, &memory));
        assert!(!has(&out, "s", 100, &memory));
        assert!(!has(&out, "t", 1, &memory));
        assert!(!memory.0.keys().any(|key| key.contains('s') && key == "s"));
    }

    #[test]
    fn sign_outs_stay_bounded_far_beyond_the_bound() {
        let (out, mut memory) = (
            SignedOut::with_slots("https://a.test", 64),
            Memory::default(),
        );
        for number in 0..5_000_u64 {
            let until = UnixTime(1_000_u64.saturating_add(number));
            out.remember(&format!("s{number}"), until, UnixTime(1), &mut memory);
            assert!(
                has(&out, &format!("s{number}"), 1, &memory),
                "the newest is known"
            );
        }
        assert!(memory.0.len() <= 64);
    }
}
