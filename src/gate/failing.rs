//! Credentials that fail again and again: answered without a look at them, and reported once.
//!
//! A pipeline with an old password tries for days, and hides in its own noise what an operator should
//! see. Each worker remembers some of them.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;

use lru::LruCache;

use crate::gate::Reason;
use crate::time::{Seconds, UnixTime};

/// The most credentials that a worker remembers.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(1_024).unwrap();

/// So many failures in a row are reported, and slow a credential down.
const MANY: u32 = 5;

/// How long one that is slowed down is refused without a look.
const PAUSE: Seconds = Seconds(10);

/// After so long without a failure it is as if there had been none.
const MEMORY: Seconds = Seconds::from_hours(1);

#[derive(Debug)]
struct Entry {
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
    entries: RefCell<LruCache<u64, Entry>>,
}

impl Failing {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            entries: RefCell::new(LruCache::new(MAX_ENTRIES)),
        }
    }

    /// Why a credential is refused without a look at it.
    pub(super) fn refused(&self, credential: &[u8], now: UnixTime) -> Option<Reason> {
        let entries = self.entries.borrow();
        // Where none failed, none costs a hash.
        if entries.is_empty() {
            return None;
        }
        let entry = entries.peek(&self.hasher.hash_one(credential))?;
        let is_slow = now < entry.refused_until && now >= entry.last_at;
        is_slow.then_some(entry.reason)
    }

    /// A credential was looked at, and is no good.
    pub(super) fn failed(&self, credential: &[u8], reason: Reason, now: UnixTime) -> Report {
        let key = self.hasher.hash_one(credential);
        let mut entries = self.entries.borrow_mut();
        let known = entries.get_mut(&key);
        let Some(entry) = known.filter(|entry| now < entry.last_at.plus(MEMORY)) else {
            let entry = Entry {
                failures: 1,
                first_at: now,
                last_at: now,
                refused_until: now,
                reason,
            };
            entries.put(key, entry);
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
        let mut entries = self.entries.borrow_mut();
        if !entries.is_empty() {
            entries.pop(&self.hasher.hash_one(credential));
        }
    }
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
    fn the_table_stays_bounded_and_a_clock_that_goes_back_frees() {
        let failing = Failing::new();
        for number in 0..10_000_u32 {
            failing.failed(&number.to_le_bytes(), Reason::InvalidToken, NOW);
        }
        assert_eq!(failing.entries.borrow().len(), MAX_ENTRIES.get());
        for _ in 0..9 {
            failing.failed(b"a", Reason::InvalidToken, NOW);
        }
        assert!(failing.refused(b"a", NOW).is_some());
        assert_eq!(failing.refused(b"a", NOW.minus(Seconds(1))), None);
    }
}
