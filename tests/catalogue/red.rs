//! RED: no open redirect. Each payload goes three ways: as the address of a page, as `rd` of a
//! sign-in, and as `rd` of a sign-out. `World::send` checks every `Location` as a browser would
//! resolve it.

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::case::{Case, ada, empty, get, navigation, post, raw, reason, refused, turned_away};
use crate::support::browser::{SITE, location};
use crate::support::world::World;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("RED-01", |world| nowhere(world, &["//evil.com"])),
        Case::both("RED-02", |world| {
            nowhere(world, &["///evil.com", "////evil.com/%2e%2e"])
        }),
        Case::both("RED-03", |world| nowhere(world, &["/\\evil.com"])),
        Case::both("RED-04", |world| {
            nowhere(world, &["\\/evil.com", "\\\\evil.com"])
        }),
        Case::both("RED-06", |world| {
            nowhere(world, &["/%2f%2fevil.com", "/%2F/evil.com"])
        }),
        Case::both("RED-08", |world| {
            nowhere(
                world,
                &["https:evil.com", "https:/evil.com", "https:///evil.com"],
            );
        }),
        Case::both("RED-09", |world| {
            nowhere(
                world,
                &["http://evil.com", "HTTPS://evil.com", "hTtP://evil.com"],
            );
        }),
        Case::both("RED-11", |world| {
            nowhere(
                world,
                &[
                    "https://localhost:10000@evil.com",
                    "https://a:b@localhost:10000/",
                ],
            );
        }),
        Case::both("RED-13", |world| {
            nowhere(
                world,
                &[
                    "https://evillocalhost:10000",
                    "http://localhost:10000.evil.com",
                ],
            );
        }),
        Case::both("RED-14", |world| {
            nowhere(
                world,
                &["http://localhost:8443/", "http://localhost:010000/"],
            );
        }),
        Case::both("RED-15", |world| {
            nowhere(
                world,
                &[
                    "https://evil.com#@localhost:10000",
                    "https://evil.com?@localhost:10000",
                    "https://evil.com\\@localhost:10000",
                ],
            );
        }),
        Case::both("RED-16", |world| {
            nowhere(
                world,
                &[
                    "https://evil.com%2f@localhost:10000",
                    "https://evil.com%23@localhost:10000",
                    "https://evil.com%5c@localhost:10000",
                ],
            );
        }),
        Case::both("RED-17", |world| {
            nowhere(
                world,
                &[
                    "/\t/evil.com",
                    "/\n/evil.com",
                    "/\r\\evil.com",
                    "ht\ntps://evil.com",
                ],
            );
            nowhere(
                world,
                &[
                    "/%09/evil.com",
                    "/%0a/evil.com",
                    "/%0d\\evil.com",
                    "ht%0atps://evil.com",
                ],
            );
        }),
        Case::both("RED-19", |world| {
            for byte in (0..=0x20_u8).chain(0x7f..=0x9f) {
                one_way_of_each(world, &[b"/", &[byte][..], b"/evil.com"].concat());
            }
        }),
        Case::both("RED-22", |world| {
            nowhere(
                world,
                &[
                    "//evil%E3%80%82com",
                    "//evil%EF%BC%8Ecom",
                    "//evil%EF%BD%A1com",
                ],
            );
        }),
        Case::both("RED-23", |world| {
            // A path of full-width characters is a path: it leads to the site.
            for payload in ["/%EF%BC%8F%EF%BC%8Fevil.com", "/%EF%BC%A0evil.com"] {
                comes_home(world, payload, payload);
            }
            nowhere(
                world,
                &["\u{ff0f}\u{ff0f}evil.com", "%EF%BC%8F%EF%BC%8Fevil.com"],
            );
        }),
        Case::both("RED-30", |world| {
            let twice = get("/_bitgate/login?rd=/ok&rd=//evil.com");
            refused(world, navigation(twice), 400, "bad_request");
            for query in ["rd[]=//evil.com", "RD=//evil.com", "rd;=//evil.com"] {
                returns_to(world, &format!("/_bitgate/login?{query}"), "/");
            }
        }),
        Case::both("RED-32", |world| {
            for ours in [
                "/_bitgate/callback?code=c&state=s",
                "/_bitgate/logout",
                "/_bitgate",
            ] {
                comes_home(world, ours, "/");
            }
        }),
        Case::both("RED-33", |world| {
            let mut nested = "/".to_owned();
            for _ in 0..20 {
                nested = format!("/_bitgate/login?rd={}", encoded(nested.as_bytes()));
            }
            nested.truncate(8_000);
            comes_home(world, nested.trim_end_matches(['%', '2', '5']), "/");
        }),
        Case::both("RED-34", return_paths_cannot_be_swapped),
        Case::both("RED-35", |world| {
            // The address is judged again when it is opened, whatever was true at the start.
            let mut browser = ada(world);
            let sent_away = browser.open("/_bitgate/login?rd=/nobody");
            let account = browser.world.person("ada");
            let callback = browser.answer(&sent_away, &account, "grant");
            assert_eq!(location(&browser.open(&callback)), format!("{SITE}/nobody"));
            assert_eq!(reason(&browser.open("/nobody")), "forbidden");
        }),
        Case::both("RED-36", |world| {
            let request = get("/page")
                .header("x-forwarded-host", "evil.com")
                .header("x-forwarded-proto", "javascript")
                .header("forwarded", "host=evil.com;proto=javascript")
                .header("x-original-host", "evil.com");
            let url = location(&world.send(navigation(request)));
            assert!(
                url.contains("redirect_uri=http%3A%2F%2Flocalhost%3A10000%2F_bitgate%2Fcallback")
            );
            assert!(!url.contains("evil"));
        }),
        Case::both("RED-37", |world| {
            for host in ["evil.com", "localhost:10000.evil.com", "LOCALHOST:10001"] {
                let request = http::Request::get("/page").header("host", host);
                refused(world, navigation(request), 421, "wrong_host");
            }
        }),
        Case::both("RED-38", |world| {
            let answer = turned_away(world, navigation(raw(b"http://evil.com/")));
            assert!(matches!(answer.status().as_u16(), 400 | 421));
        }),
        Case::both("RED-39", |world| {
            let request = post("/form?a=b").header("accept", "*/*");
            let answer = refused(world, empty(request), 401, "no_session");
            let document: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            assert_eq!(
                document["login_url"],
                format!("{SITE}/_bitgate/login?rd=%2F")
            );
        }),
        Case::native("RED-40", |_| {
            let fields = [
                (":method", "GET"),
                (":authority", "a"),
                (":path", "//evil.com/"),
                ("accept", "text/html"),
            ];
            let fields = fields.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()));
            let received = bitgate::http::Request::read(fields.to_vec());
            let bitgate::gate::Step::Respond(response, _) = bitgate::gate::unconfigured(received)
            else {
                panic!("expected an answer");
            };
            assert_eq!(response.status, 503);
            let names: Vec<_> = response.headers.iter().map(|(name, _)| *name).collect();
            assert!(
                names.contains(&"retry-after") && !names.contains(&"location"),
                "{names:?}"
            );
        }),
        Case::native("RED-41", |world| {
            let corpus = corpus();
            assert!(corpus.len() > 1_000, "{}", corpus.len());
            for payload in corpus {
                one_way_of_each(world, payload.as_bytes());
            }
        }),
        Case::native("RED-42", |world| {
            let bytes = proptest::collection::vec(any::<u8>(), 0..60);
            let nasty = "[/\\\\.:@%;?#a-c \t\r\n0-9]{0,24}".prop_map(String::into_bytes);
            let mut runner = proptest::test_runner::TestRunner::deterministic();
            for _ in 0..4_000 {
                let payload = prop_oneof![bytes.clone(), nasty.clone()]
                    .new_tree(&mut runner)
                    .unwrap()
                    .current();
                one_way_of_each(world, &payload);
            }
        }),
    ]
}

