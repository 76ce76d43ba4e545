//! Several OAuth consumers: a service gets a token with only the scopes that it needs.

use bitgate_simulator::bitbucket::{Fault, FaultResponse, Settings};
use serde_json::{Value, json};

use crate::support::browser::{Browser, Jar, SITE, body, header, location};
use crate::support::setup::Setup;
use crate::support::world::World;
use crate::support::{Request, Response};

const TOKEN: &str = "/site/oauth2/access_token";

/// One more consumer at Bitbucket.
fn register(settings: &mut Settings, name: &str, scopes: &[&str]) {
    let mut consumer = settings.consumers[0].clone();
    consumer.client_id = format!("{name}-consumer");
    consumer.client_secret = format!("{name}-secret");
    consumer.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    settings.consumers.push(consumer);
}

/// The same consumer here, with a rule for what lies below its name.
fn use_it(config: &mut Value, name: &str, scopes: &[&str]) {
    config["consumers"][name] = json!({
        "client_id": format!("{name}-consumer"),
        "client_secret": {"inline": format!("{name}-secret")},
        "scopes": scopes,
    });
    let rule = json!({
        "name": name,
        "match": {"path": format!("/{name}/**")},
        "allow": "signed_in",
        "inject": "bearer",
        "consumer": name,
    });
    config["rules"].as_array_mut().unwrap().insert(0, rule);
}

/// Tokens live for 1,000 seconds: renewed from 750 to 800 on.
fn with_ci() -> Setup {
    Setup {
        bitbucket: |settings| {
            settings.access_lifetime = 1_000;
            settings.reuse_window = 0;
            register(settings, "ci", &["account", "repository:write"]);
        },
        config: |config| {
            config["session"]["idle_timeout"] = "12h".into();
            use_it(config, "ci", &["account", "repository:write"]);
        },
        ..Setup::with_clock()
    }
}

/// As many as there can be.
fn with_three() -> Setup {
    Setup {
        bitbucket: |settings| {
            settings.token_length = Some(100);
            for name in ["ci", "deploy", "wiki"] {
                register(settings, name, &["account", "wiki"]);
            }
        },
        config: |config| {
            for name in ["ci", "deploy", "wiki"] {
                use_it(config, name, &["account", "wiki"]);
            }
        },
        ..Setup::default()
    }
}

fn signed_in(world: &mut World) -> Browser<'_> {
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &ada).status(), 302);
    assert_eq!(browser.open("/").status(), 200);
    browser
}

/// Signed in, with a grant of `ci`. Gives both tokens: the main one first.
fn with_both(world: &mut World) -> (Browser<'_>, String, String) {
    let ada = world.person("ada");
    let mut browser = signed_in(world);
    let main = newest(browser.world);
    assert_eq!(browser.sign_in("/ci/", &ada).status(), 302);
    assert_eq!(browser.open("/ci/").status(), 200);
    let ci = newest(browser.world);
    assert_ne!(main, ci);
    (browser, main, ci)
}

/// The access token that Bitbucket gave last.
fn newest(world: &World) -> String {
    let ada = world.person("ada");
    world.bitbucket().access_tokens_of(&ada).pop().unwrap()
}

/// The token that the upstream was sent last, if any.
fn seen(world: &World) -> Option<String> {
    let upstream = world.upstream();
    let value = upstream.last_request().unwrap().header("authorization")?;
    Some(value.strip_prefix("Bearer ").unwrap().to_owned())
}

/// Which consumers asked the token endpoint for what, in order.
fn token_calls(world: &World) -> Vec<(String, String)> {
    let bitbucket = world.bitbucket();
    let calls = bitbucket.ledger().iter();
    calls
        .filter(|entry| entry.path == TOKEN)
        .map(|entry| {
            let text = |part: &Option<String>| part.clone().unwrap_or_default();
            (text(&entry.client_id), text(&entry.grant_type))
        })
        .collect()
}

fn outcome(answer: &Response) -> (u16, &str) {
    (answer.status().as_u16(), header(answer, "x-bitgate-reason"))
}

fn post(path: &str) -> Request {
    let request = http::Request::post(path).header("sec-fetch-site", "same-origin");
    request.body(Vec::new()).unwrap()
}

