//! What passes, what does not, and what is taken away on the way.

use serde_json::Value;

use crate::support::browser::{body, header};
use crate::support::setup::Setup;

fn get(path: &str) -> http::request::Builder {
    http::Request::get(path).header("host", "localhost:10000")
}

fn empty(builder: http::request::Builder) -> http::Request<Vec<u8>> {
    builder.body(Vec::new()).unwrap()
}

story!(a_public_rule_forwards_and_asks_nobody, |world| {
    assert_eq!(world.send(empty(get("/public/hello?a=b"))).status(), 200);
    assert_eq!(
        world.upstream().last_request().unwrap().target,
        "/public/hello?a=b"
    );
    // On any host: a health check knows the machine's address only.
    let elsewhere = http::Request::get("/public/hello").header("host", "10.0.0.7:10000");
    assert_eq!(world.send(empty(elsewhere)).status(), 200);
    assert_eq!(world.bitbucket_calls(), 0);
});

story!(
    what_no_rule_opens_is_closed,
    Setup {
        config: |config| {
            config["rules"].as_array_mut().unwrap().pop();
        },
        ..Setup::default()
    },
    |world| {
        for path in [
            "/",
            "/other",
            "/publicity",
            "/PUBLIC/x",
            "/nobody",
            "/nobody/x",
        ] {
            let answer = world.send(empty(get(path)));
            assert_eq!(answer.status(), 403, "{path}");
            let reason = if path.starts_with("/nobody") {
                "forbidden"
            } else {
                "no_rule"
            };
            assert_eq!(header(&answer, "x-bitgate-reason"), reason);
        }
        assert_eq!(world.upstream().requests().len(), 0);
    }
);

story!(programs_get_401_and_never_html, |world| {
    let curl = get("/data?x=1").header("accept", "*/*");
    let post = http::Request::post("/data").header("host", "localhost:10000");
    let post = post.header("accept", "text/html");
    for request in [curl, get("/data?x=1"), post] {
        let answer = world.send(empty(request));
        assert_eq!(answer.status(), 401);
        assert_eq!(header(&answer, "content-type"), "application/json");
        assert_eq!(
            header(&answer, "www-authenticate"),
            "Bearer realm=\"bitgate\""
        );
        assert_eq!(header(&answer, "set-cookie"), "");
        assert_eq!(header(&answer, "cache-control"), "private, no-store");
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(document["reason"], "no_session");
        let url = document["login_url"].as_str().unwrap();
        assert!(
            url.starts_with("http://localhost:10000/_bitgate/login?rd=%2F"),
            "{url}"
        );
    }
    assert_eq!(world.upstream().requests().len(), 0);
});

story!(another_host_is_misdirected, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &ada).status(), 302);
    for host in [
        "evil.test",
        "localhost",
        "localhost:10001",
        "localhost:10000.evil.test",
    ] {
        for path in ["/", "/_bitgate/login", "/_bitgate/callback?code=c&state=s"] {
            let request = http::Request::get(path).header("host", host);
            let answer = browser.send(empty(request));
            assert_eq!(answer.status(), 421, "{host} {path}");
            assert_eq!(header(&answer, "x-bitgate-reason"), "wrong_host");
        }
    }
});

story!(what_is_ours_never_reaches_the_upstream, |world| {
    for path in [
        "/_bitgate",
        "/_bitgate/",
        "/_bitgate/nothing",
        "/%5fbitgate/x",
    ] {
        let answer = world.send(empty(get(path)));
        assert_eq!(
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason")
            ),
            (404, "not_found")
        );
    }
    assert_eq!(world.upstream().requests().len(), 0);
});

story!(an_ambiguous_path_is_refused, |world| {
    for path in [
        "/public//x",
        "/public/x;y",
        "/public/%c0%ae%c0%ae/x",
        "/public/%zz",
        "/public/%ff",
    ] {
        let answer = world.send(empty(get(path)));
        assert_eq!(answer.status(), 400, "{path}");
        assert_eq!(header(&answer, "x-bitgate-reason"), "bad_request", "{path}");
    }
    assert_eq!(world.upstream().requests().len(), 0);
});

const SPOOFED: [&str; 9] = [
    "x-forwarded-user",
    "X-Forwarded-Email",
    "x-forwarded-groups",
    "x_forwarded_user",
    "x-forwarded_email",
    "x.forwarded.user",
    "x-bitgate-principal",
    "x-bitgate-request-id",
    "x_bitgate_admin",
];

