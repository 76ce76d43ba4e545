//! Tokens of callers, and keys of issuers.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bitgate::host::{CannotVerify, Host, SharedData, SignatureAlgorithm, Signatures, Version};
use bitgate::issuers::{Issuer, Issuers, Judged, Keys, Kind, VerifiedToken};
use bitgate::jose::{Jws, KeySet, RequiredClaim, names_issuer, unverified_claims};
use serde_json::Value;

use crate::setup::{NOW, Seeded, is_one_line};

const ISSUER: &str = "https://idp.example.com";
const WORKSPACE: &str = "{77aa0000-1111-4222-8333-444455556666}";

const KEYS: &str = r#"{"keys": [{"kty": "EC", "crv": "P-256", "kid": "k",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A signature scheme without secrets: R is a hash of the message, and S is 1.
#[derive(Debug)]
struct Toy;

impl Toy {
    fn number(message: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        // Neither zero nor negative in DER, and of a fixed size.
        hasher.finish() >> 2 | 1 << 61
    }

    fn jose(message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; 64];
        signature[24..32].copy_from_slice(&Self::number(message).to_be_bytes());
        signature[63] = 1;
        signature
    }
}

impl Signatures for Toy {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CannotVerify> {
        assert_eq!(algorithm, SignatureAlgorithm::EcdsaP256Sha256);
        assert!(key.len() == 91 && key[..2] == [0x30, 0x59], "{key:?}");
        let mut expected = vec![0x30, 13, 2, 8];
        expected.extend(Self::number(message).to_be_bytes());
        expected.extend([2, 1, 1]);
        Ok(signature == expected)
    }
}

#[derive(Debug, Default)]
struct Memory(HashMap<String, (Vec<u8>, Version)>);

impl SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        self.0.get(key).cloned()
    }

    fn write(&mut self, _: &str, _: &[u8], _: Option<Version>) -> bool {
        panic!("nothing has to be fetched")
    }
}

fn issuers() -> Issuers {
    let keys = KeySet::parse(KEYS.as_bytes()).expect("a good set");
    let issuer = Issuer {
        issuer: ISSUER.into(),
        kind: Kind::Pipelines {
            workspace: "acme".to_owned(),
            workspace_uuid: WORKSPACE.to_owned(),
        },
        keys: Keys::Inline(Rc::new(keys)),
        audiences: vec!["us".to_owned()],
        algorithms: vec![SignatureAlgorithm::EcdsaP256Sha256],
        required: vec![RequiredClaim {
            name: "team".to_owned(),
            values: vec!["red".to_owned()],
        }],
    };
    Issuers::new(
        "https://tools.example.com",
        [7; 32].into(),
        &[Rc::new(issuer)],
    )
}

