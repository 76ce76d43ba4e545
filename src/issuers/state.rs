//! What all workers know about the keys of one issuer: how old they are, and who asks for newer ones.
//!
//! ```text
//!              lease()              succeeded(): new keys, the next time in an hour
//! (nothing) ───────────▶ leased ──────────────▶ known
//!                           │  failed(): the keys before stay, the next time after a pause
//! ```

use crate::host::{SharedData, Version};
use crate::slots::NO_VERSION;
use crate::time::{Seconds, UnixTime};

/// How old keys may be before they are asked for again.
pub(super) const REFRESH: Seconds = Seconds::from_hours(1);

/// How long after a question for a token's sake one with a key that nobody knows asks for no newer ones.
/// All workers together ask once in that time, whatever is sent. What the clock asked for counts as
/// nothing: a key may be published a second later.
pub(super) const COOL_DOWN: Seconds = Seconds(30);

/// How long nobody asks after a first failure; twice as long after each further one.
const PAUSE: Seconds = Seconds(5);

/// The longest pause while a token waits for the first keys.
const FIRST: Seconds = Seconds(60);

/// The longest pause.
const MAX_PAUSE: Seconds = Seconds(300);

/// How often a record is tried to be written when others write it at the same time.
const ATTEMPTS: u32 = 8;

/// Times are 0 for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Counts changes of the keys.
    pub(super) generation: u64,
    /// When the keys in use were fetched.
    pub(super) fetched_at: UnixTime,
    asked_at: UnixTime,
    /// When they were asked for because of a token.
    sought_at: UnixTime,
    lease_until: UnixTime,
    next_at: UnixTime,
    failures: u64,
}

/// What keys are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// By the clock: those that there are may be old.
    Newer,
    /// For a token, while there are none.
    First,
    /// For a token that names one which nobody knows.
    Unknown,
}

/// Whether somebody may ask for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// Nobody does.
    Free,
    /// Somebody does.
    Leased,
    /// It did not work a moment ago.
    Failing,
    /// It worked a moment ago.
    Fresh,
}

impl State {
    /// The record under `key`, and its version.
    pub(super) fn read(key: &str, shared: &dyn SharedData) -> (Self, Version) {
        let (bytes, version) = shared.read(key).unwrap_or((Vec::new(), NO_VERSION));
        let mut numbers = bytes.chunks_exact(8).map(|chunk| {
            let digits = chunk.iter().map(|byte| u64::from(*byte));
            digits.fold(0, |number: u64, byte| number << 8_u32 | byte)
        });
        let mut number = || numbers.next().unwrap_or(0);
        let state = Self {
            generation: number(),
            fetched_at: UnixTime(number()),
            asked_at: UnixTime(number()),
            sought_at: UnixTime(number()),
            lease_until: UnixTime(number()),
            next_at: UnixTime(number()),
            failures: number(),
        };
        (state, version)
    }

    /// Writes it as seven numbers of eight bytes. `false` if somebody was faster.
    pub(super) fn write(&self, key: &str, version: Version, shared: &mut dyn SharedData) -> bool {
        let Self {
            generation,
            fetched_at,
            asked_at,
            sought_at,
            lease_until,
            next_at,
            failures,
        } = *self;
        let numbers = [
            generation,
            fetched_at.0,
            asked_at.0,
            sought_at.0,
            lease_until.0,
            next_at.0,
            failures,
        ];
        let bytes = numbers.map(u64::to_be_bytes);
        shared.write(key, bytes.as_flattened(), Some(version))
    }

    /// Whether to ask.
    pub(super) fn look_for(&self, sought: Sought, now: UnixTime) -> Asking {
        match sought {
            Sought::Newer => self.look_for_newer(now),
            Sought::First => self.look_for_first(now),
            Sought::Unknown => self.look_for_unknown(now),
        }
    }

    /// Whether it is time to ask for the keys: there are none, or they are old.
    fn look_for_newer(&self, now: UnixTime) -> Asking {
        if self.is_leased(now) {
            return Asking::Leased;
        }
        match (is_ahead(self.next_at, now, REFRESH), self.failures) {
            (false, _) => Asking::Free,
            (true, 0) => Asking::Fresh,
            (true, _) => Asking::Failing,
        }
    }

    /// Whether to ask for keys for a token that comes while there are none: a workspace's are there from its
    /// first pipeline on, and that one should not wait for the end of a long pause. Anonymous calls to
    /// Bitbucket are limited to 60 an hour.
    fn look_for_first(&self, now: UnixTime) -> Asking {
        let asking = self.look_for_newer(now);
        let is_over = !is_ahead(self.asked_at.plus(FIRST), now, FIRST);
        match asking == Asking::Failing && is_over {
            true => Asking::Free,
            false => asking,
        }
    }

    fn look_for_unknown(&self, now: UnixTime) -> Asking {
        if self.is_leased(now) {
            return Asking::Leased;
        }
        let is_cooling = is_ahead(self.sought_at.plus(COOL_DOWN), now, COOL_DOWN);
        match self.failures {
            0 if is_cooling => Asking::Fresh,
            0 => Asking::Free,
            _ if is_cooling || is_ahead(self.next_at, now, MAX_PAUSE) => Asking::Failing,
            _ => Asking::Free,
        }
    }

    fn is_leased(&self, now: UnixTime) -> bool {
        is_ahead(self.lease_until, now, Seconds(120))
    }

    /// With a lease for `span`.
    pub(super) fn leased(self, sought: Sought, span: Seconds, now: UnixTime) -> Self {
        Self {
            asked_at: now,
            sought_at: match sought {
                Sought::Newer => self.sought_at,
                Sought::First | Sought::Unknown => now,
            },
            lease_until: now.plus(span),
            ..self
        }
    }

    /// The keys of `generation` are there.
    pub(super) fn succeeded(
        key: &str,
        generation: u64,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        Self::update(key, shared, |state| Self {
            generation,
            fetched_at: now,
            lease_until: UnixTime(0),
            next_at: now.plus(REFRESH),
            failures: 0,
            ..state
        });
    }

    /// There was no answer of use.
    pub(super) fn failed(key: &str, now: UnixTime, shared: &mut dyn SharedData) {
        Self::update(key, shared, |state| {
            let doublings = u32::try_from(state.failures).unwrap_or(u32::MAX);
            let pause = PAUSE
                .0
                .checked_shl(doublings.min(16))
                .unwrap_or(MAX_PAUSE.0);
            Self {
                lease_until: UnixTime(0),
                next_at: now.plus(Seconds(pause).min(MAX_PAUSE)),
                failures: state.failures.saturating_add(1),
                ..state
            }
        });
    }

    /// One who cannot write for others leaves its lease to run out.
    fn update(key: &str, shared: &mut dyn SharedData, change: impl Fn(Self) -> Self) {
        for _ in 0..ATTEMPTS {
            let (state, version) = Self::read(key, shared);
            if change(state).write(key, version, shared) {
                return;
            }
        }
    }
}

/// Whether a moment lies ahead, by no more than it can: a clock may have been set back.
fn is_ahead(moment: UnixTime, now: UnixTime, most: Seconds) -> bool {
    now < moment && moment <= now.plus(most)
}