story!(
    a_second_sign_in_is_one_way_there_and_back,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        let main = newest(browser.world);
        let session = browser.jar.0["__Host-bitgate"].clone();
        let grant = browser.jar.0["__Host-bitgate-grant"].clone();
        let calls = browser.world.bitbucket_calls();

        let sent_away = browser.open("/ci/build?n=1");
        assert_eq!(outcome(&sent_away), (302, "no_grant"));
        let address = location(&sent_away);
        assert!(address.starts_with("http://127.0.0.1:10001/site/oauth2/authorize?"));
        assert!(address.contains("client_id=ci-consumer&"), "{address}");
        let callback = browser.answer(&sent_away, &ada, "grant");
        let came_back = browser.open(&callback);
        assert_eq!(location(&came_back), format!("{SITE}/ci/build?n=1"));
        // Two for the person's browser, a code for tokens, and who is it.
        assert_eq!(browser.world.bitbucket_calls(), calls + 4);
        let last = token_calls(browser.world).pop().unwrap();
        assert_eq!(
            last,
            ("ci-consumer".to_owned(), "authorization_code".to_owned())
        );
        // The session and its own grant stay as they were.
        assert_eq!(browser.jar.0["__Host-bitgate"], session);
        assert_eq!(browser.jar.0["__Host-bitgate-grant"], grant);

        let ci = newest(browser.world);
        assert_eq!(browser.open("/ci/build?n=1").status(), 200);
        assert_eq!(seen(browser.world), Some(ci.clone()));
        let received = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(received.header("x-forwarded-user"), Some(ada.as_str()));
        assert_eq!(
            received.header("x-forwarded-email"),
            Some("ada@example.com")
        );
        assert_eq!(received.header("cookie"), None);

        // The token goes nowhere else, and a warm request asks nobody.
        let calls = browser.world.bitbucket_calls();
        for (path, token) in [
            ("/", Some(&main)),
            ("/ci/x", Some(&ci)),
            ("/cix", Some(&main)),
            ("/identity/ci/", None),
            ("/public/ci/", None),
        ] {
            let answer = browser.open(path);
            assert_eq!(
                (answer.status(), header(&answer, "set-cookie")),
                (http::StatusCode::OK, "")
            );
            assert_eq!(seen(browser.world).as_ref(), token, "{path}");
        }
        assert_eq!(browser.world.bitbucket_calls(), calls);
        let log = browser.world.edge.log();
        for event in ["login_started", "signed_in"] {
            let is_named = |line: &&String| line.contains(event) && line.contains("ci");
            let line = log.iter().rfind(is_named).expect("a line about it");
            assert!(
                line.replace('\\', "").contains("\"consumer\":\"ci\""),
                "{line}"
            );
        }
    }
);

story!(
    a_stranger_signs_in_and_then_for_the_page,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let page = browser.sign_in("/ci/build", &ada);
        assert_eq!(location(&page), format!("{SITE}/ci/build"));
        let page = browser.sign_in("/ci/build", &ada);
        assert_eq!(location(&page), format!("{SITE}/ci/build"));
        assert_eq!(browser.open("/ci/build").status(), 200);
        let ci = newest(browser.world);
        assert_eq!(seen(browser.world), Some(ci));
    }
);

story!(a_program_is_told_where_to_sign_in, with_ci(), |world| {
    let ada = world.person("ada");
    let mut browser = signed_in(world);
    let upstream = browser.world.upstream().count();
    let answer = browser.fetch("/ci/data?page=2");
    assert_eq!(outcome(&answer), (401, "no_grant"));
    let document: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(document["reason"], "no_grant");
    let url = document["login_url"].as_str().unwrap().to_owned();
    assert_eq!(
        url,
        format!("{SITE}/_bitgate/login?rd=%2Fci%2Fdata%3Fpage%3D2&consumer=ci")
    );
    let answer = browser.send(post("/ci/data"));
    assert_eq!(outcome(&answer), (401, "no_grant"));
    assert!(body(&answer).contains("login?rd=%2F&consumer=ci"));
    assert_eq!(browser.world.upstream().count(), upstream);

    let path = url.strip_prefix(SITE).unwrap();
    let arrived = browser.sign_in(path, &ada);
    assert_eq!(location(&arrived), format!("{SITE}/ci/data?page=2"));
    assert_eq!(browser.fetch("/ci/data?page=2").status(), 200);
    assert_eq!(browser.send(post("/ci/data")).status(), 200);
});

