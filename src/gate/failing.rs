//! Credentials that fail again and again: answered without a look at them, and reported once.
//!
//! A pipeline with an old password tries for days, and hides in its own noise what an operator should
//! see. Each worker remembers some of them.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};

use crate::gate::Reason;
use crate::time::{Seconds, UnixTime};

/// The most credentials that a worker remembers. Of two with one place, the later one stays.
const PLACES: u64 = 1_024;

/// So many failures in a row are reported, and slow a credential down.
const MANY: u32 = 5;

/// How long one that is slowed down is refused without a look.
const PAUSE: Seconds = Seconds(10);

/// After so long without a failure it is as if there had been none.
const MEMORY: Seconds = Seconds::from_hours(1);

#[derive(Debug)]
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
    places: RefCell<Vec<Option<Entry>>>,
}

impl Failing {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            places: RefCell::default(),
        }
    }

    /// Why a credential is refused without a look at it.
    pub(super) fn refused(&self, credential: &[u8], now: UnixTime) -> Option<Reason> {
        let places = self.places.borrow();
        // Where none failed, none costs a hash.
        if places.is_empty() {
            return None;
        }
        let (key, place) = self.place(credential);
        let entry = places.get(place)?.as_ref()?;
        let is_slow = entry.key == key && now < entry.refused_until && now >= entry.last_at;
        is_slow.then_some(entry.reason)
    }

    fn place(&self, credential: &[u8]) -> (u64, usize) {
        let key = self.hasher.hash_one(credential);
        let place = key.checked_rem(PLACES).map(usize::try_from);
        (key, place.and_then(Result::ok).unwrap_or_default())
    }

    /// A credential was looked at, and is no good.
    pub(super) fn failed(&self, credential: &[u8], reason: Reason, now: UnixTime) -> Report {
        let (key, place) = self.place(credential);
        let mut places = self.places.borrow_mut();
        if places.is_empty() {
            places.extend((0..PLACES).map(|_| None));
        }
        let Some(place) = places.get_mut(place) else {
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
        let mut places = self.places.borrow_mut();
        if places.is_empty() {
            return;
        }
        let (key, place) = self.place(credential);
        if let Some(place) = places.get_mut(place)
            && place.as_ref().is_some_and(|entry| entry.key == key)
        {
            *place = None;
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
        assert_eq!(failing.places.borrow().len(), 1_024);
        for _ in 0..9 {
            failing.failed(b"a", Reason::InvalidToken, NOW);
        }
        assert!(failing.refused(b"a", NOW).is_some());
        assert_eq!(failing.refused(b"a", NOW.minus(Seconds(1))), None);
    }
}
