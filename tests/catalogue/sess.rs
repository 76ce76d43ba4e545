//! SESS: changed, mixed, old and foreign cookies. An unreadable cookie is an absent one.

use serde_json::json;

use super::case::{Case, ada, empty, get, post, reason, refused};
use crate::support::browser::{Jar, header};
use crate::support::setup::Setup;
use crate::support::world::{Kind, World};

const SESSION: &str = "__Host-bitgate";
const GRANT: &str = "__Host-bitgate-grant";

/// With the grant whole in the cookies of a page, as it is on its way to an instance that does not know it.
fn whole(jar: &Jar) -> Jar {
    let mut whole = jar.clone();
    for (name, value) in &jar.0 {
        if let Some(rest) = name.strip_prefix("__Secure-") {
            whole.0.insert(format!("__Host-{rest}"), value.clone());
        }
    }
    whole
}

pub fn cases() -> Vec<Case> {
    vec![
        Case::native("SESS-01", |world| every_bit(world, 1)).with(short_tokens),
        Case::both("SESS-02", |world| {
            let jar = ada(world).jar;
            for name in jar.session_names() {
                let value = jar.0[&name].clone();
                let step = (value.len() / 97).max(1);
                for length in (0..value.len()).step_by(step) {
                    absent(world, &jar, &name, &value.as_bytes()[..length]);
                }
            }
        }),
        Case::both("SESS-04", |world| {
            let jar = ada(world).jar;
            for name in jar.session_names() {
                let value = jar.0[&name].clone();
                let last = value.chars().last().unwrap();
                for bad in [
                    format!("{value}="),
                    format!("{value}=="),
                    value.replacen(['-', '_'], "+", 1),
                    value.replacen(['-', '_'], "/", 1),
                    format!("{} {}", &value[..9], &value[9..]),
                    format!("\"{value}\""),
                ] {
                    if bad != value {
                        absent(world, &jar, &name, bad.as_bytes());
                    }
                }
                // Bits behind the last octet: another spelling of the same octets.
                for twin in
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars()
                {
                    if twin != last {
                        let bad = format!("{}{twin}", &value[..value.len() - 1]);
                        absent(world, &jar, &name, bad.as_bytes());
                    }
                }
            }
        })
        .with(short_tokens),
        Case::both("SESS-08", |world| another_key(world, "2001-01")),
        Case::both("SESS-09", |world| another_key(world, "2099-01")),
        Case::both("SESS-10", |world| {
            let jar = whole(&ada(world).jar);
            let mut mixed = jar.clone();
            mixed
                .0
                .insert(GRANT.to_owned(), jar.0[&format!("{GRANT}.1")].clone());
            mixed.0.insert(format!("{GRANT}.1"), jar.0[GRANT].clone());
            no_session(world, &mixed.header());
        }),
        Case::both("SESS-12", |world| {
            let jar = whole(&ada(world).jar);
            assert!(jar.session_names().len() >= 3);
            for name in jar.session_names() {
                let mut mixed = jar.clone();
                mixed.0.remove(&name);
                no_session(world, &mixed.header());
                no_session(world, &format!("{name}={}", jar.0[&name]));
            }
        }),
        Case::both("SESS-13", |world| {
            let jar = whole(&ada(world).jar);
            let (_, first) = jar.0[GRANT].split_once('.').unwrap();
            for count in [
                "0", "1", "6", "255", "99999999", "-1", "1e9", "", "02", " 2", "\u{0663}",
            ] {
                absent(world, &jar, GRANT, format!("{count}.{first}").as_bytes());
            }
        }),
        Case::both("SESS-15", |world| {
            let mut jar = whole(&ada(world).jar);
            let count = jar.session_names().len() - 1;
            for number in count..5 {
                jar.0
                    .insert(format!("{GRANT}.{number}"), "left-over".to_owned());
            }
            let request = get("/").header("cookie", jar.header());
            assert_eq!(world.send(empty(request)).status(), 200);
        }),
        Case::both("SESS-16", |world| {
            let jar = ada(world).jar;
            let all = jar.header();
            let good = jar.0[SESSION].clone();
            for header in [
                format!("{SESSION}=bad; {all}"),
                format!("{all}; {SESSION}=bad"),
                format!("{all}; {GRANT}="),
            ] {
                no_session(world, &header);
            }
            let request = get("/").header("cookie", format!("{all}; {SESSION}={good}"));
            assert_eq!(
                world.send(empty(request)).status(),
                200,
                "equal values are one value"
            );
        }),
        Case::both("SESS-17", |world| {
            let jar = ada(world).jar;
            let request = |second: &str| {
                get("/")
                    .header("cookie", jar.header())
                    .header("cookie", second)
            };
            refused(
                world,
                empty(request(&format!("{SESSION}=bad"))),
                401,
                "no_session",
            );
            assert_eq!(world.send(empty(request("other=1"))).status(), 200);
            // One cookie in each line, as crumbs of HTTP/2.
            let mut crumbs = get("/");
            for (name, value) in &jar.0 {
                crumbs = crumbs.header("cookie", format!("{name}={value}"));
            }
            assert_eq!(world.send(empty(crumbs)).status(), 200);
        }),
        Case::both("SESS-19", one_kind_is_no_other),
        Case::native("SESS-21", |world| {
            foreign(
                world,
                |config| {
                    config["session"]["keys"][0]["key"] =
                        json!({"inline": "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItMDI="})
                },
            );
        }),
        Case::native("SESS-22", |world| {
            foreign(world, |config| {
                config["public_url"] = json!("http://127.0.0.1:10000")
            });
        }),
        Case::both("SESS-24", |world| {
            let long = "A".repeat(64 * 1_024);
            for header in [
                format!("{SESSION}={long}; {GRANT}=1.A"),
                format!("{SESSION}=A; {GRANT}=1.{long}"),
            ] {
                no_session(world, &header);
            }
            let chunks: String = (0..200)
                .map(|number| format!("{GRANT}.{number}=A; "))
                .collect();
            no_session(world, &format!("{SESSION}=A; {GRANT}=5.A; {chunks}"));
        }),
        Case::both("SESS-25", |world| {
            let pairs: String = (0..4_096).map(|number| format!("a{number}=b; ")).collect();
            for line in [
                ";",
                "=",
                ";;=;",
                "a",
                "a=b;",
                "a = b",
                "$Version=1; a=b",
                "a=\"b; c\"",
                pairs.trim_end_matches("; "),
            ] {
                let request = get("/public/x").header("cookie", line);
                assert_eq!(world.send(empty(request)).status(), 200, "{line}");
                let seen = world.upstream().last_request().unwrap().clone();
                assert_eq!(seen.header("cookie"), Some(line), "passed on byte by byte");
                no_session(world, line);
            }
            let bytes = http::HeaderValue::from_bytes(b"a=\xff\xfe; \xffb=c").unwrap();
            refused(
                world,
                empty(get("/").header("cookie", bytes)),
                401,
                "no_session",
            );
        }),
        Case::both("SESS-29", |world| {
            let jar = ada(world).jar;
            world.advance(3_590);
            // The clock of Envoy runs, so its edges are seconds wide; natively they are exact.
            assert_eq!(
                world
                    .send(empty(get("/").header("cookie", jar.header())))
                    .status(),
                200
            );
            world.advance(10);
            refused(
                world,
                empty(get("/").header("cookie", jar.header())),
                401,
                "session_expired",
            );
        })
        .with(|| Setup {
            bitbucket: |settings| settings.access_lifetime = 90_000,
            ..Setup::with_clock()
        }),
        Case::both("SESS-30", |world| {
            world.advance(7_200);
            let jar = ada(world).jar;
            world.rewind(3_600);
            refused(
                world,
                empty(get("/").header("cookie", jar.header())),
                401,
                "no_session",
            );
            world.advance(10 * 365 * 86_400);
            refused(
                world,
                empty(get("/").header("cookie", jar.header())),
                401,
                "session_expired",
            );
        })
        .with(Setup::with_clock),
        Case::both("SESS-31", |world| {
            let jar = ada(world).jar;
            for seconds in [
                i32::MAX as u64,
                u32::MAX.into(),
                1 << 53,
                i64::MAX as u64 / 2,
            ] {
                world.advance(seconds);
                refused(
                    world,
                    empty(get("/").header("cookie", jar.header())),
                    401,
                    "session_expired",
                );
                world.rewind(seconds);
            }
            assert_eq!(
                world
                    .send(empty(get("/").header("cookie", jar.header())))
                    .status(),
                200
            );
        })
        .with(Setup::with_clock),
        Case::both("SESS-32", |world| {
            // Not bound to an address or a browser, which change on trains and with updates.
            let jar = ada(world).jar;
            let request = get("/")
                .header("cookie", jar.header())
                .header("user-agent", "other")
                .header("x-forwarded-for", "203.0.113.9");
            assert_eq!(world.send(empty(request)).status(), 200);
        }),
        Case::both("SESS-33", |world| {
            let jar = ada(world).jar;
            let request = post("/_bitgate/logout").header("cookie", jar.header());
            assert_eq!(world.send(empty(request)).status(), 303);
            for _ in 0..3 {
                let request = get("/").header("cookie", jar.header());
                refused(world, empty(request), 401, "session_revoked");
            }
        }),
        Case::both("SESS-37", |world| {
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..200 {
                let mut browser = world.browser();
                browser.open("/page");
                assert!(seen.insert(browser.jar.header()), "a sealed value twice");
            }
        }),
        Case::both("SESS-41", |world| {
            let jar = ada(world).jar;
            let planted = [
                ("set-cookie", "theme=dark; Path=/"),
                ("set-cookie", "__Host-bitgate=x; Path=/; Secure"),
                ("set-cookie", "__HOST-bitgate-grant.1=x; Path=/; Secure"),
                ("set-cookie", "b=__Host-bitgate"),
            ];
            world.upstream().response_headers = planted.map(|(n, v)| (n, v.to_owned())).to_vec();
            for path in ["/", "/public/x"] {
                let answer = world.send(empty(get(path).header("cookie", jar.header())));
                let kept: Vec<_> = answer.headers().get_all("set-cookie").iter().collect();
                assert_eq!(kept, ["theme=dark; Path=/", "b=__Host-bitgate"], "{path}");
            }
            world.upstream().response_headers.clear();
        }),
        Case::both("SESS-42", |world| {
            let mut browser = ada(world);
            browser.world.upstream().response_headers =
                vec![("clear-site-data", "\"cookies\"".to_owned())];
            assert_eq!(header(&browser.open("/"), "clear-site-data"), "\"cookies\"");
            browser.jar.0.clear();
            browser.world.upstream().response_headers.clear();
            assert_eq!(browser.open("/").status(), 302);
        }),
    ]
}