story!(
    the_address_for_a_consumer_signs_in_first,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let path = "/_bitgate/login?rd=%2Fci%2F&consumer=ci";
        let sent_away = browser.open(path);
        assert!(location(&sent_away).contains("client_id=demo-consumer&"));
        let callback = browser.answer(&sent_away, &ada, "grant");
        let back = location(&browser.open(&callback));
        assert_eq!(back.strip_prefix(SITE), Some(path));
        let arrived = browser.sign_in(path, &ada);
        assert_eq!(location(&arrived), format!("{SITE}/ci/"));
        assert_eq!(browser.open("/ci/").status(), 200);
        for query in ["consumer=none", "consumer=", "consumer=ci&consumer=ci"] {
            let answer = browser.open(&format!("/_bitgate/login?{query}"));
            assert_eq!(outcome(&answer), (400, "bad_request"), "{query}");
        }
    }
);

story!(
    another_account_at_bitbucket_adds_no_grant,
    with_ci(),
    |world| {
        let (ada, grace) = (world.person("ada"), world.person("grace"));
        let mut browser = signed_in(world);
        let before = browser.jar.clone();
        let answer = browser.sign_in("/ci/build", &grace);
        assert_eq!(outcome(&answer), (403, "account_mismatch"));
        let page = body(&answer);
        assert!(page.contains("href=\"/ci/build\""), "{page}");
        assert!(page.contains("href=\"/_bitgate/logout\""), "{page}");
        assert_eq!(browser.jar.0, before.0, "nothing was set");
        assert_eq!(outcome(&browser.open("/ci/build")), (302, "no_grant"));
        assert_eq!(browser.sign_in("/ci/build", &ada).status(), 302);
        assert_eq!(browser.open("/ci/build").status(), 200);
    }
);

story!(a_person_who_says_no_stays_signed_in, with_ci(), |world| {
    let ada = world.person("ada");
    let mut browser = signed_in(world);
    let sent_away = browser.open("/ci/");
    let callback = browser.answer(&sent_away, &ada, "deny");
    let answer = browser.open(&callback);
    assert_eq!(outcome(&answer), (403, "access_denied"));
    assert!(
        body(&answer).contains("still signed in"),
        "{}",
        body(&answer)
    );
    assert_eq!(browser.open("/").status(), 200);
});

story!(
    a_consumer_that_lacks_a_scope_is_named,
    Setup {
        bitbucket: |settings| register(settings, "ci", &["account", "repository"]),
        config: |config| use_it(config, "ci", &["account", "repository:write", "webhook"]),
        ..Setup::default()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        let answer = browser.sign_in("/ci/", &ada);
        assert_eq!(outcome(&answer), (403, "missing_scope"));
        let page = body(&answer);
        assert!(page.contains("consumer &quot;ci&quot;"), "{page}");
        assert!(page.contains("repository:write, webhook"), "{page}");
        assert_eq!(browser.open("/").status(), 200);
    }
);

story!(
    tokens_that_do_not_fit_leave_the_session_alone,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        browser.world.bitbucket().settings.token_length = Some(16_000);
        let answer = browser.sign_in("/ci/", &ada);
        assert_eq!(outcome(&answer), (502, "tokens_too_large"));
        assert_eq!(browser.open("/").status(), 200);
        // The largest that fit.
        browser.world.bitbucket().settings.token_length = Some(6_000);
        assert_eq!(browser.sign_in("/ci/", &ada).status(), 302);
        assert_eq!(browser.open("/ci/").status(), 200);
        let ci = newest(browser.world);
        assert_eq!(seen(browser.world), Some(ci));
        // Smaller ones leave no part of them.
        browser.world.bitbucket().settings.token_length = Some(100);
        let sent_away = browser.open("/_bitgate/login?rd=%2Fci%2F&consumer=ci");
        let callback = browser.answer(&sent_away, &ada, "grant");
        assert_eq!(browser.open(&callback).status(), 302);
        let named = |jar: &Jar| {
            let mut names = jar.session_names();
            names.retain(|name| name.contains("-grant-ci"));
            names
        };
        assert_eq!(named(&browser.jar), ["__Host-bitgate-grant-ci"]);
        assert_eq!(browser.open("/ci/").status(), 200);
    }
);

