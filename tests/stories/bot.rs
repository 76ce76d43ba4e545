//! Bots: a token for all workers, renewed before anybody notices, and passed on by rules.

use bitgate_simulator::bitbucket::{Fault, FaultResponse, Role};
use serde_json::{Value, json};

use crate::support::browser::{Browser, body, header};
use crate::support::control::control;
use crate::support::setup::Setup;
use crate::support::world::{Kind, World};

const TOKEN: &str = "/site/oauth2/access_token";
const FAILURES: &str = "bitgate_bot_failures.bot.deployer";
const LEFT: &str = "bitgate_bot_token_seconds_left.bot.deployer";
const LAST_SUCCESS: &str = "bitgate_bot_last_success.bot.deployer";

fn config(config: &mut Value) {
    config["session"]["max_age"] = json!("24h");
    config["session"]["idle_timeout"] = json!("24h");
    config["bots"] = json!({"deployer": {
        "client_credentials": {"client_id": "demo-bot", "client_secret": {"inline": "demo-bot-secret"}},
        "scopes": ["repository:write"],
    }});
    config["rules"] = json!([
        {"name": "bot", "match": {"path": "/bot/**"}, "allow": "signed_in", "inject": {"bot": "deployer"}},
        {"match": {"path": "/git/**"}, "allow": "signed_in", "inject": {"bot": "deployer", "as": "git"}},
        {"match": {"path": "/healthz"}, "allow": "public"},
        {"match": {"path": "/**"}, "allow": "signed_in", "inject": "bearer"},
    ]);
}

fn setup() -> Setup {
    Setup {
        config,
        ..Setup::with_clock()
    }
}

fn signed_in<'w>(world: &'w mut World, name: &str) -> Browser<'w> {
    let person = world.person(name);
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &person).status(), 302);
    browser
}

/// How often Bitbucket was asked for a token of a bot, and understood the question.
fn fetched(world: &World) -> usize {
    let bitbucket = world.bitbucket();
    let ledger = bitbucket.ledger().iter();
    let of_bots = ledger.filter(|entry| entry.grant_type.as_deref() == Some("client_credentials"));
    of_bots.count()
}

