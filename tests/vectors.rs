//! Sealed samples of every format that was ever released: they must open for ever, or everybody is
//! signed out by an update.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test"
)]

use std::fs;
use std::path::PathBuf;

use bitgate::host::{Host, NativeSignatures, NoRandomness, Random, SharedData};
use bitgate::http::{Cookies, Headers, SetCookie};
use bitgate::identity::Identity;
use bitgate::oauth::{
    AccessToken, ClientCredentials, ClientSecret, CodeVerifier, RefreshToken, State,
};
use bitgate::session::{
    BotTokens, Grant, GrantCookies, KeyRing, Lifetimes, PendingLogin, PendingLogins, Sealed,
    SecondSignIn, SessionKey, SessionStore,
};
use bitgate::time::{Seconds, UnixTime};
use serde_json::{Value, json};

const SITE: &str = "https://tools.example.com";
const CLIENT_ID: &str = "sample-consumer";
const NOW: UnixTime = UnixTime(1_800_000_000);
const LIFETIMES: Lifetimes = Lifetimes {
    max_age: Seconds(43_200),
    idle_timeout: Seconds(3_600),
};

#[derive(Debug)]
struct Counter(u8);

impl Random for Counter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
        Ok(())
    }
}

/// Data that workers share.
#[derive(Debug, Default)]
struct Memory(std::collections::HashMap<String, Vec<u8>>);

impl SharedData for Memory {
    fn read(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        Some((self.0.get(key)?.clone(), 1))
    }

    fn write(&mut self, key: &str, value: &[u8], _: Option<u32>) -> bool {
        self.0.insert(key.to_owned(), value.to_vec());
        true
    }
}

fn ring() -> KeyRing {
    let key = SessionKey::new("sample", [7; 32].into()).unwrap();
    KeyRing::new(SITE, &[key]).unwrap()
}

fn store() -> SessionStore {
    SessionStore::new(ring(), CLIENT_ID, LIFETIMES)
}

fn identity() -> Identity {
    Identity {
        account_id: "557058:sample".to_owned(),
        email: Some("sample@example.com".to_owned()),
        nickname: Some("Sämple".to_owned()),
    }
}

const VERSIONS: [&str; 1] = ["v1.json"];

fn grant() -> Grant {
    Grant {
        access_token: AccessToken::new("a".repeat(2_600)),
        refresh_token: Some(RefreshToken::new("r".repeat(2_600))),
        expires_at: NOW.plus(Seconds(7_200)),
        lifetime: Seconds(7_200),
        scopes: Some("account email repository".to_owned()),
    }
}

fn ci_grant() -> Grant {
    Grant {
        access_token: AccessToken::new("c".repeat(100)),
        refresh_token: None,
        expires_at: NOW.plus(Seconds(3_600)),
        lifetime: Seconds(3_600),
        scopes: Some("account repository:write".to_owned()),
    }
}

fn ci() -> GrantCookies {
    GrantCookies::of(SITE, "ci", "sample-ci-consumer")
}

fn bot_grant() -> Grant {
    Grant {
        access_token: AccessToken::new("b".repeat(100)),
        scopes: Some("repository:write".to_owned()),
        ..ci_grant()
    }
}

fn bot() -> BotTokens {
    let client = ClientCredentials {
        id: "sample-bot".to_owned(),
        secret: ClientSecret::new("sample"),
    };
    BotTokens::new(&ring(), "deployer", &client)
}

fn login() -> PendingLogin {
    PendingLogin {
        state: State::generate(&mut Counter(100)).unwrap(),
        code_verifier: CodeVerifier::new("sample-verifier"),
        return_to: "/reports?week=12".to_owned(),
        begun_at: NOW,
        second: Some(SecondSignIn {
            consumer: "ci".to_owned(),
            session_id: "sample-session".to_owned(),
        }),
    }
}

fn pairs(cookies: &[SetCookie]) -> Vec<String> {
    let pair = |cookie: &SetCookie| {
        let line = cookie.header_value().unwrap();
        line.as_str().split("; ").next().unwrap().to_owned()
    };
    cookies.iter().map(pair).collect()
}

fn sample() -> Value {
    let (none, random) = (Headers::default(), &mut Counter(0));
    let none = Cookies::read(&none);
    let ring = ring();
    let mut memory = Memory::default();
    let mut host = Host {
        now: NOW,
        random,
        shared: &mut memory,
        signatures: &NativeSignatures,
    };
    let issued = store().issue(identity(), &grant(), &none, &mut host);
    let issued = issued.unwrap();
    let login = PendingLogins::new(&ring, NOW)
        .add(&none, &login(), random)
        .unwrap();
    let sealed = store().seal_grant(&ci(), &issued.session_id, &ci_grant(), NOW, random);
    let sealed = Sealed {
        session_id: &issued.session_id,
        session_ends_at: NOW.plus(LIFETIMES.max_age),
        ends_at: ci_grant().expires_at,
        text: &sealed.unwrap(),
    };
    let ci = ci().set(sealed, ci().present(&none), NOW, &memory);
    let bot = bot().seal(&ring, &bot_grant(), NOW, random).unwrap();
    json!({
        "session": pairs(&issued.cookies),
        "login": pairs(&login),
        "ci": pairs(&ci),
        "bot": bot,
    })
}

fn headers(pairs: &Value) -> Headers {
    let pairs: Vec<&str> = pairs
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p.as_str().unwrap())
        .collect();
    Headers::new(vec![("cookie".to_owned(), pairs.join("; ").into_bytes())])
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sealed")
}

fn read(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

#[test]
fn every_sample_opens_to_what_was_sealed() {
    assert_eq!(fs::read_dir(folder()).unwrap().count(), VERSIONS.len());
    for name in VERSIONS {
        let sample = read(name);
        let session = headers(&sample["session"]);
        let signed_in = store()
            .open(&Cookies::read(&session), NOW, &Memory::default())
            .expect("an open session");
        assert_eq!(signed_in.session.identity, identity(), "{name}");
        assert_eq!(signed_in.session.issued_at, NOW);
        assert_eq!(signed_in.session.expires_at, NOW.plus(LIFETIMES.max_age));
        assert_eq!(signed_in.grant, grant(), "{name}");
        let pending = headers(&sample["login"]);
        let (ring, login) = (ring(), login());
        let found = PendingLogins::new(&ring, NOW).find(&Cookies::read(&pending), &login.state);
        assert_eq!(found, Some(login));
        let mut all = sample["session"].as_array().unwrap().clone();
        all.extend(sample["ci"].as_array().unwrap().iter().cloned());
        let all = headers(&Value::Array(all));
        let cookies = Cookies::read(&all);
        let named = store().open_named(&signed_in, &ci(), &cookies, &Memory::default());
        assert_eq!(named.unwrap().grant, ci_grant());
        let sealed = sample["bot"].as_str().unwrap();
        assert_eq!(bot().open(&ring, sealed), Some(bot_grant()));
    }
}

/// The newest sample is of today's format: whoever changes the format adds one. To make it, remove
/// nothing and run with `BITGATE_BLESS` set.
#[test]
fn the_newest_sample_has_the_form_of_today() {
    let [.., newest] = VERSIONS;
    let path = folder().join(newest);
    let today = sample();
    if std::env::var_os("BITGATE_BLESS").is_some() && !path.exists() {
        fs::write(&path, format!("{today:#}\n")).unwrap();
    }
    let kept = read(newest);
    // Boxes are the same for the same nonce.
    assert_eq!(kept, today);
}
