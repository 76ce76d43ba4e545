//! One renewal for all: a lease per session, and its result, in data that all workers share.
//!
//! A refresh token works once. Whoever uses it second loses, and can lock out everybody of the
//! consumer for minutes. So a worker takes the session's lease before it asks, and publishes what
//! it got, sealed, for requests that still come with the old cookie.
//!
//! ```text
//!          lease()                renewed()
//! (free) ──────────▶ leased ─────────────────▶ renewed ──▶ (free, when nobody needs it any more)
//!    ▲                 │ │ deadline passed: the next one takes over
//!    │ retry_at passed │ └──▶ leased
//!    └───── failed ◀───┘ failed()
//! ```
//! Each step is one write by compare-and-swap into one of the session's slots.

use crate::host::{Host, SharedData, Version};
use crate::oauth::random_text;
use crate::slots::{NO_VERSION, SlotKeys, Slots};
use crate::time::{Seconds, UnixTime};

/// The number of slots. A slot with two tokens of 2,600 characters has 7 KB.
const SLOTS: u32 = 65_536;

/// Among how many slots a session finds its own.
const PROBES: u32 = 8;

/// How long after the end of the old token a result is kept for those who still have the old
/// cookie: as long as Bitbucket is said to accept a used refresh token.
const KEPT: Seconds = Seconds(600);

/// How often one slot is tried when others write to it at the same time.
const ATTEMPTS: u32 = 8;

/// What is known about the renewal of one grant.
#[derive(Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody renews it: here the lease can be taken.
    Free(Spot),
    /// Somebody does.
    Leased,
    /// It was renewed: the sealed grant that follows, or where it lies, and when that ends.
    Renewed(String, UnixTime),
    /// It could not be renewed.
    Failed {
        /// Not to be tried before.
        retry_at: UnixTime,
        /// How often the provider said no.
        refusals: u32,
    },
    /// All slots that it could have are needed by others.
    Full,
}

/// A place for a lease, as it was seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Spot {
    key: String,
    version: Option<Version>,
    refusals: u32,
}

/// The right to use a refresh token, until a deadline.
#[derive(Debug)]
pub struct Lease {
    key: String,
    name: String,
    owner: String,
    /// When the grant ends that is to be renewed.
    grant_ends_at: UnixTime,
    refusals: u32,
}

/// How a renewal failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The provider said no.
    Refused,
    /// The provider could not be asked.
    Unavailable,
}

/// What a slot holds, as words:
///
/// ```text
/// record = name SP grant-ends-at SP kept-until SP state
/// state  = "leased" SP owner SP deadline / "renewed" SP box / "failed" SP retry-at SP refusals
/// ```
struct Record {
    /// Which session it is about.
    name: String,
    /// When the grant ends: the one to be renewed, or its successor.
    grant_ends_at: u64,
    /// Until when the slot is needed.
    kept_until: u64,
    state: State,
}

enum State {
    Leased { owner: String, deadline: u64 },
    Renewed { sealed: String },
    Failed { retry_at: u64, refusals: u32 },
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
        let mut word = || words.next();
        let name = word()?.to_owned();
        let (grant_ends_at, kept_until) = (word()?.parse().ok()?, word()?.parse().ok()?);
        let state = match (word()?, word()?, word()) {
            ("leased", owner, Some(deadline)) => State::Leased {
                owner: owner.to_owned(),
                deadline: deadline.parse().ok()?,
            },
            ("renewed", sealed, None) => State::Renewed {
                sealed: sealed.to_owned(),
            },
            ("failed", retry_at, Some(refusals)) => State::Failed {
                retry_at: retry_at.parse().ok()?,
                refusals: refusals.parse().ok()?,
            },
            (_, _, _) => return None,
        };
        Some(Self {
            name,
            grant_ends_at,
            kept_until,
            state,
        })
    }

    fn write(&self) -> Vec<u8> {
        let state = match &self.state {
            State::Leased { owner, deadline } => format!("leased {owner} {deadline}"),
            State::Renewed { sealed } => format!("renewed {sealed}"),
            State::Failed { retry_at, refusals } => format!("failed {retry_at} {refusals}"),
        };
        let Self {
            name,
            grant_ends_at,
            kept_until,
            ..
        } = self;
        format!("{name} {grant_ends_at} {kept_until} {state}").into_bytes()
    }
}

