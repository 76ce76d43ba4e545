//! Units of time as types: a moment and a span are never mixed up.
//!
//! Time is a value here. The adapter reads the clock once per event, so that one decision never
//! sees two clocks.

use std::fmt;

/// Whole seconds, a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seconds(pub u64);

impl Seconds {
    /// A span of `hours` hours, or the greatest span if that overflows.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours.saturating_mul(3_600))
    }

    /// A number of seconds in digits, at most a day: what a header field says.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_number)?;
        (number <= 86_400).then_some(Self(number))
    }

    /// One `divisor`th of the span, rounded down; the span itself for a divisor of zero.
    #[must_use]
    pub fn part(self, divisor: u64) -> Self {
        Self(self.0.checked_div(divisor).unwrap_or(self.0))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The moment `span` later, or the end of time.
    #[must_use]
    pub fn plus(self, span: Seconds) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The moment `span` earlier, or the beginning of time.
    #[must_use]
    pub fn minus(self, span: Seconds) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long it has been since `earlier`; zero if `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Seconds {
        Seconds(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(UnixTime(u64::MAX).plus(Seconds(1)), UnixTime(u64::MAX));
        assert_eq!(UnixTime(5).since(UnixTime(9)), Seconds(0));
        assert_eq!(Seconds::from_hours(12), Seconds(43_200));
        assert_eq!(Seconds(100).part(0), Seconds(100));
    }
}
