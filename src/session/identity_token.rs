//! Identity tokens: short assertions for upstreams that verify who calls. JWTs (RFC 7519) with
//! EdDSA (RFC 8037), and the key set (RFC 7517) that verifies them.

use std::cell::OnceCell;
use std::fmt;
use std::num::NonZeroUsize;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jwt_simple::algorithms::{Ed25519KeyPair, EdDSAKeyPairLike};
use jwt_simple::claims::{Audiences, JWTClaims};
use jwt_simple::common::HeaderOptions;
use jwt_simple::prelude::Duration;
use lru::LruCache;
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::host::{NoRandomness, Random};
use crate::identity::{PipelineStep, Principal};
use crate::oauth::random_text;
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

/// Our own claims. Those of a pipeline have the names of Bitbucket's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'s> {
    principal: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'s str>,
    /// Of OpenID Connect: when they signed in.
    #[serde(rename = "auth_time", skip_serializing_if = "Option::is_none")]
    auth_time: Option<u64>,
    #[serde(rename = "token_issuer", skip_serializing_if = "Option::is_none")]
    token_issuer: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_uuid: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository_uuid: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_uuid: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_uuid: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_environment_uuid: Option<&'s str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branch_name: Option<&'s str>,
}

impl<'s> Claims<'s> {
    fn of(subject: Subject<'s>) -> Self {
        let step = subject.step;
        Self {
            principal: subject.principal.as_str(),
            email: subject.email,
            auth_time: subject.auth_time.map(|time| time.0),
            token_issuer: subject.token_issuer,
            workspace_uuid: step.map(|step| step.workspace.as_str()),
            repository_uuid: step.map(|step| step.repository.as_str()),
            pipeline_uuid: step.and_then(|step| step.pipeline.as_deref()),
            step_uuid: step.and_then(|step| step.step.as_deref()),
            deployment_environment_uuid: step
                .and_then(|step| step.deployment_environment.as_deref()),
            branch_name: step.and_then(|step| step.branch.as_deref()),
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
    signed: LruCache<String, Signed>,
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
        if let Some(signed) = self.signed.get(&key)
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
        self.signed.put(key, signed);
        Ok(token)
    }
}

/// The library mixes random bytes of its own into a signature, and stops the program if there are
/// none, so the host is asked first: for the token's id.
fn sign(
    ring: &KeyRing,
    subject: Subject<'_>,
    expires_at: UnixTime,
    audience: &str,
    now: UnixTime,
    random: &mut dyn Random,
) -> Result<String, NoRandomness> {
    let jwt_id = random_text::<16>(random)?;
    let claims = JWTClaims {
        issued_at: Some(Duration::from_secs(now.0)),
        expires_at: Some(Duration::from_secs(expires_at.0)),
        // For verifiers whose clock is behind: the token is for a request that is on its way.
        invalid_before: Some(Duration::from_secs(
            now.minus(Seconds(CLOCK_SKEW_SECONDS)).0,
        )),
        issuer: Some(ring.site().to_owned()),
        subject: subject.subject.map(str::to_owned),
        audiences: Some(Audiences::AsString(audience.to_owned())),
        jwt_id: Some(jwt_id),
        nonce: None,
        custom: Claims::of(subject),
    };
    let options = HeaderOptions {
        signature_type: Some(TYPE.to_owned()),
        content_type: None,
    };
    // Neither fails: the seed is derived, and the claims have a form in JSON.
    let pair = ring.sealing(now).signing.pair().ok_or(NoRandomness)?;
    pair.sign_with_options(claims, &options)
        .map_err(|_| NoRandomness)
}

/// The public keys of the ring, as a JWK Set (RFC 7517 section 5). Those whose time has not come
/// are among them: verifiers know a key before it signs.
#[must_use]
pub fn key_set(ring: &KeyRing) -> serde_json::Value {
    let key = |pair: &Ed25519KeyPair, kid: &str| {
        json!({
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(pair.public_key().to_bytes()),
            "kid": kid,
            "use": "sig",
            "alg": "EdDSA",
        })
    };
    let keys = ring.all();
    let keys = keys.filter_map(|keys| Some(key(keys.signing.pair()?, &keys.kid)));
    json!({"keys": keys.collect::<Vec<_>>()})
}

/// The key that signs. The pair is made when it is needed first, since most sites sign nothing.
pub(super) struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    kid: String,
    pair: OnceCell<Option<Ed25519KeyPair>>,
}

/// What stands before the seed in PKCS #8 (RFC 8410 section 7): the library takes a seed in that
/// form only.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

impl SigningKey {
    pub(super) fn new(seed: Zeroizing<[u8; 32]>, kid: &str) -> Self {
        Self {
            seed,
            kid: kid.to_owned(),
            pair: OnceCell::new(),
        }
    }

    /// `None` for a seed of zeros only, which no derivation gives.
    fn pair(&self) -> Option<&Ed25519KeyPair> {
        let pair = self.pair.get_or_init(|| {
            let der = Zeroizing::new([PKCS8_PREFIX.as_slice(), self.seed.as_slice()].concat());
            let pair = Ed25519KeyPair::from_der(&der).ok()?;
            Some(pair.with_key_id(&self.kid))
        });
        pair.as_ref()
    }
}

impl fmt::Debug for IdentityTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityTokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
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
            tokens.signed.put(index.to_string(), signed);
        }
        assert_eq!(tokens.signed.len(), MAX_ENTRIES.get());
    }

    /// RFC 8037 appendix A.1 and A.2.
    #[test]
    fn a_seed_gives_the_public_key_of_the_rfc() {
        let seed = URL_SAFE_NO_PAD
            .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
            .unwrap();
        let key = SigningKey::new(Zeroizing::new(seed.try_into().unwrap()), "k");
        let public = key.pair().unwrap().public_key().to_bytes();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(public),
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        );
        let none = SigningKey::new(Zeroizing::new([0; 32]), "k");
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
