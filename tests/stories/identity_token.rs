//! A service that trusts no network: who calls is what a token of the site says.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bitgate::session::{KeyRing, SessionKey, key_set};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};

use crate::support::Response;
use crate::support::browser::{Browser, SITE, header};
use crate::support::example::SESSION_KEY;
use crate::support::setup::Setup;
use crate::support::world::World;

const HEADER: &str = "x-bitgate-identity-token";

/// The audience of `/signed/**` in the demo.
const AUDIENCE: &str = "http://localhost:10003";

fn decoded(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}

/// The signed part of a JWS in compact serialization (RFC 7515 section 5.2), its header first.
fn verified(keys: &Value, token: &str) -> Option<(Value, Vec<u8>)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, payload) = signed.split_once('.')?;
    let head: Value = serde_json::from_slice(&decoded(head)?).ok()?;
    let mut keys = keys["keys"].as_array()?.iter();
    let key = keys.find(|key| key["kid"] == head["kid"])?;
    let is_ours = [("kty", "OKP"), ("crv", "Ed25519"), ("alg", "EdDSA")];
    if !is_ours.iter().all(|(name, value)| key[*name] == *value) || head["alg"] != "EdDSA" {
        return None;
    }
    let x = decoded(key["x"].as_str()?)?.try_into().ok()?;
    let signature = Signature::from_slice(&decoded(signature)?).ok()?;
    let key = VerifyingKey::from_bytes(&x).ok()?;
    key.verify_strict(signed.as_bytes(), &signature).ok()?;
    Some((head, decoded(payload)?))
}

/// What a service does with a token (RFC 8725): its claims, if it is good.
fn accepted(keys: &Value, token: &str, audience: &str, now: u64) -> Option<Value> {
    let (head, claims) = verified(keys, token)?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let is_good = head["typ"] == "bitgate-identity+jwt"
        && claims["iss"] == SITE
        && claims["aud"] == audience
        && claims["nbf"].as_u64()? <= now
        && now < claims["exp"].as_u64()?;
    is_good.then_some(claims)
}

/// RFC 8037 appendix A.4: the service of these stories can verify.
#[test]
fn the_service_knows_a_good_signature() {
    let keys = json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }]});
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-\
                 09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let (_, payload) = verified(&keys, token).unwrap();
    assert_eq!(payload, b"Example of Ed25519 signing");
    assert!(verified(&keys, &token.replace("RXhh", "RXha")).is_none());
}

fn ask(world: &mut World, method: &str, host: &str) -> Response {
    let request = http::Request::builder().method(method);
    let request = request.uri("/_bitgate/keys").header("host", host);
    world.send(request.body(Vec::new()).unwrap())
}

fn keys(world: &mut World) -> Value {
    let answer = ask(world, "GET", "localhost:10000");
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(answer.body()).unwrap()
}

fn ada(world: &mut World) -> Browser<'_> {
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &ada).status(), 302);
    browser
}

/// The token that the service gets when a page is opened.
fn token(browser: &mut Browser<'_>, path: &str) -> String {
    assert_eq!(browser.open(path).status(), 200);
    let upstream = browser.world.upstream();
    let seen = upstream.last_request().unwrap();
    seen.header(HEADER).expect("one token").to_owned()
}

