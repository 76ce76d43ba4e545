//! Published tokens and keys against both ways of verifying: with `jwt-simple` and its libraries
//! natively, with Envoy's function in the module. Both must come to the same verdict, and what differs
//! from the published one has a reason.

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

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bitgate::host::{NativeSignatures, SignatureAlgorithm};
use bitgate::jose::{Jws, KeySet, Unverified};
use bitgate_simulator::server;
use serde_json::{Value, json};
use support::envoy::{Envoy, module, validate};
use support::example::{Example, root};
use support::setup::Setup;
use support::world::{Kind, World};

/// A published token, and what is published about it.
struct Case {
    name: String,
    /// A JWK Set.
    keys: String,
    token: String,
    is_valid: bool,
    /// The verdict where it is not the published one, and why.
    differs: Option<(&'static str, &'static str)>,
}

const SHARED_KEY: &str = "whoever verifies with a shared key could sign as well";
const NO_PSS: &str = "Envoy's function has no RSASSA-PSS";
const NO_P521: &str = "jwt-simple has no P-521";
const NOT_BASE64: &str = "\"?\" is no character of base64url";
const NO_PAYLOAD: &str = "the payload of a JWT is an object, and never empty";

fn read(name: &str) -> Value {
    let path = root().join("tests/vectors/jose").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A token that is published as good, and that Bitgate does not accept: the verdict, and why.
fn exception(token: &str, keys: &Value) -> Option<(&'static str, &'static str)> {
    // Keys of algorithms that are not accepted are none, unless they say nothing about algorithms.
    let has_key = KeySet::parse(keys.to_string().as_bytes()).is_ok();
    let unless_no_key = |verdict| if has_key { verdict } else { "no_key" };
    if token.contains('?') {
        return Some((unless_no_key("malformed"), NOT_BASE64));
    }
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next()?).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    match header["alg"].as_str()? {
        "HS256" | "HS384" | "HS512" => Some((unless_no_key("algorithm"), SHARED_KEY)),
        "PS256" | "PS384" | "PS512" => Some((unless_no_key("algorithm"), NO_PSS)),
        "ES512" | "ES521" => Some((unless_no_key("algorithm"), NO_P521)),
        _ => token.contains("..").then_some(("malformed", NO_PAYLOAD)),
    }
}

fn case(name: String, keys: Value, token: &str, is_valid: bool) -> Case {
    Case {
        differs: is_valid.then(|| exception(token, &keys)).flatten(),
        name,
        keys: keys.to_string(),
        token: token.to_owned(),
        is_valid,
    }
}

/// The set with the public members of one key.
fn set_of(key: &Value) -> Value {
    let mut key = key.clone();
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        key.as_object_mut().unwrap().remove(name);
    }
    json!({"keys": [key]})
}

fn wycheproof(file: &str) -> Vec<Case> {
    let document = read(file);
    let mut cases = Vec::new();
    for group in document["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let keys = match key.get("keys") {
            Some(_) => key.clone(),
            None => set_of(key),
        };
        for test in group["tests"].as_array().unwrap() {
            let Some(token) = test["jws"].as_str() else {
                panic!("expected the compact form, but found {}", test["jws"]);
            };
            let name = format!("{file} {}: {}", test["tcId"], test["comment"]);
            cases.push(case(name, keys.clone(), token, test["result"] == "valid"));
        }
    }
    assert_eq!(cases.len() as u64, document["numberOfTests"]);
    cases
}

fn rfc7520() -> Vec<Case> {
    let names = [
        "4_1.rsa_v15_signature",
        "4_2.rsa-pss_signature",
        "4_3.ecdsa_signature",
        "4_4.hmac-sha2_integrity_protection",
    ];
    let example = |name: &str| {
        let document = read(&format!("rfc7520-{name}.json"));
        let token = document["output"]["compact"].as_str().unwrap();
        case(
            name.to_owned(),
            set_of(&document["input"]["key"]),
            token,
            true,
        )
    };
    names.map(example).into()
}

/// RFC 7515 appendices A.2 and A.3: both sign the payload of A.1.
fn rfc7515() -> Vec<Case> {
    const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl\
        LmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4Q\
            lL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUs\
            LA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF\
            8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
    });
    let rs256 = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5j\
        ujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Ga\
        rZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs9\
        8rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let ec = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let es256 =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let mut cases = Vec::new();
    for (name, header, key, signature) in [
        ("RFC 7515 A.2", "eyJhbGciOiJSUzI1NiJ9", rsa, rs256),
        ("RFC 7515 A.3", "eyJhbGciOiJFUzI1NiJ9", ec, es256),
    ] {
        let token = format!("{header}.{PAYLOAD}.{signature}");
        let changed = token.replacen("eyJpc3M", "eyJpc4M", 1);
        cases.push(case(name.to_owned(), set_of(&key), &token, true));
        cases.push(case(
            format!("{name}, changed"),
            set_of(&key),
            &changed,
            false,
        ));
    }
    // A.5 has no signature.
    let unsigned = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    let keys = set_of(&json!({"kty": "EC"}));
    cases.push(case("RFC 7515 A.5".to_owned(), keys, &unsigned, false));
    cases
}

