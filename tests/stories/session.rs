//! Staying signed in, and no longer.

use crate::support::browser::{Browser, Jar, SITE, header, location};
use crate::support::setup::Setup;

fn signed_in<'w>(world: &'w mut crate::support::world::World, path: &str) -> Browser<'w> {
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in(path, &ada).status(), 302);
    browser
}

story!(a_warm_request_asks_nobody, |world| {
    let mut browser = signed_in(world, "/");
    let calls = browser.world.bitbucket_calls();
    for _ in 0..20 {
        let page = browser.open("/");
        assert_eq!(page.status(), 200);
        assert_eq!(header(&page, "set-cookie"), "");
    }
    assert_eq!(browser.world.bitbucket_calls(), calls);
    assert_eq!(browser.world.upstream().requests().len(), 20);
});

story!(
    use_keeps_a_session_alive_and_idleness_ends_it,
    Setup::with_clock(),
    |world| {
        let mut browser = signed_in(world, "/");
        // 40 minutes of use of an hour's idle timeout, then 40 more.
        for _ in 0..2 {
            browser.world.advance(40 * 60);
            let page = browser.open("/");
            assert_eq!(page.status(), 200);
            assert!(header(&page, "set-cookie").starts_with("__Host-bitgate="));
            assert_eq!(header(&page, "cache-control"), "private, no-store");
        }
        // Within a tenth of the idle timeout nothing is sealed again.
        browser.world.advance(5 * 60);
        assert_eq!(header(&browser.open("/"), "set-cookie"), "");
        browser.world.advance(61 * 60);
        let answer = browser.open("/");
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (302, "session_expired")
        );
        let answer = browser.fetch("/");
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (401, "session_expired")
        );
    }
);

story!(
    no_use_moves_the_end_of_a_session,
    Setup {
        config: |config| config["session"]["max_age"] = "90m".into(),
        ..Setup::with_clock()
    },
    |world| {
        let mut browser = signed_in(world, "/");
        browser.world.advance(45 * 60);
        assert_eq!(browser.open("/").status(), 200);
        browser.world.advance(45 * 60 - 2);
        assert_eq!(browser.open("/").status(), 200);
        browser.world.advance(2);
        assert_eq!(
            header(&browser.open("/"), "x-bitgate-reason"),
            "session_expired"
        );
    }
);

story!(
    without_a_refresh_token_the_end_of_the_access_token_ends_the_session,
    Setup {
        bitbucket: |settings| {
            settings.access_lifetime = 600;
            settings.refresh_tokens = false;
        },
        ..Setup::with_clock()
    },
    |world| {
        let mut browser = signed_in(world, "/");
        browser.world.advance(595);
        assert_eq!(browser.open("/").status(), 200);
        browser.world.advance(6);
        let answer = browser.open("/");
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (302, "session_expired")
        );
    }
);

/// `__Host-bitgate-grant` as it comes.
fn grant_cookie(jar: &Jar) -> &str {
    &jar.0["__Host-bitgate-grant"]
}

fn short_tokens() -> Setup {
    Setup {
        bitbucket: |settings| settings.token_length = Some(100),
        ..Setup::default()
    }
}

story!(large_tokens_stay_apart_and_short_ones_travel, |world| {
    for (length, travels) in [(100, true), (2_600, false), (6_000, false)] {
        world.bitbucket().settings.token_length = Some(length);
        let mut browser = signed_in(&mut *world, "/");
        let pages = browser.jar.header();
        assert!(pages.len() < 1_400, "{length}: {}", pages.len());
        let grant = grant_cookie(&browser.jar);
        assert_eq!(grant.starts_with("1."), travels, "{length}");
        assert_eq!(grant.starts_with("0."), !travels, "{length}");
        let apart = browser.jar.header_for("/_bitgate/session");
        let weighs = apart.contains("; __Secure-bitgate-grant=");
        assert_eq!(weighs, !travels, "{length}");
        for _ in 0..2 {
            let answer = browser.open("/x");
            assert_eq!(
                (answer.status().as_u16(), header(&answer, "set-cookie")),
                (200, "")
            );
            let upstream = browser.world.upstream();
            let received = upstream.requests().back().unwrap();
            let token = received.header("authorization").unwrap().len();
            assert_eq!(token, "Bearer ".len() + length);
        }
    }
});

story!(a_changed_cookie_is_an_absent_one, short_tokens(), |world| {
    let browser = signed_in(world, "/");
    let jar = browser.jar.clone();
    let world = browser.world;
    let names = jar.session_names();
    assert!(names.len() >= 2, "{names:?}");
    for name in &names {
        let value = jar.0[name].clone();
        let middle = value.len() / 2;
        let swapped = if value.as_bytes()[middle] == b'A' {
            "B"
        } else {
            "A"
        };
        let mut changed = value.clone();
        changed.replace_range(middle..=middle, swapped);
        for bad in [
            changed,
            value[..middle].to_owned(),
            String::new(),
            format!("{value}A"),
        ] {
            let mut browser = world.browser();
            browser.jar = jar.clone();
            browser.jar.0.insert(name.clone(), bad);
            let answer = browser.open("/");
            assert_eq!(header(&answer, "x-bitgate-reason"), "no_session", "{name}");
            assert_eq!(answer.status(), 302);
        }
    }
    let mut browser = world.browser();
    browser.jar = jar;
    assert_eq!(browser.open("/").status(), 200);
});