fn short_tokens() -> Setup {
    Setup {
        bitbucket: |settings| settings.token_length = Some(100),
        ..Setup::default()
    }
}

#[track_caller]
fn no_session(world: &mut World, cookie: &str) {
    refused(
        world,
        empty(get("/").header("cookie", cookie)),
        401,
        "no_session",
    );
}

/// With this value for `name` there is no session.
#[track_caller]
fn absent(world: &mut World, jar: &Jar, name: &str, value: &[u8]) {
    let mut bytes = Vec::new();
    for (other, text) in &jar.0 {
        bytes.extend(other.bytes());
        bytes.push(b'=');
        bytes.extend(if other == name {
            value
        } else {
            text.as_bytes()
        });
        bytes.extend(b"; ");
    }
    let Ok(header) = http::HeaderValue::from_bytes(&bytes) else {
        return;
    };
    refused(
        world,
        empty(get("/").header("cookie", header)),
        401,
        "no_session",
    );
}

fn every_bit(world: &mut World, step: usize) {
    let jar = ada(world).jar;
    for name in jar.session_names() {
        let value = jar.0[&name].clone().into_bytes();
        for bit in (0..value.len() * 8).step_by(step) {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            absent(world, &jar, &name, &flipped);
        }
    }
}

/// A session sealed with a key that this instance does not know yet, or not any more: a new login,
/// and other instances still find their cookies.
fn another_key(world: &mut World, kid: &str) {
    let kid = if kid == "2001-01" { old_key } else { new_key };
    let mut other = World::new(
        Kind::Native,
        &Setup {
            config: kid,
            ..Setup::default()
        },
    );
    let jar = ada(&mut other).jar;
    let mut browser = world.browser();
    browser.jar = jar.clone();
    let answer = browser.open("/");
    assert_eq!(
        (answer.status().as_u16(), reason(&answer)),
        (302, "no_session")
    );
    for name in jar.session_names() {
        assert_eq!(
            browser.jar.0.get(&name),
            jar.0.get(&name),
            "{name} was deleted"
        );
    }
}

