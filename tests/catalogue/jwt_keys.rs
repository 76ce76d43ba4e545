//! JWT and DOS: whose keys a token is judged with, and what keys and tokens may cost.

use std::cell::Cell;
use std::time::Instant;

use bitgate::host::{CannotVerify, NativeSignatures, SignatureAlgorithm, Signatures};
use bitgate::jose::{Jws, KeySet};
use bitgate_simulator::bitbucket::{Bitbucket, Fault, FaultResponse, SigningKey};
use serde_json::{Value, json};

use super::case::{Case, reason};
use super::jwt::warm;
use super::token::{
    KEYS, KID, SERVICE, accepted, bearer, ec_header, ec_token, encoded, good, idp_claims, idp_key,
    input, pipelines_key, rejected, site, site_with_clock, step_claims, with,
};
use crate::support::setup::Setup;
use crate::support::world::World;

/// Longer than every pause between two questions for keys.
const LONG: u64 = 301;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("JWT-08", weak_keys).with(site_with_clock),
        // A cool-down is 30 seconds.
        Case::both("JWT-11", |world| {
            let token = good(world);
            accepted(world, &token);
            world.advance(31);
            let before = asked(world);
            let started = Instant::now();
            for number in 0..1_000 {
                let stranger = with_unknown_key(world, &format!("made-up-{number}"));
                let answer = bearer(world, SERVICE, &stranger);
                assert_eq!(
                    (answer.status().as_u16(), reason(&answer)),
                    (401, "invalid_token")
                );
                if number % 100 == 0 {
                    accepted(world, &token);
                }
            }
            let most = usize::try_from(1 + started.elapsed().as_secs() / 30).unwrap();
            let fetched = asked(world) - before;
            assert!((1..=most).contains(&fetched), "{fetched}");
        })
        .with(site_with_clock),
        Case::both("JWT-13", keys_in_doubt).with(site_with_clock),
        Case::both("JWT-35", poisoned_sets).with(site_with_clock),
        Case::both("JWT-38", |world| {
            warm(world);
            // Both have a key of this name, and each is asked for its own.
            let (step, other) = (step_claims(world), idp_claims(world));
            let (pipelines, idp) = (pipelines_key(world), idp_key());
            assert_eq!((pipelines.kid(), idp.kid()), (KID, KID));
            accepted(world, &pipelines.sign(&pipelines.header(), &step));
            accepted(world, &idp.sign(&idp.header(), &other));
            rejected(world, &idp.sign(&idp.header(), &step));
            rejected(world, &pipelines.sign(&pipelines.header(), &other));
            for claims in [&step, &other] {
                let both = json!([step["iss"], other["iss"]]);
                let claims = with(claims.clone(), "iss", both);
                rejected(world, &idp.sign(&idp.header(), &claims));
                rejected(world, &pipelines.sign(&pipelines.header(), &claims));
            }
            // Nor does one take the other's audience.
            let claims = with(step.clone(), "aud", other["aud"].clone());
            rejected(world, &pipelines.sign(&pipelines.header(), &claims));
            let claims = with(other, "aud", step["aud"].clone());
            rejected(world, &idp.sign(&idp.header(), &claims));
        }),
        // While there are no keys at all: one question, and then a pause of five seconds and more.
        Case::both("DOS-12", |world| {
            let token = good(world);
            let started = Instant::now();
            for number in 0..300 {
                let stranger = with_unknown_key(world, &format!("made-up-{number}"));
                for token in [&stranger, &token] {
                    let answer = bearer(world, SERVICE, token);
                    let verdict = (answer.status().as_u16(), reason(&answer));
                    assert_eq!(verdict, (503, "keys_unavailable"));
                }
            }
            let most = usize::try_from(1 + started.elapsed().as_secs() / 5).unwrap();
            let fetched = asked(world);
            assert!((1..=most).contains(&fetched), "{fetched}");
        })
        .with(|| Setup {
            before: |bitbucket| fail(bitbucket, FaultResponse::Status(503)),
            ..site()
        }),
        Case::native("DOS-22", |_| costs_are_bounded()),
        Case::both("DOS-23", work_for_nothing).with(site),
        // The row wants jitter for a thousand issuers: there are sixteen at most, each with a pause of its
        // own after a failure, and one worker of all asks.
        Case::native("DOS-25", |world| {
            for seconds in 0..3_600 {
                let before = world.bitbucket_calls();
                assert_eq!(bearer(world, "/public/x", "a").status(), 200);
                let calls = world.bitbucket_calls() - before;
                assert!(calls <= 16, "{calls} calls in second {seconds}");
                world.advance(1);
            }
            // At 0, 5, 15, 35, 75, 155, 315, and then each 300 seconds.
            assert_eq!(world.bitbucket_calls(), 16 * 17);
            let problems = super::cfg::problems(|config| many_issuers(config, 17));
            assert_eq!(
                problems,
                ["issuers: expected at most 16 issuers, but found 17"]
            );
        })
        .with(|| Setup {
            config: |config| many_issuers(config, 16),
            bitbucket: |settings| settings.anonymous_limit = None,
            ..Setup::with_clock()
        }),
    ]
}

