//! The host of a gate that judges one request and forgets it.

use std::collections::HashMap;
use std::time::SystemTime;

use bitgate::host::{NoRandomness, Random, SharedData, Version};
use bitgate::time::UnixTime;

/// The system's randomness.
#[derive(Debug)]
pub(super) struct System;

impl Random for System {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}

/// Shared data of one request.
#[derive(Debug, Default)]
pub(super) struct Memory(HashMap<String, (Vec<u8>, Version)>);

impl SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0.get(key).cloned()
    }

    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool {
        let version = self.0.get(key).map_or(0, |(_, version)| *version);
        let is_stale = version != 0 && expected.is_some_and(|expected| expected != version);
        if !is_stale {
            let next = version.saturating_add(1);
            self.0.insert(key.to_owned(), (value.to_vec(), next));
        }
        !is_stale
    }
}

/// The time.
#[expect(
    clippy::disallowed_methods,
    reason = "the command is the host of this one request"
)]
pub(super) fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime(since.map(|since| since.as_secs()).unwrap_or_default())
}
