//! How often the API may be asked: one budget for a credential, shared by all workers.
//!
//! Bitbucket counts the calls of a rolling hour. So do we, by the minute, and never more than the
//! limit in any hour: who is refused by us is refused without a call, and others go on.

use crate::host::{SharedData, Version};
use crate::slots::NO_VERSION;
use crate::time::{Seconds, UnixTime};

/// An hour of whole minutes, the one that is not over, and one more: a call is counted when it is made, and
/// may arrive later, but no more than a minute.
const MINUTES: usize = 62;

/// How often the count is tried when others write to it at the same time.
const ATTEMPTS: u32 = 16;

/// Without a word from Bitbucket, the first pause after a 429; it doubles with each further one.
const PAUSE: Seconds = Seconds(60);

/// The longest such pause.
const LONGEST_PAUSE: Seconds = Seconds(900);

/// What a call is for. The earlier in this list, the earlier it is refused: what was begun goes before
/// what begins, so that nobody signs in only to find that nothing is left to ask what they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Something is known that is older than `max_age`: from 50% at `max_age` up to 85% at `grace`, so
    /// that what is oldest is asked first. A denial grows old faster.
    Refresh {
        /// How much of the way from `max_age` to `grace` has passed, in percent.
        overdue_percent: u64,
    },
    /// Somebody begins to sign in: up to 90%.
    SignIn,
    /// Nothing is known about somebody with a session: up to 97%.
    New,
    /// A further call of what was begun, a sign-in or a list: up to all of the budget.
    Further,
}

impl Priority {
    fn percent(self) -> u64 {
        match self {
            Self::Refresh { overdue_percent } => {
                // The root of it, so that what there is is used early.
                let root = overdue_percent.min(100).saturating_mul(100).isqrt();
                let share = root.saturating_mul(35).checked_div(100);
                share.unwrap_or(0).saturating_add(50)
            }
            Self::SignIn => 90,
            Self::New => 97,
            Self::Further => 100,
        }
    }

    /// Whether it waits for a pause to end. A sign-in is worth the try.
    fn pauses(self) -> bool {
        match self {
            Self::Refresh { .. } | Self::New => true,
            Self::SignIn | Self::Further => false,
        }
    }
}

/// Why a call may not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// The budget of this hour is used, as far as such a call may use it.
    Budget,
    /// Bitbucket said that there were too many.
    RateLimited,
}

/// Calls by the minute: `minute SP paused-until SP refusals SP count *( "," count )`, the newest first.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    minute: u64,
    paused_until: u64,
    refusals: u32,
    counts: Vec<u32>,
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
        let mut word = || words.next();
        Some(Self {
            minute: word()?.parse().ok()?,
            paused_until: word()?.parse().ok()?,
            refusals: word()?.parse().ok()?,
            counts: word()?
                .split(',')
                .map(|count| count.parse().ok())
                .collect::<Option<_>>()?,
        })
    }

    fn write(&self) -> Vec<u8> {
        let Self {
            minute,
            paused_until,
            refusals,
            counts,
        } = self;
        let mut text = format!("{minute} {paused_until} {refusals}");
        for (index, count) in counts.iter().enumerate() {
            let separator = if index == 0 { ' ' } else { ',' };
            text.push_str(&format!("{separator}{count}"));
        }
        text.into_bytes()
    }

    /// As of `now`: minutes that are over an hour ago fall out. A clock that went back changes nothing.
    fn at(mut self, now: UnixTime) -> Self {
        let minute = now.0.checked_div(60).unwrap_or(0);
        let passed = usize::try_from(minute.saturating_sub(self.minute)).unwrap_or(MINUTES);
        let mut counts = vec![0; passed.min(MINUTES)];
        counts.append(&mut self.counts);
        counts.resize(MINUTES, 0);
        Self {
            minute: self.minute.max(minute),
            counts,
            ..self
        }
    }

    fn used(&self) -> u32 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// The budget of one credential.
#[derive(Debug)]
pub struct Budget {
    name: String,
    key: String,
    limit: u32,
}

