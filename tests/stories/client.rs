//! Each kind of client gets an answer that it can read.

use serde_json::{Value, json};

use crate::support::browser::{SITE, body, header, location};
use crate::support::setup::Setup;
use crate::support::{RawTarget, Request};

fn get(path: &str) -> http::request::Builder {
    http::Request::get(path).header("host", "localhost:10000")
}

fn empty(builder: http::request::Builder) -> Request {
    builder.body(Vec::new()).unwrap()
}

story!(git_is_asked_for_a_name_and_told_why_in_text, |world| {
    let git = |path: &str| {
        empty(
            get(path)
                .header("user-agent", "git/2.39.5")
                .header("accept", "*/*"),
        )
    };
    let answer = world.send(git("/acme/app.git/info/refs?service=git-upload-pack"));
    assert_eq!(answer.status(), 401);
    assert_eq!(
        header(&answer, "www-authenticate"),
        "Basic realm=\"bitgate\""
    );
    assert_eq!(header(&answer, "content-type"), "text/plain; charset=utf-8");
    assert!(
        body(&answer).starts_with("Please sign in (no_session)."),
        "{}",
        body(&answer)
    );
    let answer = world.send(git("/nobody/app.git/info/refs?service=git-upload-pack"));
    assert_eq!(
        (answer.status().as_u16(), body(&answer).lines().count()),
        (403, 1)
    );
});

story!(
    a_person_gets_a_page_even_for_an_address_that_cannot_be_judged,
    Setup {
        envoy: |example| example.leave_paths_alone(),
        ..Setup::default()
    },
    |world| {
        for target in ["/a//b", "/a;b", "/a/%2e%2e/b", "/a%2fb"] {
            let request = get("/").header("accept", "text/html");
            let answer = world.send(empty(request.extension(RawTarget(target.into()))));
            assert_eq!(answer.status(), 400, "{target}");
            assert_eq!(
                header(&answer, "x-bitgate-reason"),
                "bad_request",
                "{target}"
            );
            assert!(
                header(&answer, "content-type").starts_with("text/html"),
                "{target}"
            );
        }
    }
);

story!(a_frame_and_a_prefetch_start_no_login, |world| {
    let page = || {
        get("/page")
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
    };
    for (name, value) in [
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-dest", "embed"),
        ("purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
    ] {
        let answer = world.send(empty(page().header(name, value)));
        assert_eq!(answer.status(), 401, "{name}: {value}");
        assert!(answer.headers().get("set-cookie").is_none());
    }
    assert_eq!(
        world
            .send(empty(page().header("sec-fetch-dest", "document")))
            .status(),
        302
    );
});

story!(
    everything_works_over_http2,
    Setup {
        http2: true,
        ..Setup::default()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        assert_eq!(
            location(&browser.sign_in("/page?a=b", &ada)),
            format!("{SITE}/page?a=b")
        );
        assert_eq!(browser.open("/page?a=b").status(), 200);
        let seen = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(seen.header("x-forwarded-user"), Some(ada.as_str()));
        assert_eq!(seen.header("cookie"), None);
        // Browsers send each cookie in a field of its own there.
        let mut crumbs = get("/page");
        for (name, value) in &browser.jar.0.clone() {
            crumbs = crumbs.header("cookie", format!("{name}={value}"));
        }
        assert_eq!(browser.world.send(empty(crumbs)).status(), 200);
        let other = http::Request::get("/page").header("host", "evil.test");
        let answer = browser.world.send(empty(other));
        assert_eq!(header(&answer, "x-bitgate-reason"), "wrong_host");
        assert_eq!(browser.fetch("/nobody").status(), 403);
        let form = http::Request::post("/form").header("origin", "https://evil.test");
        assert_eq!(
            header(&browser.send(empty(form)), "x-bitgate-reason"),
            "cross_site"
        );
        let call = http::Request::post("/nobody/Call").header("content-type", "application/grpc");
        let answer = browser.send(empty(call));
        assert_eq!(
            (answer.status().as_u16(), header(&answer, "grpc-status")),
            (200, "7")
        );
    }
);

story!(
    a_page_of_the_site_may_change_something_and_others_may_not,
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        browser.sign_in("/", &ada);
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            for (origin, site, status) in [
                (Some(SITE), Some("same-origin"), 200),
                (Some(SITE), None, 200),
                (None, Some("none"), 200),
                (None, None, 200),
                (Some("https://evil.test"), None, 403),
                (Some("null"), None, 403),
                (Some("null"), Some("same-origin"), 200),
                (Some("null"), Some("cross-site"), 403),
                (None, Some("cross-site"), 403),
                (None, Some("same-site"), 403),
                (Some(SITE), Some("cross-site"), 403),
            ] {
                let mut request = http::Request::builder().method(method).uri("/form");
                for (name, value) in [("origin", origin), ("sec-fetch-site", site)] {
                    if let Some(value) = value {
                        request = request.header(name, value);
                    }
                }
                let answer = browser.send(empty(request));
                assert_eq!(
                    answer.status().as_u16(),
                    status,
                    "{method} {origin:?} {site:?}"
                );
            }
        }
    }
);