fn all() -> Vec<Case> {
    let mut cases = wycheproof("wycheproof-json_web_signature_test.json");
    cases.extend(wycheproof("wycheproof-json_web_key_test.json"));
    cases.extend(rfc7515());
    cases.extend(rfc7520());
    cases
}

/// `good`, or the word for why not.
fn native_verdict(case: &Case) -> &'static str {
    let accepted: Vec<_> = SignatureAlgorithm::names()
        .iter()
        .map(|(_, it)| *it)
        .collect();
    let Ok(keys) = KeySet::parse(case.keys.as_bytes()) else {
        return "no_key";
    };
    let jws = match Jws::parse(&case.token) {
        Ok(jws) => jws,
        Err(why) => return why.word(),
    };
    match keys.verify(&jws, &accepted, &NativeSignatures) {
        Ok(()) => "good",
        Err(Unverified::Invalid(why)) => why.word(),
        Err(Unverified::CannotVerify) => "cannot_verify",
    }
}

#[test]
fn natively_every_verdict_is_the_published_one_or_has_a_reason() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for case in all() {
        let verdict = native_verdict(&case);
        match case.differs {
            Some((expected, reason)) => {
                assert_eq!(verdict, expected, "{}: {reason}", case.name);
                *reasons.entry(reason).or_default() += 1;
            }
            None if (verdict == "good") == case.is_valid => {}
            None => wrong.push(format!("{}: {verdict}", case.name)),
        }
        *counts.entry(verdict).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let differing: usize = reasons.values().sum();
    assert_eq!(
        (counts["good"], differing),
        (19, 38),
        "{counts:?} {reasons:?}"
    );
}

#[test]
fn the_function_of_envoy_comes_to_the_same_verdicts() {
    let mut world = World::new(Kind::Envoy, &Setup::with_clock());
    let text = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let cases = all();
    for case in &cases {
        let request = http::Request::get("/")
            .header("host", "localhost:10000")
            .header("x-bitgate-test-token", text(&case.token))
            .header("x-bitgate-test-keys", text(&case.keys));
        let answer = world.edge.send(request.body(Vec::new()).unwrap());
        let verdict = answer.headers()["x-bitgate-test-verdict"].to_str().unwrap();
        assert_eq!(verdict, native_verdict(case), "{}", case.name);
    }
    assert!(cases.len() >= 436, "{}", cases.len());
}

/// An issuer whose keys are behind the cluster of Bitbucket's API.
fn with_issuer(port: u16) -> Example {
    let mut example = Example::read("demo.yaml");
    let mut config = example.plugin();
    config["issuers"] = json!([{
        "issuer": "https://idp.example.com",
        "jwks": {"cluster": "bitbucket_api", "url": format!("http://localhost:{port}/keys")},
        "audiences": ["us"],
    }]);
    example.set_plugin(&config);
    example.set_cluster_port("bitbucket_api", port);
    example.free_ports();
    example.set_module(&module("bitgate"));
    example
}

#[test]
fn one_worker_fetches_the_keys_of_an_issuer_for_all() {
    let keys = read("rfc7520-4_1.rsa_v15_signature.json");
    let keys = set_of(&keys["input"]["key"]).to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let issuer = server::spawn(([127, 0, 0, 1], 0).into(), move |_, request| {
        assert_eq!(request.uri().path(), "/keys");
        counter.fetch_add(1, Ordering::SeqCst);
        http::Response::builder()
            .header("content-type", "application/jwk-set+json; charset=utf-8")
            .body(keys.clone().into_bytes())
            .unwrap()
    });
    let issuer = issuer.unwrap();
    let envoy = Envoy::start(&with_issuer(issuer.address().port()), 3);
    let line = envoy.eventually_logged("keys_changed");
    assert!(line.contains("idp_example_com: other keys"), "{line}");
    // Each worker looks every second, and none of them asks again.
    let gauge = "wasmcustom.bitgate_issuer_keys_age_seconds.issuer.idp_example_com";
    let deadline = Instant::now() + Duration::from_secs(30);
    while envoy.stat(gauge) < 3 {
        assert!(
            Instant::now() < deadline,
            "{}",
            envoy.stats("bitgate_issuer")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn issuers_need_a_host_that_verifies() {
    let mut names = Vec::new();
    let bytes = fs::read(module("bitgate")).unwrap();
    for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
        let payload = payload.unwrap();
        if let wasmparser::Payload::ImportSection(section) = payload {
            let imports = section.into_imports();
            names.extend(imports.map(|import| import.unwrap().name.to_owned()));
        } else if let wasmparser::Payload::ExportSection(section) = payload {
            let exports = section.into_iter();
            names.extend(exports.map(|export| export.unwrap().name.to_owned()));
        }
    }
    let without = |name: &str| {
        let mut example = with_issuer(1);
        example.restrict(names.iter().filter(|other| *other != name).cloned());
        validate(&example)
    };
    let refused = without("proxy_call_foreign_function");
    let text = String::from_utf8_lossy(&refused.stderr);
    let expected =
        "issuers: expected none on a host without the function verify_signature, but found some";
    assert!(
        !refused.status.success() && text.contains(expected),
        "{text}"
    );
    assert!(without("nothing").status.success());
}
