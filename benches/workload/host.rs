//! A host that does the same every time.

use std::collections::BTreeMap;

use bitgate::host::{NoRandomness, Random, SharedData, Version};
use bitgate::time::UnixTime;

/// The clock stands still: what is warm stays so.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// Not random at all (xorshift64).
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Random for Seeded {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        for byte in bytes {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            [*byte, ..] = self.0.to_le_bytes();
        }
        Ok(())
    }
}

/// Ordered, since a hash map counts otherwise in each run.
#[derive(Clone, Debug, Default)]
pub struct Memory(BTreeMap<String, (Vec<u8>, Version)>);

impl SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0.get(key).cloned()
    }

    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool {
        let version = self.0.get(key).map_or(0, |(_, version)| *version);
        if version != 0 && expected.is_some_and(|expected| expected != version) {
            return false;
        }
        self.0.insert(key.to_owned(), (value.to_vec(), version + 1));
        true
    }
}