story!(
    a_grant_opens_as_that_of_no_other_consumer,
    with_three(),
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        let main = "__Host-bitgate-grant".to_owned();
        let name_of = |consumer: &str| format!("{main}-{consumer}");
        for consumer in ["ci", "deploy"] {
            let path = format!("/{consumer}/");
            assert_eq!(browser.sign_in(&path, &ada).status(), 302);
            assert_eq!(browser.open(&path).status(), 200);
        }
        let good = browser.jar.clone();
        let (ci, deploy) = (name_of("ci"), name_of("deploy"));
        for (from, to) in [(&deploy, &ci), (&main, &ci), (&ci, &name_of("wiki"))] {
            browser.jar = good.clone();
            browser.jar.0.insert(to.clone(), good.0[from].clone());
            let path = format!("/{}/", to.rsplit('-').next().unwrap());
            assert_eq!(outcome(&browser.fetch(&path)), (401, "no_grant"), "{to}");
        }
        browser.jar = good.clone();
        browser.jar.0.insert(main.clone(), good.0[&ci].clone());
        assert_eq!(outcome(&browser.fetch("/")), (401, "no_session"));

        // Nor with another session of the same person.
        browser.jar = Jar::default();
        assert_eq!(browser.sign_in("/", &ada).status(), 302);
        browser.jar.0.insert(ci.clone(), good.0[&ci].clone());
        assert_eq!(outcome(&browser.fetch("/ci/")), (401, "no_grant"));
        // A changed one neither.
        browser.jar = good.clone();
        let value = browser.jar.0.get_mut(&ci).unwrap();
        value.push('A');
        assert_eq!(outcome(&browser.fetch("/ci/")), (401, "no_grant"));
        browser.jar = good;
        assert_eq!(browser.fetch("/ci/").status(), 200);
    }
);

story!(
    a_page_can_ask_for_which_consumers_there_is_a_grant,
    Setup {
        config: |config| {
            (with_three().config)(config);
            config["status"]["allow"] = "signed_in".into();
        },
        ..with_three()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        let consumers = |browser: &mut Browser<'_>| {
            let answer = browser.fetch("/_bitgate/session");
            let document: Value = serde_json::from_slice(answer.body()).unwrap();
            document["consumers"].clone()
        };
        assert_eq!(consumers(&mut browser), json!([]));
        browser.sign_in("/wiki/", &ada);
        browser.sign_in("/ci/", &ada);
        assert_eq!(consumers(&mut browser), json!(["ci", "wiki"]));
        let answer = browser.fetch("/_bitgate/status");
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(
            document["details"]["consumers"],
            json!(["ci", "deploy", "wiki"])
        );
        assert!(!body(&answer).contains("ci-secret"));
    }
);

story!(
    all_consumers_in_a_minute_are_no_loop,
    with_three(),
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        for consumer in ["ci", "deploy", "wiki"] {
            let path = format!("/{consumer}/");
            assert_eq!(browser.sign_in(&path, &ada).status(), 302);
        }
        for consumer in ["ci", "deploy", "wiki"] {
            assert_eq!(browser.open(&format!("/{consumer}/")).status(), 200);
        }
        assert_eq!(browser.send(post("/_bitgate/logout")).status(), 303);
        assert!(browser.jar.0.is_empty(), "{:?}", browser.jar.names());
    }
);

story!(
    a_grant_that_does_not_stick_ends_on_a_page,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        for _ in 0..3 {
            assert_eq!(browser.sign_in("/ci/page", &ada).status(), 302);
            browser.jar.0.retain(|name, _| !name.contains("-grant-ci"));
        }
        let answer = browser.open("/ci/page");
        assert_eq!(outcome(&answer), (400, "login_loop"));
        let page = body(&answer);
        assert!(page.contains("does not send the grant"), "{page}");
        assert!(page.contains("href=\"/ci/page\""), "{page}");
        // The rest of the site works, and whoever tries again starts anew.
        assert_eq!(browser.open("/").status(), 200);
        assert_eq!(browser.sign_in("/ci/page", &ada).status(), 302);
        assert_eq!(browser.open("/ci/page").status(), 200);
    }
);

