//! Signing in.

use bitgate_simulator::bitbucket::Mode;

use crate::support::browser::{Jar, SITE, body, header, location};
use crate::support::setup::Setup;

story!(
    first_visit_signs_in_and_returns_to_the_page_asked_for,
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();

        let sent_away = browser.open("/reports?week=12&x=%2F");
        assert_eq!(sent_away.status(), 302);
        assert_eq!(header(&sent_away, "x-bitgate-reason"), "no_session");
        assert_eq!(header(&sent_away, "cache-control"), "private, no-store");
        let address = location(&sent_away);
        assert!(
            address.starts_with("http://127.0.0.1:10001/site/oauth2/authorize?"),
            "{address}"
        );
        // Nothing of the page asked for is in the address that Bitbucket sees.
        assert!(!address.contains("reports"));

        let callback = browser.answer(&sent_away, &ada, "grant");
        let came_back = browser.open(&callback);
        assert_eq!(came_back.status(), 302, "{}", body(&came_back));
        assert_eq!(
            location(&came_back),
            format!("{SITE}/reports?week=12&x=%2F")
        );
        assert!(
            !browser
                .jar
                .names()
                .iter()
                .any(|name| name.contains("-login."))
        );

        let page = browser.open("/reports?week=12&x=%2F");
        assert_eq!(page.status(), 200);
        let token = world.bitbucket().access_tokens_of(&ada).pop().unwrap();
        assert_eq!(token.len(), 2_600);
        let seen = world.upstream().last_request().unwrap().clone();
        assert_eq!(seen.target, "/reports?week=12&x=%2F");
        assert_eq!(
            seen.header("authorization"),
            Some(format!("Bearer {token}").as_str())
        );
        assert_eq!(seen.header("x-forwarded-user"), Some(ada.as_str()));
        assert_eq!(seen.header("x-forwarded-email"), Some("ada@example.com"));
        assert_eq!(seen.header("x-bitgate-principal"), Some("person"));
        assert!(seen.header("x-bitgate-request-id").is_some());
        assert_eq!(seen.header("x-forwarded-groups"), None);
        assert_eq!(
            seen.header("cookie"),
            None,
            "our cookies must not reach the upstream"
        );
    }
);

story!(
    a_legacy_consumer_signs_in,
    Setup {
        bitbucket: |settings| settings.mode = Mode::Legacy,
        ..Setup::default()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &ada).status(), 302);
        assert_eq!(browser.open("/").status(), 200);
        let token = world.bitbucket().access_tokens_of(&ada).pop().unwrap();
        let seen = world.upstream().last_request().unwrap().clone();
        assert_eq!(
            seen.header("authorization"),
            Some(format!("Bearer {token}").as_str())
        );
    }
);

story!(
    an_address_that_is_not_primary_and_confirmed_is_nobodys,
    |world| {
        for name in ["grace", "linus"] {
            let account = world.person(name);
            let mut browser = world.browser();
            assert_eq!(browser.sign_in("/", &account).status(), 302);
            let spoofed =
                http::Request::get("/identity").header("x-forwarded-email", "root@acme.test");
            assert_eq!(
                browser.send(spoofed.body(Vec::new()).unwrap()).status(),
                200
            );
            let seen = world.upstream().last_request().unwrap().clone();
            assert_eq!(seen.header("x-forwarded-user"), Some(account.as_str()));
            assert_eq!(seen.header("x-forwarded-email"), None, "{name}");
        }
    }
);

story!(a_person_who_says_no_gets_a_page_and_no_session, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    let sent_away = browser.open("/");
    let callback = browser.answer(&sent_away, &ada, "deny");
    let answer = browser.open(&callback);
    assert_eq!(
        (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason")
        ),
        (403, "access_denied")
    );
    assert!(body(&answer).contains("Try again"));
    assert!(browser.jar.0.is_empty(), "{:?}", browser.jar.names());
    assert_eq!(browser.open("/").status(), 302);
});

story!(a_callback_of_another_browser_is_refused, |world| {
    let ada = world.person("ada");
    let mut attacker = world.browser();
    let sent_away = attacker.open("/");
    let callback = attacker.answer(&sent_away, &ada, "grant");
    let calls = world.bitbucket_calls();
    let mut victim = world.browser();
    victim.open("/");
    let answer = victim.open(&callback);
    assert_eq!(
        (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason")
        ),
        (400, "state_mismatch")
    );
    assert_eq!(world.bitbucket_calls(), calls, "the code was not used");
    assert_eq!(world.upstream().requests().len(), 0);
});

story!(a_callback_works_once, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    let sent_away = browser.open("/");
    let callback = browser.answer(&sent_away, &ada, "grant");
    assert_eq!(browser.open(&callback).status(), 302);
    // With a session, as after the back button, the person goes to the start.
    let again = browser.open(&callback);
    assert_eq!(
        (again.status().as_u16(), location(&again)),
        (302, format!("{SITE}/"))
    );
    // Without one, they are told.
    browser.jar = Jar::default();
    let again = browser.open(&callback);
    assert_eq!(header(&again, "x-bitgate-reason"), "state_mismatch");
});