impl Budget {
    /// `limit` calls an hour for the credential called `name` on `site`.
    #[must_use]
    pub fn new(site: &str, name: &str, limit: u32) -> Self {
        Self {
            name: name.to_owned(),
            key: format!("bitgate.budget.{site} {name}"),
            limit,
        }
    }

    /// What the credential is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a call that is about to be made.
    ///
    /// # Errors
    /// [`Spent`]: the call must not be made.
    pub fn take(
        &self,
        priority: Priority,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) -> Result<(), Spent> {
        for _ in 0..ATTEMPTS {
            let (mut record, version) = self.read(now, shared);
            if now.0 < record.paused_until && priority.pauses() {
                return Err(Spent::RateLimited);
            }
            let allowed = u64::from(self.limit).saturating_mul(priority.percent());
            if u64::from(record.used()).saturating_mul(100) >= allowed {
                return Err(Spent::Budget);
            }
            if let Some(newest) = record.counts.first_mut() {
                *newest = newest.saturating_add(1);
            }
            if shared.write(&self.key, &record.write(), Some(version)) {
                return Ok(());
            }
        }
        Err(Spent::Budget)
    }

    /// Bitbucket answered with 429: nobody asks for as long as it says, or for a while that grows.
    ///
    /// Calls that were on their way already, and sign-ins, which are tried all the same, say nothing new
    /// during a pause unless they name a time.
    pub fn pause(
        &self,
        retry_after: Option<Seconds>,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) -> UnixTime {
        for attempt in 1..=ATTEMPTS {
            let (record, version) = self.read(now, shared);
            let is_paused = now.0 < record.paused_until;
            let doublings = record.refusals.min(8);
            let grown = PAUSE.0.checked_shl(doublings).unwrap_or(LONGEST_PAUSE.0);
            let until = match retry_after {
                Some(pause) => now.plus(pause.max(Seconds(1))),
                None if is_paused => UnixTime(record.paused_until),
                None => now.plus(Seconds(grown.min(LONGEST_PAUSE.0))),
            };
            let record = Record {
                paused_until: until.0.max(record.paused_until),
                refusals: record.refusals.saturating_add(u32::from(!is_paused)),
                ..record
            };
            // At last without a comparison: one count that is lost does no harm, a pause that is lost does.
            let expected = (attempt < ATTEMPTS).then_some(version);
            if shared.write(&self.key, &record.write(), expected) {
                return UnixTime(record.paused_until);
            }
        }
        now
    }

    /// Bitbucket answered with something else: the next pause is short again. An answer that was on its
    /// way when the pause began does not end it.
    pub fn resume(&self, now: UnixTime, shared: &mut dyn SharedData) {
        let (record, version) = self.read(now, shared);
        if record.refusals > 0 && now.0 >= record.paused_until {
            let record = Record {
                refusals: 0,
                ..record
            };
            shared.write(&self.key, &record.write(), Some(version));
        }
    }

    /// How many calls are left of the last hour's budget.
    #[must_use]
    pub fn left(&self, now: UnixTime, shared: &dyn SharedData) -> u32 {
        self.limit.saturating_sub(self.read(now, shared).0.used())
    }