/// The slots of one site and one client.
#[derive(Debug)]
pub struct Renewals(Slots);

impl Renewals {
    /// The slots of `site` and `client_id`.
    #[must_use]
    pub fn new(site: &str, client_id: &str) -> Self {
        Self::with_slots(site, client_id, SLOTS)
    }

    fn with_slots(site: &str, client_id: &str, slots: u32) -> Self {
        let owner = format!("{site}\n{client_id}");
        Self(Slots::new("renewal", &owner, slots, PROBES))
    }

    /// What is known about the grant of `session_id` that ends at `grant_ends_at`.
    pub fn look(
        &self,
        session_id: &str,
        grant_ends_at: UnixTime,
        now: UnixTime,
        shared: &dyn SharedData,
    ) -> Standing {
        let SlotKeys { name, keys } = self.0.place_of_session(session_id);
        let mut free = None;
        for key in keys {
            let Some((bytes, version)) = shared.read(&key) else {
                // Never written, so nothing was ever put behind it.
                free = free.or(Some(Spot {
                    key,
                    version: None,
                    refusals: 0,
                }));
                break;
            };
            let spot = |refusals| Spot {
                key: key.clone(),
                version: Some(version),
                refusals,
            };
            let record = Record::read(&bytes);
            let Some(record) = record.filter(|record| now.0 < record.kept_until) else {
                free = free.or_else(|| Some(spot(0)));
                continue;
            };
            if record.name == name {
                return record.standing(grant_ends_at, now, spot);
            }
        }
        free.map_or(Standing::Full, Standing::Free)
    }

    /// Takes the lease for `span`. `None` if somebody was faster, or without random bytes.
    pub fn lease(
        &self,
        spot: Spot,
        session_id: &str,
        grant_ends_at: UnixTime,
        span: Seconds,
        host: &mut Host<'_>,
    ) -> Option<Lease> {
        let owner = random_text::<9>(host.random).ok()?;
        let name = session_id.to_owned();
        let version = spot.version.unwrap_or(NO_VERSION);
        let deadline = host.now.plus(span);
        let record = Record {
            name: name.clone(),
            grant_ends_at: grant_ends_at.0,
            kept_until: deadline.0.max(grant_ends_at.0).saturating_add(KEPT.0),
            state: State::Leased {
                owner: owner.clone(),
                deadline: deadline.0,
            },
        };
        let taken = host.shared.write(&spot.key, &record.write(), Some(version));
        taken.then_some(Lease {
            key: spot.key,
            name,
            owner,
            grant_ends_at,
            refusals: spot.refusals,
        })
    }

    /// Publishes the grant that follows, whoever holds the lease by now: it is the only one whose
    /// refresh token works.
    pub fn renewed(
        &self,
        lease: &Lease,
        sealed: &str,
        ends_at: UnixTime,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) -> bool {
        let record = Record {
            name: lease.name.clone(),
            grant_ends_at: ends_at.0,
            kept_until: now.0.max(lease.grant_ends_at.0).saturating_add(KEPT.0),
            state: State::Renewed {
                sealed: sealed.to_owned(),
            },
        };
        let is_newer = |found: &Record| {
            matches!(found.state, State::Renewed { .. }) && found.grant_ends_at >= ends_at.0
        };
        self.put(lease, &record, now, shared, |found| !is_newer(found))
    }

