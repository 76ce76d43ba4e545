//! JWT: how a token is written, signed and shown. What it says is in `jwt_claims`, whose keys it is
//! signed with in `jwt_keys`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bitgate_simulator::bitbucket::{SigningKey, hmac, unsigned};
use serde_json::{Value, json};

use super::case::{Case, empty, get};
use super::token::{
    KID, SERVICE, accepted, ec_header, ec_key, ec_signature, ec_token, encoded, good, idp_claims,
    idp_key, input, pipelines_key, refused, rejected, request, step_claims, with,
};
use crate::support::browser::header;
use crate::support::world::World;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("JWT-02", |world| {
            let good = good(world);
            accepted(world, &good);
            let (input, _) = good.rsplit_once('.').unwrap();
            rejected(world, input);
            rejected(world, &format!("{input}."));
            let claims = idp_claims(world);
            let token = unsigned(&ec_header(), &claims);
            rejected(world, &token);
            for name in ["none", "None", "NONE", "nOnE", ""] {
                let header = with(ec_header(), "alg", json!(name));
                rejected(world, &unsigned(&header, &claims));
                rejected(world, &ec_token(header, &claims));
            }
        }),
        Case::both("JWT-03", with_what_is_public_as_a_secret),
        Case::both("JWT-04", |world| {
            warm(world);
            let claims = step_claims(world);
            for secret in [
                "",
                "secret",
                "changeme",
                "your-256-bit-secret",
                "your-secret-key",
                "a-string-secret-at-least-256-bits-long",
                KID,
                "canary-client-secret",
            ] {
                for name in ["HS256", "hs256", "HS384", "HS512"] {
                    let header = json!({"alg": name, "typ": "JWT", "kid": KID});
                    rejected(world, &hmac(secret.as_bytes(), &header, &claims));
                }
            }
        }),
        Case::both("JWT-05", with_the_algorithm_of_another_key),
        Case::both("JWT-06", with_a_signature_of_another_form),
        Case::both("JWT-09", with_a_key_in_the_header),
        Case::both("JWT-14", |world| {
            warm(world);
            for more in [
                json!({"crit": ["exp"]}),
                json!({"crit": []}),
                json!({"crit": null}),
                json!({"crit": ["b64"], "b64": false}),
                json!({"b64": false}),
                json!({"b64": true}),
                json!({"crit": ["exp"], "exp": 9_999_999_999_u64}),
            ] {
                let token = headed(world, &more);
                rejected(world, &token);
            }
            // RFC 7797 section 5.1: what is signed is the payload as it is.
            let claims = step_claims(world).to_string();
            let header = json!({"alg": "RS256", "kid": KID, "crit": ["b64"], "b64": false});
            let signed = format!("{}.{claims}", encoded(header.to_string()));
            let token = pipelines_key(world).sign_text(&signed);
            refused(world, request(SERVICE, &format!("Bearer {token}")));
        }),
        Case::both("JWT-16", with_other_forms),
        Case::both("JWT-17", |world| {
            let good = good(world);
            accepted(world, &good);
            let parts: Vec<&str> = good.split('.').collect();
            let [header, claims, signature] = parts[..] else {
                panic!("expected three parts")
            };
            // What is cut at each dot would be 10,000 pieces: here nobody looks behind the second.
            for token in [
                header.to_owned(),
                format!("{header}.{claims}"),
                format!("{good}.{signature}"),
                format!("{good}.."),
                ".".to_owned(),
                "..".to_owned(),
                ".".repeat(10_000),
                format!("{header}.{claims}{}", ".".repeat(10_000)),
                format!("{header}{}{claims}.{signature}", ".".repeat(10_000)),
                format!("{}{good}", ".".repeat(10_000)),
            ] {
                rejected(world, &token);
            }
        }),
        Case::both("JWT-18", with_other_base64),
        Case::both("JWT-31", |world| {
            warm(world);
            let account = world.person("ada");
            let mut browser = world.browser();
            assert_eq!(browser.sign_in("/people/ada", &account).status(), 302);
            let cookies: Vec<String> = browser.jar.0.values().cloned().collect();
            assert!(cookies.len() >= 2, "a session and a grant");
            for cookie in cookies {
                rejected(world, &cookie);
            }
            // Nothing here decrypts a bearer token, with whatever key: its header alone is too much.
            let claims = step_claims(world).to_string();
            for name in ["dir", "A256KW", "A256GCMKW"] {
                let header = json!({"alg": name, "enc": "A256GCM", "kid": KID}).to_string();
                let header = encoded(header);
                for second in ["", &encoded(&claims)] {
                    let iv = encoded([1; 12]);
                    let tag = encoded([2; 16]);
                    let token = format!("{header}.{second}.{iv}.{}.{tag}", encoded(&claims));
                    rejected(world, &token);
                }
            }
        }),
        Case::both("JWT-41", shown_in_other_ways),
        Case::both("JWT-42", |world| {
            let good = format!("Bearer {}", good(world));
            let bad = format!("{good}x");
            for pair in [[&good, &bad], [&bad, &good], [&good, &good]] {
                let twice = pair.iter().fold(get(SERVICE), |request, value| {
                    request.header("authorization", value.as_str())
                });
                refused(world, empty(twice));
            }
            let answer = world.send(request(SERVICE, &good));
            assert_eq!(answer.status(), 200);
        }),
        Case::both("JWT-43", beside_a_cookie_of_somebody_else),
        Case::both("JWT-45", |world| {
            let good = good(world);
            accepted(world, &good);
            for bytes in [16_384, 65_536] {
                let filler = "A".repeat(bytes - good.len());
                rejected(world, &format!("{good}{filler}"));
                rejected(world, &format!("{good}.{filler}"));
                rejected(world, &"A".repeat(bytes));
            }
            // Within the limit it is a token as any other: judged, and no good.
            let claims = with(step_claims(world), "x", json!("x".repeat(9_000)));
            let large = pipelines_key(world).sign(&json!({"alg": "RS256", "kid": KID}), &claims);
            accepted(world, &large);
            let (start, signature) = large.rsplit_once('.').unwrap();
            let reversed: String = signature.chars().rev().collect();
            rejected(world, &format!("{start}.{reversed}"));
            // Envoy itself says so of more than the listener takes.
            let token = format!("Bearer {}", "A".repeat(1_000_000));
            let expected = if world.edge.envoy().is_some() {
                431
            } else {
                401
            };
            let answer = world.send(request(SERVICE, &token));
            assert_eq!(answer.status(), expected);
        }),
        Case::both("JWT-46", |world| {
            warm(world);
            let key = pipelines_key(world);
            let header = json!({"alg": "RS256", "kid": KID});
            let claims = step_claims(world).to_string();
            let start = &claims[..claims.len() - 1];
            let nested = |depth: usize| {
                let (open, close) = ("[".repeat(depth), "]".repeat(depth));
                format!("{start},\"x\":{open}{close}}}")
            };
            let members: Vec<String> = (0..700).map(|it| format!("\"{it}\":1")).collect();
            // All that fits into the longest token. One with 700 members is odd, and nothing worse.
            let wide = format!("{start},{}}}", members.join(","));
            accepted(world, &key.sign_text(&input(&header, wide)));
            for payload in [
                nested(130),
                nested(4_500),
                format!("{start},\"x\":{}", "[".repeat(9_000)),
                "[".repeat(11_000),
                "{\"a\":".repeat(2_000),
                format!("{start},\"x\":1e{}}}", "9".repeat(9_000)),
            ] {
                rejected(world, &key.sign_text(&input(&header, payload)));
            }
            // Those of the catalogue do not fit: refused by their length. Envoy takes no megabytes.
            rejected(world, &key.sign_text(&input(&header, nested(25_000))));
            if world.edge.envoy().is_none() {
                let members: Vec<String> = (0..1_000_000).map(|it| format!("\"{it}\":1")).collect();
                let payload = format!("{{{}}}", members.join(","));
                for payload in [payload, nested(100_000)] {
                    rejected(
                        world,
                        &format!("{}.{}", input(&header, payload), encoded("x")),
                    );
                }
            }
        }),
        Case::both("JWT-50", a_bad_one_leaves_nothing_behind),
    ]
}

