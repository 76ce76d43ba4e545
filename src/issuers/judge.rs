//! Judging a token.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use zeroize::Zeroizing;

use crate::bitbucket::read_step;
use crate::host::{Host, SharedData};
use crate::issuers::cache::{Digest, Digests, VerifiedTokens};
use crate::issuers::source::{Known, Source};
use crate::issuers::state::{Asking, Sought, State};
use crate::issuers::{Issuer, KeyFetch, Kind, VerifiedToken};
use crate::jose::{
    Claims, Expected, InvalidToken, Jws, Unverified, names_issuer, unverified_claims,
};
use crate::time::UnixTime;

/// What a token is worth. The number is that of the issuer in the configuration.
#[derive(Debug)]
pub enum Judged {
    /// It names no issuer of ours: it is not for us to judge.
    NotOurs,
    /// Its issuer signed it, for us.
    Verified(Rc<VerifiedToken>),
    /// It is not accepted, and nothing else that the request brings may take its place.
    Refused(usize, InvalidToken),
    /// Keys have to be fetched first.
    Fetch(usize, KeyFetch),
    /// Somebody else fetches them: the word to wait for.
    Wait(usize, String),
    /// Nothing can be said about it now.
    Unavailable(usize),
}

/// The issuers of one site.
pub struct Issuers {
    sources: Vec<Rc<Source>>,
    digests: Digests,
    verified: RefCell<VerifiedTokens>,
}

impl Issuers {
    /// Nothing is known yet. `secret` names tokens in memory.
    #[must_use]
    pub fn new(site: &str, secret: Zeroizing<[u8; 32]>, issuers: &[Rc<Issuer>]) -> Self {
        let sources = issuers
            .iter()
            .map(|issuer| Rc::new(Source::new(site, issuer)));
        Self {
            sources: sources.collect(),
            digests: Digests::new(secret),
            verified: RefCell::new(VerifiedTokens::new()),
        }
    }

    /// An issuer, by its number.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Rc<Issuer>> {
        self.sources.get(index).map(|source| &source.issuer)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Judges a token. One that was verified before costs a hash, and no look at shared data.
    pub fn judge(&self, token: &str, host: &mut Host<'_>) -> Judged {
        // An opaque token is not worth a hash.
        if self.sources.is_empty() || !token.contains('.') {
            return Judged::NotOurs;
        }
        let digest = self.digests.of(token);
        if let Some(verified) = self.verified_before(&digest, host.now) {
            return Judged::Verified(verified);
        }
        let claims = unverified_claims(token);
        for (index, source) in self.sources.iter().enumerate() {
            if !names_issuer(&claims, &source.issuer.issuer) {
                continue;
            }
            let mut generation = 0;
            return match source.verify(index, token, &mut generation, host) {
                Ok(verified) => {
                    let verified = Rc::new(verified);
                    let mut cache = self.verified.borrow_mut();
                    cache.keep(digest, generation, Rc::clone(&verified));
                    Judged::Verified(verified)
                }
                Err(judged) => judged,
            };
        }
        Judged::NotOurs
    }

    fn verified_before(&self, digest: &Digest, now: UnixTime) -> Option<Rc<VerifiedToken>> {
        let cache = self.verified.borrow();
        let (generation, verified) = cache.find(digest)?;
        let known = self.sources.get(verified.issuer)?.known()?;
        let is_good = known.generation == generation && !Claims::is_over(verified.expires_at, now);
        is_good.then(|| Rc::clone(verified))
    }

    /// What the clock brings, every second or so on every worker: takes over what others have
    /// fetched, and asks for keys that are old. One of all workers asks.
    pub fn on_tick(&self, host: &mut Host<'_>) -> Vec<KeyFetch> {
        let mut fetches = Vec::new();
        for source in self.remote() {
            source.take_over(host.shared);
            fetches.extend(source.ask(Sought::Newer, host));
        }
        fetches
    }