fn old_key(config: &mut serde_json::Value) {
    config["session"]["keys"][0]["kid"] = json!("2001-01");
}

fn new_key(config: &mut serde_json::Value) {
    config["session"]["keys"][0]["kid"] = json!("2099-01");
}

/// A session of another site or another environment.
fn foreign(world: &mut World, config: fn(&mut serde_json::Value)) {
    let mut other = World::new(
        Kind::Native,
        &Setup {
            config,
            ..Setup::default()
        },
    );
    let account = other.person("ada");
    let port_and_host = ["localhost:10000", "127.0.0.1:10000"];
    let mut cookies = Vec::new();
    for host in port_and_host {
        // Only one of the two is the host of that site.
        let mut browser = other.browser();
        let request = http::Request::get("/")
            .header("host", host)
            .header("accept", "text/html");
        let sent_away = browser.send(empty(request));
        if sent_away.status() == 302 {
            cookies.push((host, browser.jar.clone(), sent_away));
        }
    }
    let (host, jar, sent_away) = cookies.pop().expect("one of them is the site");
    let session = match host {
        "localhost:10000" => {
            let mut browser = other.browser();
            browser.jar = jar;
            let callback = browser.answer(&sent_away, &account, "grant");
            browser.open(&callback);
            browser.jar
        }
        // Its callback is another: what can be compared is the pending login.
        _ => jar,
    };
    no_session(world, &session.header());
    let mut browser = world.browser();
    browser.jar = session;
    assert_eq!(
        reason(&browser.open("/_bitgate/callback?code=c&state=AAAAAAAAAAAAAAAAAAAAAAAA")),
        "state_mismatch"
    );
}

