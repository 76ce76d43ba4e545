//! What the person at the terminal wants.

use std::path::PathBuf;
use std::time::Duration;

/// How much is measured, and how long.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// `BITGATE_BENCH_ROUNDS`: how often each row is measured.
    pub(crate) rounds: usize,
    /// `BITGATE_BENCH_SECONDS`: for how long each time.
    pub(crate) time: Duration,
    /// `BITGATE_BENCH_SESSIONS`: how many sessions, and tokens, cold rows cycle through.
    pub(crate) sessions: usize,
    /// `BITGATE_BENCH_ONLY`: names of rows, or their beginnings with a `*`. Empty for all.
    only: Vec<String>,
}

impl Choice {
    pub(crate) fn read() -> Self {
        let only = std::env::var("BITGATE_BENCH_ONLY").unwrap_or_default();
        let only = only.split(',').map(|name| name.trim().to_owned());
        Self {
            rounds: number("BITGATE_BENCH_ROUNDS", 7.0) as usize,
            time: Duration::from_secs_f64(number("BITGATE_BENCH_SECONDS", 2.0)),
            // More than the 4,096 verified tokens that a worker keeps, and than its 2,048 sessions.
            sessions: number("BITGATE_BENCH_SESSIONS", 6_000.0) as usize,
            only: only.filter(|name| !name.is_empty()).collect(),
        }
    }

    /// Everything once, too briefly to mean something.
    pub(crate) fn smoke() -> Self {
        Self {
            rounds: 1,
            time: Duration::from_millis(100),
            sessions: 20,
            ..Self::read()
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        let is_meant = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        self.only.is_empty() || self.only.iter().any(is_meant)
    }
}

/// `BITGATE_BENCH_OTHER`: another build of the module, which gets rows of its own.
pub(crate) fn other() -> Option<PathBuf> {
    std::env::var_os("BITGATE_BENCH_OTHER").map(PathBuf::from)
}

/// A positive number of the environment.
pub(crate) fn number(name: &str, default: f64) -> f64 {
    let Ok(text) = std::env::var(name) else {
        return default;
    };
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0);
    number.unwrap_or_else(|| panic!("{name}: expected a number above 0, but found {text:?}"))
}