fn many_issuers(config: &mut Value, count: usize) {
    let issuer = |number| {
        let url = format!("http://127.0.0.1:10002/keys/{number}");
        let issuer = format!("https://{number}.example.com");
        json!({"issuer": issuer, "jwks": {"cluster": "bitbucket_api", "url": url}, "audiences": ["us"]})
    };
    config["issuers"] = (0..count).map(issuer).collect();
}

/// How often the keys of Pipelines were asked for.
fn asked(world: &World) -> usize {
    world.bitbucket().count(KEYS)
}

fn fail(bitbucket: &mut Bitbucket, response: FaultResponse) {
    bitbucket.forgive();
    bitbucket.fail_next(Fault {
        path: KEYS.to_owned(),
        times: 100_000,
        response,
    });
}

/// A good token, but for the name of its key.
fn with_unknown_key(world: &World, kid: &str) -> String {
    let key = pipelines_key(world);
    let header = with(key.header(), "kid", json!(kid));
    // Nobody gets as far as to its signature.
    format!(
        "{}.{}",
        input(header, step_claims(world)),
        encoded([7; 256])
    )
}

/// Lets Bitbucket have this in the place of the keys, and Bitgate ask for them.
#[track_caller]
fn publish(world: &mut World, response: FaultResponse) {
    fail(&mut world.bitbucket(), response);
    world.advance(LONG);
    let before = asked(world);
    let unknown = with_unknown_key(world, "is-there-another");
    let status = bearer(world, SERVICE, &unknown).status();
    assert!(status == 401 || status == 503, "{status}");
    assert!(asked(world) > before, "nobody asked");
}

fn raw(content_type: &str, body: impl Into<Vec<u8>>) -> FaultResponse {
    FaultResponse::Raw {
        status: 200,
        headers: vec![("content-type", content_type.to_owned())],
        body: body.into(),
    }
}

fn set_of(keys: &[Value]) -> FaultResponse {
    raw("application/json", json!({"keys": keys}).to_string())
}

fn rsa(kid: &str, modulus: &[u8], exponent: &[u8]) -> Value {
    json!({"kty": "RSA", "kid": kid, "n": encoded(modulus), "e": encoded(exponent)})
}

/// Anything of this size: the first bit is set, and the last one too.
fn modulus(bytes: usize) -> Vec<u8> {
    [&[0xc5][..], &vec![0x35; bytes - 1]].concat()
}

/// What a signature of RS256 is when nothing was done to it: with the exponent 1, a good one (RFC 8017
/// section 9.2).
fn unhidden(text: &str) -> Vec<u8> {
    const PREFIX: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    let hash = hmac_sha256::Hash::hash(text.as_bytes());
    let padding = vec![0xff; 256 - 3 - PREFIX.len() - hash.len()];
    [&[0, 1][..], &padding, &[0], &PREFIX, &hash].concat()
}

