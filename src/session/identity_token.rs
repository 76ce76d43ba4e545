//! Identity tokens: short assertions for upstreams that verify who calls. JWTs (RFC 7519) with
//! EdDSA (RFC 8037), and the key set (RFC 7517) that verifies them.

use std::cell::OnceCell;
use std::fmt;
use std::num::NonZeroUsize;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_compact::{KeyPair, Noise, Seed};
use lru::LruCache;
use serde_json::Map;
use zeroize::Zeroizing;

use crate::host::{NoRandomness, Random};
use crate::identity::{PipelineStep, Principal};
use crate::json::object;
use crate::session::key_ring::Keys;
use crate::session::{CLOCK_SKEW_SECONDS, KeyRing, Session};
use crate::time::{Seconds, UnixTime};

/// Explicit typing (RFC 8725 section 3.11): no other JWT of the same key can stand in for it.
const TYPE: &str = "bitgate-identity+jwt";

/// How long a token lives, unless its session ends before. One is handed out until half of that has
/// passed, so that an upstream gets 150 seconds at least.
const LIFETIME: Seconds = Seconds(300);

/// The most tokens that a worker remembers.
const MAX_ENTRIES: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

/// Whom a token is about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// What tells them from all others: a session's id, or a name for a credential.
    pub key: &'s str,
    /// Their kind.
    pub principal: Principal,
    /// `sub`: the account, or what the token that they came with says.
    pub subject: Option<&'s str>,
    /// Their address, if it is confirmed.
    pub email: Option<&'s str>,
    /// When they signed in, if they did.
    pub auth_time: Option<UnixTime>,
    /// Who issued the token that they came with, if it was no session.
    pub token_issuer: Option<&'s str>,
    /// The step of a pipeline that they are.
    pub step: Option<&'s PipelineStep>,
}

impl<'s> Subject<'s> {
    /// Whose session it is.
    #[must_use]
    pub fn of(session: &'s Session) -> Self {
        Self {
            key: &session.id,
            principal: Principal::Person,
            subject: Some(&session.identity.account_id),
            email: session.identity.email.as_deref(),
            auth_time: Some(session.issued_at),
            token_issuer: None,
            step: None,
        }
    }
}

/// A token, and how long it can be used.
struct Signed {
    token: String,
    issued_at: UnixTime,
    expires_at: UnixTime,
}

impl Signed {
    /// Whether a request now gets it, rather than one that lives until `expires_at`. Half of its
    /// life is left then, or a new one would live no longer.
    fn serves(&self, now: UnixTime, expires_at: UnixTime) -> bool {
        let half = self.expires_at.since(self.issued_at).part(2);
        let has_time = now.plus(half) <= self.expires_at || self.expires_at == expires_at;
        // A clock can be set back, and the end of a session can be.
        has_time && self.issued_at <= now && self.expires_at <= expires_at
    }
}

/// The tokens that a worker signed: a warm request does no cryptography.
pub struct IdentityTokens {
    signed: LruCache<Box<str>, Signed>,
}

impl Default for IdentityTokens {
    fn default() -> Self {
        Self {
            signed: LruCache::new(MAX_ENTRIES),
        }
    }
}

impl IdentityTokens {
    /// A token that says to `audience` who calls. It does not outlive `ends_at`, the end of the
    /// session or of the credential.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn token(
        &mut self,
        ring: &KeyRing,
        subject: Subject<'_>,
        ends_at: UnixTime,
        audience: &str,
        now: UnixTime,
        random: &mut dyn Random,
    ) -> Result<String, NoRandomness> {
        // Neither a key nor an audience has a space.
        let key = format!("{} {audience}", subject.key);
        let expires_at = now.plus(LIFETIME).min(ends_at);
        if let Some(signed) = self.signed.get(key.as_str())
            && signed.serves(now, expires_at)
        {
            return Ok(signed.token.clone());
        }
        let token = sign(ring, subject, expires_at, audience, now, random)?;
        let signed = Signed {
            token: token.clone(),
            issued_at: now,
            expires_at,
        };
        self.signed.put(key.into(), signed);
        Ok(token)
    }
}

