//! When Bitbucket cannot be asked, not every session has to find out for itself.

use crate::host::SharedData;
use crate::time::{Seconds, UnixTime};

/// So many failures in a row open the circuit.
const FAILURES: u32 = 5;

/// How long it stays open; then one call tries.
const PAUSE: Seconds = Seconds(30);

/// Failures in a row, and until when nobody asks: two numbers with a space between.
#[derive(Default)]
struct Record {
    failures: u32,
    open_until: u64,
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (failures, open_until) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        Some(Self {
            failures: failures.parse().ok()?,
            open_until: open_until.parse().ok()?,
        })
    }

    fn write(&self) -> Vec<u8> {
        format!("{} {}", self.failures, self.open_until).into_bytes()
    }
}

/// A circuit that all workers share. Sign-ins never ask it: a person who waits is worth a call.
#[derive(Debug)]
pub struct Circuit {
    key: String,
}

impl Circuit {
    /// The circuit of `site`.
    #[must_use]
    pub fn new(site: &str) -> Self {
        Self {
            key: format!("bitgate.circuit.{site}"),
        }
    }

    /// Whether a call may be made at `now`. When the pause is over one caller may, and the others
    /// wait for what it finds.
    pub fn allows(&self, now: UnixTime, shared: &mut dyn SharedData) -> bool {
        let Some((bytes, version)) = shared.read(&self.key) else {
            return true;
        };
        let record = Record::read(&bytes).unwrap_or_default();
        if record.failures < FAILURES {
            return true;
        }
        if now.0 < record.open_until {
            return false;
        }
        let probing = Record {
            open_until: now.plus(PAUSE).0,
            ..record
        };
        shared.write(&self.key, &probing.write(), Some(version))
    }

    /// Somebody was allowed to call, and did not: the next one may.
    pub fn uncalled(&self, shared: &mut dyn SharedData) {
        let found = shared.read(&self.key);
        let record = found.and_then(|(bytes, _)| Record::read(&bytes));
        if let Some(record) = record.filter(|record| record.failures >= FAILURES) {
            let record = Record {
                open_until: 0,
                ..record
            };
            self.write(&record, shared);
        }
    }

    /// A call was answered, whatever the answer.
    pub fn succeeded(&self, shared: &mut dyn SharedData) {
        if let Some((bytes, _)) = shared.read(&self.key) {
            let record = Record::read(&bytes).unwrap_or_default();
            if record.failures > 0 {
                self.write(&Record::default(), shared);
            }
        }
    }

    /// Nobody could be asked at `now`.
    pub fn failed(&self, now: UnixTime, shared: &mut dyn SharedData) {
        let found = shared.read(&self.key);
        let record = found.and_then(|(bytes, _)| Record::read(&bytes));
        let record = record.unwrap_or_default();
        let record = Record {
            failures: record.failures.saturating_add(1),
            open_until: now.plus(PAUSE).0,
        };
        self.write(&record, shared);
    }

    /// Without a comparison: that one of two failures is not counted does no harm.
    fn write(&self, record: &Record, shared: &mut dyn SharedData) {
        shared.write(&self.key, &record.write(), None);
    }
}