story!(
    a_kept_login_cookie_does_not_make_a_code_work_twice,
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let sent_away = browser.open("/");
        let kept = browser.jar.clone();
        let callback = browser.answer(&sent_away, &ada, "grant");
        assert_eq!(browser.open(&callback).status(), 302);
        browser.jar = kept;
        let again = browser.open(&callback);
        assert_eq!(
            (again.status().as_u16(), header(&again, "x-bitgate-reason")),
            (400, "code_refused")
        );
    }
);

story!(a_callback_without_meaning_is_refused, |world| {
    let mut browser = world.browser();
    for query in [
        "",
        "?code=c",
        "?code=c&code=d&state=s",
        "?code=c&error=e&state=s",
        "?state=s",
    ] {
        let answer = browser.open(&format!("/_bitgate/callback{query}"));
        assert_eq!(
            header(&answer, "x-bitgate-reason"),
            "invalid_callback",
            "{query}"
        );
        assert_eq!(answer.status(), 400);
    }
    let answer = browser.open("/_bitgate/callback?code=c&state=s");
    assert_eq!(header(&answer, "x-bitgate-reason"), "state_mismatch");
    let head = http::Request::head("/_bitgate/callback?code=c&state=s")
        .body(Vec::new())
        .unwrap();
    assert_eq!(browser.send(head).status(), 405);
    assert_eq!(world.bitbucket_calls(), 0);
});

story!(
    three_tabs_sign_in_at_once_and_each_returns_to_its_page,
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let away: Vec<_> = ["/one", "/two", "/three"]
            .map(|path| browser.open(path))
            .into();
        for (sent_away, path) in away.iter().zip(["/one", "/two", "/three"]) {
            let callback = browser.answer(sent_away, &ada, "grant");
            assert_eq!(location(&browser.open(&callback)), format!("{SITE}{path}"));
        }
    }
);

story!(abandoned_logins_stay_few_and_small, |world| {
    let mut browser = world.browser();
    for number in 0..60 {
        assert_eq!(browser.open(&format!("/page/{number}")).status(), 302);
    }
    assert!(browser.jar.0.len() <= 4, "{:?}", browser.jar.names());
    assert!(browser.jar.header().len() < 4_096);
    for _ in 0..4 {
        let query = "q".repeat(2_000);
        assert_eq!(browser.open(&format!("/page?{query}")).status(), 302);
        assert!(browser.jar.header().len() < 4_096);
    }
});

story!(
    a_login_of_more_than_ten_minutes_is_over,
    Setup::with_clock(),
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let sent_away = browser.open("/late");
        let callback = browser.answer(&sent_away, &ada, "grant");
        browser.world.advance(601);
        let answer = browser.open(&callback);
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (400, "login_expired")
        );
        assert!(body(&answer).contains("href=\"/late\""));
        assert!(browser.jar.0.is_empty());
    }
);

story!(explicit_sign_in_goes_to_a_path_of_the_site_only, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    let sent_away = browser.open("/_bitgate/login?rd=%2Fhere%3Fa%3Db");
    let callback = browser.answer(&sent_away, &ada, "grant");
    assert_eq!(
        location(&browser.open(&callback)),
        format!("{SITE}/here?a=b")
    );
    for rd in [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "evil",
        "/a&rd=/b",
        "/%0d%0a",
    ] {
        let answer = browser.open(&format!("/_bitgate/login?rd={rd}"));
        assert_eq!(header(&answer, "x-bitgate-reason"), "bad_request", "{rd}");
    }
});

story!(
    tokens_of_6000_characters_sign_in_and_stay,
    Setup {
        bitbucket: |settings| settings.token_length = Some(6_000),
        ..Setup::default()
    },
    |world| {
        stays_signed_in(world, 6_000);
    }
);

story!(
    tokens_of_100_characters_sign_in_and_stay,
    Setup {
        bitbucket: |settings| settings.token_length = Some(100),
        ..Setup::default()
    },
    |world| {
        stays_signed_in(world, 100);
    }
);

story!(tokens_of_2600_characters_sign_in_and_stay, |world| {
    stays_signed_in(world, 2_600);
});

fn stays_signed_in(world: &mut crate::support::world::World, length: usize) {
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &ada).status(), 302);
    for _ in 0..5 {
        assert_eq!(browser.open("/").status(), 200);
    }
    let seen = world.upstream().last_request().unwrap().clone();
    assert_eq!(
        seen.header("authorization").map(str::len),
        Some("Bearer ".len() + length)
    );
}

story!(
    tokens_of_16000_characters_get_a_page_and_no_loop,
    Setup {
        bitbucket: |settings| settings.token_length = Some(16_000),
        ..Setup::default()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let answer = browser.sign_in("/", &ada);
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (502, "tokens_too_large")
        );
        assert!(body(&answer).contains("tokens_too_large"));
        assert!(browser.jar.0.is_empty(), "{:?}", browser.jar.names());
    }
);

story!(
    a_consumer_that_lacks_a_scope_is_named,
    Setup {
        config: |config| config["bitbucket"]["scopes"] =
            serde_json::json!(["account", "webhook", "email"]),
        ..Setup::default()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let answer = browser.sign_in("/", &ada);
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (403, "missing_scope")
        );
        assert!(body(&answer).contains("webhook"));
    }
);