/// Every sealed value under every other name.
fn one_kind_is_no_other(world: &mut World) {
    let account = world.person("ada");
    let mut browser = world.browser();
    browser.open("/abandoned");
    let login = browser.jar.names()[0].to_owned();
    let sent_away = browser.open("/page");
    let callback = browser.answer(&sent_away, &account, "grant");
    let state = callback.split("state=").nth(1).unwrap().to_owned();
    browser.open(&callback);
    let jar = browser.jar.clone();
    let grant = jar.0[GRANT].split_once('.').unwrap().1.to_owned();
    let values = [
        ("session", jar.0[SESSION].clone()),
        ("grant", grant),
        ("login", jar.0[&login].clone()),
        ("returns", jar.0["__Host-bitgate-returns"].clone()),
        ("state", state),
    ];
    for (kind, value) in &values {
        if *kind != "session" {
            absent(world, &jar, SESSION, value.as_bytes());
        }
        absent(world, &jar, GRANT, format!("1.{value}").as_bytes());
        // Nor is any of them a bearer token.
        let request = get("/").header("authorization", format!("Bearer {value}"));
        refused(world, empty(request), 401, "no_session");
        if *kind != "login" {
            let id = login.rsplit('.').next().unwrap();
            let request = get(&format!(
                "/_bitgate/callback?code=c&state={id}AAAAAAAAAAAAAAAA"
            ));
            let request = request
                .header("accept", "text/html")
                .header("cookie", format!("{login}={value}"));
            refused(world, empty(request), 400, "state_mismatch");
        }
    }
}