story!(a_service_verifies_who_calls, |world| {
    let account = world.person("ada");
    let mut browser = ada(world);
    let token = token(&mut browser, "/signed/report?week=12");
    let now = browser.world.around.clock.now();
    let keys = keys(browser.world);
    let claims = accepted(&keys, &token, AUDIENCE, now).expect("a good token");
    assert_eq!(claims["sub"], account.as_str());
    assert_eq!(claims["principal"], "person");
    let seen = browser.world.upstream().last_request().unwrap().clone();
    assert_eq!(claims["email"].as_str(), seen.header("x-forwarded-email"));
    let iat = claims["iat"].as_u64().unwrap();
    assert_eq!(claims["exp"], iat + 300);
    assert!(claims["auth_time"].as_u64().unwrap() <= iat && iat <= now);
    // Not for anybody else, not for ever, and not with another letter.
    assert!(accepted(&keys, &token, "http://localhost:10004", now).is_none());
    assert!(accepted(&keys, &token, AUDIENCE, iat + 300).is_none());
    let (head, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let mut forged = claims.clone();
    forged["sub"] = json!("557058:grace");
    let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
    let none = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": "demo"}).to_string());
    for bad in [
        format!("{head}.{forged}.{signature}"),
        format!("{none}.{payload}.{signature}"),
        format!("{none}.{payload}."),
    ] {
        assert!(verified(&keys, &bad).is_none(), "{bad}");
    }
});

story!(
    each_rule_has_its_own_audience,
    Setup {
        config: |config| {
            let rules = config["rules"].as_array_mut().unwrap();
            let rule = json!({
                "match": {"path": "/builds/**"},
                "allow": "signed_in",
                "inject": "bearer",
                "identity_token": {"audience": "builds"},
            });
            rules.insert(0, rule);
        },
        ..Setup::default()
    },
    |world| {
        let mut browser = ada(world);
        let keys = keys(browser.world);
        for (path, audience) in [("/signed/x", AUDIENCE), ("/builds/x", "builds")] {
            let token = token(&mut browser, path);
            let now = browser.world.around.clock.now();
            for other in [AUDIENCE, "builds"] {
                let claims = accepted(&keys, &token, other, now);
                assert_eq!(claims.is_some(), other == audience, "{path} {other}");
            }
        }
        for path in ["/", "/identity/x", "/public/x"] {
            browser.open(path);
            let seen = browser.world.upstream().last_request().unwrap().clone();
            assert_eq!(seen.header(HEADER), None, "{path}");
        }
    }
);

story!(
    a_token_serves_for_half_of_its_life,
    Setup::with_clock(),
    |world| {
        let mut browser = ada(world);
        let keys = keys(browser.world);
        let first = token(&mut browser, "/signed/x");
        browser.world.advance(100);
        assert_eq!(token(&mut browser, "/signed/y"), first);
        browser.world.advance(100);
        let second = token(&mut browser, "/signed/x");
        assert_ne!(second, first);
        // Each is good for 150 seconds from when the service got it.
        let now = browser.world.around.clock.now();
        assert!(accepted(&keys, &second, AUDIENCE, now + 149).is_some());
        assert!(accepted(&keys, &first, AUDIENCE, now + 149).is_none());
    }
);

story!(
    a_token_ends_with_the_session,
    Setup {
        config: |config| config["session"]["max_age"] = "1h".into(),
        ..Setup::with_clock()
    },
    |world| {
        let mut browser = ada(world);
        let keys = keys(browser.world);
        browser.world.advance(58 * 60);
        let token = token(&mut browser, "/signed/x");
        let now = browser.world.around.clock.now();
        let claims = accepted(&keys, &token, AUDIENCE, now).unwrap();
        let auth_time = claims["auth_time"].as_u64().unwrap();
        assert_eq!(claims["exp"], auth_time + 3_600);
    }
);

story!(two_people_have_two_tokens, |world| {
    let first = token(&mut ada(world), "/signed/x");
    let grace = world.person("grace");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &grace).status(), 302);
    let second = token(&mut browser, "/signed/x");
    let now = browser.world.around.clock.now();
    let keys = keys(browser.world);
    let sub = |token: &str| accepted(&keys, token, AUDIENCE, now).unwrap()["sub"].clone();
    assert_eq!(sub(&second), grace.as_str());
    assert_ne!(sub(&first), sub(&second));
});

/// Two sites may share a session key. They share nothing that is derived from it.
fn of_another_site() -> Value {
    let key = base64::engine::general_purpose::STANDARD
        .decode(SESSION_KEY)
        .unwrap();
    let key: [u8; 32] = key.try_into().unwrap();
    let key = SessionKey::new("demo", key.into()).unwrap();
    key_set(&KeyRing::new("https://tools.example.com", &[key]).unwrap())
}

story!(the_key_of_another_site_does_not_verify, |world| {
    let mut browser = ada(world);
    let token = token(&mut browser, "/signed/x");
    let theirs = of_another_site();
    let ours = keys(browser.world);
    assert_eq!(theirs["keys"][0]["kid"], ours["keys"][0]["kid"]);
    assert!(verified(&ours, &token).is_some());
    assert!(verified(&theirs, &token).is_none());
});