fn encoded(bytes: &[u8]) -> String {
    form_urlencoded::byte_serialize(bytes).collect()
}

/// Whatever comes of it, it leads nowhere else: `World::send` looks at every `Location`.
fn one_way_of_each(world: &mut World, payload: &[u8]) {
    turned_away(world, navigation(raw(payload)));
    turned_away(
        world,
        navigation(get(&format!("/_bitgate/login?rd={}", encoded(payload)))),
    );
    let form = format!("rd={0}&post_logout_redirect_uri={0}", encoded(payload));
    let sign_out = post(&format!("/_bitgate/logout?{form}")).header("origin", SITE);
    let answer = world.send(sign_out.body(form.into_bytes()).unwrap());
    assert_eq!(location(&answer), format!("{SITE}/_bitgate/logout"));
}

/// None of the payloads is an address to return to.
fn nowhere(world: &mut World, payloads: &[&str]) {
    for payload in payloads {
        one_way_of_each(world, payload.as_bytes());
        let sign_in = get(&format!(
            "/_bitgate/login?rd={}",
            encoded(payload.as_bytes())
        ));
        refused(world, navigation(sign_in), 400, "bad_request");
        // As the address of a page it is refused as well, by us or by Envoy.
        let answer = turned_away(world, navigation(raw(payload.as_bytes())));
        let status = answer.status().as_u16();
        assert!((400..500).contains(&status), "{payload:?} {status}");
    }
}