/// What follows is refused by the same issuers that accept this.
#[track_caller]
pub fn warm(world: &mut World) {
    let good = good(world);
    accepted(world, &good);
    let token = ec_token(ec_header(), idp_claims(world));
    accepted(world, &token);
}

/// Signed by Pipelines, with more in its header.
fn headed(world: &World, more: &Value) -> String {
    let key = pipelines_key(world);
    let mut header = key.header();
    let more = more.as_object().unwrap().clone();
    header.as_object_mut().unwrap().extend(more);
    key.sign(&header, &step_claims(world))
}

/// The public key, in every spelling that a verifier could keep it in.
fn with_what_is_public_as_a_secret(world: &mut World) {
    warm(world);
    for (key, claims) in [
        (pipelines_key(world), step_claims(world)),
        (idp_key(), idp_claims(world)),
    ] {
        let pem = key.public_pem();
        let lines = pem.lines().filter(|line| !line.starts_with('-'));
        let der = STANDARD.decode(lines.collect::<String>()).unwrap();
        let jwk = key.jwk();
        let text = |name: &str| jwk[name].as_str().unwrap().to_owned();
        let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(text("n"))
            .unwrap();
        let secrets: Vec<Vec<u8>> = vec![
            pem.trim_end().into(),
            pem.replace('\n', "\r\n").into(),
            der.clone(),
            STANDARD.encode(der).into(),
            jwk.to_string().into(),
            json!({"keys": [jwk]}).to_string().into(),
            json!({"kty": "RSA", "n": text("n"), "e": text("e")})
                .to_string()
                .into(),
            decoded,
            text("n").into(),
            text("kid").into(),
        ];
        for secret in secrets {
            for end in ["", "\n"] {
                let secret = [&secret, end.as_bytes()].concat();
                for name in ["HS256", "RS256"] {
                    let header = json!({"alg": name, "typ": "JWT", "kid": key.kid()});
                    rejected(world, &hmac(&secret, &header, &claims));
                }
            }
        }
    }
}

