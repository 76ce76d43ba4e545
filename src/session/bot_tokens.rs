//! One access token of a bot for all workers: a lease on fetching it, the token itself, sealed, and
//! what became of the last attempts, in data that all workers share.
//!
//! ```text
//!          lease()               fetched()             three quarters of its life, or rejected()
//! (due) ──────────▶ leased ────────────────▶ fetched ──────────────────▶ (due, and still used)
//!    ▲                │ deadline passed: the next one takes over
//!    │ retry_at       ▼ failed(): the token that there is goes on to be used until its end
//!    └──────────── failed
//! ```

use zeroize::Zeroizing;

use crate::host::{Host, NoRandomness, Random, SharedData, Version};
use crate::oauth::{AccessToken, ClientCredentials, random_text};
use crate::session::Grant;
use crate::session::key_ring::{KeyRing, Purpose};
use crate::session::sealed_box::Place;
use crate::slots::{NO_VERSION, Slots};
use crate::time::{Seconds, UnixTime};

/// How often a record is tried when others write to it at the same time.
const ATTEMPTS: u32 = 8;

/// A token that Bitbucket does not accept, or that does not open here, is replaced no sooner than this
/// after it was fetched: a bot that was taken its rights is no reason to ask without end.
const LEAST_AGE: Seconds = Seconds(60);

/// A token that was fetched so much later than now was fetched while the clock was wrong.
const WRONG_CLOCK: Seconds = Seconds::from_hours(24);

/// No lease and no pause is longer.
const LONGEST_WAIT: Seconds = Seconds(600);

/// How the fetching of a token failed, and the first and the longest pause after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotFailure {
    /// Bitbucket says no, or gives less than is wanted: somebody has to change something.
    Refused,
    /// Bitbucket could not be asked.
    Unavailable,
}

impl BotFailure {
    /// After so many failures in a row. `jitter` spreads the bots of many instances.
    fn pause(self, failures: u64, jitter: u64) -> Seconds {
        let (first, longest) = match self {
            Self::Refused => (60_u64, LONGEST_WAIT.0),
            Self::Unavailable => (5, 60),
        };
        let doublings = failures.saturating_sub(1).min(8);
        let pause = (0..doublings).fold(first, |pause, _| pause.saturating_mul(2).min(longest));
        // Up to a fifth less.
        let less = pause.saturating_mul(jitter.min(255)).checked_div(1_280);
        Seconds(pause.saturating_sub(less.unwrap_or(0)))
    }
}

/// What all workers know about the token of a bot:
///
/// ```text
/// record = owner SP lease-until SP fetched-at SP renew-at SP expires-at SP retry-at SP failures SP box
/// ```
/// An owner or a box that there is not is "-".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Record {
    owner: String,
    lease_until: u64,
    fetched_at: u64,
    renew_at: u64,
    expires_at: u64,
    retry_at: u64,
    failures: u64,
    sealed: String,
}

impl Record {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split(' ');
        let owner = words.next()?.to_owned();
        let mut numbers = [0_u64; 6];
        for number in &mut numbers {
            *number = words.next()?.parse().ok()?;
        }
        let [
            lease_until,
            fetched_at,
            renew_at,
            expires_at,
            retry_at,
            failures,
        ] = numbers;
        Some(Self {
            owner,
            lease_until,
            fetched_at,
            renew_at,
            expires_at,
            retry_at,
            failures,
            sealed: words.next()?.to_owned(),
        })
    }

    fn write(&self) -> Vec<u8> {
        let or_dash = |word: &str| if word.is_empty() { "-" } else { word }.to_owned();
        let numbers = [
            self.lease_until,
            self.fetched_at,
            self.renew_at,
            self.expires_at,
            self.retry_at,
            self.failures,
        ];
        let mut text = or_dash(&self.owner);
        for number in numbers {
            text.push_str(&format!(" {number}"));
        }
        text.push(' ');
        text.push_str(&or_dash(&self.sealed));
        text.into_bytes()
    }
}

