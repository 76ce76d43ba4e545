//! FLOW: forged, repeated and mixed-up sign-ins.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use serde_json::{Value, json};

use super::case::{Case, ada, empty, get, navigation, reason, refused};
use crate::support::Response;
use crate::support::browser::{Browser, SITE, body, header, location};
use crate::support::setup::Setup;
use crate::support::world::{Kind, World};

const TOKEN: &str = "/site/oauth2/access_token";

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("FLOW-01", |world| {
            let calls = world.bitbucket_calls();
            let callback = get("/_bitgate/callback?code=abc&state=AAAAAAAAAAAAAAAAAAAAAAAA");
            refused(world, navigation(callback), 400, "state_mismatch");
            assert_eq!(world.bitbucket_calls(), calls);
        }),
        Case::both("FLOW-02", |world| {
            let callback = pending(world, "/", "grace").1;
            let mut victim = world.browser();
            assert_eq!(reason(&victim.open(&callback)), "state_mismatch");
            assert!(victim.jar.0.is_empty());
        }),
        Case::both("FLOW-03", |world| {
            let callback_of_attacker = pending(world, "/", "grace").1;
            let account = world.person("ada");
            let mut victim = world.browser();
            let sent_away = victim.open("/mine");
            let mine = victim.answer(&sent_away, &account, "grant");
            assert_eq!(
                reason(&victim.open(&callback_of_attacker)),
                "state_mismatch"
            );
            assert_eq!(location(&victim.open(&mine)), format!("{SITE}/mine"));
        }),
        Case::both("FLOW-04", |world| {
            // A page of a sibling domain cannot set a cookie with this prefix. `Jar::take` checks
            // what the prefix demands of each: Secure, Path=/, no Domain.
            let answer = world.send(navigation(get("/page")));
            let lines: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
            assert_eq!(lines.len(), 1);
            assert!(
                lines[0]
                    .to_str()
                    .unwrap()
                    .starts_with("__Host-bitgate-login.")
            );
        }),
        Case::both("FLOW-05", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            let mut browser = world.browser();
            browser.jar = jar;
            assert_eq!(browser.open(&callback).status(), 302);
            let redeemed = browser.world.bitbucket().count(TOKEN);
            browser.jar.0.clear();
            assert_eq!(reason(&browser.open(&callback)), "state_mismatch");
            assert_eq!(world.bitbucket().count(TOKEN), redeemed);
        }),
        Case::both("FLOW-08", |world| {
            let (jar, callback) = pending(world, "/late", "ada");
            let mut browser = world.browser();
            browser.jar = jar;
            browser.world.advance(601);
            let answer = browser.open(&callback);
            assert_eq!(
                (answer.status().as_u16(), reason(&answer)),
                (400, "login_expired")
            );
            assert_eq!(browser.world.bitbucket().count(TOKEN), 0);
        })
        .with(Setup::with_clock),
        Case::native("FLOW-10", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            // Another site with the same keys.
            let mut other = World::new(
                Kind::Native,
                &Setup {
                    config: |config| config["public_url"] = json!("http://127.0.0.1:10000"),
                    ..Setup::default()
                },
            );
            let request = http::Request::get(callback)
                .header("host", "127.0.0.1:10000")
                .header("accept", "text/html")
                .header("cookie", jar.header());
            assert_eq!(reason(&other.send(empty(request))), "state_mismatch");
            assert_eq!(other.bitbucket_calls(), 0);
        }),
        Case::native("FLOW-11", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            let mut other = World::new(
                Kind::Native,
                &Setup {
                    config: |config| config["bitbucket"]["client_id"] = json!("another-consumer"),
                    ..Setup::default()
                },
            );
            let mut browser = other.browser();
            browser.jar = jar;
            let answer = browser.open(&callback);
            assert!(answer.status().as_u16() >= 400, "{}", answer.status());
            assert!(browser.jar.session_names().is_empty());
        }),
        Case::both("FLOW-12", |world| {
            let account = world.person("ada");
            let mut browser = world.browser();
            let away = ["/one", "/two"].map(|path| browser.open(path));
            for (sent_away, path) in away.iter().zip(["/one", "/two"]).rev() {
                let callback = browser.answer(sent_away, &account, "grant");
                assert_eq!(location(&browser.open(&callback)), format!("{SITE}{path}"));
            }
            assert_eq!(browser.open("/").status(), 200);
        }),
        Case::both("FLOW-14", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            let mut browser = world.browser();
            browser.jar = jar;
            let forged = callback.replace("code=", "code=x%26client_id%3Devil%26code%3D");
            assert_eq!(reason(&browser.open(&forged)), "code_refused");
            let bitbucket = browser.world.bitbucket();
            let entry = bitbucket
                .ledger()
                .iter()
                .rfind(|entry| entry.path == TOKEN)
                .unwrap();
            assert_eq!(
                entry.parameters,
                ["grant_type", "code", "redirect_uri", "code_verifier"]
            );
        }),
        Case::both("FLOW-16", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            let request =
                get(&format!("{callback}&error=access_denied")).header("cookie", jar.header());
            refused(world, navigation(request), 400, "invalid_callback");
        }),
        Case::both("FLOW-17", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            let mut browser = world.browser();
            browser.jar = jar;
            let extra: String = (0..100).map(|number| format!("&x{number}=y")).collect();
            assert_eq!(browser.open(&format!("{callback}{extra}")).status(), 302);
        }),
        Case::both("FLOW-18", |world| {
            for query in [
                "access_token=abc",
                "access_token=abc&state=s",
                "id_token=a.b.c&state=s",
            ] {
                let request = get(&format!("/_bitgate/callback?{query}"));
                refused(world, navigation(request), 400, "invalid_callback");
            }
        }),
        Case::both("FLOW-20", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            for method in ["HEAD", "OPTIONS", "POST", "PUT"] {
                let request = http::Request::builder().method(method).uri(&callback);
                let request = request
                    .header("host", "localhost:10000")
                    .header("cookie", jar.header());
                let answer = refused(world, empty(request), 405, "method_not_allowed");
                assert_eq!(header(&answer, "allow"), "GET");
            }
            let mut browser = world.browser();
            browser.jar = jar;
            assert_eq!(browser.open(&callback).status(), 302);
        }),
        Case::both("FLOW-21", |world| {
            for (name, value) in [
                ("purpose", "prefetch"),
                ("sec-purpose", "prefetch;prerender"),
                ("x-moz", "prefetch"),
            ] {
                let answer = refused(
                    world,
                    navigation(get("/page").header(name, value)),
                    401,
                    "no_session",
                );
                assert!(answer.headers().get("set-cookie").is_none());
            }
        }),
        Case::both("FLOW-23", |world| {
            let account = world.person("ada");
            let mut browser = world.browser();
            let away = ["/one", "/two"].map(|path| browser.open(path));
            let callbacks = away.map(|sent_away| browser.answer(&sent_away, &account, "grant"));
            let code = |callback: &str| {
                callback
                    .split("code=")
                    .nth(1)
                    .unwrap()
                    .split('&')
                    .next()
                    .unwrap()
                    .to_owned()
            };
            let mixed = callbacks[0].replace(&code(&callbacks[0]), &code(&callbacks[1]));
            assert_eq!(reason(&browser.open(&mixed)), "code_refused");
        }),
        Case::both("FLOW-25", |world| {
            // Not preventable without PKCE or a nonce: what makes a stolen code hard to get, and useless after use.
            let (jar, callback) = pending(world, "/", "ada");
            let mut browser = world.browser();
            browser.jar = jar.clone();
            let answer = browser.open(&callback);
            assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
            let code = callback
                .split("code=")
                .nth(1)
                .unwrap()
                .split('&')
                .next()
                .unwrap()
                .to_owned();
            browser.jar = jar;
            assert_eq!(reason(&browser.open(&callback)), "code_refused");
            let log = world.edge.log();
            assert!(!log.iter().any(|line| line.contains(&code)));
        }),
        Case::both("FLOW-32", |world| {
            let mut browser = ada(world);
            let before = browser.jar.0["__Host-bitgate"].clone();
            let grace = browser.world.person("grace");
            let sent_away = browser.open("/_bitgate/login");
            let callback = browser.answer(&sent_away, &grace, "grant");
            assert_eq!(browser.open(&callback).status(), 302);
            assert_ne!(browser.jar.0["__Host-bitgate"], before);
            browser.open("/identity");
            let seen = world.upstream().last_request().unwrap().clone();
            assert_eq!(seen.header("x-forwarded-user"), Some(grace.as_str()));
        }),
        Case::both("FLOW-33", |world| {
            let (jar, callback) = pending(world, "/", "ada");
            let mut browser = world.browser();
            browser.jar = jar;
            assert_eq!(browser.open(&callback).status(), 302);
            let redeemed = browser.world.bitbucket().count(TOKEN);
            assert_eq!(location(&browser.open(&callback)), format!("{SITE}/"));
            assert_eq!(world.bitbucket().count(TOKEN), redeemed);
        }),
        Case::both("FLOW-35", cookies_that_do_not_come_back),
        Case::native("FLOW-35", a_loop_of_two_clocks_ends).with(Setup::with_clock),
        Case::both("FLOW-39", |world| {
            let good = json!({"access_token": "t", "token_type": "bearer", "expires_in": 3600});
            let cases = [
                ("token_type", json!("mac")),
                ("token_type", json!("DPoP")),
                ("expires_in", json!(-1)),
                ("expires_in", json!(0)),
                ("expires_in", json!(1e300)),
                ("expires_in", json!("3600")),
                ("access_token", Value::Null),
                ("access_token", json!("")),
                ("access_token", json!({"a": 1})),
                ("access_token", json!("a\r\nb")),
                ("access_token", json!("a b")),
            ];
            for (name, value) in cases {
                let mut document = good.clone();
                document[name] = value.clone();
                let answer = sign_in_with(world, &document);
                let found = (answer.status().as_u16(), reason(&answer));
                assert_eq!(found, (502, "bitbucket_invalid_answer"), "{name}: {value}");
            }
        }),
        Case::both("FLOW-40", |world| {
            let with_scope = |scope: &str| json!({"access_token": "t", "token_type": "bearer", "expires_in": 3600, "scope": scope});
            for scope in ["", "repository", "email repository"] {
                let answer = sign_in_with(world, &with_scope(scope));
                assert_eq!(
                    (answer.status().as_u16(), reason(&answer)),
                    (403, "missing_scope"),
                    "{scope}"
                );
            }
            // More than was asked for is accepted: this is refused only because the token is made up.
            let answer = sign_in_with(world, &with_scope("account email repository webhook"));
            assert_eq!(reason(&answer), "account_refused");
        }),
    ]
}