    /// How old the keys in use are, in seconds: since 1970 if there never were any. Names and numbers
    /// of gauges.
    #[must_use]
    pub fn gauges(&self, now: UnixTime, shared: &dyn SharedData) -> Vec<(String, u64)> {
        let gauge = |source: &Rc<Source>| {
            let (state, _) = State::read(&source.key, shared);
            let label = source.issuer.label();
            let name = format!("bitgate_issuer_keys_age_seconds.issuer.{label}");
            (name, now.since(state.fetched_at).0)
        };
        self.remote().map(gauge).collect()
    }

    fn remote(&self) -> impl Iterator<Item = &Rc<Source>> {
        self.sources.iter().filter(|source| source.call().is_some())
    }
}

impl Source {
    /// Verifies a token, and says by which `generation` of keys.
    fn verify(
        self: &Rc<Self>,
        index: usize,
        token: &str,
        generation: &mut u64,
        host: &mut Host<'_>,
    ) -> Result<VerifiedToken, Judged> {
        let refused = |why| Judged::Refused(index, why);
        let jws = Jws::parse(token).map_err(refused)?;
        let known = match self.known().or_else(|| self.take_over(host.shared)) {
            Some(known) => known,
            None => {
                let asked = self.ask(Sought::First, host);
                // Another worker may have published them between the two looks.
                let is_fresh = matches!(asked, Err(Asking::Fresh));
                match self.take_over(host.shared).filter(|_| is_fresh) {
                    Some(known) => known,
                    None => return Err(self.waits(index, asked)),
                }
            }
        };
        let read = self.read(index, &jws, host.now);
        *generation = known.generation;
        let why = match self.check(&jws, &known, host) {
            Ok(()) => return read.map_err(refused),
            Err(Unverified::CannotVerify) => return Err(Judged::Unavailable(index)),
            Err(Unverified::Invalid(why)) => why,
        };
        // A token that names no key says nothing about which one it means.
        let may_be_new = why == InvalidToken::UnknownKey
            || why == InvalidToken::BadSignature && !jws.names_a_key();
        if !may_be_new || self.call().is_none() {
            return Err(refused(why));
        }
        // What no key could make good is worth no question: an old token names an old key.
        let verified = read.map_err(refused)?;
        // Twice: another worker may publish newer ones between the two looks.
        let mut asked = None;
        for _ in 0..2 {
            if let Some(newer) = self.take_over(host.shared)
                && self.check(&jws, &newer, host) == Ok(())
            {
                *generation = newer.generation;
                return Ok(verified);
            }
            match asked.get_or_insert_with(|| self.ask(Sought::Unknown, host)) {
                Err(Asking::Fresh) => {}
                Ok(_) | Err(Asking::Failing | Asking::Free | Asking::Leased) => break,
            }
        }
        match asked {
            None | Some(Err(Asking::Fresh)) => Err(refused(why)),
            Some(asked) => Err(self.waits(index, asked)),
        }
    }

    fn check(&self, jws: &Jws<'_>, known: &Known, host: &Host<'_>) -> Result<(), Unverified> {
        let accepted = &self.issuer.algorithms;
        known.keys.verify(jws, accepted, host.signatures)
    }

    /// What the token says, which is worth nothing before its signature is verified.
    fn read(
        &self,
        index: usize,
        jws: &Jws<'_>,
        now: UnixTime,
    ) -> Result<VerifiedToken, InvalidToken> {
        let issuer = &self.issuer;
        let expected = Expected {
            issuer: &issuer.issuer,
            audiences: &issuer.audiences,
            required: &issuer.required,
        };
        let claims = Claims::read(jws.payload(), &expected, now)?;
        let step = match &issuer.kind {
            Kind::Other => None,
            Kind::Pipelines {
                workspace,
                workspace_uuid,
            } => {
                let step = read_step(&claims, workspace)?;
                if step.workspace != *workspace_uuid {
                    return Err(InvalidToken::Claim);
                }
                Some(step)
            }
        };
        Ok(VerifiedToken {
            issuer: index,
            subject: claims.subject,
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            step,
        })
    }