/// The example of a package registry: a Struct, raw tails, another origin, details of the status.
const PACKAGES: Setup = Setup {
    example: "packages.yaml",
    config: |_| {},
    envoy: |_| {},
    bitbucket: |_| {},
    has_pipelines: true,
    clock: false,
    is_bitbucket_down: false,
    workers: 1,
    http2: false,
};

story!(a_raw_tail_opens_its_rule_and_no_other, PACKAGES, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    browser.sign_in("/", &ada);
    for target in ["/npm/@scope%2fname", "/npm/x;version=1/y", "/npm/plain"] {
        let answer = browser.send(empty(get("/").extension(RawTarget(target.into()))));
        assert_eq!(answer.status(), 200, "{target}");
        let seen = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(seen.target, target, "passed on as it came");
    }
    for target in [
        "/npm/-/admin%2fx",
        "/npm/-/admin;x/y",
        "/npm/a%2f..%2f-%2fadmin",
        "/other%2fx",
        "/npm%2fx",
    ] {
        let answer = browser.send(empty(get("/").extension(RawTarget(target.into()))));
        assert_eq!(
            header(&answer, "x-bitgate-reason"),
            "bad_request",
            "{target}"
        );
    }
    // Who was sent to sign in comes back to it.
    let mut stranger = world.browser();
    let answer = stranger.sign_in("/npm/@scope%2fname", &ada);
    assert_eq!(location(&answer), format!("{SITE}/npm/@scope%2fname"));
});

story!(
    a_page_of_a_listed_origin_may_change_something,
    PACKAGES,
    |world| {
        let console = "http://console.localhost:10000";
        let preflight = http::Request::options("/npm/x").header("host", "localhost:10000");
        let preflight = preflight
            .header("origin", console)
            .header("access-control-request-method", "PUT");
        assert_eq!(
            world.send(empty(preflight)).status(),
            200,
            "the registry answers it"
        );
        let ada = world.person("ada");
        let mut browser = world.browser();
        browser.sign_in("/", &ada);
        let put = |path: &str, origin: &str| {
            let request = http::Request::put(path).header("origin", origin);
            empty(request.header("sec-fetch-site", "same-site"))
        };
        assert_eq!(browser.send(put("/npm/x", console)).status(), 200);
        assert_eq!(
            browser
                .send(put("/npm/x", "http://evil.localhost:10000"))
                .status(),
            403
        );
        assert_eq!(
            browser.send(put("/other", console)).status(),
            403,
            "only where the rule says so"
        );
    }
);

story!(whoever_may_sees_what_an_instance_runs, PACKAGES, |world| {
    let ready = json!({"status": "ready"});
    let of = |answer: crate::support::Response| -> Value {
        serde_json::from_slice(answer.body()).unwrap()
    };
    assert_eq!(of(world.send(empty(get("/_bitgate/status")))), ready);
    let ada = world.person("ada");
    let mut browser = world.browser();
    browser.sign_in("/", &ada);
    let details = of(browser.fetch("/_bitgate/status"))["details"].clone();
    assert_eq!(details["session_keys"], json!(["demo"]));
    assert_eq!(details["rules"][1], "administration");
    assert_eq!(details["public_url"], SITE);
    assert!(!details.to_string().contains("demo-secret"), "{details}");
    // On another host the cookie does not count.
    let probe = http::Request::get("/_bitgate/status").header("host", "10.0.0.7:10000");
    assert_eq!(of(browser.send(empty(probe))), ready);
});

story!(nobody_sees_more_unless_the_configuration_says_so, |world| {
    let ada = world.person("ada");
    let mut browser = world.browser();
    browser.sign_in("/", &ada);
    assert_eq!(
        body(&browser.fetch("/_bitgate/status")),
        "{\"status\":\"ready\"}\n"
    );
});
