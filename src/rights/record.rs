//! An answer in data that all workers share, and who is asking for the next one.
//!
//! ```text
//!              lease()             answered()
//! (nothing) ───────────▶ leased ───────────────▶ answered
//!                          │  failed(): the answer before stays, with a time to come again
//! ```
//! Each step is one write by compare-and-swap into one of the question's slots.

use crate::host::{Host, SharedData, Version};
use crate::oauth::random_text;
use crate::slots::{NO_VERSION, SlotKeys, Slots};
use crate::time::{Seconds, UnixTime};

/// The number of slots. A slot with the rights to 20 repositories has about 1.5 KB.
const SLOTS: u32 = 32_768;

/// Among how many slots a question finds its own.
const PROBES: u32 = 8;

/// The most bytes of an answer that are shared.
const MAX_ANSWER_BYTES: usize = 1_048_576;

/// How often one slot is tried when others write to it at the same time.
const ATTEMPTS: u32 = 8;

/// What a slot holds:
///
/// ```text
/// record = mac SP kept-until SP asked-at SP (owner / "-") SP lease-until SP (failure / "-") SP retry-at LF answer
/// ```
/// Times are 0 for never; the answer is empty if there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    mac: String,
    kept_until: u64,
    pub(super) asked_at: UnixTime,
    owner: String,
    lease_until: u64,
    failure: String,
    retry_at: u64,
    pub(super) answer: String,
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, answer) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        let mut words = head.split(' ');
        let mut word = || words.next();
        Some(Self {
            mac: word()?.to_owned(),
            kept_until: word()?.parse().ok()?,
            asked_at: UnixTime(word()?.parse().ok()?),
            owner: word()?.to_owned(),
            lease_until: word()?.parse().ok()?,
            failure: word()?.to_owned(),
            retry_at: word()?.parse().ok()?,
            answer: answer.to_owned(),
        })
    }

    fn write(&self) -> Vec<u8> {
        let Self {
            mac,
            kept_until,
            asked_at,
            owner,
            lease_until,
            failure,
            retry_at,
            answer,
        } = self;
        let (owner, failure) = (or_dash(owner), or_dash(failure));
        let head = format!(
            "{mac} {kept_until} {} {owner} {lease_until} {failure} {retry_at}",
            asked_at.0
        );
        format!("{head}\n{answer}").into_bytes()
    }

    /// Whether somebody is asking at `now`.
    pub(super) fn is_leased(&self, now: UnixTime) -> bool {
        now.0 < self.lease_until
    }

    /// The word for why it did not work, as long as it is not to be tried again.
    pub(super) fn failure(&self, now: UnixTime) -> Option<&str> {
        (now.0 < self.retry_at).then_some(self.failure.as_str())
    }
}

fn or_dash(word: &str) -> &str {
    if word.is_empty() { "-" } else { word }
}

/// A place for a record, as it was seen.
#[derive(Debug)]
pub struct Spot {
    key: String,
    version: Version,
    record: Record,
}

/// The right to ask a question, until a deadline.
#[derive(Debug)]
pub struct Lease {
    key: String,
    mac: String,
    owner: String,
    asked_at: UnixTime,
}

/// The records of one site.
#[derive(Debug)]
pub(super) struct Records(Slots);

impl Records {
    pub(super) fn new(site: &str) -> Self {
        Self(Slots::new("rights", site, SLOTS, PROBES))
    }

    /// The record of `question`, which may be an empty one, and its place. `None` if all its slots
    /// are needed by others.
    pub(super) fn find(
        &self,
        question: &str,
        now: UnixTime,
        shared: &dyn SharedData,
    ) -> Option<Spot> {
        let SlotKeys { name: mac, keys } = self.0.place(question);
        let empty = || Record {
            mac: mac.clone(),
            ..Record::default()
        };
        let mut free = None;
        for key in keys {
            let Some((bytes, version)) = shared.read(&key) else {
                // Never written, so nothing was ever put behind it.
                free = free.or(Some((key, NO_VERSION)));
                break;
            };
            match Record::read(&bytes).filter(|record| now.0 < record.kept_until) {
                Some(record) if record.mac == mac => {
                    return Some(Spot {
                        key,
                        version,
                        record,
                    });
                }
                Some(_) => {}
                None => free = free.or(Some((key, version))),
            }
        }
        free.map(|(key, version)| Spot {
            key,
            version,
            record: empty(),
        })
    }

    /// Takes the lease for `span`. `None` if somebody was faster, or without random bytes.
    pub(super) fn lease(
        spot: Spot,
        span: Seconds,
        grace: Seconds,
        host: &mut Host<'_>,
    ) -> Option<Lease> {
        let owner = random_text::<9>(host.random).ok()?;
        let Spot {
            key,
            version,
            record,
        } = spot;
        let until = host.now.plus(span);
        let record = Record {
            kept_until: until.0.max(record.asked_at.plus(grace).0),
            owner: owner.clone(),
            lease_until: until.0,
            ..record
        };
        let taken = host.shared.write(&key, &record.write(), Some(version));
        taken.then_some(Lease {
            key,
            mac: record.mac,
            owner,
            asked_at: host.now,
        })
    }

    /// Keeps the lease for another `span`, if it is still ours.
    pub(super) fn extend(lease: &Lease, span: Seconds, now: UnixTime, shared: &mut dyn SharedData) {
        let until = now.plus(span).0;
        Self::put(lease, now, shared, |found| {
            let is_ours = found.mac == lease.mac && found.owner == lease.owner;
            is_ours.then(|| Record {
                kept_until: found.kept_until.max(until),
                lease_until: until,
                ..found
            })
        });
    }

    /// Publishes an answer, unless there is a newer one. `false` if it is too large.
    pub(super) fn answered(
        lease: &Lease,
        answer: String,
        grace: Seconds,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) -> bool {
        if answer.len() > MAX_ANSWER_BYTES {
            return false;
        }
        let record = Record {
            mac: lease.mac.clone(),
            kept_until: lease.asked_at.plus(grace).0,
            asked_at: lease.asked_at,
            answer,
            ..Record::default()
        };
        Self::put(lease, now, shared, |found| {
            let is_older = found.mac != lease.mac || found.asked_at < lease.asked_at;
            is_older.then(|| record.clone())
        });
        true
    }

    /// Publishes that it did not work: `failure`, a word. The answer before stays.
    pub(super) fn failed(
        lease: &Lease,
        failure: &str,
        retry_at: UnixTime,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        Self::put(lease, now, shared, |found| {
            let is_ours = found.mac == lease.mac && found.owner == lease.owner;
            is_ours.then(|| Record {
                kept_until: found.kept_until.max(retry_at.0),
                owner: String::new(),
                lease_until: 0,
                failure: failure.to_owned(),
                retry_at: retry_at.0,
                ..found
            })
        });
    }

    /// Replaces the record in the lease's slot, unless another question needs it by now.
    fn put(
        lease: &Lease,
        now: UnixTime,
        shared: &mut dyn SharedData,
        next: impl Fn(Record) -> Option<Record>,
    ) {
        for _ in 0..ATTEMPTS {
            let Some((bytes, version)) = shared.read(&lease.key) else {
                return;
            };
            let found = Record::read(&bytes).unwrap_or_default();
            if found.mac != lease.mac && now.0 < found.kept_until {
                return;
            }
            let Some(record) = next(found) else { return };
            if shared.write(&lease.key, &record.write(), Some(version)) {
                return;
            }
        }
    }
}

impl Spot {
    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn into_record(self) -> Record {
        self.record
    }
}