fn with_the_algorithm_of_another_key(world: &mut World) {
    warm(world);
    let claims = idp_claims(world);
    let rsa = idp_key();
    for (name, kid) in [
        ("RS256", "ec"),
        ("ES256", KID),
        ("ES384", "ec"),
        ("ES256", "ec384"),
        ("ES384", "ec384"),
        // The RSA key says that it is for RS256.
        ("RS384", KID),
        ("RS512", KID),
        ("PS256", KID),
        ("PS384", KID),
        ("EdDSA", "ec"),
        ("ES256K", "ec"),
        ("ES512", "ec"),
        ("RS1", KID),
        ("rs256", KID),
        ("RSA", KID),
    ] {
        let header = json!({"alg": name, "typ": "JWT", "kid": kid});
        rejected(world, &rsa.sign(&header, &claims));
        rejected(world, &ec_token(&header, &claims));
        // Without a name all keys of its kind may be meant, and none of another.
        let unnamed = json!({"alg": name});
        if name != "RS256" {
            rejected(world, &rsa.sign(&unnamed, &claims));
        }
        if name != "ES256" {
            rejected(world, &ec_token(&unnamed, &claims));
        }
    }
    accepted(world, &rsa.sign(&json!({"alg": "RS256"}), &claims));
    accepted(world, &ec_token(json!({"alg": "ES256"}), &claims));
    // Pipelines signs with RS256 and nothing else.
    let step = step_claims(world);
    for name in ["RS384", "PS256", "ES256"] {
        let header = json!({"alg": name, "kid": KID});
        let token = pipelines_key(world).sign(&header, &step);
        rejected(world, &token);
        rejected(world, &ec_token(&header, &step));
    }
}

/// The order of P-256 (FIPS 186-5).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