/// The clock of the root context runs by itself in Envoy; natively each request moves it.
fn eventually(world: &mut World, what: &str, mut holds: impl FnMut(&mut World) -> bool) {
    for _ in 0..400 {
        // It tells the module the time.
        let request = http::Request::get("/healthz").header("host", "localhost:10000");
        assert_eq!(world.send(request.body(Vec::new()).unwrap()).status(), 200);
        if holds(world) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("never: {what}");
}

/// What the service got as `Authorization` of the last request.
fn passed_on(world: &World) -> String {
    let upstream = world.upstream();
    let received = upstream.last_request().unwrap();
    let mut all = received
        .headers
        .iter()
        .filter(|(name, _)| name == "authorization");
    let (_, value) = all.next().expect("a credential");
    assert!(all.next().is_none(), "one credential");
    String::from_utf8(value.clone()).unwrap()
}

/// The token that the service got. It is one of the bot, and Bitbucket takes it now.
fn bots_token(world: &World) -> String {
    let value = passed_on(world);
    let token = match value.strip_prefix("Basic ") {
        None => value.strip_prefix("Bearer ").unwrap().to_owned(),
        Some(encoded) => {
            use base64::{Engine, engine::general_purpose::STANDARD};
            let pair = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
            pair.strip_prefix("x-token-auth:").unwrap().to_owned()
        }
    };
    let (now, bitbucket) = (world.around.clock.now(), world.bitbucket());
    assert!(bitbucket.is_good(now, &token), "a token that has ended");
    for person in &bitbucket.settings.people {
        let theirs = bitbucket.access_tokens_of(&person.account_id);
        assert!(!theirs.contains(&token), "the token of a person");
    }
    token
}

/// A worker takes a token over within a second of its clock.
fn until_another(browser: &mut Browser<'_>, token: &str) {
    for _ in 0..400 {
        assert_eq!(browser.fetch("/bot/x").status(), 200);
        if bots_token(browser.world) != token {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("the worker has the old token");
}

fn outage(world: &World) {
    world.bitbucket().fail_next(Fault {
        path: TOKEN.to_owned(),
        times: 1_000_000,
        response: FaultResponse::Status(503),
    });
}

story!(
    a_bots_token_is_there_before_the_first_request_and_passed_on_in_both_forms,
    setup(),
    |world| {
        eventually(world, "a token", |world| fetched(world) == 1);
        let ada = world.person("ada");
        let mut browser = signed_in(world, "ada");
        let mut request = http::Request::get("/bot/x").body(Vec::new()).unwrap();
        let own = "Bearer of-the-client".parse().unwrap();
        request.headers_mut().insert("authorization", own);
        assert_eq!(browser.send(request).status(), 200);
        let token = bots_token(browser.world);
        assert!(passed_on(browser.world).starts_with("Bearer "));
        let received = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(received.header("x-forwarded-user"), Some(ada.as_str()));
        assert_eq!(received.header("x-bitgate-principal"), Some("person"));
        assert_eq!(browser.fetch("/git/x.git/info/refs").status(), 200);
        assert!(passed_on(browser.world).starts_with("Basic "));
        assert!(bots_token(browser.world) == token, "another token");
        // The person's own token goes where a rule says so.
        assert_eq!(browser.fetch("/other").status(), 200);
        let own = passed_on(browser.world);
        assert!(own.starts_with("Bearer ") && !own.contains(&token));
        assert_eq!(fetched(browser.world), 1);
        assert_eq!(browser.world.edge.gauge(FAILURES), 0);
        if let Some(envoy) = browser.world.edge.envoy() {
            let wanted = "bitgate_bot_failures{bitgate_bot=\"deployer\"} 0";
            let metrics = envoy.prometheus();
            assert!(metrics.contains(wanted), "{metrics}");
        }
        let log = browser.world.edge.log().join("\n");
        assert!(log.contains(r#""event":"bot_fetched","bot":"deployer""#));
        assert!(!log.contains(&token) && !log.contains("demo-bot-secret"));
    }
);

story!(
    nobody_without_a_session_gets_the_bots_token,
    setup(),
    |world| {
        eventually(world, "a token", |world| fetched(world) == 1);
        for path in ["/bot/x", "/git/x"] {
            let request = http::Request::get(path).header("host", "localhost:10000");
            let request = request.header("authorization", "Bearer x");
            let seen = world.upstream().count();
            let answer = world.send(request.body(Vec::new()).unwrap());
            assert_eq!(header(&answer, "x-bitgate-reason"), "no_session");
            assert_eq!(world.upstream().count(), seen);
        }
    }
);

story!(a_bots_token_is_renewed_before_it_ends, setup(), |world| {
    eventually(world, "a token", |world| fetched(world) == 1);
    let mut browser = signed_in(world, "ada");
    for round in 1..=4 {
        assert_eq!(browser.fetch("/bot/x").status(), 200);
        let token = bots_token(browser.world);
        browser.world.advance(5_300);
        assert_eq!(browser.fetch("/bot/x").status(), 200);
        assert!(bots_token(browser.world) == token, "another token");
        assert_eq!(fetched(browser.world), round);
        // 80% have passed. Nobody has to ask for it.
        browser.world.advance(500);
        eventually(browser.world, "the next", |world| {
            fetched(world) == round + 1
        });
        eventually(browser.world, "its life", |world| {
            world.edge.gauge(LEFT) > 7_100
        });
        until_another(&mut browser, &token);
    }
    let now = browser.world.around.clock.now();
    let age = now - browser.world.edge.gauge(LAST_SUCCESS);
    assert!(age < 100, "{age}");
});

story!(
    a_request_after_the_end_of_the_token_waits_for_the_next_one,
    setup(),
    |world| {
        eventually(world, "a token", |world| fetched(world) == 1);
        let mut browser = signed_in(world, "ada");
        browser.world.advance(7_300);
        // The person's token has ended, too.
        let answer = browser.fetch("/bot/x");
        assert_eq!(answer.status(), 200, "{}", body(&answer));
        bots_token(browser.world);
        assert_eq!(fetched(browser.world), 2);
    }
);

story!(
    ten_minutes_without_the_token_endpoint_are_noticed_by_the_alarm_alone,
    setup(),
    |world| {
        eventually(world, "a token", |world| fetched(world) == 1);
        // So that nobody's session is in the way.
        world.advance(3_000);
        let mut browser = signed_in(world, "ada");
        assert_eq!(browser.fetch("/bot/x").status(), 200);
        let token = bots_token(browser.world);
        browser.world.advance(2_800);
        outage(browser.world);
        eventually(browser.world, "a failure", |world| {
            world.edge.gauge(FAILURES) >= 1
        });
        let calls = browser.world.bitbucket().count(TOKEN);
        let mut last = 0;
        for _ in 0..60 {
            browser.world.advance(10);
            let answer = browser.fetch("/bot/x");
            assert_eq!(answer.status(), 200, "{}", body(&answer));
            assert!(bots_token(browser.world) == token, "another token");
            if crate::KIND == Kind::Envoy {
                // Its root context looks once in a second of ours, whatever the clock says.
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            let failures = browser.world.edge.gauge(FAILURES);
            assert!(failures >= last);
            last = failures;
        }
        let tried = browser.world.bitbucket().count(TOKEN) - calls;
        assert!(tried <= 25, "{tried} calls in ten minutes");
        let least = match crate::KIND {
            Kind::Native => 8,
            Kind::Envoy => 3,
        };
        assert!(last >= least, "the alarm rises: {last}");
        eventually(browser.world, "an end in sight", |world| {
            world.edge.gauge(LEFT) < 900
        });
        browser.world.bitbucket().forgive();
        browser.world.advance(61);
        eventually(browser.world, "the next", |world| fetched(world) == 2);
        eventually(browser.world, "the end of the alarm", |world| {
            world.edge.gauge(FAILURES) == 0
        });
        until_another(&mut browser, &token);
        let log = browser.world.edge.log().join("\n");
        assert!(log.contains(r#""event":"bot_not_fetched","reason":"bitbucket_unavailable""#));
    }
);

story!(
    after_its_end_a_token_is_not_used_and_nothing_takes_its_place,
    setup(),
    |world| {
        eventually(world, "a token", |world| fetched(world) == 1);
        world.advance(3_000);
        let mut browser = signed_in(world, "ada");
        outage(browser.world);
        browser.world.advance(4_100);
        assert_eq!(browser.fetch("/bot/x").status(), 200);
        bots_token(browser.world);
        browser.world.advance(200);
        // In Envoy the first one may wait for one more attempt.
        for path in ["/bot/x", "/git/x", "/bot/y"] {
            let seen = browser.world.upstream().count();
            let answer = browser.fetch(path);
            assert_eq!(answer.status(), 503);
            assert_eq!(header(&answer, "x-bitgate-reason"), "bot_unavailable");
            assert!(!header(&answer, "retry-after").is_empty());
            assert_eq!(browser.world.upstream().count(), seen, "nothing goes on");
        }
        assert_eq!(browser.open("/bot/x").status(), 503, "no sign-in helps");
        assert_eq!(browser.fetch("/other").status(), 200);
        let log = browser.world.edge.log().join("\n");
        assert!(log.contains(r#""reason":"bot_unavailable","rule":"bot""#));
        browser.world.bitbucket().forgive();
        browser.world.advance(61);
        let answer = browser.fetch("/bot/x");
        assert_eq!(answer.status(), 200, "{}", body(&answer));
        bots_token(browser.world);
    }
);

story!(
    a_bot_that_bitbucket_refuses_is_a_mistake_of_the_configuration,
    Setup {
        config: |config| {
            self::config(config);
            config["bots"]["deployer"]["client_credentials"]["client_secret"] =
                json!({"inline": "canary-wrong-secret"});
        },
        ..setup()
    },
    |world| {
        eventually(world, "a failure", |world| world.edge.gauge(FAILURES) >= 1);
        let asked = world.bitbucket().count(TOKEN);
        let mut browser = signed_in(world, "ada");
        for _ in 0..5 {
            let answer = browser.fetch("/bot/x");
            assert_eq!(header(&answer, "x-bitgate-reason"), "bot_unavailable");
        }
        assert_eq!(browser.fetch("/other").status(), 200);
        let world = browser.world;
        // One of the sign-in. A secret does not get right by being tried again.
        assert_eq!(world.bitbucket().count(TOKEN), asked + 1);
        world.advance(61);
        eventually(world, "one more", |world| world.edge.gauge(FAILURES) == 2);
        let log = world.edge.log().join("\n");
        assert!(log.contains(r#""event":"bot_not_fetched","reason":"client_refused""#));
        assert!(log.contains("check client_id and client_secret") && !log.contains("canary"));
    }
);

story!(
    a_token_with_less_than_the_configuration_wants_is_not_used,
    Setup {
        config: |config| {
            self::config(config);
            config["bots"]["deployer"]["scopes"] = json!(["pipeline", "repository:write"]);
        },
        ..setup()
    },
    |world| {
        eventually(world, "a failure", |world| world.edge.gauge(FAILURES) >= 1);
        let mut browser = signed_in(world, "ada");
        let answer = browser.fetch("/bot/x");
        assert_eq!(header(&answer, "x-bitgate-reason"), "bot_unavailable");
        let log = browser.world.edge.log().join("\n");
        assert!(log.contains(r#""event":"bot_not_fetched","reason":"missing_scope""#));
        assert!(
            log.contains(
                "expected a token with pipeline, but found less: tick them on the consumer"
            )
        );
    }
);

story!(
    a_fetched_token_asks_for_groups_and_one_that_is_not_accepted_is_replaced,
    Setup {
        example: "access.yaml",
        config: |config| {
            let mut bots = config["bots"].take();
            bots["deployer"] = bots["mirror"].take();
            bots["mirror"] = json!({"access_token": {"inline": "unused"}});
            config["bots"] = bots;
            config["groups"]["bot"] = json!("deployer");
            config["rights"] = json!({"max_age": "10s", "grace": "1h", "bot": "deployer"});
        },
        bitbucket: |settings| {
            let directory = &mut settings.directory;
            directory
                .set_role("acme", "app:demo-bot", Some(Role::Owner))
                .unwrap();
        },
        ..Setup::with_clock()
    },
    |world| {
        let groups = "/1.0/groups/acme";
        eventually(world, "the groups", |world| {
            world.bitbucket().count(groups) == 1
        });
        let mut browser = signed_in(world, "ada");
        assert_eq!(browser.fetch("/deploy").status(), 200);
        assert_eq!(browser.fetch("/members").status(), 200);
        assert_eq!(browser.fetch("/artifacts/acme/widgets/x").status(), 200);
        let world = browser.world;
        let asked = world.bitbucket().ledger().to_vec();
        let by_bot = |kind: &str| {
            let of_kind = asked.iter().filter(|entry| entry.kind.contains(kind));
            of_kind
                .filter(|entry| entry.client_id.as_deref() == Some("demo-bot"))
                .count()
        };
        assert_eq!(by_bot("permissions/repositories"), 1);
        assert_eq!(fetched(world), 1);
        // Somebody takes the token back. It is fetched anew, and no more often than once in a minute.
        world.bitbucket().fail_next(Fault {
            path: groups.to_owned(),
            times: 2,
            response: FaultResponse::Status(401),
        });
        world.advance(11);
        eventually(world, "a refusal", |world| {
            world.bitbucket().count(groups) == 2
        });
        assert_eq!(fetched(world), 1);
        world.advance(60);
        eventually(world, "another token", |world| fetched(world) == 2);
        world.advance(10);
        eventually(world, "the groups again", |world| {
            world.bitbucket().count(groups) >= 4
        });
        assert_eq!(fetched(world), 2);
        let mut browser = signed_in(world, "ada");
        assert_eq!(browser.fetch("/deploy").status(), 200);
    }
);

story!(
    two_workers_make_one_call,
    Setup {
        workers: 2,
        ..setup()
    },
    |world| {
        eventually(world, "a token", |world| fetched(world) >= 1);
        let mut browser = signed_in(world, "ada");
        // Each connection may go to another worker.
        for _ in 0..40 {
            assert_eq!(browser.fetch("/bot/x").status(), 200);
        }
        let token = bots_token(browser.world);
        browser.world.advance(5_800);
        eventually(browser.world, "the next", |world| fetched(world) >= 2);
        eventually(browser.world, "its life", |world| {
            world.edge.gauge(LEFT) > 7_100
        });
        // Both have taken it over within a second of their clocks.
        std::thread::sleep(std::time::Duration::from_millis(match crate::KIND {
            Kind::Native => 0,
            Kind::Envoy => 2_100,
        }));
        for _ in 0..40 {
            assert_eq!(browser.fetch("/bot/x").status(), 200);
            assert!(bots_token(browser.world) != token, "the old token");
        }
        assert_eq!(fetched(browser.world), 2);
    }
);

story!(
    who_has_a_token_acts_with_it_and_the_bot_for_all_others,
    Setup {
        config: |config| {
            self::config(config);
            config["bots"]["deployer"]["client_credentials"]["client_secret"] =
                json!({"inline": "canary-wrong-secret"});
            config["bots"]["reader"] =
                json!({"access_token": {"inline": "ATCT-canary-of-a-bot-0001"}});
            let acme = "{77aa0000-1111-4222-8333-444455556666}";
            config["issuers"] = json!([
                {"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": acme}},
            ]);
            config["callers"] = json!({"bitbucket": {"accept": ["api_tokens"]}});
            let rule = |path: &str, bot: &str, form: &str| {
                json!({
                    "match": {"path": path},
                    "allow": {"any_of": ["signed_in", {"pipeline": {"workspace": "acme"}}]},
                    "inject": {"bot": bot, "as": form, "own_first": true},
                })
            };
            config["rules"] = json!([
                rule("/git", "reader", "git"),
                rule("/bearer", "reader", "bearer"),
                // A bot without a token: who needs none does not wait for it.
                rule("/down", "deployer", "git"),
                {"match": {"path": "/healthz"}, "allow": "public"},
                {"match": {"path": "/**"}, "allow": "signed_in"},
            ]);
        },
        ..setup()
    },
    |world| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        let person = world.person("ada");
        let mut browser = signed_in(world, "ada");
        for path in ["/git", "/bearer", "/down"] {
            assert_eq!(browser.fetch(path).status(), 200);
            let tokens = browser.world.bitbucket().access_tokens_of(&person);
            let expected = match path {
                "/bearer" => format!("Bearer {}", tokens[0]),
                _ => basic(&format!("x-token-auth:{}", tokens[0])),
            };
            assert_eq!(passed_on(browser.world), expected, "{path}");
        }

        let ask = |world: &mut World, path: &str, authorization: &str| {
            let request = http::Request::get(path)
                .header("host", "localhost:10000")
                .header("authorization", authorization);
            let answer = world.send(request.body(Vec::new()).unwrap());
            (
                answer.status().as_u16(),
                header(&answer, "x-bitgate-reason").to_owned(),
            )
        };
        let ok = (200, String::new());
        let token = "ATATT3xFfGF0-demo-api-token";
        let alone = basic(&format!("ada@example.com:{token}"));
        let for_git = basic(&format!("x-bitbucket-api-token-auth:{token}"));
        for (path, expected) in [("/git", &for_git), ("/bearer", &alone), ("/down", &for_git)] {
            assert_eq!(ask(world, path, &alone), ok);
            assert_eq!(passed_on(world), *expected, "{path}");
        }

        let ran = json!({"workspace": "acme", "ran": true});
        control(world, "pipelines", &ran);
        let step = json!({"workspace": "acme", "repository": "widgets", "branch": "main"});
        let step = control(world, "pipelines/tokens", &step)["token"].clone();
        let step = format!("Bearer {}", step.as_str().unwrap());
        let bots = "ATCT-canary-of-a-bot-0001";
        world.advance(6);
        for (path, expected) in [
            ("/git", basic(&format!("x-token-auth:{bots}"))),
            ("/bearer", format!("Bearer {bots}")),
        ] {
            eventually(world, "keys", |world| ask(world, path, &step) == ok);
            assert_eq!(passed_on(world), expected, "{path}");
        }
        assert_eq!(
            ask(world, "/down", &step),
            (503, "bot_unavailable".to_owned())
        );
    }
);