// As with two instances of which one cannot read the session.
story!(
    a_session_that_callbacks_do_not_see_is_a_loop_too,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        let session = browser.jar.0["__Host-bitgate"].clone();
        for _ in 0..3 {
            let sent_away = browser.open("/ci/");
            let callback = browser.answer(&sent_away, &ada, "grant");
            browser.jar.0.remove("__Host-bitgate");
            assert_eq!(location(&browser.open(&callback)), format!("{SITE}/ci/"));
            let name = "__Host-bitgate".to_owned();
            browser.jar.0.insert(name, session.clone());
        }
        assert_eq!(outcome(&browser.open("/ci/")), (400, "login_loop"));
    }
);

story!(a_sign_out_ends_both_and_a_copy_too, with_ci(), |world| {
    let (mut browser, _, _) = with_both(world);
    let kept = browser.jar.clone();
    assert_eq!(browser.send(post("/_bitgate/logout")).status(), 303);
    assert!(browser.jar.0.is_empty(), "{:?}", browser.jar.names());
    browser.jar = kept;
    assert_eq!(outcome(&browser.fetch("/ci/")), (401, "session_revoked"));
});

story!(
    a_session_that_is_gone_meanwhile_gets_no_grant,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        let mut browser = signed_in(world);
        let sent_away = browser.open("/ci/");
        let login = browser.jar.clone();
        let callback = browser.answer(&sent_away, &ada, "grant");
        // Another tab signs out.
        browser.send(post("/_bitgate/logout"));
        browser.jar = login;
        let calls = browser.world.bitbucket().count(TOKEN);
        let answer = browser.open(&callback);
        assert_eq!(
            (answer.status().as_u16(), location(&answer)),
            (302, format!("{SITE}/ci/"))
        );
        assert_eq!(browser.world.bitbucket().count(TOKEN), calls);
        assert!(!browser.jar.header().contains("-grant-ci"));
        // There the person signs in, and then for the page.
        assert_eq!(outcome(&browser.open("/ci/")), (302, "session_revoked"));
        assert_eq!(browser.sign_in("/ci/", &ada).status(), 302);
        assert_eq!(browser.sign_in("/ci/", &ada).status(), 302);
        assert_eq!(browser.open("/ci/").status(), 200);

        // Another session than the one that it was begun with gets nothing either. A browser forgets
        // after a minute how many sign-ins there were.
        browser.jar.0.retain(|name, _| !name.contains("-returns"));
        let sent_away = browser.open("/_bitgate/login?rd=%2Fci%2F&consumer=ci");
        let callback = browser.answer(&sent_away, &ada, "grant");
        let again = browser.open("/_bitgate/login");
        let main = browser.answer(&again, &ada, "grant");
        assert_eq!(browser.open(&main).status(), 302);
        assert!(
            !browser.jar.header().contains("-grant-ci"),
            "a grant of the session before went with it"
        );
        assert_eq!(location(&browser.open(&callback)), format!("{SITE}/ci/"));
        assert_eq!(outcome(&browser.open("/ci/")), (302, "no_grant"));
    }
);

story!(
    both_are_renewed_each_by_its_own_consumer,
    with_ci(),
    |world| {
        let (mut browser, _, _) = with_both(world);
        let before = browser.jar.clone();
        browser.world.advance(810);
        let count = token_calls(browser.world).len();
        // A request carries one renewal at the most: the main one goes first.
        for round in 1..=2 {
            assert_eq!(browser.open("/ci/").status(), 200);
            assert_eq!(token_calls(browser.world).len(), count + round);
        }
        let refreshed = |client: &str| (client.to_owned(), "refresh_token".to_owned());
        assert_eq!(
            token_calls(browser.world)[count..],
            [refreshed("demo-consumer"), refreshed("ci-consumer")]
        );
        let ci = newest(browser.world);
        for name in before.session_names() {
            let is_kept = browser.jar.0[&name] == before.0[&name];
            assert_eq!(is_kept, name == "__Host-bitgate", "{name}");
        }
        assert_eq!(browser.open("/ci/").status(), 200);
        assert_eq!(seen(browser.world), Some(ci.clone()));
        // Who still has the old cookies gets the new ones of both.
        let new = browser.jar.clone();
        browser.jar = before;
        assert_eq!(browser.open("/ci/").status(), 200);
        assert_eq!(browser.jar.0, new.0);
        assert_eq!(seen(browser.world), Some(ci));
        assert_eq!(token_calls(browser.world).len(), count + 2);
        let log = browser.world.edge.log().join("\n").replace('\\', "");
        let renewed: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("\"renewed\""))
            .collect();
        assert_eq!(renewed.len(), 2, "{log}");
        assert!(!renewed[0].contains("\"consumer\"") && renewed[1].contains("\"consumer\":\"ci\""));
    }
);