/// They are not there, so that a token that names one names nothing.
fn weak_keys(world: &mut World) {
    let first = good(world);
    accepted(world, &first);
    let full = modulus(256);
    let short = [&[0x7f], &full[1..]].concat();
    let even = [&full[..255], &[0x36]].concat();
    let three = [0x03];
    let usual = [1, 0, 1];
    let mut keys = vec![
        rsa("1024", &modulus(128), &usual),
        rsa("2047", &short, &usual),
        rsa("even", &even, &usual),
        rsa("8192", &modulus(1_024), &usual),
        rsa("16384", &modulus(2_048), &usual),
        rsa("e=0", &full, &[]),
        rsa("e=1", &full, &[1]),
        rsa("e=3", &full, &three),
        rsa("e=65536", &full, &[1, 0, 0]),
        rsa("e=n", &full, &full),
        rsa("n=0", &[], &usual),
    ];
    let kids: Vec<String> = keys
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect();
    keys.push(pipelines_key(world).jwk());
    publish(world, set_of(&keys));
    let claims = step_claims(world);
    for kid in &kids {
        let header = json!({"alg": "RS256", "kid": kid});
        let input = input(&header, &claims);
        for signature in [unhidden(&input), vec![0; 256], vec![1; 1], vec![0; 128]] {
            rejected(world, &format!("{input}.{}", encoded(signature)));
        }
        rejected(world, &SigningKey::foreign().sign(&header, &claims));
    }
    // Among them the good one still counts.
    let token = good(world);
    accepted(world, &token);
    // What an operator writes is meant: there it is refused, with the whole configuration.
    for key in &keys[..kids.len()] {
        let problems = super::cfg::problems(|config| {
            config["issuers"] = json!([
                {"issuer": "https://a.test", "audiences": ["us"], "jwks": {"keys": [key]}},
            ]);
        });
        let is_said = problems.len() == 1 && problems[0].starts_with("issuers[0].jwks.keys: ");
        assert!(is_said, "{} {problems:?}", key["kid"]);
    }
}

/// Who means one of two keys means neither.
fn keys_in_doubt(world: &mut World) {
    let first = good(world);
    accepted(world, &first);
    let ours = pipelines_key(world);
    let twin = SigningKey::foreign().called(KID);
    let other = SigningKey::foreign().called("other");
    let is_good = |world: &mut World, key: &SigningKey| {
        let token = key.sign(&key.header(), &step_claims(world));
        let answer = bearer(world, SERVICE, &token);
        let verdict = (answer.status().as_u16(), reason(&answer).to_owned());
        assert!(verdict == (200, String::new()) || verdict == (401, "invalid_token".to_owned()));
        verdict.0 == 200
    };
    // Beside each there is one without doubt.
    publish(world, set_of(&[ours.jwk(), twin.jwk(), other.jwk()]));
    assert!(!is_good(world, &ours) && !is_good(world, &twin) && is_good(world, &other));
    publish(world, set_of(&[twin.jwk(), other.jwk(), ours.jwk()]));
    assert!(!is_good(world, &ours) && !is_good(world, &twin) && is_good(world, &other));
    // The same one twice is one, and what only encrypts is no twin.
    publish(world, set_of(&[ours.jwk(), ours.jwk(), other.jwk()]));
    assert!(is_good(world, &ours) && !is_good(world, &twin));
    let encrypts = with(twin.jwk(), "use", json!("enc"));
    publish(world, set_of(&[encrypts, ours.jwk()]));
    assert!(is_good(world, &ours) && !is_good(world, &twin));
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!("SIG")),
        ("use", json!(["sig"])),
        ("key_ops", json!([])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!(["encrypt", "wrapKey"])),
        ("key_ops", json!("verify")),
        ("alg", json!("RSA-OAEP")),
        ("alg", json!("PS256")),
        ("alg", json!("RS512")),
        ("alg", json!("none")),
        ("kty", json!("oct")),
        ("kid", json!(7)),
    ] {
        let key = with(ours.jwk(), name, value.clone());
        publish(world, set_of(&[key, other.jwk()]));
        assert!(!is_good(world, &ours), "{name} {value}");
        assert!(is_good(world, &other), "{name} {value}");
    }
    for operations in [json!(["verify"]), json!(["sign", "verify"])] {
        let key = with(ours.jwk(), "key_ops", operations);
        publish(world, set_of(&[key, other.jwk()]));
        assert!(is_good(world, &ours));
    }
}