story!(a_client_cannot_bring_a_token, |world| {
    let mut browser = ada(world);
    let own = token(&mut browser, "/signed/x");
    for path in ["/signed/x", "/", "/identity/x", "/public/x"] {
        let mut request = http::Request::get(path);
        for name in [
            HEADER,
            "X-Bitgate-Identity-Token",
            "x_bitgate_identity_token",
            "x-bitgate-identity_token",
            "x.bitgate.identity.token",
        ] {
            request = request.header(name, "spoofed").header(name, own.as_str());
        }
        let answer = browser.send(request.body(Vec::new()).unwrap());
        assert_eq!(answer.status(), 200, "{path}");
        let seen = browser.world.upstream().last_request().unwrap().clone();
        let is_token = |name: &str| name.replace(['_', '.'], "-") == HEADER;
        let found: Vec<_> = seen
            .headers
            .iter()
            .filter(|(name, _)| is_token(name))
            .collect();
        let expected = usize::from(path == "/signed/x");
        assert_eq!(found.len(), expected, "{path} {found:?}");
        assert!(found.iter().all(|(_, value)| value != b"spoofed"), "{path}");
    }
});

story!(nobody_gets_no_token, |world| {
    let mut browser = world.browser();
    assert_eq!(browser.open("/signed/x").status(), 302);
    assert_eq!(browser.fetch("/signed/x").status(), 401);
    assert_eq!(world.upstream().requests().len(), 0);
});

story!(everybody_can_read_the_keys, |world| {
    // A service asks by whatever address it has.
    for host in ["localhost:10000", "envoy.internal", "10.0.0.7:10000"] {
        let answer = ask(world, "GET", host);
        assert_eq!(answer.status(), 200, "{host}");
        assert_eq!(header(&answer, "content-type"), "application/jwk-set+json");
        assert_eq!(header(&answer, "cache-control"), "public, max-age=300");
        assert_eq!(header(&answer, "set-cookie"), "");
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        let key = document["keys"][0].as_object().unwrap();
        // No part of the private key (RFC 8037 section 2).
        let names: Vec<&str> = key.keys().map(String::as_str).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        assert!(!key.contains_key("d"));
        assert_eq!(
            (key["kid"].as_str(), key["use"].as_str()),
            (Some("demo"), Some("sig"))
        );
    }
    assert_eq!(ask(world, "HEAD", "localhost:10000").status(), 200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = ask(world, method, "localhost:10000");
        assert_eq!(answer.status(), 405, "{method}");
        assert_eq!(header(&answer, "allow"), "GET, HEAD");
    }
    assert_eq!(world.upstream().requests().len(), 0);
    assert_eq!(world.bitbucket_calls(), 0);
});

story!(
    a_key_is_known_before_it_signs,
    Setup {
        config: |config| {
            let next = json!({
                "kid": "next",
                "key": {"inline": "bmV4dC1vbmx5LW5leHQtb25seS1uZXh0LW9ubHktMDI="},
                "not_before": "2100-01-01T00:00:00Z",
            });
            config["session"]["keys"]
                .as_array_mut()
                .unwrap()
                .insert(0, next);
        },
        ..Setup::with_clock()
    },
    |world| {
        // A service reads the keys once, an hour before the next one signs.
        let begins = 4_102_444_800;
        let now = world.around.clock.now();
        world.advance(begins - 3_600 - now);
        let keys = keys(world);
        let kids = keys["keys"].as_array().unwrap().iter();
        let kids: Vec<&Value> = kids.map(|key| &key["kid"]).collect();
        assert_eq!(kids, ["next", "demo"]);
        let mut browser = ada(world);
        let mut seen = Vec::new();
        for seconds in [3_400, 100, 99, 101, 200] {
            browser.world.advance(seconds);
            let token = token(&mut browser, "/signed/x");
            let now = browser.world.around.clock.now();
            assert!(accepted(&keys, &token, AUDIENCE, now + 60).is_some());
            let (head, _) = verified(&keys, &token).unwrap();
            seen.push(head["kid"].as_str().unwrap().to_owned());
        }
        assert_eq!((seen[0].as_str(), seen[4].as_str()), ("demo", "next"));
        assert!(seen.is_sorted(), "{seen:?}");
    }
);