    /// What becomes of a request that needs keys.
    fn waits(&self, index: usize, asked: Result<KeyFetch, Asking>) -> Judged {
        match asked {
            Ok(fetch) => Judged::Fetch(index, fetch),
            Err(Asking::Free | Asking::Leased) => Judged::Wait(index, self.key.clone()),
            Err(Asking::Failing | Asking::Fresh) => Judged::Unavailable(index),
        }
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Issuers").field(&self.sources).finish()
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    reason = "tests: a failed expectation is a failed test"
)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::host::{
        CannotVerify, NativeSignatures, NoRandomness, Random, SignatureAlgorithm, Signatures,
    };
    use crate::http::{Call, Reply};
    use crate::issuers::state::{COOL_DOWN, REFRESH};
    use crate::issuers::{Change, KeyFailure, Keys};
    use crate::jose::{KeySet, Signer};
    use crate::slots::Memory;
    use crate::time::Seconds;

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const WORKSPACE: &str = "{77aa0000-1111-4222-8333-444455556666}";
    const REPOSITORY: &str = "{99cc0000-1111-4222-8333-444455556666}";
    const PIPELINES: &str = "https://bb.test/acme/oidc";
    const IDP: &str = "https://idp.test";

    #[derive(Debug)]
    struct NoRandom;

    impl Random for NoRandom {
        fn fill(&mut self, _: &mut [u8]) -> Result<(), NoRandomness> {
            Err(NoRandomness)
        }
    }

    /// A host that counts what it verifies, if it does.
    #[derive(Debug, Default)]
    struct Counting {
        count: std::cell::Cell<usize>,
        is_down: bool,
    }

    impl Signatures for Counting {
        fn verify(
            &self,
            algorithm: SignatureAlgorithm,
            key: &[u8],
            message: &[u8],
            signature: &[u8],
        ) -> Result<bool, CannotVerify> {
            self.count.set(self.count.get() + 1);
            match self.is_down {
                true => Err(CannotVerify),
                false => NativeSignatures.verify(algorithm, key, message, signature),
            }
        }
    }

    /// One Envoy: data that its workers share, a time, and an issuer's server.
    struct Site {
        memory: Memory,
        now: UnixTime,
        signatures: Counting,
        /// What the server says.
        served: Reply,
        fetches: usize,
    }

    fn answer(body: Vec<u8>) -> Reply {
        Reply::Answer {
            status: 200,
            media_type: "application/json".to_owned(),
            body,
            retry_after: None,
        }
    }

    fn call(authority: &str) -> Call {
        Call {
            cluster: "c".to_owned(),
            method: "GET",
            scheme: "https",
            authority: authority.to_owned(),
            path: "/keys".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Seconds(5),
        }
    }

    fn signer() -> Signer {
        Signer::new("a", 1)
    }

    /// One with a server, and one with its keys in the configuration.
    fn worker() -> Issuers {
        let pipelines = Issuer {
            issuer: PIPELINES.to_owned(),
            kind: Kind::Pipelines {
                workspace: "acme".to_owned(),
                workspace_uuid: WORKSPACE.to_owned(),
            },
            keys: Keys::Remote(Rc::new(call("bb.test"))),
            audiences: vec!["us".to_owned()],
            algorithms: vec![SignatureAlgorithm::EcdsaP256Sha256],
            required: Vec::new(),
        };
        let inline = KeySet::parse(&Signer::new("inline", 9).set()).unwrap();
        let other = Issuer {
            issuer: IDP.to_owned(),
            kind: Kind::Other,
            keys: Keys::Inline(Rc::new(inline)),
            ..pipelines.clone()
        };
        Issuers::new(
            "https://tools.test",
            [7; 32].into(),
            &[Rc::new(pipelines), Rc::new(other)],
        )
    }

    impl Site {
        fn new() -> Self {
            Self {
                memory: Memory::default(),
                now: NOW,
                signatures: Counting::default(),
                served: answer(signer().set()),
                fetches: 0,
            }
        }

