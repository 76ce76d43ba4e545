//! Credentials that fail again and again: answered without a look at them, and reported once.
//!
//! A pipeline with an old password tries for days, and hides in its own noise what an operator should
//! see. Each worker remembers some of them.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

use crate::gate::Reason;
use crate::time::{Seconds, UnixTime};

/// Places where a credential may lie, and how many have room in each: the hash chooses one of them, and
/// of more than `WAYS` with the same one, those stay that failed last. With room for one, two credentials
/// that push each other out would be a line each time.
const SETS: usize = 256;
const WAYS: usize = 4;

/// So many failures in a row are reported, and slow a credential down.
const MANY: u32 = 5;

/// How long one that is slowed down is refused without a look.
const PAUSE: Seconds = Seconds(10);

/// After so long without a failure it is as if there had been none.
const MEMORY: Seconds = Seconds::from_hours(1);

#[derive(Clone, Debug)]
struct Entry {
    key: u64,
    failures: u32,
    first_at: UnixTime,
    last_at: UnixTime,
    /// Until then it is refused with this reason.
    refused_until: UnixTime,
    reason: Reason,
}

/// How a failure is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// In a line of its own.
    Line,
    /// As one that fails again and again, since this time.
    Failing(UnixTime),
    /// By the counters alone.
    Quiet,
}

/// The credentials of one worker that failed, by a keyed hash.
#[derive(Debug)]
pub(super) struct Failing {
    hasher: RandomState,
    /// Empty before the first failure.
    sets: RefCell<Vec<Set>>,
}

type Set = [Option<Entry>; WAYS];

impl Failing {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            sets: RefCell::default(),
        }
    }

    /// Why a credential is refused without a look at it.
    pub(super) fn refused(&self, credential: &[u8], now: UnixTime) -> Option<Reason> {
        let sets = self.sets.borrow();
        // Where none failed, none costs a hash.
        if sets.is_empty() {
            return None;
        }
        let key = self.hasher.hash_one(credential);
        let mut known = sets.get(set_of(key))?.iter().flatten();
        let entry = known.find(|entry| entry.key == key)?;
        let is_slow = now < entry.refused_until && now >= entry.last_at;
        is_slow.then_some(entry.reason)
    }

    /// A credential was looked at, and is no good.
    pub(super) fn failed(&self, credential: &[u8], reason: Reason, now: UnixTime) -> Report {
        let key = self.hasher.hash_one(credential);
        let mut sets = self.sets.borrow_mut();
        if sets.is_empty() {
            sets.resize(SETS, [const { None }; WAYS]);
        }
        let set = sets.get_mut(set_of(key));
        let Some(place) = set.and_then(|set| place_in(set, key)) else {
            return Report::Line;
        };
        let known = place.as_mut().filter(|entry| entry.key == key);
        let Some(entry) = known.filter(|entry| now < entry.last_at.plus(MEMORY)) else {
            *place = Some(Entry {
                key,
                failures: 1,
                first_at: now,
                last_at: now,
                refused_until: now,
                reason,
            });
            return Report::Line;
        };
        entry.failures = entry.failures.saturating_add(1);
        entry.last_at = now;
        entry.reason = reason;
        if entry.failures >= MANY {
            entry.refused_until = now.plus(PAUSE);
        }
        match entry.failures == MANY {
            true => Report::Failing(entry.first_at),
            false => Report::Quiet,
        }
    }

    /// A credential is good.
    pub(super) fn succeeded(&self, credential: &[u8]) {
        let mut sets = self.sets.borrow_mut();
        if sets.is_empty() {
            return;
        }
        let key = self.hasher.hash_one(credential);
        for place in sets.get_mut(set_of(key)).into_iter().flatten() {
            place.take_if(|entry| entry.key == key);
        }
    }
}

fn set_of(key: u64) -> usize {
    let [low, ..] = key.to_le_bytes();
    usize::from(low)
}

/// Where a credential lies, or is to lie: an empty place, or that of the one that failed the longest ago.
fn place_in(set: &mut Set, key: u64) -> Option<&mut Option<Entry>> {
    set.iter_mut().min_by_key(|place| {
        place
            .as_ref()
            .map(|entry| (entry.key != key, entry.last_at))
            .unwrap_or((true, UnixTime(0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[test]
    fn who_fails_again_and_again_is_reported_once_and_slowed_down() {
        let failing = Failing::new();
        let reason = Reason::InvalidToken;
        let mut reports = Vec::new();
        for second in 0..1_000 {
            let now = NOW.plus(Seconds(second));
            if failing.refused(b"a", now).is_none() {
                reports.push(failing.failed(b"a", reason, now));
            }
        }
        assert_eq!(reports[0], Report::Line);
        assert_eq!(reports[1..4], [Report::Quiet; 3]);
        assert_eq!(reports[4], Report::Failing(NOW));
        assert!(reports[5..].iter().all(|report| *report == Report::Quiet));
        assert_eq!(reports.len(), 104, "once in ten seconds it is looked at");
        let now = NOW.plus(Seconds(1_000));
        assert_eq!(failing.refused(b"a", now), Some(reason));
        assert_eq!(failing.refused(b"b", now), None, "others are others");
        failing.succeeded(b"a");
        assert_eq!(failing.refused(b"a", now), None);
        assert_eq!(failing.failed(b"a", reason, now), Report::Line);
        let later = now.plus(Seconds(3_601));
        assert_eq!(failing.failed(b"a", reason, later), Report::Line);
    }

    #[test]
    fn no_two_credentials_push_each_other_out() {
        let failing = Failing::new();
        let in_one_set: Vec<[u8; 4]> = (0..100_000_u32)
            .map(u32::to_le_bytes)
            .filter(|name| set_of(failing.hasher.hash_one(name.as_slice())) == 7)
            .take(WAYS + 1)
            .collect();
        let fail = |number: usize, second: u64| {
            let now = NOW.plus(Seconds(second));
            failing.failed(&in_one_set[number], Reason::InvalidToken, now)
        };
        for (number, second) in (0..WAYS).zip(0..) {
            assert_eq!(fail(number, second), Report::Line);
        }
        for (number, second) in (0..WAYS).zip(10..) {
            assert_eq!(fail(number, second), Report::Quiet);
        }
        assert_eq!(fail(WAYS, 20), Report::Line);
        assert_eq!(fail(1, 21), Report::Quiet, "it failed after the first one");
        assert_eq!(fail(0, 22), Report::Line, "the longest ago");
    }

    #[test]
    fn the_table_stays_bounded_and_a_clock_that_goes_back_frees() {
        let failing = Failing::new();
        for number in 0..10_000_u32 {
            failing.failed(&number.to_le_bytes(), Reason::InvalidToken, NOW);
        }
        assert_eq!(failing.sets.borrow().as_flattened().len(), 1_024);
        for _ in 0..9 {
            failing.failed(b"a", Reason::InvalidToken, NOW);
        }
        assert!(failing.refused(b"a", NOW).is_some());
        assert_eq!(failing.refused(b"a", NOW.minus(Seconds(1))), None);
    }
}