/// The record as it was seen.
#[derive(Debug)]
pub struct SeenBot {
    record: Record,
    version: Version,
}

/// Whether a token can be fetched now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BotDue {
    /// Here the lease can be taken.
    Free,
    /// Somebody is at it.
    Leased,
    /// It need not be, or must not be tried again yet.
    NotNow,
}

impl SeenBot {
    /// Whether it is time for the next token, for somebody whom the box gave one or not.
    #[must_use]
    pub fn due(&self, has_token: bool, now: UnixTime) -> BotDue {
        let Record {
            lease_until,
            fetched_at,
            renew_at,
            expires_at,
            retry_at,
            ..
        } = self.record;
        // A clock can be set back: nobody waits for what lies further ahead than anything is put.
        let soon = now.plus(LONGEST_WAIT).0;
        let is_ahead = |moment: u64| now.0 < moment && moment <= soon;
        // A box can be sealed with a key that this configuration does not have.
        let is_lost = !has_token && now.0 < expires_at;
        let due_at = match is_lost {
            true => fetched_at.saturating_add(LEAST_AGE.0),
            false => renew_at,
        };
        let is_due = now.0 >= due_at || UnixTime(fetched_at).since(now) > WRONG_CLOCK;
        if is_ahead(lease_until) {
            BotDue::Leased
        } else if !is_due || is_ahead(retry_at) {
            BotDue::NotNow
        } else {
            BotDue::Free
        }
    }

    /// Names what was seen: whoever saw the same version knows the token.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// How long the last token lives.
    #[must_use]
    pub fn left(&self, now: UnixTime) -> Seconds {
        UnixTime(self.record.expires_at).since(now)
    }

    /// When the last token was fetched; the beginning of time before the first.
    #[must_use]
    pub fn fetched_at(&self) -> UnixTime {
        UnixTime(self.record.fetched_at)
    }

    /// How often it has failed since then.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.record.failures
    }
}

/// The right to fetch a token, until a deadline.
#[derive(Debug)]
pub struct BotLease {
    owner: String,
}

/// Where the token of a bot lies.
#[derive(Debug)]
pub struct BotTokens {
    key: String,
    place: String,
}

impl BotTokens {
    /// The place for the bot called `name`, of these credentials and keys: others begin anew, and with
    /// a new secret nobody waits for the pause that the old one earned.
    #[must_use]
    pub fn new(ring: &KeyRing, name: &str, client: &ClientCredentials) -> Self {
        let site = ring.site();
        let place = format!("{name} {}", client.id);
        let mut owner = Zeroizing::new(format!("{site}\n{place}\n{}", client.secret.expose()));
        for keys in ring.all() {
            owner.push('\n');
            owner.push_str(&keys.kid);
        }
        let keys = Slots::new("bot", &owner, 1, 1).place(name).keys;
        Self {
            key: keys.into_iter().next().unwrap_or_default(),
            place,
        }
    }