    /// Publishes that it did not work, and gives when to try again.
    pub fn failed(
        &self,
        lease: &Lease,
        failure: Failure,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) -> UnixTime {
        let refusals = match failure {
            Failure::Refused => lease.refusals.saturating_add(1),
            Failure::Unavailable => lease.refusals,
        };
        // The first refusal can be the end of a race with another instance, or of a lock-out.
        let pause = if refusals >= 2 { 30 } else { 5 };
        let retry_at = now.plus(Seconds(pause));
        let record = Record {
            name: lease.name.clone(),
            grant_ends_at: lease.grant_ends_at.0,
            kept_until: now.0.max(lease.grant_ends_at.0).saturating_add(KEPT.0),
            state: State::Failed {
                retry_at: retry_at.0,
                refusals,
            },
        };
        let is_ours = |found: &Record| matches!(&found.state, State::Leased { owner, .. } if *owner == lease.owner);
        self.put(lease, &record, now, shared, is_ours);
        retry_at
    }

    /// Writes the record unless the slot is another session's by now, or holds what must stay.
    fn put(
        &self,
        lease: &Lease,
        record: &Record,
        now: UnixTime,
        shared: &mut dyn SharedData,
        may_replace: impl Fn(&Record) -> bool,
    ) -> bool {
        let bytes = record.write();
        for _ in 0..ATTEMPTS {
            let Some((found, version)) = shared.read(&lease.key) else {
                return false;
            };
            if let Some(found) = Record::read(&found) {
                let is_others = found.name != lease.name && now.0 < found.kept_until;
                if is_others || (found.name == lease.name && !may_replace(&found)) {
                    return false;
                }
            }
            if shared.write(&lease.key, &bytes, Some(version)) {
                return true;
            }
        }
        false
    }
}