/// The input is a token; with a line feed it is a header and a payload, which get a good signature.
pub(crate) fn token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (token, is_signed) = match text.split_once('\n') {
        None => (text.to_owned(), false),
        Some((header, payload)) => {
            let encoded = |part: &str| URL_SAFE_NO_PAD.encode(part);
            let input = format!("{}.{}", encoded(header), encoded(payload));
            let signature = URL_SAFE_NO_PAD.encode(Toy::jose(input.as_bytes()));
            (format!("{input}.{signature}"), true)
        }
    };
    let issuers = issuers();
    let judge = |token: &str| {
        let mut host = Host {
            now: NOW,
            random: &mut Seeded::default(),
            shared: &mut Memory::default(),
            signatures: &Toy,
        };
        issuers.judge(token, &mut host)
    };
    let is_ours = names_issuer(&unverified_claims(&token), ISSUER);
    match judge(&token) {
        Judged::Verified(verified) => {
            check(&token, &verified);
            assert!(
                matches!(judge(&token), Judged::Verified(again) if Rc::ptr_eq(&verified, &again))
            );
            // Another spelling of the same token is another token.
            assert!(!matches!(judge(&format!("{token}=")), Judged::Verified(_)));
            let (input, _) = token.rsplit_once('.').expect("three parts");
            let other = URL_SAFE_NO_PAD.encode(Toy::jose(b"another message"));
            assert!(!matches!(
                judge(&format!("{input}.{other}")),
                Judged::Verified(_)
            ));
            assert!(!matches!(judge(&format!("{input}.")), Judged::Verified(_)));
        }
        Judged::Refused(0, why) => {
            assert!(is_ours && is_one_line(&why.to_string()));
            let is_good = is_signed && is_good(&token);
            assert!(!is_good, "a good token is refused: {why:?}");
        }
        Judged::NotOurs => assert!(!is_ours),
        other => panic!("{other:?}"),
    }
    let shown = format!("{issuers:?} {:?}", Jws::parse(&token).err());
    assert!(token.len() < 100 || !shown.contains(&token));
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// What is verified is so by another reader of JSON.
fn check(token: &str, verified: &VerifiedToken) {
    assert!(token.split('.').count() == 3 && token.len() <= 16_384);
    let (header, claims) = (part(token, 0), part(token, 1));
    assert_eq!(header["alg"], "ES256");
    for name in ["crit", "b64", "zip", "enc", "cty"] {
        assert_eq!(header.get(name), None);
    }
    assert!(header.get("kid").is_none_or(|kid| kid == "k"));
    assert_eq!(claims["iss"], ISSUER);
    let is_us = |audience: &Value| audience == "us";
    assert!(
        is_us(&claims["aud"])
            || claims["aud"]
                .as_array()
                .is_some_and(|all| all.iter().any(is_us))
    );
    assert_eq!(
        (&claims["team"], &claims["workspaceUuid"]),
        (&"red".into(), &WORKSPACE.into())
    );
    assert_eq!(claims["sub"], verified.subject.as_str());
    let seconds = |name: &str| claims[name].as_f64().map(|number| number.floor());
    let now = 1_800_000_000_f64;
    assert!(seconds("exp").is_some_and(|exp| now < exp + 60.0 && exp < now + 86_461.0));
    assert_eq!(seconds("exp"), Some(verified.expires_at.0 as f64));
    for name in ["iat", "nbf"] {
        assert!(seconds(name).is_none_or(|moment| (0.0..=now + 60.0).contains(&moment)));
    }
    let step = verified.step.as_ref().expect("a step");
    assert_eq!(step.workspace, WORKSPACE);
    let uuids = [
        Some(&step.repository),
        step.pipeline.as_ref(),
        step.step.as_ref(),
    ];
    for uuid in uuids
        .into_iter()
        .flatten()
        .chain(&step.deployment_environment)
    {
        let is_mark =
            |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b"{-}".contains(&b);
        assert!(uuid.len() == 38 && uuid.bytes().all(is_mark), "{uuid}");
    }
    assert!(
        step.branch
            .as_ref()
            .is_none_or(|branch| !branch.bytes().any(|b| b.is_ascii_control()))
    );
}

/// The simplest token that must be accepted: exactly these members.
fn is_good(token: &str) -> bool {
    let decoded = |index| {
        let part = token.split('.').nth(index)?;
        serde_json::from_slice::<HashMap<String, Value>>(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
    };
    let (Some(header), Some(claims)) = (decoded(0), decoded(1)) else {
        return false;
    };
    let good = serde_json::json!({
        "iss": ISSUER, "aud": "us", "sub": "ci", "team": "red", "iat": 1_800_000_000,
        "exp": 1_800_000_300, "workspaceUuid": WORKSPACE, "repositoryUuid": WORKSPACE,
    });
    let distinct = token.split('.').take(2).all(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        bitgate::json::Json::parse_strict(&bytes).is_some()
    });
    let good = good.as_object().expect("an object").clone();
    distinct
        && header.len() == 1
        && header.get("alg").is_some_and(|name| name == "ES256")
        && claims == good.into_iter().collect::<HashMap<_, _>>()
}

/// The input is a JWK Set.
pub(crate) fn key_set(bytes: &[u8]) {
    let keys = match KeySet::parse(bytes) {
        Ok(keys) => keys,
        Err(error) => return assert!(is_one_line(&error.to_string())),
    };
    let document: Value = serde_json::from_slice(bytes).expect("keys come from JSON");
    let items = document["keys"].as_array().expect("a list");
    let may_serve = |item: &&Value| {
        ["RSA", "EC"].iter().any(|kind| item["kty"] == *kind)
            && item.get("d").is_none()
            && item.get("use").is_none_or(|usage| usage == "sig")
    };
    assert!((1..=32).contains(&keys.len()) && keys.len() <= items.iter().filter(may_serve).count());
    let kids = items.iter().filter_map(|item| item["kid"].as_str());
    for kid in kids.chain(["k"]) {
        let header = serde_json::json!({"alg": "ES256", "kid": kid}).to_string();
        let input = format!("{}.e30", URL_SAFE_NO_PAD.encode(header));
        let signature = URL_SAFE_NO_PAD.encode(Toy::jose(input.as_bytes()));
        let token = format!("{input}.{signature}");
        let Ok(jws) = Jws::parse(&token) else {
            continue;
        };
        let verdict = keys.verify(&jws, &[SignatureAlgorithm::EcdsaP256Sha256], &Toy);
        let is_curve = |item: &&Value| item["kid"] == kid && item["crv"] == "P-256";
        assert!(
            verdict.is_err() || items.iter().any(|item| is_curve(&item)),
            "{kid}"
        );
    }
}