/// A JWS in its compact form (RFC 7515 section 7.1).
fn sign(
    ring: &KeyRing,
    subject: Subject<'_>,
    expires_at: UnixTime,
    audience: &str,
    now: UnixTime,
    random: &mut dyn Random,
) -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; 32];
    random.fill(&mut bytes)?;
    // Noise in a signature: a fault while it is made then tells nothing about the key.
    let (id, noise) = bytes.split_at(16);
    let times = [
        ("iat", Some(now)),
        // For verifiers whose clock is behind: the token is for a request that is on its way.
        ("nbf", Some(now.minus(Seconds(CLOCK_SKEW_SECONDS)))),
        ("exp", Some(expires_at)),
        // Of OpenID Connect: when they signed in.
        ("auth_time", subject.auth_time),
    ];
    let id = URL_SAFE_NO_PAD.encode(id);
    let step = subject.step;
    let texts = [
        ("iss", Some(ring.site())),
        ("aud", Some(audience)),
        ("sub", subject.subject),
        ("jti", Some(&id)),
        ("principal", Some(subject.principal.as_str())),
        ("email", subject.email),
        ("token_issuer", subject.token_issuer),
        // Those of a pipeline have Bitbucket's names.
        ("workspaceUuid", step.map(|step| step.workspace.as_str())),
        ("repositoryUuid", step.map(|step| step.repository.as_str())),
        (
            "pipelineUuid",
            step.and_then(|step| step.pipeline.as_deref()),
        ),
        ("stepUuid", step.and_then(|step| step.step.as_deref())),
        (
            "deploymentEnvironmentUuid",
            step.and_then(|step| step.deployment_environment.as_deref()),
        ),
        ("branchName", step.and_then(|step| step.branch.as_deref())),
    ];
    let mut claims = Map::new();
    for (name, time) in times {
        if let Some(time) = time {
            claims.insert(name.to_owned(), time.0.into());
        }
    }
    for (name, text) in texts {
        if let Some(text) = text {
            claims.insert(name.to_owned(), text.into());
        }
    }

    let keys = ring.sealing(now);
    let header = object(vec![
        ("alg", "EdDSA".into()),
        ("kid", keys.kid.as_str().into()),
        ("typ", TYPE.into()),
    ]);
    // A value has no key that is no string, so it always has a text.
    let text = |part| serde_json::to_string(&part).unwrap_or_default();
    let [header, claims] = [header, claims.into()].map(|part| URL_SAFE_NO_PAD.encode(text(part)));
    let input = format!("{header}.{claims}");
    // Never none: the seed is derived.
    let pair = keys.signing.pair().ok_or(NoRandomness)?;
    let signature = pair.sk.sign(&input, Noise::from_slice(noise).ok());
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The public keys of the ring, as a JWK Set (RFC 7517 section 5). Those whose time has not come
/// are among them: verifiers know a key before it signs.
#[must_use]
pub fn key_set(ring: &KeyRing) -> serde_json::Value {
    let key = |keys: &Keys| {
        let public = URL_SAFE_NO_PAD.encode(*keys.signing.pair()?.pk);
        Some(object(vec![
            ("kty", "OKP".into()),
            ("crv", "Ed25519".into()),
            ("x", public.into()),
            ("kid", keys.kid.as_str().into()),
            ("use", "sig".into()),
            ("alg", "EdDSA".into()),
        ]))
    };
    object(vec![("keys", ring.all().filter_map(key).collect())])
}

/// The key that signs. The pair is made when it is needed first, since most sites sign nothing.
pub(super) struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: OnceCell<Option<KeyPair>>,
}

impl SigningKey {
    pub(super) fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        Self {
            seed,
            pair: OnceCell::new(),
        }
    }

    /// `None` for a seed of zeros only, which no derivation gives.
    fn pair(&self) -> Option<&KeyPair> {
        let pair = || KeyPair::try_from_seed(Seed::new(*self.seed)).ok();
        self.pair.get_or_init(pair).as_ref()
    }
}