fn with_a_signature_of_another_form(world: &mut World) {
    warm(world);
    let claims = idp_claims(world);
    for kid in [Some("ec"), None] {
        let header = match kid {
            Some(kid) => json!({"alg": "ES256", "kid": kid}),
            None => json!({"alg": "ES256"}),
        };
        let input = input(header, &claims);
        let signature = ec_signature(&input);
        let good = signature.to_bytes();
        let (r, s) = good.split_at(32);
        let zero = [0; 32];
        accepted(world, &format!("{input}.{}", encoded(good)));
        let wrong: Vec<Vec<u8>> = vec![
            signature.to_der().as_bytes().to_vec(),
            // CVE-2022-21449.
            vec![0; 64],
            vec![0; 8],
            [&zero[..], s].concat(),
            [r, &zero].concat(),
            [&ORDER[..], s].concat(),
            [r, &ORDER].concat(),
            [ORDER, ORDER].concat(),
            vec![0xff; 64],
            good[..63].to_vec(),
            [&good[..], &[0]].concat(),
            [&[0], &good[..]].concat(),
            [&[0], r, &[0], s].concat(),
            [s, r].concat(),
            vec![0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x00],
            // As long as one of P-384.
            [&[0; 16], r, &[0; 16], s].concat(),
        ];
        for signature in wrong {
            rejected(world, &format!("{input}.{}", encoded(signature)));
        }
    }
    // The key of another curve, and that of the right one with its bytes.
    for (name, kid) in [("ES256", "ec384"), ("ES384", "ec"), ("ES384", "ec384")] {
        let header = json!({"alg": name, "kid": kid});
        rejected(world, &ec_token(header, &claims));
    }
    assert_eq!(ec_key().to_bytes().len(), 32);
}

/// A key of one's own, or where it is: nobody looks.
fn with_a_key_in_the_header(world: &mut World) {
    warm(world);
    let foreign = SigningKey::foreign();
    let jwk = foreign.jwk();
    let chain = json!([STANDARD.encode(foreign.public_pem())]);
    let mut headers = vec![
        json!({"jwk": jwk}),
        json!({"jwk": with(jwk.clone(), "kid", json!(KID))}),
        json!({"x5c": chain, "x5t": encoded([7; 20]), "x5t#S256": encoded([7; 32])}),
        json!({"jwk": {"kty": "oct", "k": "AA"}}),
        json!({"jwk": {"keys": [jwk]}}),
    ];
    for address in [
        "http://evil.test/keys",
        "https://evil.test/keys",
        "file:///dev/zero",
        "gopher://evil.test/1",
        "http://localhost:10000/public/redirect?to=https://evil.test/keys",
        "http://127.0.0.1:10002@evil.test/keys",
        "https://idp.example.com@evil.test/keys",
        "//evil.test",
    ] {
        headers.push(json!({"jku": address}));
        headers.push(json!({"x5u": address}));
        headers.push(json!({"jku": address, "x5u": address, "jwk": jwk}));
    }
    let claims = step_claims(world);
    for more in headers {
        let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": KID});
        let more = more.as_object().unwrap().clone();
        header.as_object_mut().unwrap().extend(more);
        rejected(world, &foreign.sign(&header, &claims));
        // Nor does it harm who signs with the right key.
        let token = pipelines_key(world).sign(&header, &claims);
        accepted(world, &token);
    }
}