story!(
    a_request_waits_for_both_if_both_have_ended,
    with_ci(),
    |world| {
        let (mut browser, _, _) = with_both(world);
        for round in 1..=3 {
            browser.world.advance(1_500);
            let count = token_calls(browser.world).len();
            let answer = browser.open("/ci/");
            assert_eq!(answer.status(), 200, "{round}: {}", body(&answer));
            assert_eq!(token_calls(browser.world).len(), count + 2, "{round}");
            let ci = newest(browser.world);
            assert_eq!(seen(browser.world), Some(ci));
            assert_eq!(browser.open("/").status(), 200);
            assert_eq!(token_calls(browser.world).len(), count + 2, "{round}");
        }
    }
);

story!(
    the_other_may_end_long_before_the_main_one,
    with_ci(),
    |world| {
        let ada = world.person("ada");
        world.bitbucket().settings.access_lifetime = 40_000;
        let mut browser = signed_in(world);
        browser.world.bitbucket().settings.access_lifetime = 1_000;
        browser.sign_in("/ci/", &ada);
        browser.world.advance(5_000);
        assert_eq!(browser.open("/ci/").status(), 200);
        let ci = newest(browser.world);
        assert_eq!(seen(browser.world), Some(ci));

        // Bitbucket cannot be asked: whoever needs that one waits, and nobody else.
        browser.world.advance(5_000);
        browser.world.bitbucket().fail_next(Fault {
            path: TOKEN.to_owned(),
            times: 100,
            response: FaultResponse::Status(503),
        });
        assert_eq!(outcome(&browser.open("/ci/")), (503, "renewal_unavailable"));
        assert_eq!(browser.open("/").status(), 200);
        browser.world.bitbucket().forgive();
        browser.world.advance(40);
        assert_eq!(browser.open("/ci/").status(), 200);

        // Bitbucket says no: once more to sign in for it, and the session stays.
        browser.world.advance(5_000);
        browser.world.bitbucket().fail_next(Fault {
            path: TOKEN.to_owned(),
            times: 2,
            response: FaultResponse::Raw {
                status: 400,
                headers: vec![("content-type", "application/json".to_owned())],
                body: br#"{"error":"invalid_grant"}"#.to_vec(),
            },
        });
        // Which could also be a lost race, so it is tried once more.
        assert_eq!(outcome(&browser.fetch("/ci/")).0, 503);
        browser.world.advance(6);
        assert_eq!(outcome(&browser.fetch("/ci/")), (401, "no_grant"));
        assert_eq!(browser.open("/").status(), 200);
        assert_eq!(browser.sign_in("/ci/", &ada).status(), 302);
        assert_eq!(browser.open("/ci/").status(), 200);

        // Without a refresh token it ends with its access token; and a minute went by.
        browser.jar.0.retain(|name, _| !name.contains("-returns"));
        browser.world.bitbucket().settings.refresh_tokens = false;
        let sent_away = browser.open("/_bitgate/login?rd=%2Fci%2F&consumer=ci");
        let callback = browser.answer(&sent_away, &ada, "grant");
        assert_eq!(browser.open(&callback).status(), 302);
        assert_eq!(browser.open("/ci/").status(), 200);
        browser.world.advance(1_001);
        assert_eq!(outcome(&browser.open("/ci/")), (302, "no_grant"));
    }
);

story!(
    without_a_session_a_grant_is_worth_nothing,
    with_ci(),
    |world| {
        let (mut browser, _, _) = with_both(world);
        browser.jar.0.remove("__Host-bitgate");
        assert_eq!(outcome(&browser.fetch("/ci/")), (401, "no_session"));
        let request = http::Request::post("/ci/").header("origin", "https://evil.test");
        let (mut browser, _, _) = with_both(browser.world);
        let answer = browser.send(request.body(Vec::new()).unwrap());
        assert_eq!(outcome(&answer), (403, "cross_site"));
    }
);