impl Record {
    /// Its meaning for somebody whose grant ends at `grant_ends_at`.
    fn standing(
        self,
        grant_ends_at: UnixTime,
        now: UnixTime,
        spot: impl Fn(u32) -> Spot,
    ) -> Standing {
        let is_older = self.grant_ends_at < grant_ends_at.0;
        match self.state {
            State::Renewed { sealed } if self.grant_ends_at > grant_ends_at.0 => {
                Standing::Renewed(sealed, UnixTime(self.grant_ends_at))
            }
            // About a grant before this one, or this one itself as a result.
            State::Renewed { .. } => Standing::Free(spot(0)),
            State::Leased { .. } | State::Failed { .. } if is_older => Standing::Free(spot(0)),
            State::Leased { deadline, .. } if now.0 < deadline => Standing::Leased,
            State::Leased { .. } => Standing::Free(spot(0)),
            State::Failed { retry_at, refusals } if now.0 < retry_at => Standing::Failed {
                retry_at: UnixTime(retry_at),
                refusals,
            },
            State::Failed { refusals, .. } => Standing::Free(spot(refusals)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{NativeSignatures, NoRandomness, Random};
    use crate::slots::Memory;

    #[derive(Debug, Default)]
    struct Counter(u8);

    impl Random for Counter {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
            self.0 = self.0.wrapping_add(1);
            bytes.fill(self.0);
            Ok(())
        }
    }

    const END: UnixTime = UnixTime(1_000);
    const SPAN: Seconds = Seconds(8);

    struct Site {
        renewals: Renewals,
        memory: Memory,
        random: Counter,
    }

    impl Site {
        fn new(slots: u32) -> Self {
            Self {
                renewals: Renewals::with_slots("https://a.test", "id", slots),
                memory: Memory::default(),
                random: Counter::default(),
            }
        }

        fn look(&self, session: &str, end: UnixTime, now: u64) -> Standing {
            self.renewals
                .look(session, end, UnixTime(now), &self.memory)
        }

        fn lease(&mut self, session: &str, end: UnixTime, now: u64) -> Option<Lease> {
            let Standing::Free(spot) = self.look(session, end, now) else {
                return None;
            };
            self.take(spot, session, end, now)
        }

        fn take(&mut self, spot: Spot, session: &str, end: UnixTime, now: u64) -> Option<Lease> {
            let mut host = Host {
                now: UnixTime(now),
                random: &mut self.random,
                shared: &mut self.memory,
                signatures: &NativeSignatures,
            };
            self.renewals.lease(spot, session, end, SPAN, &mut host)
        }
    }

    #[test]
    fn one_of_many_gets_the_lease() {
        let mut site = Site::new(64);
        let spots: Vec<_> = (0..5)
            .map(|_| {
                let Standing::Free(spot) = site.look("s", END, 900) else {
                    panic!("expected a free slot");
                };
                spot
            })
            .collect();
        let mut leases = 0;
        for spot in spots {
            leases += usize::from(site.take(spot, "s", END, 900).is_some());
        }
        assert_eq!(leases, 1);
        assert_eq!(site.look("s", END, 900), Standing::Leased);
    }

    #[test]
    fn a_result_is_for_those_who_have_the_grant_before_it() {
        let mut site = Site::new(64);
        let lease = site.lease("s", END, 900).unwrap();
        let next = UnixTime(2_000);
        assert!(
            site.renewals
                .renewed(&lease, "sealed", next, UnixTime(901), &mut site.memory)
        );
        assert_eq!(
            site.look("s", END, 902),
            Standing::Renewed("sealed".to_owned(), next)
        );
        // Who already has it may renew it in its turn; an older one gets it as well.
        assert!(matches!(site.look("s", next, 902), Standing::Free(_)));
        assert_eq!(
            site.look("s", UnixTime(500), 902),
            Standing::Renewed("sealed".to_owned(), next)
        );
        assert!(matches!(site.look("other", END, 902), Standing::Free(_)));
        // When nobody can need it any more the slot is free again.
        assert!(matches!(site.look("s", END, 1_600), Standing::Free(_)));
    }

    #[test]
    fn a_lease_whose_owner_died_is_taken_over_and_a_late_result_still_counts() {
        let mut site = Site::new(64);
        let dead = site.lease("s", END, 900).unwrap();
        assert_eq!(site.look("s", END, 907), Standing::Leased);
        let second = site.lease("s", END, 908).expect("the deadline has passed");
        // It was only slow: what it got is the grant that works.
        let next = UnixTime(2_000);
        assert!(
            site.renewals
                .renewed(&dead, "sealed", next, UnixTime(909), &mut site.memory)
        );
        // The other was refused for it, and does not take it away.
        site.renewals
            .failed(&second, Failure::Refused, UnixTime(910), &mut site.memory);
        assert_eq!(
            site.look("s", END, 911),
            Standing::Renewed("sealed".to_owned(), next)
        );
    }

    #[test]
    fn after_a_failure_it_is_tried_again_later_and_refusals_are_counted() {
        let mut site = Site::new(64);
        let lease = site.lease("s", END, 900).unwrap();
        let retry_at =
            site.renewals
                .failed(&lease, Failure::Refused, UnixTime(900), &mut site.memory);
        assert_eq!(
            site.look("s", END, 904),
            Standing::Failed {
                retry_at,
                refusals: 1
            }
        );
        let lease = site.lease("s", END, retry_at.0).unwrap();
        let retry_at = site
            .renewals
            .failed(&lease, Failure::Refused, retry_at, &mut site.memory);
        assert_eq!(
            site.look("s", END, 910),
            Standing::Failed {
                retry_at,
                refusals: 2
            }
        );
        // The grant that another instance got starts anew.
        assert!(matches!(
            site.look("s", UnixTime(2_000), 910),
            Standing::Free(_)
        ));
    }

    #[test]
    fn slots_stay_bounded_far_beyond_the_bound() {
        let mut site = Site::new(64);
        let mut leased = 0;
        for number in 0..10_000 {
            leased += usize::from(site.lease(&format!("s{number}"), END, 900).is_some());
        }
        assert_eq!(leased, 64, "each slot was used");
        assert_eq!(site.memory.0.len(), 64);
        assert_eq!(site.look("one more", END, 900), Standing::Full);
        // Later the slots are free for others.
        assert!(site.lease("one more", UnixTime(3_000), 2_500).is_some());
        assert_eq!(site.memory.0.len(), 64);
    }
}
