//! How much each credential asks the API: a rolling hour for each consumer, and for each access
//! token.

use std::collections::{HashMap, VecDeque};

/// The hour that rolls, in seconds.
const WINDOW: u64 = 3_600;

/// What a credential asked of the API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls that were answered, in all.
    pub answered: u64,
    /// Calls that got a 429, in all.
    pub refused: u64,
    /// The most that were answered in any 3,600 seconds.
    pub busiest_hour: u64,
}

#[derive(Debug, Default)]
struct Window {
    /// Calls of the last hour: the second, and how many.
    calls: VecDeque<(u64, u64)>,
    sum: u64,
    usage: Usage,
}

impl Window {
    fn roll(&mut self, now: u64) {
        while let Some((second, count)) = self.calls.front().copied() {
            if now < second + WINDOW {
                return;
            }
            self.calls.pop_front();
            self.sum -= count;
        }
    }

    fn admit(&mut self, now: u64, limit: Option<u64>) -> bool {
        // A clock that was set back does not open the window again.
        let now = now.max(self.calls.back().map_or(0, |(second, _)| *second));
        self.roll(now);
        if limit.is_some_and(|limit| self.sum >= limit) {
            self.usage.refused += 1;
            return false;
        }
        match self.calls.back_mut() {
            Some((second, count)) if *second == now => *count += 1,
            _ => self.calls.push_back((now, 1)),
        }
        self.sum += 1;
        self.usage.answered += 1;
        self.usage.busiest_hour = self.usage.busiest_hour.max(self.sum);
        true
    }
}

/// By the consumer's key, or by the access token.
#[derive(Debug, Default)]
pub(super) struct Limits(HashMap<String, Window>);

impl Limits {
    /// Counts a call at `now`, unless the hour has `limit` already: a refused call is none.
    pub(super) fn admit(&mut self, credential: &str, now: u64, limit: Option<u64>) -> bool {
        if let Some(window) = self.0.get_mut(credential) {
            return window.admit(now, limit);
        }
        let window = self.0.entry(credential.to_owned()).or_default();
        window.admit(now, limit)
    }

    pub(super) fn usage(&self, credential: &str) -> Usage {
        let window = self.0.get(credential);
        window.map(|window| window.usage).unwrap_or_default()
    }

    pub(super) fn refused(&self) -> u64 {
        self.0.values().map(|window| window.usage.refused).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_rolls_to_the_second_and_refusals_are_no_calls() {
        let mut limits = Limits::default();
        let mut admit = |now| limits.admit("key", now, Some(3));
        assert!(admit(0) && admit(0) && admit(10));
        for now in [10, 3_599] {
            assert!(!admit(now), "{now}");
        }
        assert!(admit(3_600) && admit(3_600), "the two of second 0 are gone");
        assert!(!admit(3_609));
        assert!(admit(3_610));
        assert!(!admit(3_610));
        let usage = Usage {
            answered: 6,
            refused: 4,
            busiest_hour: 3,
        };
        assert_eq!(limits.usage("key"), usage);
        assert_eq!(
            (limits.usage("other"), limits.refused()),
            (Usage::default(), 4)
        );
        assert!(limits.admit("other", 3_610, Some(3)));
    }

    #[test]
    fn a_clock_that_goes_back_opens_nothing() {
        let mut limits = Limits::default();
        assert!(limits.admit("key", 7_200, Some(1)));
        assert!(!limits.admit("key", 0, Some(1)));
        assert!(!limits.admit("key", 10_799, Some(1)));
        assert!(limits.admit("key", 10_800, Some(1)));
    }

    #[test]
    fn without_a_limit_calls_are_counted_all_the_same() {
        let mut limits = Limits::default();
        for second in 0..7_200 {
            assert!(limits.admit("key", second, None));
        }
        let usage = limits.usage("key");
        assert_eq!((usage.answered, usage.busiest_hour), (7_200, 3_600));
    }
}