/// Signing in with this `rd` ends at `path`.
fn comes_home(world: &mut World, rd: &str, path: &str) {
    returns_to(
        world,
        &format!("/_bitgate/login?rd={}", encoded(rd.as_bytes())),
        path,
    );
}

fn returns_to(world: &mut World, address: &str, path: &str) {
    let account = world.person("ada");
    let mut browser = world.browser();
    let sent_away = browser.open(address);
    assert_eq!(sent_away.status(), 302, "{address}");
    assert!(browser.jar.header().len() < 4_096);
    let callback = browser.answer(&sent_away, &account, "grant");
    assert_eq!(location(&browser.open(&callback)), format!("{SITE}{path}"));
}

fn return_paths_cannot_be_swapped(world: &mut World) {
    let account = world.person("ada");
    let mut browser = world.browser();
    let sent_away = browser.open("/one");
    browser.open("/two");
    let logins: Vec<(String, String)> = browser.jar.0.clone().into_iter().collect();
    assert_eq!(logins.len(), 2);
    browser
        .jar
        .0
        .insert(logins[0].0.clone(), logins[1].1.clone());
    browser
        .jar
        .0
        .insert(logins[1].0.clone(), logins[0].1.clone());
    let callback = browser.answer(&sent_away, &account, "grant");
    assert_eq!(reason(&browser.open(&callback)), "state_mismatch");
}

/// The forms of the public lists of open redirects, made by combination.
fn corpus() -> Vec<String> {
    let starts = [
        "",
        "/",
        "//",
        "///",
        "/\\",
        "\\/",
        "\\\\",
        "/%09/",
        "/%5c",
        "/%2f%2f",
        "//%5c",
        "/./",
        "/../",
        "/.//",
        "/;//",
        "//;@",
        "/%0d%0a/",
        "%2f%2f",
        "/%E2%80%8B/",
        "http:",
        "http:/",
        "http://",
        "https://",
        "HtTpS:\\\\",
        "javascript:",
        "javascript://",
        "data:text/html,",
        "file:///",
        "http://localhost:10000@",
        "@",
        "/@",
        "//@",
        "http:\\\\\\\\",
        "/http://",
        "/https:/%5c",
        "%00//",
        "/%00/",
        "\u{3000}//",
        " //",
        "\t//",
        "/\u{b}/",
    ];
    let hosts = [
        "evil.com",
        "evil.com:80",
        "0x7f.1",
        "[::1]",
        "evil%E3%80%82com",
        "localhost:10000.evil.com",
    ];
    let ends = ["", "/", "/%2e%2e", "?localhost:10000", "#localhost:10000"];
    let mut all = Vec::new();
    for start in starts {
        for host in hosts {
            for end in ends {
                all.push(format!("{start}{host}{end}"));
            }
        }
    }
    all
}