fn with_other_forms(world: &mut World) {
    let inner = good(world);
    accepted(world, &inner);
    let key = pipelines_key(world);
    // A token in a token (RFC 7519 section 5.2).
    for name in ["JWT", "jwt", "application/jwt"] {
        let header = with(key.header(), "cty", json!(name));
        rejected(world, &key.sign_text(&input(&header, &inner)));
        rejected(world, &key.sign(&header, &step_claims(world)));
    }
    for name in ["JOSE", "logout+jwt", "dpop+jwt", "bitgate-identity+jwt", ""] {
        let header = with(key.header(), "typ", json!(name));
        rejected(world, &key.sign(&header, &step_claims(world)));
    }
    let parts: Vec<&str> = inner.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("expected three parts")
    };
    // JWE, and five parts of whatever kind.
    for more in [
        json!({"enc": "A128GCM"}),
        json!({"alg": "RSA-OAEP", "enc": "A128GCM"}),
        json!({"alg": "dir", "enc": "A256GCM"}),
        json!({"zip": "DEF"}),
    ] {
        let token = headed(world, &more);
        rejected(world, &token);
        let encrypted = token.split('.').next().unwrap();
        rejected(
            world,
            &format!("{encrypted}.{payload}.{signature}.{payload}.{signature}"),
        );
    }
    rejected(world, &format!("{inner}.{payload}.{signature}"));
    // Two signatures, and the JSON forms (RFC 7515 section 7.2): their characters are none of a token.
    rejected(world, &format!("{inner}.{header}.{signature}"));
    let one = json!({"protected": header, "signature": signature});
    for document in [
        json!({"payload": payload, "protected": header, "signature": signature}),
        json!({"payload": payload, "signatures": [one]}),
        json!({"payload": payload, "signatures": [one, one]}),
    ] {
        rejected(world, &document.to_string());
        rejected(world, &encoded(document.to_string()));
    }
}

fn with_other_base64(world: &mut World) {
    let good = good(world);
    accepted(world, &good);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("expected three parts")
    };
    for token in [
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!("{header}.{payload}==.{signature}"),
        format!("{good}="),
        format!("{good}=="),
        good.replace('.', "%2E"),
        good.replacen('.', "%2E", 1),
        format!("{header}. {payload}.{signature}"),
        format!("{header}.{payload} .{signature}"),
        format!("{header}.{payload}.\t{signature}"),
        format!("{header}.{payload}.{}+/", &signature[2..]),
        format!("{header}.{payload}.{}/+", &signature[..signature.len() - 2]),
        format!("{header}.{payload}%00.{signature}"),
        format!("{header}.{payload}~.{signature}"),
        format!("{header}.{payload}\u{e9}.{signature}"),
        format!("{header}.{payload}.{signature}A"),
        good.to_uppercase(),
    ] {
        rejected(world, &token);
    }
    // 256 bytes are 342 characters, and the last one has four bits of nothing: 15 other spellings.
    let (rest, last) = signature.split_at(signature.len() - 1);
    let others = ('A'..='Z').filter(|letter| !last.starts_with(*letter));
    for letter in others {
        rejected(world, &format!("{header}.{payload}.{rest}{letter}"));
    }
    // NUL and the like are no bytes of a header field (RFC 9110 section 5.5).
    if let Some(envoy) = world.edge.envoy() {
        for byte in [b'\0', 1, 0x7f] {
            let start = format!(
                "GET {SERVICE} HTTP/1.1\r\nhost: localhost:10000\r\nconnection: close\r\nauthorization: Bearer {header}.{payload}"
            );
            let bytes = [
                start.as_bytes(),
                &[byte],
                b".",
                signature.as_bytes(),
                b"\r\n\r\n",
            ];
            let answer = envoy.send_raw(&bytes.concat());
            assert!(answer.starts_with("HTTP/1.1 40"), "{byte}: {answer}");
        }
    }
}