    fn read(&self, now: UnixTime, shared: &dyn SharedData) -> (Record, Version) {
        let found = shared.read(&self.key);
        let version = found.as_ref().map_or(NO_VERSION, |(_, version)| *version);
        let record = found.and_then(|(bytes, _)| Record::read(&bytes));
        (record.unwrap_or_default().at(now), version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::Memory;

    #[test]
    fn no_hour_has_more_calls_than_the_limit() {
        let (budget, mut shared) = (Budget::new("s", "c", 100), Memory::default());
        let mut made: Vec<u64> = Vec::new();
        // An odd step, so that calls fall everywhere in a minute.
        for step in 0..20_000_u64 {
            let now = 1_000_000 + step * 7;
            if budget
                .take(Priority::Further, UnixTime(now), &mut shared)
                .is_ok()
            {
                made.push(now);
            }
            let hour = made.iter().filter(|at| **at + 3_600 > now).count();
            assert!(hour <= 100, "{hour} at {step}");
        }
        // And hardly less: the count is by the minute.
        let hours = 20_000 * 7 / 3_600;
        assert!(made.len() >= hours * 97, "{}", made.len());
    }

    #[test]
    fn a_call_that_arrives_late_still_fits_into_its_hour() {
        let (budget, mut shared) = (Budget::new("s", "c", 100), Memory::default());
        let mut arrived: Vec<u64> = Vec::new();
        // From the end of a minute on, all as early as possible. Those of the first hour take long.
        for now in 1_000_019_u64..1_020_000 {
            for _ in 0..100 {
                if budget
                    .take(Priority::Further, UnixTime(now), &mut shared)
                    .is_err()
                {
                    break;
                }
                let delay = if arrived.len() % 200 < 100 { 9 } else { 0 };
                arrived.push(now + delay);
            }
        }
        assert!(arrived.len() >= 500);
        for at in &arrived {
            let hour = arrived
                .iter()
                .filter(|other| (*at..*at + 3_600).contains(*other));
            let hour = hour.count();
            assert!(hour <= 100, "{hour} from {at} on");
        }
    }

    #[test]
    fn what_is_less_urgent_is_refused_first() {
        let (budget, mut shared) = (Budget::new("s", "c", 100), Memory::default());
        let now = UnixTime(1_000_000);
        let mut until_refused = |priority| {
            let mut taken = 0;
            while budget.take(priority, now, &mut shared).is_ok() {
                taken += 1;
            }
            taken
        };
        let refresh = |overdue_percent| Priority::Refresh { overdue_percent };
        assert_eq!(until_refused(refresh(0)), 50);
        assert_eq!(until_refused(refresh(60)), 26);
        assert_eq!(until_refused(refresh(100)), 9);
        assert_eq!(until_refused(refresh(1_000)), 0);
        assert_eq!(until_refused(Priority::SignIn), 5);
        assert_eq!(until_refused(Priority::New), 7);
        assert_eq!(until_refused(Priority::Further), 3);
        assert_eq!(budget.left(now, &shared), 0);
        assert_eq!(budget.left(now.plus(Seconds(3_721)), &shared), 100);
    }

    #[test]
    fn a_429_makes_everybody_pause_but_who_signs_in() {
        let (budget, mut shared) = (Budget::new("s", "c", 100), Memory::default());
        let now = UnixTime(1_000_000);
        assert_eq!(
            budget.pause(Some(Seconds(7)), now, &mut shared),
            now.plus(Seconds(7))
        );
        let spent = budget.take(Priority::New, now, &mut shared);
        assert_eq!(spent, Err(Spent::RateLimited));
        assert_eq!(budget.take(Priority::SignIn, now, &mut shared), Ok(()));
        let later = now.plus(Seconds(7));
        assert_eq!(budget.take(Priority::New, later, &mut shared), Ok(()));
        // Without a word it grows, up to a quarter of an hour, and is short again after an answer.
        assert_eq!(
            budget.pause(None, later, &mut shared),
            later.plus(Seconds(120))
        );
        // What was on its way before tells nothing new: neither a 429 nor an answer.
        let until = later.plus(Seconds(120));
        assert_eq!(
            budget.pause(None, later.plus(Seconds(1)), &mut shared),
            until
        );
        budget.resume(later.plus(Seconds(1)), &mut shared);
        let spent = budget.take(Priority::New, until.minus(Seconds(1)), &mut shared);
        assert_eq!(spent, Err(Spent::RateLimited));
        let mut at = until;
        for pause in [240, 480, 900, 900] {
            let until = at.plus(Seconds(pause));
            assert_eq!(budget.pause(None, at, &mut shared), until);
            at = until;
        }
        budget.resume(at, &mut shared);
        assert_eq!(budget.take(Priority::New, at, &mut shared), Ok(()));
        assert_eq!(budget.pause(None, at, &mut shared), at.plus(PAUSE));
    }
}
