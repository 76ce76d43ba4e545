//! What the core may ask of its host while it decides. Everything slow or visible is not asked but
//! returned: calls, replies, header edits and log events are values.

use std::fmt;

use crate::time::UnixTime;

/// The host could not give random bytes. Nothing can be sealed then, and nobody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected random bytes from the host, but got none")
    }
}

impl std::error::Error for NoRandomness {}

/// A cryptographically secure source of random bytes.
pub trait Random: fmt::Debug {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`NoRandomness`] if the host has none; `bytes` must not be used then.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness>;
}

/// The version of a shared value, for compare-and-swap.
pub type Version = u32;

/// Data that all workers of one Envoy share. It survives a reload of the VM, but not of Envoy.
pub trait SharedData: fmt::Debug {
    /// The value under `key` and its version; `None` if it was never set.
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)>;

    /// Sets `key` if its version is still `expected`, or if it is absent. `None` writes without a
    /// check. So a version that no key has creates a key, once.
    ///
    /// Returns whether the value was written.
    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool;
}

/// One event's view of the world.
#[derive(Debug)]
pub struct Host<'a> {
    /// The time of the event.
    pub now: UnixTime,
    /// Randomness, which may fail.
    pub random: &'a mut dyn Random,
    /// Data shared by all workers.
    pub shared: &'a mut dyn SharedData,
}