/// RFC 9110 section 11.4: a scheme in any case, and one space or more. A tab is none, and is taken as one:
/// the token is judged, while it would be somebody else's if this were another scheme.
fn shown_in_other_ways(world: &mut World) {
    let good = good(world);
    for value in [
        format!("Bearer {good}"),
        format!("bearer {good}"),
        format!("BEARER {good}"),
        format!("bEaReR {good}"),
        format!("Bearer  {good}"),
        format!("Bearer {good} "),
        format!("Bearer\t{good}"),
        // git knows no other way.
        format!("Basic {}", STANDARD.encode(format!("x-token-auth:{good}"))),
    ] {
        let answer = world.send(request(SERVICE, &value));
        assert_eq!(answer.status(), 200, "{value:.30}");
    }
    for value in [
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "bearer".to_owned(),
        format!("Bearer\t{good}x"),
        "Bearer\t".to_owned(),
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer {good},{good}"),
        format!("Bearer {good} {good}"),
        format!("Bearer {good} x=y"),
        format!("Bearer \"{good}\""),
        format!("Bearer token={good}"),
        format!("Bearer Bearer {good}"),
        format!("Basic {}", STANDARD.encode(format!("x-token-auth:{good}x"))),
        format!("Basic {}", STANDARD.encode("x-token-auth:")),
    ] {
        refused(world, request(SERVICE, &value));
    }
    // Other schemes are somebody else's, and nobody's session.
    for value in [
        good.clone(),
        format!("Basic {good}"),
        format!("Token {good}"),
        format!("JWT {good}"),
        format!("DPoP {good}"),
        format!("Bearer,{good}"),
        format!("Bearer:{good}"),
        format!("Bearer={good}"),
        format!("Bearer-{good}"),
    ] {
        let seen = world.upstream().count();
        assert_eq!(
            world.send(request(SERVICE, &value)).status(),
            401,
            "{value:.30}"
        );
        assert_eq!(world.upstream().count(), seen, "{value:.30}");
    }
}

fn beside_a_cookie_of_somebody_else(world: &mut World) {
    let good = good(world);
    let bot = ec_token(ec_header(), idp_claims(world));
    let account = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/people/ada", &account).status(), 302);
    assert_eq!(browser.open("/people/ada").status(), 200);
    let cookie = browser.jar.header();
    let both = |path: &str, token: &str| {
        let request = get(path).header("cookie", &cookie);
        empty(request.header("authorization", format!("Bearer {token}")))
    };
    for (token, principal) in [(&good, "pipeline"), (&bot, "bot")] {
        assert_eq!(world.send(both(SERVICE, token)).status(), 200);
        let got = world.upstream().last_request().unwrap().clone();
        assert_eq!(got.header("x-bitgate-principal"), Some(principal));
        assert_eq!(got.header("x-forwarded-user"), None);
        assert_eq!(got.header("authorization"), None);
        // A person may, but it is not the person who asks.
        let answer = world.send(both("/people/ada", token));
        assert_eq!(answer.status(), 403);
        assert_eq!(header(&answer, "x-bitgate-reason"), "wrong_principal");
    }
    for path in [SERVICE, "/people/ada"] {
        refused(world, both(path, &format!("{good}x")));
        refused(
            world,
            both(path, &unsigned(&json!({"alg": "none"}), &idp_claims(world))),
        );
        refused(world, both(path, ""));
    }
    // The person alone is who they were.
    let mut alone = both("/people/ada", "");
    alone.headers_mut().remove("authorization");
    assert_eq!(world.send(alone).status(), 200);
}

fn a_bad_one_leaves_nothing_behind(world: &mut World) {
    let good = good(world);
    accepted(world, &good);
    let key = pipelines_key(world);
    let claims = with(step_claims(world), "branchName", json!("canary-branch"));
    let (start, _) = good.rsplit_once('.').unwrap();
    let foreign = idp_key().sign(&key.header(), &claims);
    let lines = world.edge.log().len();
    for _ in 0..12 {
        rejected(world, &foreign);
        rejected(world, &unsigned(&key.header(), &claims));
        rejected(world, &format!("{start}.{}", encoded([7; 256])));
    }
    // The same claims with the right signature, and the token that was good before.
    accepted(world, &good);
    accepted(world, &key.sign(&key.header(), &claims));
    rejected(world, &foreign);
    let log = world.edge.log();
    let about_tokens = log[lines..]
        .iter()
        .filter(|line| line.contains("invalid_token"));
    let count = about_tokens.count();
    assert!((1..=9).contains(&count), "three credentials: {count} lines");
    let mut written = log.join("\n");
    written.push_str(&world.edge.shared_data().unwrap_or_default());
    for token in [&good, &foreign] {
        for part in token.split('.').skip(1) {
            assert!(!written.contains(&part[..40]), "a part of a token");
        }
    }
    assert!(
        !log[lines..]
            .iter()
            .any(|line| line.contains("canary-branch") && line.contains("refused"))
    );
}
