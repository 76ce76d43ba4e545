//! JWT: what a token says.

use serde_json::{Value, json};

use super::case::{Case, reason};
use super::jwt::warm;
use super::token::{
    IDP, KID, PRODUCTION, SERVICE, WIDGETS, accepted, bearer, ec_header, ec_token, idp_claims,
    input, pipelines_key, refused, rejected, request, site_with_clock, step_claims, step_token,
    with, without,
};
use crate::support::control::control;
use crate::support::world::World;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("JWT-20", |world| {
            warm(world);
            let key = pipelines_key(world);
            let (header, claims) = (key.header().to_string(), step_claims(world).to_string());
            let more = |text: &str, member: &str| format!("{},{member}}}", &text[..text.len() - 1]);
            for member in [
                r#""alg":"RS256""#,
                r#""alg":"none""#,
                r#""\u0061lg":"RS256""#,
                r#""kid":"sim-oidc-1""#,
                r#""x":{"a":1,"a":1}"#,
            ] {
                let twice = more(&header, member);
                rejected(world, &key.sign_text(&input(twice, &claims)));
            }
            for member in [
                r#""aud":"bitgate""#,
                r#""sub":"somebody""#,
                r#""\u0073ub":"somebody""#,
                r#""exp":9999999999"#,
                &format!(r#""iss":"{IDP}""#),
                r#""is\u0073":"https://evil.test""#,
                r#""repositoryUuid":"{00000000-1111-4222-8333-444455556666}""#,
                r#""x":[{"a":1,"\u0061":2}]"#,
            ] {
                let twice = more(&claims, member);
                rejected(world, &key.sign_text(&input(&header, twice)));
            }
            accepted(
                world,
                &key.sign_text(&input(&header, more(&claims, r#""x":{"a":1}"#))),
            );
        }),
        Case::both("JWT-21", |world| {
            warm(world);
            let key = pipelines_key(world);
            let claims = step_claims(world).to_string();
            let start = &claims[..claims.len() - 1];
            for payload in [
                "[]".to_owned(),
                format!("[{claims}]"),
                json!(claims).to_string(),
                "7".to_owned(),
                "null".to_owned(),
                "true".to_owned(),
                format!("{claims}x"),
                format!("{claims}{claims}"),
                format!("{claims}\0"),
                format!("\u{feff}{claims}"),
                format!("/* c */{claims}"),
                format!("{start}/* c */}}"),
                format!("{start}}}// c"),
                format!("{start},}}"),
                format!("{start},\"x\":NaN}}"),
                format!("{start},\"x\":Infinity}}"),
                format!("{start},\"x\":'a'}}"),
                format!("{start},\"x\":01}}"),
                format!("{start},\"x\":\"\u{1}\"}}"),
                format!("{start},\"x\":\"\\ud800\"}}"),
                start.to_owned(),
            ] {
                rejected(world, &key.sign_text(&input(key.header(), &payload)));
                rejected(world, &key.sign_text(&input(&payload, &claims)));
            }
            // Blanks around it are JSON.
            accepted(
                world,
                &key.sign_text(&input(key.header(), format!(" {claims}\n"))),
            );
        }),
        // To the second, where time stands still. The issuer's clock may differ by a minute.
        Case::native("JWT-23", |world| {
            warm(world);
            let now = world.around.clock.now();
            for (exp, is_good) in [
                (now - 3_000, false),
                (now - 61, false),
                // RFC 7519 section 4.1.4: not on that moment either.
                (now - 60, false),
                (now - 59, true),
                (now, true),
                (now + 1, true),
            ] {
                for token in both_with(world, "exp", &json!(exp)) {
                    let token = token(now - 3_600);
                    judged(world, &token, is_good);
                }
            }
            for name in ["nbf", "iat"] {
                for (moment, is_good) in [(now + 60, true), (now + 61, false)] {
                    let claims = with(idp_claims(world), name, json!(moment));
                    judged(world, &ec_token(ec_header(), claims), is_good);
                }
            }
            // No longer than a day, whatever it says.
            for (exp, is_good) in [(now + 86_400, true), (now + 86_401, false)] {
                let claims = with(idp_claims(world), "exp", json!(exp));
                judged(world, &ec_token(ec_header(), claims), is_good);
            }
            for exp in [
                json!(null),
                json!("1900000000"),
                json!(-1),
                json!(1e300),
                json!([now]),
            ] {
                let claims = with(idp_claims(world), "exp", exp);
                rejected(world, &ec_token(ec_header(), claims));
            }
            let endless = without(idp_claims(world), "exp");
            rejected(world, &ec_token(ec_header(), endless));
        }),
        Case::both("JWT-25", of_another_issuer),
        Case::both("JWT-27", |world| {
            warm(world);
            for sub in [
                json!(""),
                json!(null),
                json!([]),
                json!(["ci"]),
                json!({"a": 1}),
                json!(7),
                json!("x".repeat(256)),
                json!("x".repeat(5_000)),
                json!("a\u{0}b"),
                json!("a\r\nx-forwarded-user: ada"),
                json!("a\u{7f}"),
                json!("\u{202e}ada"),
                json!("\u{e4}da"),
            ] {
                let claims = with(idp_claims(world), "sub", sub.clone());
                rejected(world, &ec_token(ec_header(), claims));
                let claims = with(step_claims(world), "sub", sub);
                let token = step_token(world, &claims);
                rejected(world, &token);
            }
            let nobody = without(idp_claims(world), "sub");
            rejected(world, &ec_token(ec_header(), nobody));
            // An account's id is a name as any other: it makes no person of a program.
            let claims = with(idp_claims(world), "sub", json!(world.person("ada")));
            accepted(world, &ec_token(ec_header(), claims));
        }),
        Case::both("JWT-28", what_a_step_may),
        Case::both("JWT-30", |world| {
            warm(world);
            // One of the same issuer for another client, such as who signs in there gets.
            for audience in [
                json!("grafana"),
                json!(["grafana", "Bitgate"]),
                json!(["bitgate/"]),
                json!([]),
                json!(null),
                json!(""),
                json!({"bitgate": true}),
                json!([["bitgate"]]),
            ] {
                let claims = with(idp_claims(world), "aud", audience);
                rejected(world, &ec_token(ec_header(), claims));
            }
            // Bitbucket's own, which any application could have got.
            let account = world.person("ada");
            assert_eq!(
                world.browser().sign_in("/people/ada", &account).status(),
                302
            );
            let tokens = world.bitbucket().access_tokens_of(&account);
            let token = tokens.first().unwrap();
            rejected(world, token);
            rejected(world, "ATCTT3xFfGN0nobodys-at-all");
            // Its header may look like that of a step's.
            let (_, rest) = token.split_once('.').unwrap_or(("", token));
            let header = super::token::encoded(pipelines_key(world).header().to_string());
            rejected(world, &format!("{header}.{rest}"));
        }),
        Case::both("JWT-39", verified_once).with(site_with_clock),
        Case::both("JWT-40", |world| {
            let token = super::token::good(world);
            accepted(world, &token);
            accepted(world, &token);
            // Those that differ in one character anywhere are others, however long they are equal.
            let mut changed = token.clone().into_bytes();
            for at in (0..token.len()).step_by(3) {
                let before = changed[at];
                if before == b'.' {
                    continue;
                }
                changed[at] = if before == b'A' { b'B' } else { b'A' };
                // One of them may name another key, for which keys may be fetched.
                let token = std::str::from_utf8(&changed).unwrap();
                refused(world, request(SERVICE, &format!("Bearer {token}")));
                changed[at] = before;
            }
            for other in [&token[1..], &token[..token.len() - 1]] {
                rejected(world, other);
            }
            accepted(world, &token);
        }),
    ]
}

/// Tokens of both issuers with another claim; each still wants to know when it was issued.
fn both_with(world: &World, name: &str, value: &Value) -> [Box<dyn Fn(u64) -> String>; 2] {
    let step = with(step_claims(world), name, value.clone());
    let other = with(idp_claims(world), name, value.clone());
    let key = pipelines_key(world);
    [
        Box::new(move |iat| key.sign(&key.header(), &with(step.clone(), "iat", json!(iat)))),
        Box::new(move |iat| ec_token(ec_header(), with(other.clone(), "iat", json!(iat)))),
    ]
}

#[track_caller]
fn judged(world: &mut World, token: &str, is_good: bool) {
    match is_good {
        true => accepted(world, token),
        false => rejected(world, token),
    }
}

/// Compared byte by byte: there are no two spellings of one issuer.
fn of_another_issuer(world: &mut World) {
    warm(world);
    let claims = step_claims(world);
    let ours = claims["iss"].as_str().unwrap().to_owned();
    let evil = ours.replace("/acme/", "/evil/");
    for iss in [
        json!(format!("{ours}/")),
        json!(format!("{ours}?")),
        json!(format!("{ours}#")),
        json!(format!("{ours} ")),
        json!(format!(" {ours}")),
        json!(format!("{ours}\0")),
        json!(format!("{ours}/keys.json")),
        json!(format!("x{ours}")),
        json!(ours.replace("http:", "https:")),
        json!(ours.replace("http:", "HTTP:")),
        json!(ours.replace("127.0.0.1", "127.1")),
        json!(ours.replace("127.0.0.1", "evil@127.0.0.1")),
        json!(ours.replace("127.0.0.1:10002", "127.0.0.1")),
        json!(ours.replace("127.0.0.1:10002", "127.0.0.1:010002")),
        json!(ours.replace("/acme/", "/ACME/")),
        json!(ours.replace("/acme/", "/%61cme/")),
        json!(ours.replace("/acme/", "/evil/../acme/")),
        json!(ours.replace("acme", "\u{430}cme")),
        json!(ours[..ours.len() - 1]),
        json!("http://127.0.0.1:10002"),
        json!(evil),
        json!([ours]),
        json!([ours, evil]),
        json!({"iss": ours}),
        json!(""),
        json!(null),
        json!(7),
        json!(ours.replace("acme", "beta-labs")),
    ] {
        let token = step_token(world, &with(claims.clone(), "iss", iss));
        rejected(world, &token);
    }
    let token = step_token(world, &without(claims, "iss"));
    rejected(world, &token);
    for iss in [
        "https://idp.example.com/",
        "https://IDP.example.com",
        "http://idp.example.com",
        "https://idp.example.com:443",
        "https://idp.example.com.evil.test",
        "https://evil.idp.example.com",
        "https://idp\u{2024}example.com",
        "https://\u{131}dp.example.com",
        "idp.example.com",
    ] {
        let claims = with(idp_claims(world), "iss", json!(iss));
        rejected(world, &ec_token(ec_header(), claims));
    }
    // A workspace that nobody configured has no key that counts, even if it is the same key.
    let lab = json!({"workspace": "beta-labs", "repository": "lab", "branch": "main"});
    let lab = control(world, "pipelines/tokens", &lab);
    rejected(world, lab["token"].as_str().unwrap());
}

/// A good token, and a rule that is not satisfied: 403. Claims that no step can have: 401.
fn what_a_step_may(world: &mut World) {
    warm(world);
    let bare = &WIDGETS[1..WIDGETS.len() - 1];
    let gadgets = json!({"workspace": "acme", "repository": "gadgets", "branch": "main"});
    let gadgets = control(world, "pipelines/tokens", &gadgets)["claims"].clone();
    for (path, name, value, expected) in [
        ("/widgets", "repositoryUuid", json!(WIDGETS), 200),
        // The same UUID (RFC 9562 section 4).
        (
            "/widgets",
            "repositoryUuid",
            json!(WIDGETS.to_uppercase()),
            200,
        ),
        (
            "/widgets",
            "repositoryUuid",
            gadgets["repositoryUuid"].clone(),
            403,
        ),
        ("/widgets", "repositoryUuid", json!(bare), 401),
        (
            "/widgets",
            "repositoryUuid",
            json!(format!("{{{WIDGETS}}}")),
            401,
        ),
        (
            "/widgets",
            "repositoryUuid",
            json!(format!("{WIDGETS} ")),
            401,
        ),
        ("/widgets", "repositoryUuid", json!("widgets"), 401),
        ("/widgets", "repositoryUuid", json!([WIDGETS]), 401),
        ("/widgets", "repositoryUuid", json!(null), 401),
        ("/widgets", "repository_uuid", json!(WIDGETS), 200),
        (
            "/widgets",
            "workspaceUuid",
            gadgets["repositoryUuid"].clone(),
            401,
        ),
        ("/production", "x", json!(1), 403),
        (
            "/production",
            "deploymentEnvironment",
            json!("production"),
            403,
        ),
        (
            "/production",
            "deploymentEnvironmentUuid",
            json!(PRODUCTION),
            200,
        ),
        (
            "/production",
            "deploymentEnvironmentUuid",
            json!(WIDGETS),
            403,
        ),
        (
            "/production",
            "deploymentEnvironmentUuid",
            json!("production"),
            401,
        ),
        ("/production", "deploymentEnvironmentUuid", json!(""), 401),
        ("/main", "branchName", json!("main"), 200),
        ("/main", "branchName", json!("Main"), 403),
        ("/main", "branchName", json!("main/x"), 403),
        ("/main", "branchName", json!("refs/heads/main"), 403),
        ("/main", "branchName", json!("release/*"), 401),
        ("/main", "branchName", json!("*"), 401),
        ("/main", "branchName", json!("ma?n"), 401),
        ("/main", "branchName", json!("[m]ain"), 401),
        ("/main", "branchName", json!("x/../main"), 401),
        ("/main", "branchName", json!("main\n"), 401),
        ("/main", "branchName", json!(""), 401),
        ("/main", "branchName", json!(["main"]), 401),
        ("/release", "branchName", json!("release/1.2"), 200),
        ("/release", "branchName", json!("release/a+b(c)$"), 200),
        ("/release", "branchName", json!("release"), 403),
        ("/release", "branchName", json!("releases/1"), 403),
        ("/release", "branchName", json!("x/release/1"), 403),
        // Names that git refuses, so that no branch can have them.
        ("/release", "branchName", json!("release/*"), 401),
        ("/release", "branchName", json!("release/../main"), 401),
        ("/release", "branchName", json!("release/\\1"), 401),
    ] {
        let claims = with(step_claims(world), name, value.clone());
        let token = step_token(world, &claims);
        let seen = world.upstream().count();
        let answer = bearer(world, path, &token);
        assert_eq!(answer.status(), expected, "{path} {name} {value}");
        let why = match expected {
            200 => "",
            403 => "pipeline_not_allowed",
            _ => "invalid_token",
        };
        assert_eq!(reason(&answer), why, "{path} {name} {value}");
        let count = seen + usize::from(expected == 200);
        assert_eq!(world.upstream().count(), count, "{path} {name} {value}");
    }
    let tag = without(step_claims(world), "branchName");
    let token = step_token(world, &tag);
    for path in ["/main", "/release"] {
        assert_eq!(reason(&bearer(world, path, &token)), "pipeline_not_allowed");
    }
    // Another issuer's program is no step, whatever its token says.
    let mut claims = idp_claims(world);
    for name in ["workspaceUuid", "repositoryUuid", "branchName"] {
        claims[name] = step_claims(world)[name].clone();
    }
    let token = ec_token(ec_header(), claims);
    for path in ["/widgets", "/main"] {
        assert_eq!(bearer(world, path, &token).status(), 403);
    }
}

/// What is remembered is what the token says, and neither what a rule made of it nor for how long the
/// clock had to go.
fn verified_once(world: &mut World) {
    let token = super::token::good(world);
    accepted(world, &token);
    for (path, expected) in [
        ("/widgets", ""),
        ("/main", ""),
        ("/release", "pipeline_not_allowed"),
        ("/production", "pipeline_not_allowed"),
        ("/people/ada", "wrong_principal"),
        (SERVICE, ""),
    ] {
        assert_eq!(reason(&bearer(world, path, &token)), expected, "{path}");
    }
    // Its key is withdrawn, which shows when the keys are fetched again: here for the sake of another.
    let rotated = world.bitbucket().rotate_pipelines_keys();
    assert_ne!(rotated, KID);
    let withdrawn = world.bitbucket().publish_pipelines_key(KID, false);
    assert!(withdrawn.is_ok());
    accepted(world, &token);
    world.advance(31);
    let newer = super::token::good(world);
    accepted(world, &newer);
    assert_eq!(reason(&bearer(world, SERVICE, &token)), "invalid_token");
    accepted(world, &newer);
    // An hour, and the minute that clocks may differ by.
    world.advance(3_600 + 61);
    assert_eq!(reason(&bearer(world, SERVICE, &newer)), "token_expired");
    let fresh = super::token::good(world);
    accepted(world, &fresh);
}