story!(a_client_cannot_say_who_it_is, |world| {
    let ada = world.person("ada");
    for path in ["/public/x", "/identity", "/"] {
        let mut browser = world.browser();
        browser.sign_in("/", &ada);
        let mut request = get(path);
        for name in SPOOFED {
            request = request
                .header(name, "spoofed")
                .header(name, "spoofed-again");
        }
        assert_eq!(browser.send(empty(request)).status(), 200);
        let seen = world.upstream().last_request().unwrap().clone();
        for (name, value) in &seen.headers {
            assert!(
                !value.windows(7).any(|part| part == b"spoofed"),
                "{path} {name}"
            );
        }
        let expected = (path != "/public/x").then_some(ada.as_str());
        assert_eq!(seen.header("x-forwarded-user"), expected);
    }
});

story!(a_rule_says_what_the_upstream_gets, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    browser.sign_in("/", &ada);
    let with_credential = |path| empty(get(path).header("authorization", "Basic b3RoZXI6c2VjcmV0"));
    // Not ours, so it passes on; unless a rule replaces it.
    browser.send(with_credential("/identity"));
    let seen = browser.world.upstream().last_request().unwrap().clone();
    assert_eq!(seen.header("authorization"), Some("Basic b3RoZXI6c2VjcmV0"));
    browser.send(with_credential("/"));
    let seen = browser.world.upstream().last_request().unwrap().clone();
    assert!(seen.header("authorization").unwrap().starts_with("Bearer "));
    // No token where no rule says so, public paths included.
    for path in ["/identity", "/public/x"] {
        browser.open(path);
        let seen = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(seen.header("authorization"), None, "{path}");
    }
});

story!(the_cookies_of_others_pass_and_ours_do_not, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    browser.sign_in("/", &ada);
    for path in ["/", "/public/x"] {
        let request = get(path).header("cookie", "a=1; theme=\"dark\"; __HOST-BITGATE-x=1");
        assert_eq!(browser.send(empty(request)).status(), 200);
        let seen = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(seen.header("cookie"), Some("a=1; theme=\"dark\""), "{path}");
    }
});

story!(no_secret_is_in_any_log_line, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    let sent_away = browser.open("/canary-path?canary-query=1");
    let state = crate::support::browser::location(&sent_away);
    let state = state
        .split("state=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap()
        .to_owned();
    let callback = browser.answer(&sent_away, &ada, "grant");
    browser.open(&callback);
    browser.open("/canary-path?canary-query=1");
    browser.open(&callback);
    browser.open("/nobody");
    let code = callback
        .split("code=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap()
        .to_owned();
    let jar = browser.jar.clone();
    let token = world.bitbucket().access_tokens_of(&ada).pop().unwrap();
    world
        .browser()
        .fetch("/_bitgate/callback?code=canary-code&state=canary-state");
    let mut canaries = vec![
        state,
        code,
        token,
        "canary".to_owned(),
        "demo-secret".to_owned(),
    ];
    canaries.push(crate::support::example::SESSION_KEY.to_owned());
    canaries.extend(jar.0.into_values());
    let log = world.edge.log();
    assert!(log.iter().any(|line| line.contains("signed_in")), "{log:?}");
    assert!(
        log.iter().any(|line| line.contains("state_mismatch")),
        "{log:?}"
    );
    for canary in canaries {
        // A part is as bad as the whole.
        let part = &canary[..canary.len().min(24)];
        assert!(!log.iter().any(|line| line.contains(part)), "{part}");
    }
});

story!(
    a_refusal_is_a_page_for_people_and_json_for_programs,
    |world| {
        let mut browser = world.browser();
        let page = browser.open("/nobody");
        assert_eq!(page.status(), 403);
        assert!(header(&page, "content-type").starts_with("text/html"));
        assert!(header(&page, "content-security-policy").starts_with("default-src 'none'"));
        let text = body(&page);
        assert!(
            text.contains("forbidden") && !text.contains("<script"),
            "{text}"
        );
        let document = browser.fetch("/nobody");
        assert_eq!(header(&document, "content-type"), "application/json");
        let document: Value = serde_json::from_slice(document.body()).unwrap();
        assert_eq!(document["reason"], "forbidden");
    }
);