/// A login that Bitbucket has answered: the cookies, and the callback to open.
fn pending(world: &mut World, path: &str, name: &str) -> (crate::support::browser::Jar, String) {
    let account = world.person(name);
    let mut browser = world.browser();
    let sent_away = browser.open(path);
    let callback = browser.answer(&sent_away, &account, "grant");
    (browser.jar, callback)
}

fn sign_in_with(world: &mut World, token: &Value) -> Response {
    let account = world.person("ada");
    world.bitbucket().fail_next(Fault {
        path: TOKEN.to_owned(),
        times: 1,
        response: FaultResponse::Raw {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: token.to_string().into_bytes(),
        },
    });
    let mut browser = world.browser();
    let answer = browser.sign_in("/", &account);
    assert!(browser.jar.session_names().is_empty());
    answer
}

fn cookies_that_do_not_come_back(world: &mut World) {
    // All of them are blocked: the first callback ends on a page that says so.
    let callback = pending(world, "/", "ada").1;
    let mut browser = world.browser();
    let answer = browser.open(&callback);
    assert_eq!(reason(&answer), "state_mismatch");
    assert!(
        body(&answer).contains("cookies are blocked"),
        "{}",
        body(&answer)
    );

    // Only the session is dropped: the third sign-in within a minute is the last.
    let account = world.person("ada");
    let mut browser = world.browser();
    let forget = |browser: &mut Browser<'_>| {
        for name in browser.jar.session_names() {
            browser.jar.0.remove(&name);
        }
    };
    for _ in 0..3 {
        assert_eq!(browser.sign_in("/page", &account).status(), 302);
        forget(&mut browser);
    }
    let answer = browser.open("/page");
    assert_eq!(
        (answer.status().as_u16(), reason(&answer)),
        (400, "login_loop")
    );
    assert!(body(&answer).contains("does not send the session back"));
    assert!(body(&answer).contains("href=\"/page\""));
    // A person who tries again starts anew, and gets through once the cause is gone.
    assert_eq!(browser.sign_in("/page", &account).status(), 302);
    assert_eq!(browser.open("/page").status(), 200);
}

/// Clocks that differ are a cause of the loop that the page names.
fn a_loop_of_two_clocks_ends(world: &mut World) {
    let account = world.person("ada");
    let mut browser = world.browser();
    for round in 0..5 {
        // The instance that takes requests is two hours ahead of the one that takes callbacks.
        browser.world.advance(7_300);
        let sent_away = browser.open("/page");
        if reason(&sent_away) == "login_loop" {
            assert_eq!(round, 3);
            return;
        }
        let callback = browser.answer(&sent_away, &account, "grant");
        browser.world.rewind(7_300);
        // The login was begun in the future, as it seems here.
        assert_eq!(browser.open(&callback).status(), 302, "round {round}");
    }
    panic!("five rounds and no end");
}
