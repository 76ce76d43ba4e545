//! LEAK: no secret in a log, a page, an address, or on the way to somebody else.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};

use super::case::{Case, ada, empty, get};
use crate::support::browser::{body, header};
use crate::support::example::SESSION_KEY;
use crate::support::world::World;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("LEAK-01", nothing_secret_is_written),
        Case::envoy("LEAK-02", |world| {
            let account = world.person("ada");
            let mut browser = world.browser();
            browser.sign_in("/page?canary-query=1", &account);
            // Envoy writes its access log once a second.
            let envoy = browser.world.edge.envoy().unwrap();
            let line = envoy.eventually_logged("\"path\":\"/_bitgate/callback\"");
            assert!(line.contains("\"details\":\"bitgate_"), "{line}");
            for canary in ["code=", "state=", "canary-query"] {
                assert!(!envoy.log_text().contains(canary), "{canary}");
            }
        }),
        Case::both("LEAK-03", |world| {
            let account = world.person("ada");
            let mut browser = world.browser();
            let answer = browser.sign_in("/page", &account);
            assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
            let address = header(&answer, "location").to_owned();
            assert!(
                !address.contains("code=") && !address.contains("state="),
                "{address}"
            );
        }),
        Case::native("LEAK-04", |_| {
            let secrets = [
                format!("{:?}", bitgate::oauth::AccessToken::new("canary")),
                format!("{:?}", bitgate::oauth::ClientSecret::new("canary")),
                format!("{:?}", bitgate::oauth::State::new("canary")),
                format!("{:?}", bitgate::oauth::CodeVerifier::new("canary")),
                format!("{:?}", bitgate::http::HeaderValue::try_from("canary")),
                format!(
                    "{:?}",
                    bitgate::http::Headers::new(vec![("cookie".to_owned(), b"canary".to_vec())])
                ),
                format!(
                    "{:?}",
                    bitgate::http::RequestTarget::parse(b"/a?code=canary")
                ),
                format!(
                    "{:?}",
                    bitgate::http::Reply::Answer {
                        status: 200,
                        media_type: String::new(),
                        body: b"canary".to_vec(),
                        retry_after: None,
                    }
                ),
            ];
            for shown in secrets {
                assert!(!shown.contains("canary"), "{shown}");
            }
        }),
        Case::both("LEAK-05", |world| {
            for path in ["/site/oauth2/access_token", "/2.0/user", "/2.0/user/emails"] {
                for status in [200, 400, 500] {
                    world.bitbucket().fail_next(Fault {
                        path: path.to_owned(),
                        times: 1,
                        response: FaultResponse::Raw {
                            status,
                            headers: vec![("content-type", "application/json".to_owned())],
                            body: br#"{"error": "canary_code", "error_description": "canary <b>"}"#
                                .to_vec(),
                        },
                    });
                    let account = world.person("ada");
                    let answer = world.browser().sign_in("/", &account);
                    assert!(!body(&answer).contains("canary"), "{}", body(&answer));
                }
            }
        }),
        Case::both("LEAK-08", |world| {
            let jar = ada(world).jar;
            for (path, injected) in [
                ("/", true),
                ("/identity", false),
                ("/public/x", false),
                ("/health", false),
            ] {
                world.send(empty(get(path).header("cookie", jar.header())));
                let seen = world.upstream().last_request().unwrap().clone();
                assert_eq!(seen.header("authorization").is_some(), injected, "{path}");
            }
        }),
        Case::both("LEAK-10", |world| {
            let jar = ada(world).jar;
            for path in ["/public/x", "/health", "/", "/identity"] {
                let request = get(path).header("cookie", format!("a=1; {}", jar.header()));
                assert_eq!(world.send(empty(request)).status(), 200);
                let seen = world.upstream().last_request().unwrap().clone();
                assert_eq!(seen.header("cookie"), Some("a=1"), "{path}");
            }
        }),
        Case::both("LEAK-13", |world| {
            let account = world.person("ada");
            let mut browser = world.browser();
            let sent_away = browser.open("/page");
            let callback = browser.answer(&sent_away, &account, "grant");
            let request = get(&callback)
                .header("accept", "text/html")
                .header("x-client", "canary")
                .header("cookie", "other=canary");
            let before = browser.world.bitbucket_calls();
            assert_eq!(
                browser
                    .send(empty(request.header("baggage", "canary")))
                    .status(),
                302
            );
            let known = [
                "host",
                "authorization",
                "content-type",
                "accept",
                "accept-encoding",
                "user-agent",
                "content-length",
                "transfer-encoding",
                // Envoy's own.
                "x-envoy-internal",
                "x-forwarded-for",
                "x-envoy-expected-rq-timeout-ms",
                "x-request-id",
                "x-forwarded-proto",
            ];
            let bitbucket = world.bitbucket();
            assert_eq!(bitbucket.ledger().len(), before + 3);
            for entry in bitbucket.ledger().iter().skip(before) {
                for name in &entry.headers {
                    assert!(known.contains(&name.as_str()), "{}: {name}", entry.path);
                }
            }
        }),
    ]
}

fn nothing_secret_is_written(world: &mut World) {
    let account = world.person("ada");
    let mut browser = world.browser();
    let sent_away = browser.open("/canary-path?canary-query=1");
    let login: Vec<String> = browser.jar.0.values().cloned().collect();
    let callback = browser.answer(&sent_away, &account, "grant");
    browser.open(&callback);
    browser.open("/canary-path?canary-query=1");
    let jar = browser.jar.clone();
    browser.open("/_bitgate/session");
    browser.open("/_bitgate/logout");
    browser.send(empty(
        super::case::post("/_bitgate/logout").header("origin", "https://canary.test"),
    ));
    browser.open("/_bitgate/login?rd=//canary");
    let parameter = |name: &str| {
        let (_, rest) = callback.split_once(&format!("{name}=")).unwrap();
        rest.split('&').next().unwrap().to_owned()
    };
    let mut canaries = vec![
        parameter("code"),
        parameter("state"),
        "canary".to_owned(),
        "demo-secret".to_owned(),
        SESSION_KEY.to_owned(),
    ];
    canaries.extend(world.bitbucket().access_tokens_of(&account));
    canaries.extend(jar.0.into_values().chain(login));
    let mut written = world.edge.log().join("\n");
    if let Some(envoy) = world.edge.envoy() {
        written.push_str(&envoy.stats(""));
    }
    assert!(written.contains("signed_in"));
    for canary in canaries {
        let part = &canary[..canary.len().min(24)];
        assert!(!written.contains(part), "{part}");
    }
}
