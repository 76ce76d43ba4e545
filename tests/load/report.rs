//! What is counted over a day.

use std::collections::BTreeMap;
use std::fmt;

use crate::crowd::{HOUR, MINUTE, SECOND};

/// What happened in one hour of the day.
#[derive(Clone, Debug, Default)]
pub struct Hour {
    pub requests: u64,
    pub refused: u64,
    pub unavailable: u64,
    pub calls: u64,
    /// Of rights that were used, in seconds.
    pub greatest_age: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Report {
    pub name: &'static str,
    pub people: u64,
    pub hours: BTreeMap<u64, Hour>,
    pub allowed: u64,
    pub denied: u64,
    /// 503, and everything else at sign-in that is no success, by reason.
    pub unavailable: BTreeMap<&'static str, u64>,
    /// Requests of pages that had no session any more.
    pub without_session: u64,
    pub signed_in: u64,
    pub renewed: u64,
    /// Ages of rights that were used, in minutes: how often.
    pub ages: BTreeMap<u64, u64>,
    /// In seconds.
    pub greatest_age: u64,
    /// How often somebody went away without the page that they tried to get.
    pub gave_up: u64,
    /// How long people waited from their first try until they were in, where that took a second try.
    pub waits: Vec<u64>,
    /// Of those who were removed: how long they were let through after that, in milliseconds.
    pub after_removal: Vec<u64>,
    /// Calls by what was called and the status.
    pub calls: BTreeMap<(&'static str, u16), usize>,
    pub busiest_hour_of_consumer: u64,
    pub busiest_hour_of_bot: u64,
    pub rate_limited: u64,
}

impl Report {
    pub fn hour(&mut self, time: u64) -> &mut Hour {
        self.hours.entry(time / HOUR).or_default()
    }

    pub fn used(&mut self, age: u64, time: u64) {
        *self.ages.entry(age / 60).or_default() += 1;
        self.greatest_age = self.greatest_age.max(age);
        let hour = self.hour(time);
        hour.greatest_age = hour.greatest_age.max(age);
    }

    pub fn unavailable(&mut self, reason: &'static str, time: u64) {
        *self.unavailable.entry(reason).or_default() += 1;
        self.hour(time).unavailable += 1;
    }

    /// The age that so many percent of all uses did not exceed, in minutes.
    fn age_at(&self, percent: u64) -> u64 {
        let all: u64 = self.ages.values().sum();
        let mut seen = 0;
        for (age, count) in &self.ages {
            seen += count;
            if seen * 100 >= all * percent {
                return age + 1;
            }
        }
        0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "== {}: {} people", self.name, self.people)?;
        writeln!(
            f,
            "allowed {}, denied {}, without session {}, signed in {}, tokens renewed {}",
            self.allowed, self.denied, self.without_session, self.signed_in, self.renewed
        )?;
        writeln!(f, "not served: {:?}", self.unavailable)?;
        writeln!(
            f,
            "busiest hour: consumer {}, bot {}; 429s: {}",
            self.busiest_hour_of_consumer, self.busiest_hour_of_bot, self.rate_limited
        )?;
        writeln!(
            f,
            "age of rights in minutes: half < {}, 95% < {}, 99% < {}, greatest {:.1}",
            self.age_at(50),
            self.age_at(95),
            self.age_at(99),
            self.greatest_age as f64 / 60.0
        )?;
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = |percent: usize| {
            let index = (waits.len() * percent / 100).min(waits.len().saturating_sub(1));
            waits.get(index).map_or(0, |wait| wait / MINUTE)
        };
        writeln!(
            f,
            "had to try again to get a page: {}; minutes: half <= {}, 95% <= {}, longest {}; gave up: {}",
            waits.len(),
            at(50),
            at(95),
            at(100),
            self.gave_up
        )?;
        let last = self.after_removal.iter().max().copied().unwrap_or(0);
        writeln!(
            f,
            "removed and still let through: {} people, for at most {:.1} minutes",
            self.after_removal.len(),
            (last / SECOND) as f64 / 60.0
        )?;
        for ((kind, status), count) in &self.calls {
            writeln!(f, "  {count:7} {status} {kind}")?;
        }
        writeln!(
            f,
            "  hour requests    403    503  calls  greatest age (min)"
        )?;
        for (hour, it) in &self.hours {
            writeln!(
                f,
                "  {hour:4} {:8} {:6} {:6} {:6} {:6.1}",
                it.requests,
                it.refused,
                it.unavailable,
                it.calls,
                it.greatest_age as f64 / 60.0
            )?;
        }
        Ok(())
    }
}