    fn place(&self) -> Place<'_> {
        Place {
            purpose: Purpose::Bot,
            cookie: &self.place,
            session_id: "",
        }
    }

    /// Seals a token for shared data.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn seal(
        &self,
        ring: &KeyRing,
        grant: &Grant,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NoRandomness> {
        grant.seal(ring, self.place(), now, random)
    }

    /// Opens what was sealed for this bot.
    #[must_use]
    pub fn open(&self, ring: &KeyRing, sealed: &str) -> Option<Grant> {
        Grant::open(ring, self.place(), sealed)
    }

    /// What is known.
    #[must_use]
    pub fn look(&self, shared: &dyn SharedData) -> SeenBot {
        let found = shared.read(&self.key);
        let version = found.as_ref().map_or(NO_VERSION, |(_, version)| *version);
        let record = found.and_then(|(bytes, _)| Record::read(&bytes));
        SeenBot {
            record: record.unwrap_or_default(),
            version,
        }
    }

    /// The token in the box that was seen.
    #[must_use]
    pub fn token(&self, ring: &KeyRing, seen: &SeenBot) -> Option<Grant> {
        self.open(ring, &seen.record.sealed)
    }

    /// Takes the lease for `span`. `None` if somebody was faster, or without random bytes.
    pub fn lease(&self, seen: SeenBot, span: Seconds, host: &mut Host<'_>) -> Option<BotLease> {
        let owner = random_text::<9>(host.random).ok()?;
        let record = Record {
            owner: owner.clone(),
            lease_until: host.now.plus(span).0,
            ..seen.record
        };
        let taken = host
            .shared
            .write(&self.key, &record.write(), Some(seen.version));
        taken.then_some(BotLease { owner })
    }

    /// Publishes a token that was asked for at `asked_at`, whoever holds the lease by now, unless there
    /// is one that was asked for later, and not at a time that has not come.
    pub fn fetched(
        &self,
        grant: &Grant,
        sealed: &str,
        asked_at: UnixTime,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        self.update(shared, &|record| {
            let is_older = asked_at.0 < record.fetched_at && record.fetched_at <= now.0;
            if is_older {
                return false;
            }
            *record = Record {
                fetched_at: asked_at.0,
                renew_at: grant.renew_at().0,
                expires_at: grant.expires_at.0,
                sealed: sealed.to_owned(),
                ..Record::default()
            };
            true
        });
    }

    /// Publishes that it did not work, and how soon it is tried again.
    pub fn failed(
        &self,
        lease: &BotLease,
        failure: BotFailure,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        let jitter = lease.owner.bytes().fold(0_u8, u8::wrapping_add);
        self.update(shared, &|record| {
            if record.owner != lease.owner {
                return false;
            }
            record.owner.clear();
            record.lease_until = 0;
            record.failures = record.failures.saturating_add(1);
            let pause = failure.pause(record.failures, jitter.into());
            record.retry_at = now.plus(pause).0;
            true
        });
    }

    /// Bitbucket does not accept `token`: the next one is fetched soon, if it is still the last one.
    pub fn rejected(
        &self,
        ring: &KeyRing,
        token: &AccessToken,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        self.update(shared, &|record| {
            let fetched_at = record.fetched_at.min(now.0);
            let renew_at = fetched_at.saturating_add(LEAST_AGE.0).max(now.0);
            let last = || self.open(ring, &record.sealed);
            let is_sooner = renew_at < record.renew_at
                && last().is_some_and(|last| last.access_token == *token);
            if is_sooner {
                record.renew_at = renew_at;
            }
            is_sooner
        });
    }

    /// Changes the record, if `change` says so.
    fn update(&self, shared: &mut dyn SharedData, change: &dyn Fn(&mut Record) -> bool) {
        for _ in 0..ATTEMPTS {
            let SeenBot {
                mut record,
                version,
            } = self.look(shared);
            if !change(&mut record) || shared.write(&self.key, &record.write(), Some(version)) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ClientSecret;
    use crate::session::SessionKey;
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

    const SPAN: Seconds = Seconds(8);

    fn ring(kid: &str) -> KeyRing {
        let key = SessionKey::new(kid, [7; 32].into()).unwrap();
        KeyRing::new("https://a.test", &[key]).unwrap()
    }

    fn client(secret: &str) -> ClientCredentials {
        ClientCredentials {
            id: "id".to_owned(),
            secret: ClientSecret::new(secret),
        }
    }

    fn grant(token: &str, now: u64) -> Grant {
        Grant {
            access_token: AccessToken::new(token),
            refresh_token: None,
            expires_at: UnixTime(now).plus(Seconds(7_200)),
            lifetime: Seconds(7_200),
            scopes: None,
        }
    }

    /// One bot, with two workers that share a memory.
    struct Site {
        ring: KeyRing,
        tokens: BotTokens,
        memory: Memory,
        random: Counter,
    }

    impl Site {
        fn new() -> Self {
            let ring = ring("k");
            Self {
                tokens: BotTokens::new(&ring, "b", &client("s")),
                ring,
                memory: Memory::default(),
                random: Counter::default(),
            }
        }

        fn due(&self, now: u64) -> BotDue {
            let seen = self.tokens.look(&self.memory);
            let token = self.tokens.token(&self.ring, &seen);
            let has_token = token.is_some_and(|grant| now < grant.expires_at.0);
            seen.due(has_token, UnixTime(now))
        }

        fn take(&mut self, seen: SeenBot, now: u64) -> Option<BotLease> {
            let mut host = Host {
                now: UnixTime(now),
                random: &mut self.random,
                shared: &mut self.memory,
                signatures: &crate::host::NativeSignatures,
            };
            self.tokens.lease(seen, SPAN, &mut host)
        }

        fn lease(&mut self, now: u64) -> BotLease {
            assert_eq!(self.due(now), BotDue::Free);
            let seen = self.tokens.look(&self.memory);
            self.take(seen, now).unwrap()
        }

        fn publish(&mut self, token: &str, now: u64) {
            self.publish_late(token, now, now);
        }

        fn publish_late(&mut self, token: &str, asked_at: u64, now: u64) {
            let grant = grant(token, asked_at);
            let sealed = self
                .tokens
                .seal(&self.ring, &grant, UnixTime(now), &mut self.random);
            self.tokens.fetched(
                &grant,
                &sealed.unwrap(),
                UnixTime(asked_at),
                UnixTime(now),
                &mut self.memory,
            );
        }

        fn fail(&mut self, lease: &BotLease, failure: BotFailure, now: u64) {
            self.tokens
                .failed(lease, failure, UnixTime(now), &mut self.memory);
        }

        fn token(&self) -> String {
            let seen = self.tokens.look(&self.memory);
            let grant = self.tokens.token(&self.ring, &seen).unwrap();
            grant.access_token.expose().to_owned()
        }

        /// When it can be tried again after `now`.
        fn free_at(&self, now: u64) -> u64 {
            let mut later = now..;
            later.find(|at| self.due(*at) == BotDue::Free).unwrap()
        }
    }

    #[test]
    fn one_of_many_fetches_and_all_have_the_token() {
        let mut site = Site::new();
        let seen: Vec<_> = (0..5).map(|_| site.tokens.look(&site.memory)).collect();
        let leases = seen.into_iter().filter_map(|seen| site.take(seen, 1_000));
        assert_eq!(leases.count(), 1);
        assert_eq!(site.due(1_000), BotDue::Leased);
        site.publish("one", 1_000);
        assert_eq!(
            (site.token().as_str(), site.due(1_001)),
            ("one", BotDue::NotNow)
        );
        let seen = site.tokens.look(&site.memory);
        assert_eq!(seen.left(UnixTime(1_100)), Seconds(7_100));
        assert_eq!(seen.left(UnixTime(9_000)), Seconds(0));
        // What lies in shared data does not tell the token.
        for (bytes, _) in site.memory.0.values() {
            assert!(!String::from_utf8_lossy(bytes).contains("one"));
        }
        let due = site.free_at(1_000 + 5_000);
        assert!(
            (6_400..=6_760).contains(&due),
            "75 to 80% of its life: {due}"
        );
    }

    #[test]
    fn whose_owner_died_is_taken_over_and_a_late_answer_is_no_step_back() {
        let mut site = Site::new();
        let dead = site.lease(1_000);
        assert_eq!(site.due(1_007), BotDue::Leased);
        let _second = site.lease(1_008);
        site.publish("second", 1_008);
        site.publish_late("first", 1_000, 1_009);
        site.fail(&dead, BotFailure::Unavailable, 1_010);
        assert_eq!(site.token(), "second");
        let seen = site.tokens.look(&site.memory);
        assert_eq!((seen.failures(), seen.fetched_at()), (0, UnixTime(1_008)));
    }

    #[test]
    fn pauses_grow_to_an_end_and_a_refusal_makes_longer_ones() {
        for (failure, first, last) in [
            (BotFailure::Unavailable, 4..=5, 48..=60),
            (BotFailure::Refused, 48..=60, 480..=600),
        ] {
            let mut site = Site::new();
            site.publish("old", 1_000);
            let mut now = 6_800;
            let mut pauses = Vec::new();
            for failures in 1..=20 {
                let lease = site.lease(now);
                site.fail(&lease, failure, now);
                assert_eq!(site.tokens.look(&site.memory).failures(), failures);
                // What there is stays.
                assert_eq!(site.token(), "old");
                let next = site.free_at(now);
                pauses.push(next - now);
                now = next;
            }
            assert!(first.contains(&pauses[0]), "{pauses:?}");
            assert!(last.contains(&pauses[19]), "{pauses:?}");
            site.publish("new", now);
            assert_eq!(site.tokens.look(&site.memory).failures(), 0);
            assert_eq!(site.due(now), BotDue::NotNow);
        }
    }

    #[test]
    fn a_token_that_is_not_accepted_is_replaced_but_not_at_once_again() {
        let mut site = Site::new();
        site.publish("one", 1_000);
        let reject = |site: &mut Site, token: &str, now: u64| {
            let Site {
                ring,
                tokens,
                memory,
                ..
            } = site;
            tokens.rejected(ring, &AccessToken::new(token), UnixTime(now), memory);
        };
        reject(&mut site, "another", 1_010);
        assert_eq!(site.due(2_000), BotDue::NotNow);
        reject(&mut site, "one", 1_010);
        assert_eq!(
            (site.due(1_059), site.due(1_060)),
            (BotDue::NotNow, BotDue::Free)
        );
        // Later ones change nothing, and put nothing off.
        reject(&mut site, "one", 1_050);
        assert_eq!(site.free_at(1_000), 1_060);
        site.publish("two", 2_000);
        reject(&mut site, "two", 3_000);
        assert_eq!(site.due(3_000), BotDue::Free);
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut site = Site::new();
        site.publish("tomorrow's", 90_000);
        assert_eq!(site.due(90_001), BotDue::NotNow);
        assert_eq!(site.due(3_600), BotDue::NotNow);
        let lease = site.lease(1_000);
        site.fail(&lease, BotFailure::Refused, 1_000);
        assert_eq!(site.due(1_010), BotDue::NotNow);
        assert_eq!(site.due(90), BotDue::Free, "a pause that ends too late");
        let _lease = site.lease(90);
        site.publish("today's", 91);
        assert_eq!(
            (site.token().as_str(), site.due(92)),
            ("today's", BotDue::NotNow)
        );
    }

    #[test]
    fn other_credentials_and_other_keys_begin_anew() {
        let mut site = Site::new();
        site.publish("one", 1_000);
        let sealed = site.tokens.look(&site.memory).record.sealed;
        for (name, secret, kid) in [("c", "s", "k"), ("b", "t", "k"), ("b", "s", "l")] {
            let ring = ring(kid);
            let other = BotTokens::new(&ring, name, &client(secret));
            let seen = other.look(&site.memory);
            assert_eq!(seen.due(false, UnixTime(1_001)), BotDue::Free);
            // The secret does not matter for the seal.
            let opens = other.open(&ring, &sealed).is_some();
            assert_eq!(opens, (name, kid) == ("b", "k"), "{name} {kid}");
        }
        // A box that does not open is no token, and no reason to ask in every second.
        let seen = site.tokens.look(&site.memory);
        assert_eq!(seen.due(false, UnixTime(1_059)), BotDue::NotNow);
        assert_eq!(seen.due(false, UnixTime(1_060)), BotDue::Free);
    }

    #[test]
    fn strange_bytes_are_no_record() {
        let mut site = Site::new();
        let key = site.tokens.key.clone();
        for text in ["", "- 1", "- x 0 0 0 0 0 -", "\u{e9}"] {
            site.memory
                .0
                .insert(key.clone(), (text.as_bytes().to_vec(), 7));
            assert_eq!(site.due(1), BotDue::Free, "{text}");
            site.lease(1);
        }
    }
}