/// Such a document is none, and the last good one stays: for as long as there is no better one, since
/// that is what the issue wants, with a gauge of its age. The row would end it after a day.
fn poisoned_sets(world: &mut World) {
    let first = good(world);
    accepted(world, &first);
    let ours = pipelines_key(world).jwk();
    let evil = SigningKey::foreign().called("evil");
    let text = |keys: &[Value]| json!({"keys": keys}).to_string();
    let both = text(&[ours.clone(), evil.jwk()]);
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "evil"});
    let private = with(evil.jwk(), "d", json!("AQ"));
    let many: Vec<Value> = (0..1_000)
        .map(|number| with(evil.jwk(), "kid", json!(format!("evil-{number}"))))
        .chain([evil.jwk()])
        .collect();
    let twice = format!("{{\"keys\":[{}],\"keys\":[{}]}}", ours, evil.jwk());
    let redirect = |status| FaultResponse::Raw {
        status,
        headers: vec![("location", "https://evil.test/keys".to_owned())],
        body: both.clone().into(),
    };
    let json = "application/json";
    let documents = [
        redirect(301),
        redirect(302),
        redirect(307),
        FaultResponse::Status(204),
        FaultResponse::Status(500),
        FaultResponse::Reset,
        raw("text/html", both.clone()),
        raw("text/plain", both.clone()),
        raw("application/json-seq", both.clone()),
        raw("", both.clone()),
        raw(json, ""),
        raw(json, "[]"),
        raw(json, "{}"),
        raw(json, "null"),
        raw(json, r#"{"keys":[]}"#),
        raw(json, r#"{"keys":{}}"#),
        raw(json, r#"{"keys":null}"#),
        raw(json, r#"{"keys":["evil"]}"#),
        raw(json, format!("{both}x")),
        raw(json, evil.jwk().to_string()),
        raw(json, text(std::slice::from_ref(&secret))),
        raw(json, text(std::slice::from_ref(&private))),
        raw(json, text(&many)),
        raw(json, text(&vec![evil.jwk(); 33])),
        raw(json, twice),
        raw(json, both.replace("\"kid\":", "\"kid\":\"x\",\"kid\":")),
        raw(json, format!("{both}{}", " ".repeat(65_536))),
        raw(json, format!("{both}{}", " ".repeat(10_000_000))),
    ];
    for (number, document) in documents.into_iter().enumerate() {
        publish(world, document);
        let claims = step_claims(world);
        let token = evil.sign(&evil.header(), &claims);
        let status = bearer(world, SERVICE, &token).status();
        assert!(
            status == 401 || status == 503,
            "document {number}: {status}"
        );
        let secret = bitgate_simulator::bitbucket::hmac(
            b"secret",
            &json!({"alg": "HS256", "kid": "evil"}),
            &claims,
        );
        assert_eq!(bearer(world, SERVICE, &secret).status(), 401, "{number}");
        let token = good(world);
        accepted(world, &token);
    }
    // In a good one what is of no use is skipped: a shared key, and one that is no secret any more.
    publish(world, set_of(&[ours.clone(), secret, private]));
    let claims = step_claims(world);
    rejected(world, &evil.sign(&evil.header(), &claims));
    let header = json!({"alg": "HS256", "kid": "evil"});
    rejected(
        world,
        &bitgate_simulator::bitbucket::hmac(b"secret", &header, &claims),
    );
    let token = good(world);
    accepted(world, &token);
    // Where nobody listens, the operator says so: never over a network without TLS.
    for url in [
        "http://idp.example.com/keys",
        "http://10.0.0.1/keys",
        "ftp://idp.example.com/keys",
        "//idp.example.com/keys",
        "https://user@idp.example.com/keys",
        "https://idp.example.com",
    ] {
        let problems = super::cfg::problems(|config| {
            config["issuers"] = json!([{
                "issuer": "https://a.test", "audiences": ["us"],
                "jwks": {"cluster": "idp", "url": url},
            }]);
        });
        let is_said = problems
            .iter()
            .any(|it| it.starts_with("issuers[0].jwks.url: "));
        assert!(is_said, "{url} {problems:?}");
    }
}

#[derive(Debug, Default)]
struct Counting(Cell<usize>);

impl Signatures for Counting {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CannotVerify> {
        self.0.set(self.0.get() + 1);
        NativeSignatures.verify(algorithm, key, message, signature)
    }
}

/// Four signatures at most, with keys of 4,096 bits at most.
fn costs_are_bounded() {
    let set = |keys: &[Value]| KeySet::parse(json!({"keys": keys}).to_string().as_bytes());
    for bytes in [513, 1_024, 2_048] {
        assert!(set(&[rsa("large", &modulus(bytes), &[1, 0, 1])]).is_err());
    }
    let large = |number: u8| {
        let mut modulus = modulus(512);
        modulus[5] = number;
        rsa(&format!("{number}"), &modulus, &[1, 0, 1])
    };
    let keys: Vec<Value> = (0..32).map(large).collect();
    let keys = set(&keys).unwrap();
    let claims = json!({"x": "x".repeat(8_192)});
    let cost = |header: Value, signature: &[u8]| {
        let token = format!("{}.{}", input(header, &claims), encoded(signature));
        let (counting, accepted) = (Counting::default(), [SignatureAlgorithm::RsaSha256]);
        let jws = Jws::parse(&token).unwrap();
        assert!(keys.verify(&jws, &accepted, &counting).is_err());
        counting.0.get()
    };
    let signature = [0x35; 512];
    assert_eq!(cost(json!({"alg": "RS256"}), &signature), 4);
    assert_eq!(cost(json!({"alg": "RS256", "kid": "31"}), &signature), 1);
    assert_eq!(cost(json!({"alg": "RS256", "kid": "32"}), &signature), 0);
    assert_eq!(cost(json!({"alg": "RS512"}), &signature), 0);
    assert_eq!(cost(json!({"alg": "ES256"}), &signature), 0);
    // Nor does the length of a signature make more of it.
    assert_eq!(cost(json!({"alg": "RS256"}), &[0x35; 1_000]), 4);
}

/// What others have to compute, or to inflate, before they can say no.
fn work_for_nothing(world: &mut World) {
    warm(world);
    let claims = encoded(step_claims(world).to_string());
    let (key, tag) = (encoded([1; 40]), encoded([2; 16]));
    for header in [
        json!({"alg": "PBES2-HS256+A128KW", "enc": "A128CBC-HS256", "p2s": encoded([3; 16]), "p2c": 2_147_483_647}),
        json!({"alg": "PBES2-HS512+A256KW", "p2s": encoded([3; 16]), "p2c": 1e300}),
        json!({"alg": "RSA-OAEP", "enc": "A256GCM", "kid": KID}),
        json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": KID, "zip": "DEF"}),
        json!({"alg": "RSA1_5", "enc": "A128CBC-HS256", "kid": KID}),
        json!({"alg": "ECDH-ES", "enc": "A128GCM", "epk": {"kty": "EC"}}),
        json!({"alg": "RS256", "kid": KID, "zip": "DEF"}),
        json!({"alg": "ES256", "kid": "ec", "zip": "DEF"}),
        json!({"alg": "RS256", "kid": KID, "enc": "A128GCM"}),
    ] {
        let text = encoded(header.to_string());
        for token in [
            format!("{text}.{key}.{tag}.{claims}.{tag}"),
            format!("{text}.{claims}.{tag}.{claims}.{tag}"),
            format!("{text}..{tag}.{claims}.{tag}"),
            format!("{text}.{claims}.{tag}"),
        ] {
            // It is no token before anything is computed.
            assert!(Jws::parse(&token).is_err(), "{header}");
            rejected(world, &token);
        }
        rejected(
            world,
            &pipelines_key(world).sign(&header, &step_claims(world)),
        );
        rejected(world, &ec_token(&header, idp_claims(world)));
    }
    accepted(world, &ec_token(ec_header(), idp_claims(world)));
}