        fn with_host<T>(&mut self, ask: impl FnOnce(&mut Host<'_>) -> T) -> T {
            ask(&mut Host {
                now: self.now,
                random: &mut NoRandom,
                shared: &mut self.memory,
                signatures: &self.signatures,
            })
        }

        fn judge(&mut self, worker: &Issuers, token: &str) -> Judged {
            self.with_host(|host| worker.judge(token, host))
        }

        fn answer(&mut self, fetch: KeyFetch) -> crate::issuers::Fetched {
            self.fetches += 1;
            let reply = self.served.clone();
            self.with_host(|host| fetch.finish(reply, host))
        }

        /// The verdict after what has to be fetched was.
        fn settled(&mut self, worker: &Issuers, token: &str) -> Judged {
            match self.judge(worker, token) {
                Judged::Fetch(0, fetch) => {
                    self.answer(fetch);
                    self.judge(worker, token)
                }
                other => other,
            }
        }

        fn tick(&mut self, worker: &Issuers) {
            for fetch in self.with_host(|host| worker.on_tick(host)) {
                self.answer(fetch);
            }
        }

        fn advance(&mut self, span: Seconds) {
            self.now = self.now.plus(span);
        }
    }

    fn claims(now: UnixTime) -> Value {
        json!({
            "iss": PIPELINES, "aud": "us", "sub": "repository:step",
            "iat": now.0, "exp": now.0 + 3_600,
            "workspaceUuid": WORKSPACE, "repositoryUuid": REPOSITORY, "branchName": "main",
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims(NOW);
        claims[name] = value;
        claims
    }

    fn refusal(judged: &Judged) -> Option<InvalidToken> {
        match judged {
            Judged::Refused(0, why) => Some(*why),
            _ => None,
        }
    }

    fn is_verified(judged: &Judged) -> bool {
        matches!(judged, Judged::Verified(_))
    }

    #[test]
    fn a_step_is_verified_and_known_by_uuids() {
        let (mut site, worker) = (Site::new(), worker());
        let mut claims = claims(NOW);
        claims["repositoryUuid"] = json!(REPOSITORY.to_uppercase());
        claims["deploymentEnvironmentUuid"] = json!(WORKSPACE);
        let Judged::Verified(verified) = site.settled(&worker, &signer().token(&claims)) else {
            panic!("expected a verified token");
        };
        let step = verified.step.as_ref().unwrap();
        assert_eq!(
            (step.workspace.as_str(), step.repository.as_str()),
            (WORKSPACE, REPOSITORY)
        );
        assert_eq!(step.branch.as_deref(), Some("main"));
        assert_eq!(step.deployment_environment.as_deref(), Some(WORKSPACE));
        assert_eq!((&step.pipeline, &step.step), (&None, &None));
        assert_eq!(
            (verified.issuer, verified.subject.as_str()),
            (0, "repository:step")
        );
        assert_eq!(verified.expires_at, NOW.plus(Seconds(3_600)));
    }

    /// The table of what is accepted: one thing is wrong in each.
    #[test]
    fn what_is_wrong_about_a_token_is_said_in_a_word() {
        use InvalidToken::{
            Algorithm, BadSignature, Claim, Expired, Malformed, NotYetValid, UnknownKey,
            WrongAudience,
        };
        let (mut site, worker) = (Site::new(), worker());
        let a = signer();
        assert!(is_verified(&site.settled(&worker, &a.token(&claims(NOW)))));
        site.advance(COOL_DOWN);
        let good = claims(NOW).to_string();
        let token = a.token(&claims(NOW));
        let (input, _) = token.rsplit_once('.').unwrap();
        let foreign = Signer::new("a", 2);
        let mut header = foreign.header();
        header["jwk"] = foreign.jwk();
        header["jku"] = json!("https://evil.test/keys");
        let twice = format!("{},\"aud\":\"us\"}}", &good[..good.len() - 1]);
        let table = [
            (
                "another audience",
                a.token(&with("aud", json!("them"))),
                WrongAudience,
            ),
            (
                "another workspace",
                a.token(&with("workspaceUuid", json!(REPOSITORY))),
                Claim,
            ),
            (
                "no workspace",
                a.token(&with("workspaceUuid", json!(null))),
                Malformed,
            ),
            (
                "a slug",
                a.token(&with("workspaceUuid", json!("acme"))),
                Claim,
            ),
            (
                "no braces",
                a.token(&with("repositoryUuid", json!(&REPOSITORY[1..37]))),
                Claim,
            ),
            (
                "an empty branch",
                a.token(&with("branchName", json!(""))),
                Claim,
            ),
            (
                "a line end",
                a.token(&with("branchName", json!("a\nb"))),
                Claim,
            ),
            (
                "a pattern",
                a.token(&with("branchName", json!("release/*"))),
                Claim,
            ),
            (
                "two dots",
                a.token(&with("branchName", json!("release/../main"))),
                Claim,
            ),
            (
                "a list",
                a.token(&with("branchName", json!(["main"]))),
                Malformed,
            ),
            ("expired", a.token(&with("exp", json!(NOW.0 - 60))), Expired),
            (
                "too early",
                a.token(&with("nbf", json!(NOW.0 + 120))),
                NotYetValid,
            ),
            ("unsigned", format!("{input}."), Malformed),
            ("without a signature", input.to_owned(), Malformed),
            ("of nobody", a.sign(r#"{"alg":"none"}"#, &good), Algorithm),
            (
                "with the public key",
                a.sign(r#"{"alg":"HS256","kid":"a"}"#, &good),
                Algorithm,
            ),
            (
                "another of ours",
                a.sign(r#"{"alg":"RS256","kid":"a"}"#, &good),
                Algorithm,
            ),
            (
                "a key in the header",
                foreign.sign(&header.to_string(), &good),
                BadSignature,
            ),
            ("a foreign key", foreign.token(&claims(NOW)), BadSignature),
            (
                "an unknown key",
                Signer::new("b", 2).token(&claims(NOW)),
                UnknownKey,
            ),
            (
                "a member twice",
                a.sign(&a.header().to_string(), &twice),
                Malformed,
            ),
            (
                "critical",
                a.sign(r#"{"alg":"ES256","kid":"a","crit":["x"]}"#, &good),
                Malformed,
            ),
            (
                "a logout token",
                a.sign(r#"{"alg":"ES256","typ":"logout+jwt"}"#, &good),
                Malformed,
            ),
        ];
        for (name, token, why) in table {
            assert_eq!(refusal(&site.settled(&worker, &token)), Some(why), "{name}");
        }
        assert_eq!(
            site.fetches, 2,
            "one for the first token, one for the unknown key"
        );
        for opaque in ["", "opaque", "a.b.c", &"x.".repeat(5_000)] {
            assert!(matches!(site.judge(&worker, opaque), Judged::NotOurs));
        }
        for issuer in [
            "https://bb.test/acme/oidc/",
            "https://bb.test/evil/oidc",
            "",
        ] {
            let token = a.token(&with("iss", json!(issuer)));
            assert!(
                matches!(site.judge(&worker, &token), Judged::NotOurs),
                "{issuer}"
            );
        }
    }

    /// A key of one issuer says nothing about another.
    #[test]
    fn each_issuer_has_its_own_keys() {
        let (mut site, worker) = (Site::new(), worker());
        let inline = Signer::new("inline", 9);
        let mut claims = claims(NOW);
        assert!(matches!(
            site.settled(&worker, &inline.token(&claims)),
            Judged::Refused(0, InvalidToken::UnknownKey)
        ));
        claims["iss"] = json!(IDP);
        let Judged::Verified(verified) = site.judge(&worker, &inline.token(&claims)) else {
            panic!("expected a verified token");
        };
        assert_eq!((verified.issuer, &verified.step), (1, &None));
        // Keys of the configuration are all that there are.
        assert!(matches!(
            site.judge(&worker, &signer().token(&claims)),
            Judged::Refused(1, InvalidToken::UnknownKey)
        ));
        assert_eq!(site.fetches, 1);
    }

    #[test]
    fn a_warm_token_is_neither_verified_nor_looked_up_again() {
        let (mut site, worker) = (Site::new(), worker());
        let token = signer().token(&claims(NOW));
        assert!(is_verified(&site.settled(&worker, &token)));
        site.memory.0.clear();
        for _ in 0..3 {
            assert!(is_verified(&site.judge(&worker, &token)));
        }
        assert_eq!(site.signatures.count.get(), 1);
        // Until its end, with what clocks differ by.
        site.now = NOW.plus(Seconds(3_659));
        assert!(is_verified(&site.judge(&worker, &token)));
        site.now = NOW.plus(Seconds(3_660));
        assert_eq!(
            refusal(&site.judge(&worker, &token)),
            Some(InvalidToken::Expired)
        );
    }

    #[test]
    fn a_key_that_is_withdrawn_ends_what_it_signed() {
        let (mut site, worker) = (Site::new(), worker());
        let token = signer().token(&claims(NOW));
        site.tick(&worker);
        assert!(is_verified(&site.judge(&worker, &token)));
        site.served = answer(Signer::new("b", 2).set());
        site.advance(Seconds(REFRESH.0 - 1));
        site.tick(&worker);
        assert_eq!(site.fetches, 1, "it is not time yet");
        site.advance(Seconds(1));
        site.tick(&worker);
        assert_eq!(site.fetches, 2);
        // It may be back since the clock asked: that is looked up once.
        for _ in 0..3 {
            assert_eq!(
                refusal(&site.settled(&worker, &token)),
                Some(InvalidToken::UnknownKey)
            );
        }
        assert_eq!(site.fetches, 3);
    }

    #[test]
    fn a_key_that_is_new_since_the_clock_asked_costs_no_request() {
        let (mut site, worker) = (Site::new(), worker());
        site.tick(&worker);
        let next = Signer::new("b", 2);
        site.served = answer(next.set());
        site.advance(Seconds(1));
        assert!(is_verified(
            &site.settled(&worker, &next.token(&claims(NOW)))
        ));
        assert_eq!(site.fetches, 2);
    }

    #[test]
    fn keys_that_stayed_the_same_leave_what_was_verified() {
        let (mut site, worker) = (Site::new(), worker());
        let token = signer().token(&with("exp", json!(NOW.0 + 7_200)));
        site.tick(&worker);
        assert!(is_verified(&site.judge(&worker, &token)));
        site.advance(REFRESH);
        site.tick(&worker);
        assert!(is_verified(&site.judge(&worker, &token)));
        assert_eq!((site.fetches, site.signatures.count.get()), (2, 1));
    }

    #[test]
    fn a_new_key_costs_no_request() {
        let (mut site, one, two) = (Site::new(), worker(), worker());
        site.tick(&one);
        site.tick(&two);
        site.advance(COOL_DOWN);
        let next = Signer::new("b", 2);
        site.served = answer(
            json!({"keys": [signer().jwk(), next.jwk()]})
                .to_string()
                .into_bytes(),
        );
        let token = next.token(&claims(NOW));
        let Judged::Fetch(0, fetch) = site.judge(&one, &token) else {
            panic!("expected a fetch");
        };
        // Others wait for it, on every worker.
        for worker in [&one, &two] {
            let Judged::Wait(0, word) = site.judge(worker, &token) else {
                panic!("expected to wait");
            };
            assert_eq!(word, fetch.brings());
        }
        assert_eq!(site.answer(fetch).result, Ok(Change::New));
        for worker in [&one, &two] {
            assert!(is_verified(&site.judge(worker, &token)));
            assert!(is_verified(
                &site.judge(worker, &signer().token(&claims(NOW)))
            ));
        }
        assert_eq!(site.fetches, 2);
    }

    #[test]
    fn a_flood_of_unknown_keys_fetches_once_in_a_cool_down() {
        let (mut site, workers) = (Site::new(), [worker(), worker()]);
        for second in 0..300_u64 {
            site.now = NOW.plus(Seconds(second));
            for number in 0..4 {
                let stranger = Signer::new(&format!("{second}-{number}"), 2);
                let worker = &workers[usize::from(number % 2 == 0)];
                let verdict = site.settled(worker, &stranger.token(&claims(NOW)));
                assert_eq!(refusal(&verdict), Some(InvalidToken::UnknownKey));
            }
            workers.iter().for_each(|worker| site.tick(worker));
        }
        assert_eq!(site.fetches, 10, "1,200 tokens in 300 seconds");
        // What could not be good with any key asks for none.
        let old = Signer::new("old", 2).token(&with("exp", json!(NOW.0 - 60)));
        site.advance(COOL_DOWN);
        assert_eq!(
            refusal(&site.settled(&workers[0], &old)),
            Some(InvalidToken::Expired)
        );
        assert_eq!(site.fetches, 10);
    }

    #[test]
    fn a_token_that_names_no_key_finds_a_new_one_too() {
        let (mut site, worker) = (Site::new(), worker());
        site.tick(&worker);
        let mut keys = [Signer::new("b", 2).jwk(), signer().jwk()];
        keys.iter_mut()
            .for_each(|key| drop(key.as_object_mut().unwrap().remove("kid")));
        site.served = answer(json!({"keys": keys}).to_string().into_bytes());
        let token = Signer::new("", 2).sign(r#"{"alg":"ES256"}"#, &claims(NOW).to_string());
        assert!(is_verified(&site.settled(&worker, &token)));
        assert_eq!(site.fetches, 2);
    }

    /// Down is no verdict: what cannot be judged is neither accepted nor refused.
    #[test]
    fn without_any_keys_nothing_is_refused() {
        for served in [
            Reply::Unreachable,
            Reply::TimedOut,
            Reply::TooLarge,
            answer(b"{}".to_vec()),
            answer(br#"{"keys":[]}"#.to_vec()),
            Reply::Answer {
                status: 302,
                media_type: String::new(),
                body: Vec::new(),
                retry_after: None,
            },
            Reply::Answer {
                status: 200,
                media_type: "text/html".to_owned(),
                body: signer().set(),
                retry_after: None,
            },
        ] {
            let (mut site, worker) = (Site::new(), worker());
            site.served = served;
            let good = signer().token(&claims(NOW));
            let bad = signer().token(&with("aud", json!("them")));
            for token in [&good, &bad, &good] {
                let verdict = site.settled(&worker, token);
                assert!(matches!(verdict, Judged::Unavailable(0)), "{verdict:?}");
            }
            // Pauses of 5, 10, 20, … seconds, 300 at most.
            for second in 0..1_000_u64 {
                site.now = NOW.plus(Seconds(second));
                site.tick(&worker);
            }
            let pauses = "at 0, 5, 15, 35, 75, 155, 315, 615 and 915";
            assert_eq!(site.fetches, 9, "{pauses}");
            // While tokens come, 60 at most.
            for second in 1_000..1_600_u64 {
                site.now = NOW.plus(Seconds(second));
                let verdict = site.settled(&worker, &good);
                assert!(matches!(verdict, Judged::Unavailable(0)), "{verdict:?}");
            }
            assert_eq!(site.fetches, 19);
            site.served = answer(signer().set());
            site.advance(Seconds(300));
            assert!(is_verified(&site.settled(&worker, &good)));
        }
    }

    #[test]
    fn the_last_good_keys_stay_in_use() {
        let (mut site, worker) = (Site::new(), worker());
        site.tick(&worker);
        site.served = Reply::Unreachable;
        site.now = NOW.plus(Seconds::from_hours(48));
        site.tick(&worker);
        let fresh = signer().token(&claims(site.now));
        assert!(is_verified(&site.judge(&worker, &fresh)));
        let age = |site: &Site| worker.gauges(site.now, &site.memory);
        let name = "bitgate_issuer_keys_age_seconds.issuer.pipelines_acme".to_owned();
        assert_eq!(age(&site), [(name.clone(), 48 * 3_600)]);
        // A key that is not among them may be a new one.
        let unknown = Signer::new("b", 2).token(&claims(site.now));
        assert!(matches!(
            site.settled(&worker, &unknown),
            Judged::Unavailable(0)
        ));
        // A document of no use changes nothing.
        site.served = answer(br#"{"keys":[{"kty":"oct","k":"YQ"}]}"#.to_vec());
        site.advance(Seconds(300));
        site.tick(&worker);
        assert!(is_verified(&site.judge(&worker, &fresh)));
        site.served = answer(signer().set());
        site.advance(Seconds(300));
        site.tick(&worker);
        assert_eq!(age(&site), [(name, 0)]);
        assert_eq!(
            refusal(&site.settled(&worker, &unknown)),
            Some(InvalidToken::UnknownKey)
        );
    }

    #[test]
    fn a_fetch_that_never_comes_back_blocks_nobody_for_long() {
        let (mut site, worker) = (Site::new(), worker());
        let token = signer().token(&claims(NOW));
        assert!(matches!(site.judge(&worker, &token), Judged::Fetch(0, _)));
        site.advance(Seconds(7));
        assert!(matches!(site.judge(&worker, &token), Judged::Wait(0, _)));
        site.advance(Seconds(1));
        assert!(is_verified(&site.settled(&worker, &token)));
    }

    #[test]
    fn a_clock_that_is_set_back_blocks_nobody() {
        let (mut site, worker) = (Site::new(), worker());
        site.now = NOW.plus(Seconds::from_hours(24 * 365));
        site.served = Reply::Unreachable;
        site.tick(&worker);
        site.now = NOW;
        site.served = answer(signer().set());
        assert!(is_verified(
            &site.settled(&worker, &signer().token(&claims(NOW)))
        ));
    }

    #[test]
    fn a_failure_is_said_and_shows_no_body() {
        let (mut site, worker) = (Site::new(), worker());
        site.served = answer(br#"{"keys":"canary"}"#.to_vec());
        let Judged::Fetch(0, fetch) = site.judge(&worker, &signer().token(&claims(NOW))) else {
            panic!("expected a fetch");
        };
        let fetched = site.answer(fetch);
        assert_eq!(fetched.issuer, "pipelines_acme");
        let Err(failure @ KeyFailure::Document(_)) = fetched.result else {
            panic!("expected a failure");
        };
        assert_eq!(
            failure.to_string(),
            "expected a set of keys, but found another document"
        );
        assert!(!format!("{:?}", site.memory).contains("canary"));
    }

    #[test]
    fn a_host_that_cannot_verify_says_nothing_about_a_token() {
        let (mut site, worker) = (Site::new(), worker());
        site.tick(&worker);
        site.signatures.is_down = true;
        let token = signer().token(&claims(NOW));
        assert!(matches!(
            site.judge(&worker, &token),
            Judged::Unavailable(0)
        ));
        site.signatures.is_down = false;
        assert!(is_verified(&site.judge(&worker, &token)));
    }

    #[test]
    fn no_token_lies_in_memory_or_in_shared_data() {
        let (mut site, worker) = (Site::new(), worker());
        let token = signer().token(&claims(NOW));
        assert!(is_verified(&site.settled(&worker, &token)));
        let shared: Vec<String> = site
            .memory
            .0
            .values()
            .map(|(value, _)| String::from_utf8_lossy(value).into_owned())
            .collect();
        for part in token.split('.') {
            assert!(shared.iter().all(|value| !value.contains(part)));
        }
        let shown = format!("{worker:?} {:?}", site.judge(&worker, &token));
        assert!(token.split('.').all(|part| !shown.contains(part)));
    }
}