impl fmt::Debug for IdentityTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityTokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::Identity;
    use crate::session::SessionKey;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const AUDIENCE: &str = "https://reports.internal";

    /// A host with random bytes for so many tokens.
    #[derive(Debug)]
    struct Tokens(u8);

    impl Random for Tokens {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
            bytes.fill(self.0);
            self.0 = self.0.checked_sub(1).ok_or(NoRandomness)?;
            Ok(())
        }
    }

    fn ring(site: &str) -> KeyRing {
        let key = SessionKey::new("k", Zeroizing::new([7; 32])).unwrap();
        KeyRing::new(site, &[key]).unwrap()
    }

    fn session(id: &str) -> Session {
        Session {
            id: id.to_owned(),
            identity: Identity {
                account_id: "557058:ada".to_owned(),
                email: None,
                nickname: Some("Ada".to_owned()),
            },
            issued_at: NOW,
            expires_at: NOW.plus(Seconds(43_200)),
            seen_at: NOW,
        }
    }

    fn part(token: &str, index: usize) -> serde_json::Value {
        let part = token.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    /// A worker, asked for tokens of one session that ends at a moment.
    struct Worker {
        tokens: IdentityTokens,
        ring: KeyRing,
        random: Tokens,
    }

    impl Worker {
        fn new(random: u8) -> Self {
            Self {
                tokens: IdentityTokens::default(),
                ring: ring("https://a.test"),
                random: Tokens(random),
            }
        }

        fn ask(
            &mut self,
            id: &str,
            audience: &str,
            ends_at: UnixTime,
            now: UnixTime,
        ) -> Result<String, NoRandomness> {
            let (ring, random) = (&self.ring, &mut self.random);
            let session = session(id);
            self.tokens
                .token(ring, Subject::of(&session), ends_at, audience, now, random)
        }

        /// How long the token lives that is handed out `seconds` after the first.
        fn left_at(&mut self, seconds: u64, ends_at: UnixTime) -> u64 {
            let now = NOW.plus(Seconds(seconds));
            let token = self.ask("s", AUDIENCE, ends_at, now).unwrap();
            UnixTime(part(&token, 1)["exp"].as_u64().unwrap())
                .since(now)
                .0
        }
    }

    const FAR: UnixTime = UnixTime(u64::MAX);

    #[test]
    fn a_token_says_who_to_whom_and_for_how_long() {
        let token = Worker::new(1).ask("s", AUDIENCE, FAR, NOW).unwrap();
        let header = json!({"alg": "EdDSA", "kid": "k", "typ": "bitgate-identity+jwt"});
        assert_eq!(part(&token, 0), header);
        let claims = json!({
            "iss": "https://a.test",
            "aud": AUDIENCE,
            "sub": "557058:ada",
            "iat": NOW.0,
            "nbf": NOW.0 - 60,
            "exp": NOW.0 + 300,
            "jti": "AQEBAQEBAQEBAQEBAQEBAQ",
            "principal": "person",
            "auth_time": NOW.0,
        });
        assert_eq!(part(&token, 1), claims);
    }

    /// The second time nothing is asked of the host, so nothing is signed.
    #[test]
    fn a_token_is_signed_once_for_half_of_its_life() {
        let mut worker = Worker::new(1);
        for (seconds, left) in [(0, 300), (1, 299), (149, 151), (150, 150)] {
            assert_eq!(worker.left_at(seconds, FAR), left, "{seconds}");
        }
        let later = NOW.plus(Seconds(151));
        assert_eq!(worker.ask("s", AUDIENCE, FAR, later), Err(NoRandomness));
        worker.random = Tokens(1);
        assert_eq!(worker.left_at(151, FAR), 300);
    }

    #[test]
    fn a_token_ends_with_its_session() {
        let mut worker = Worker::new(2);
        let end = NOW.plus(Seconds(400));
        assert_eq!(worker.left_at(0, end), 300);
        // A new one could not live longer than this, so it is the last.
        for (seconds, left) in [(200, 200), (350, 50), (399, 1)] {
            assert_eq!(worker.left_at(seconds, end), left, "{seconds}");
        }
        // The end came nearer.
        let mut worker = Worker::new(2);
        assert_eq!(worker.left_at(0, FAR), 300);
        assert_eq!(worker.left_at(1, NOW.plus(Seconds(9))), 8);
        // An idle timeout of a minute: the end moves with every use, and a token serves for half.
        let mut worker = Worker::new(2);
        for seconds in 0..=60 {
            let left = worker.left_at(seconds, NOW.plus(Seconds(seconds + 60)));
            assert!((30..=60).contains(&left), "{seconds} {left}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_gets_no_token_of_the_future() {
        let mut worker = Worker::new(2);
        assert_eq!(worker.left_at(100, FAR), 300);
        assert_eq!(worker.left_at(99, FAR), 300);
    }

    #[test]
    fn each_session_and_each_audience_has_a_token_of_its_own() {
        let mut worker = Worker::new(200);
        let mut seen = Vec::new();
        for id in ["s", "t"] {
            for audience in ["a", "b", "a"] {
                let token = worker.ask(id, audience, FAR, NOW).unwrap();
                assert_eq!(part(&token, 1)["aud"], audience);
                seen.push(token);
            }
        }
        assert!(seen[0] == seen[2] && seen[3] == seen[5]);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn tokens_stay_bounded() {
        let mut tokens = IdentityTokens::default();
        for index in 0..MAX_ENTRIES.get() * 2 {
            let signed = Signed {
                token: String::new(),
                issued_at: NOW,
                expires_at: NOW,
            };
            tokens.signed.put(index.to_string().into(), signed);
        }
        assert_eq!(tokens.signed.len(), MAX_ENTRIES.get());
    }

    /// RFC 8037 appendix A.1 and A.2.
    #[test]
    fn a_seed_gives_the_public_key_of_the_rfc() {
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let key = SigningKey::new(Zeroizing::new(seed.try_into().unwrap()));
        let public = *key.pair().unwrap().pk;
        assert_eq!(
            URL_SAFE_NO_PAD.encode(public),
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        let none = SigningKey::new(Zeroizing::new([0; 32]));
        assert!(none.pair().is_none());
    }

    /// Two versions that run side by side publish the same keys, or their tokens do not verify.
    #[test]
    fn a_key_set_is_the_same_in_every_version() {
        let expected = json!({"keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "x": "DAaCb2HwskYNZ9xYSWZ22tEqUnBYrcLlFngvsUYFDLA",
            "kid": "k",
            "use": "sig",
            "alg": "EdDSA",
        }]});
        assert_eq!(key_set(&ring("https://a.test")), expected);
    }
}