// What names the grant says nothing by itself: the one that is used is the session's own.
story!(
    a_changed_name_of_a_grant_finds_that_of_the_session,
    |world| {
        let browser = signed_in(world, "/");
        let jar = browser.jar.clone();
        let world = browser.world;
        let grace = world.person("grace");
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &grace).status(), 302);
        let other = grant_cookie(&browser.jar).to_owned();
        let own = grant_cookie(&jar);
        let (ends_at, tag) = own[2..].split_once('.').unwrap();
        let of_session = |browser: &mut Browser<'_>| {
            let upstream = browser.world.upstream();
            let received = upstream.requests().back().unwrap();
            received.header("x-forwarded-email").map(str::to_owned)
        };
        for (bad, status) in [
            (other, 307),
            (format!("0.{ends_at}.{}", tag.to_ascii_uppercase()), 307),
            (format!("0.{}.{tag}", u64::MAX), 302),
            (format!("0.1.{}", "A".repeat(22)), 200),
            (format!("0.1.{}", "A".repeat(21)), 302),
            (format!("0.x.{tag}"), 302),
            ("0.".to_owned(), 302),
            ("1~".to_owned(), 302),
            ("6.x".to_owned(), 302),
        ] {
            browser.jar = jar.clone();
            let pointer = browser.jar.0.get_mut("__Host-bitgate-grant").unwrap();
            pointer.clone_from(&bad);
            let answer = browser.open("/x?a=b");
            assert_eq!(answer.status(), status, "{bad}");
            if status == 307 {
                let there = location(&answer);
                assert_eq!(header(&answer, "x-bitgate-reason"), "grant_elsewhere");
                let answer = browser.open(there.strip_prefix(SITE).unwrap());
                assert_eq!(answer.status(), 307);
                assert_eq!(location(&answer), format!("{SITE}/x?a=b"));
            }
            if status != 302 {
                assert_eq!(browser.open("/x?a=b").status(), 200, "{bad}");
                assert_eq!(of_session(&mut browser).as_deref(), Some("ada@example.com"));
                assert_eq!(browser.jar.header(), jar.header(), "{bad}");
            }
        }
    }
);

story!(parts_of_two_sessions_do_not_mix, short_tokens(), |world| {
    let first = signed_in(world, "/").jar;
    let grace = world.person("grace");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &grace).status(), 302);
    let second = browser.jar.clone();
    for name in second.session_names() {
        let mut mixed = first.clone();
        mixed.0.insert(name.clone(), second.0[&name].clone());
        browser.jar = mixed;
        assert_eq!(
            header(&browser.open("/"), "x-bitgate-reason"),
            "no_session",
            "{name}"
        );
    }
});

story!(a_new_login_leaves_no_part_of_the_old_grant, |world| {
    world.bitbucket().settings.token_length = Some(6_000);
    let browser = signed_in(world, "/");
    let jar = browser.jar.clone();
    let world = browser.world;
    assert!(
        jar.0.contains_key("__Secure-bitgate-grant.4"),
        "{:?}",
        jar.names()
    );
    world.bitbucket().settings.token_length = Some(100);
    let ada = world.person("ada");
    let mut browser = world.browser();
    browser.jar = jar;
    let sent_away = browser.open("/_bitgate/login?rd=/");
    let callback = browser.answer(&sent_away, &ada, "grant");
    assert_eq!(browser.open(&callback).status(), 302);
    assert_eq!(
        browser.jar.session_names(),
        ["__Host-bitgate", "__Host-bitgate-grant"]
    );
    assert!(!browser.jar.header_for("/_bitgate/").contains("__Secure-"));
    assert_eq!(browser.open("/").status(), 200);
});

story!(a_page_can_ask_who_is_signed_in, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    let nobody = browser.fetch("/_bitgate/session");
    assert_eq!(
        (
            nobody.status().as_u16(),
            header(&nobody, "x-bitgate-reason")
        ),
        (401, "no_session")
    );
    browser.sign_in("/", &ada);
    let answer = browser.fetch("/_bitgate/session");
    assert_eq!(
        (answer.status().as_u16(), header(&answer, "set-cookie")),
        (200, "")
    );
    assert_eq!(header(&answer, "cache-control"), "private, no-store");
    let document: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(document["account_id"], ada.as_str());
    assert_eq!(document["email"], "ada@example.com");
    let left = document["seconds_left"].as_u64().unwrap();
    assert!(
        (3_500..=3_600).contains(&left),
        "the idle timeout comes first: {left}"
    );
    let post = http::Request::post("/_bitgate/session")
        .body(Vec::new())
        .unwrap();
    assert_eq!(browser.send(post).status(), 405);
});
