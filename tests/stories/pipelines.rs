//! Steps of Bitbucket Pipelines: let in by what their tokens say, and by nothing else.

use base64::{Engine, engine::general_purpose::STANDARD};
use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use serde_json::{Value, json};

use crate::support::browser::header;
use crate::support::control::control;
use crate::support::setup::Setup;
use crate::support::world::{Kind, World};
use crate::support::{Request, Response};

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";
const PRODUCTION: &str = "{de910000-1111-4222-8333-444455556666}";
const KEYS: &str = "/2.0/workspaces/acme/pipelines-config/identity/oidc/keys.json";

fn config(config: &mut Value) {
    config["issuers"] = json!([
        {"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": ACME}},
    ]);
    config["bots"] = json!({"reader": {"access_token": {"inline": "ATCT-canary-of-the-bot-0001"}}});
    config["repositories"] = json!({"acme/widgets": WIDGETS});
    config["rights"] = json!({"bot": "reader"});
    let rule = |path: &str, allow: Value, inject: Value| json!({"match": {"path": path, "methods": ["GET", "POST"]}, "allow": allow, "inject": inject});
    let bot = json!({"bot": "reader"});
    config["rules"] = json!([
        rule(
            "/pipeline",
            json!({"pipeline": {"workspace": "acme"}}),
            bot.clone()
        ),
        rule(
            "/widgets",
            json!({"pipeline": {"repository": WIDGETS}}),
            bot.clone()
        ),
        rule(
            "/named",
            json!({"pipeline": {"workspace": ACME, "repository": "widgets"}}),
            bot
        ),
        rule(
            "/repo/{repo}",
            json!({"pipeline": {"repository": "{repo}"}}),
            json!("identity")
        ),
        rule(
            "/main",
            json!({"pipeline": {"workspace": "acme", "branch": "main"}}),
            json!("identity")
        ),
        rule(
            "/release",
            json!({"pipeline": {"workspace": "acme", "branch": ["main", "release/*"]}}),
            json!("none")
        ),
        rule(
            "/production",
            json!({"pipeline": {"workspace": "acme", "deployment_environment": PRODUCTION}}),
            json!("identity")
        ),
        rule(
            "/not-main",
            json!({"not": {"pipeline": {"workspace": "acme", "branch": "main"}}}),
            json!("identity")
        ),
        rule(
            "/outside/{workspace}",
            json!({"not": {"pipeline": {"workspace": "{workspace}", "branch": "none"}}}),
            json!("identity")
        ),
        rule(
            "/mail",
            json!({"any_of": [{"pipeline": {"repository": WIDGETS}}, {"email_domain": "example.com"}]}),
            json!("identity")
        ),
        rule(
            "/scope",
            json!({"any_of": [{"pipeline": {"repository": WIDGETS}}, {"scope": "repository"}]}),
            json!("identity")
        ),
        rule(
            "/either",
            json!({"any_of": [{"workspace": "acme"}, {"principal": "pipeline"}]}),
            json!("identity")
        ),
        rule(
            "/both",
            json!({"any_of": [{"workspace": "acme"}, {"principal": "pipeline"}]}),
            json!("bearer")
        ),
        json!({
            "name": "trial",
            "match": {"path": "/person"},
            "allow": {"any_of": [{"workspace": "acme"}, {"principal": "pipeline"}]},
            "inject": "bearer",
            "shadow": true,
        }),
        rule("/person", json!("signed_in"), json!("identity")),
        rule("/member", json!({"workspace": "acme"}), json!("identity")),
        json!({
            "match": {"path": "/signed"},
            "allow": {"principal": "pipeline"},
            "identity_token": {"audience": "https://reports.internal"},
        }),
        rule("/**", json!({"principal": "pipeline"}), json!("identity")),
    ]);
}

fn setup() -> Setup {
    Setup {
        config,
        ..Setup::with_clock()
    }
}

fn step(world: &World, more: &Value) -> String {
    control(
        world,
        "pipelines",
        &json!({"workspace": "acme", "ran": true}),
    );
    let mut document = json!({"workspace": "acme", "repository": "widgets", "branch": "main"});
    let members = more.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(members);
    let answer = control(world, "pipelines/tokens", &document);
    answer["token"].as_str().unwrap().to_owned()
}

fn request(path: &str, authorization: &str) -> Request {
    let request = http::Request::get(path).header("host", "localhost:10000");
    request
        .header("authorization", authorization)
        .body(Vec::new())
        .unwrap()
}

fn ask(world: &mut World, path: &str, token: &str) -> Response {
    world.send(request(path, &format!("Bearer {token}")))
}

fn verdict(world: &mut World, path: &str, token: &str) -> String {
    let answer = ask(world, path, token);
    match answer.status().as_u16() {
        200 => "ok".to_owned(),
        _ => header(&answer, "x-bitgate-reason").to_owned(),
    }
}

fn received(world: &World, name: &str) -> Option<String> {
    let upstream = world.upstream();
    let found = upstream.last_request().unwrap().header(name);
    found.map(str::to_owned)
}

story!(
    a_step_may_what_the_rules_say_about_its_token,
    setup(),
    |world| {
        let main = step(world, &json!({}));
        let release = step(world, &json!({"branch": "release/1.2"}));
        let other = step(world, &json!({"repository": "gadgets", "branch": "main"}));
        let tag = step(world, &json!({"branch": null}));
        let deploys = json!({"deployment_environment": {"name": "production", "uuid": PRODUCTION}});
        let deploys = step(world, &deploys);
        let denied = "pipeline_not_allowed";
        for (path, expected) in [
            ("/pipeline", ["ok", "ok", "ok", "ok", "ok"]),
            ("/widgets", ["ok", "ok", denied, "ok", "ok"]),
            ("/named", ["ok", "ok", denied, "ok", "ok"]),
            ("/repo/widgets", ["ok", "ok", denied, "ok", "ok"]),
            ("/main", ["ok", denied, "ok", denied, "ok"]),
            ("/release", ["ok", "ok", "ok", denied, "ok"]),
            ("/production", [denied, denied, denied, denied, "ok"]),
            (
                "/not-main",
                ["not_allowed", "ok", "not_allowed", "ok", "not_allowed"],
            ),
            ("/outside/acme", ["ok"; 5]),
            // It is no name of a workspace, so that it is another one says nothing.
            ("/outside/ACME", [denied; 5]),
            // It has neither an address nor scopes, and that is no news.
            ("/mail", ["ok", "ok", denied, "ok", "ok"]),
            ("/scope", ["ok", "ok", denied, "ok", "ok"]),
            ("/either", ["ok"; 5]),
            ("/both", ["no_token"; 5]),
            ("/person", ["wrong_principal"; 5]),
            ("/member", ["wrong_principal"; 5]),
            ("/anything", ["ok"; 5]),
        ] {
            let tokens = [&main, &release, &other, &tag, &deploys];
            let verdicts = tokens.map(|token| verdict(world, path, token));
            assert_eq!(verdicts, expected, "{path}");
        }
        let log = world.edge.log();
        let trials = log.iter().filter(|line| line.contains("\"shadowed\""));
        let trials: Vec<_> = trials.collect();
        assert_eq!(trials.len(), 5);
        // The rule on trial has the token of whoever acts, and a step has none.
        let is_told = |line: &&String| line.contains("\"reason\":\"no_token\"");
        assert!(trials.iter().all(is_told), "{trials:?}");
    }
);

story!(
    what_a_service_gets_is_the_bots_credential_and_who_calls,
    setup(),
    |world| {
        let token = step(world, &json!({}));
        for (path, authorization) in [
            ("/pipeline", Some("Bearer ATCT-canary-of-the-bot-0001")),
            ("/main", None),
            ("/release", None),
        ] {
            assert_eq!(verdict(world, path, &token), "ok");
            assert_eq!(
                received(world, "authorization").as_deref(),
                authorization,
                "{path}"
            );
            assert_eq!(received(world, "x-forwarded-user"), None);
            let kind = (path != "/release").then_some("pipeline");
            assert_eq!(
                received(world, "x-bitgate-principal").as_deref(),
                kind,
                "{path}"
            );
        }
        // git brings it as a password.
        let pair = STANDARD.encode(format!("x-token-auth:{token}"));
        let answer = world.send(request("/main", &format!("Basic {pair}")));
        assert_eq!(answer.status(), 200);
        assert_eq!(received(world, "authorization"), None);
    }
);

story!(
    a_service_that_verifies_learns_which_step_calls,
    setup(),
    |world| {
        let token = step(world, &json!({}));
        assert_eq!(verdict(world, "/signed", &token), "ok");
        let signed = received(world, "x-bitgate-identity-token").unwrap();
        let claims = signed.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(claims)
            .unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["principal"], "pipeline");
        assert_eq!(claims["workspaceUuid"], ACME);
        assert_eq!(claims["repositoryUuid"], WIDGETS);
        assert_eq!(claims["branchName"], "main");
        assert!(claims["sub"].as_str().unwrap().starts_with(WIDGETS));
        assert!(
            claims["token_issuer"]
                .as_str()
                .unwrap()
                .ends_with("/identity/oidc")
        );
        assert!(claims.get("auth_time").is_none());
        // In the minute that clocks may differ by the token still counts, and so does what is made of it.
        let late = step(world, &json!({"exp": 60}));
        world.advance(90);
        assert_eq!(verdict(world, "/signed", &late), "ok");
        let signed = received(world, "x-bitgate-identity-token").unwrap();
        let claims = signed.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(claims)
            .unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert!(claims["exp"].as_u64() > claims["iat"].as_u64(), "{claims}");
    }
);

story!(no_other_token_is_accepted, setup(), |world| {
    let beta = json!({"workspace": "beta-labs", "ran": true});
    control(world, "pipelines", &beta);
    let issuer = step(world, &json!({}));
    assert_eq!(verdict(world, "/pipeline", &issuer), "ok");
    let other_workspace = json!({"workspace": "beta-labs", "repository": "lab"});
    let other_workspace = step(world, &other_workspace);
    // Its issuer is not configured, so nobody here judges it.
    assert_eq!(
        verdict(world, "/pipeline", &other_workspace),
        "invalid_token"
    );
    let iss = json!({"iss": format!("http://127.0.0.1:10002{}", KEYS.strip_suffix("/keys.json").unwrap())});
    for (name, more, expected) in [
        (
            "another audience",
            json!({"audiences": ["somebody-else"]}),
            "wrong_audience",
        ),
        (
            "no audience",
            json!({"claims": {"aud": null}}),
            "wrong_audience",
        ),
        (
            "another workspace in it",
            json!({"claims": {"workspaceUuid": "{88bb0000-1111-4222-8333-444455556666}"}}),
            "invalid_token",
        ),
        (
            "no workspace in it",
            json!({"claims": {"workspaceUuid": null}}),
            "invalid_token",
        ),
        (
            "no repository in it",
            json!({"claims": {"repositoryUuid": null}}),
            "invalid_token",
        ),
        (
            "a repository that is no UUID",
            json!({"claims": {"repositoryUuid": "widgets"}}),
            "invalid_token",
        ),
        ("expired", json!({"exp": -120}), "token_expired"),
        (
            "without an end",
            json!({"claims": {"exp": null}}),
            "invalid_token",
        ),
        ("not yet valid", json!({"nbf": 3_600}), "invalid_token"),
        (
            "issued in the future",
            json!({"iat": 3_600}),
            "invalid_token",
        ),
        ("unsigned", json!({"signature": "none"}), "invalid_token"),
        (
            "HMAC with the public key",
            json!({"signature": "hmac"}),
            "invalid_token",
        ),
        (
            "another key of that name",
            json!({"signature": "foreign"}),
            "invalid_token",
        ),
        (
            "a key in the header",
            json!({"signature": "foreign", "header": {"jwk": {"kty": "RSA", "e": "AQAB", "n": "AQAB"}}}),
            "invalid_token",
        ),
        (
            "an address of keys in the header",
            json!({"signature": "foreign", "header": {"jku": "https://evil.example/keys"}}),
            "invalid_token",
        ),
        (
            "a critical extension",
            json!({"header": {"crit": ["exp"]}}),
            "invalid_token",
        ),
        (
            "another type",
            json!({"header": {"typ": "logout+jwt"}}),
            "invalid_token",
        ),
        (
            "an algorithm that is not the issuer's",
            json!({"header": {"alg": "RS512"}}),
            "invalid_token",
        ),
        (
            "another issuer with the same keys",
            json!({"claims": {"iss": "https://evil.example"}}),
            "invalid_token",
        ),
        (
            "the issuer with a slash",
            json!({"claims": {"iss": format!("{}/", iss["iss"].as_str().unwrap())}}),
            "invalid_token",
        ),
    ] {
        let token = step(world, &more);
        let answer = ask(world, "/pipeline", &token);
        assert_eq!(answer.status(), 401, "{name}");
        assert_eq!(header(&answer, "x-bitgate-reason"), expected, "{name}");
        let challenge = header(&answer, "www-authenticate");
        assert!(challenge.contains("error=\"invalid_token\""), "{name}");
    }
    let mut parts: Vec<&str> = issuer.split('.').collect();
    let long = "A".repeat(14_000);
    parts[2] = "";
    for token in [
        parts.join("."),
        format!("{issuer}."),
        format!("{issuer}="),
        issuer.replacen('.', "..", 1),
        format!("{}.{long}.{}", parts[0], parts[0]),
        issuer.to_lowercase(),
    ] {
        let answer = ask(world, "/pipeline", &token);
        assert_eq!(answer.status(), 401, "{token:.80}");
    }
    assert_eq!(world.upstream().count(), 1);
});

story!(keys_rotate_without_a_failed_request, setup(), |world| {
    let keys = |world: &World| world.bitbucket().count(KEYS);
    let first = step(world, &json!({}));
    assert_eq!(verdict(world, "/pipeline", &first), "ok");
    assert_eq!(keys(world), 1);
    world.advance(60);
    // It signs at once, and nobody here has seen it.
    control(
        world,
        "pipelines/keys",
        &json!({"published": true, "signs": true}),
    );
    let second = step(world, &json!({}));
    assert_eq!(verdict(world, "/pipeline", &second), "ok");
    assert_eq!(verdict(world, "/pipeline", &first), "ok");
    assert!((2..=by_edge(2, 5)).contains(&keys(world)));
});

story!(
    a_flood_of_unknown_keys_fetches_few_times,
    setup(),
    |world| {
        let token = step(world, &json!({}));
        assert_eq!(verdict(world, "/pipeline", &token), "ok");
        let before = world.bitbucket().count(KEYS);
        for number in 0..300 {
            let header = json!({"header": {"kid": format!("made-up-{number}")}});
            let made_up = step(world, &header);
            assert_eq!(ask(world, "/pipeline", &made_up).status(), 401);
            if number % 100 == 99 {
                world.advance(31);
            }
        }
        let fetched = world.bitbucket().count(KEYS) - before;
        assert!(fetched <= by_edge(4, 30), "{fetched}");
        assert_eq!(verdict(world, "/pipeline", &token), "ok");
    }
);

/// Envoy's main thread does not hear of the tests' clock: once workers have moved on, it takes theirs to have
/// been set back, and asks for keys by its own, once a second at most.
fn by_edge(natively: usize, through_envoy: usize) -> usize {
    match crate::KIND {
        Kind::Native => natively,
        Kind::Envoy => through_envoy,
    }
}

fn down(world: &World) {
    world.bitbucket().fail_next(Fault {
        path: KEYS.to_owned(),
        times: 1_000,
        response: FaultResponse::Status(503),
    });
}

story!(
    keys_that_cannot_be_had_are_503_and_never_401,
    Setup {
        has_pipelines: false,
        ..setup()
    },
    |world| {
        let token = step(world, &json!({"lifetime": 86_000}));
        down(world);
        for _ in 0..5 {
            let answer = ask(world, "/pipeline", &token);
            assert_eq!(answer.status(), 503);
            assert_eq!(header(&answer, "x-bitgate-reason"), "keys_unavailable");
        }
        world.bitbucket().forgive();
        world.advance(61);
        assert_eq!(verdict(world, "/pipeline", &token), "ok");
        // The last good ones stay, and their age shows.
        down(world);
        world.advance(80_000);
        assert_eq!(verdict(world, "/pipeline", &token), "ok");
        let age = "bitgate_issuer_keys_age_seconds.issuer.pipelines_acme";
        let is_old = |world: &mut World| world.edge.gauge(age) >= 80_000;
        let mut looks = 0;
        while !is_old(world) && looks < 200 {
            looks += 1;
            std::thread::sleep(std::time::Duration::from_millis(25));
            ask(world, "/pipeline", &token);
        }
        assert!(is_old(world), "{}", world.edge.gauge(age));
    }
);

story!(
    a_token_ends_when_it_says_so_however_often_it_was_used,
    setup(),
    |world| {
        let token = step(world, &json!({"lifetime": 600}));
        for _ in 0..20 {
            assert_eq!(verdict(world, "/pipeline", &token), "ok");
        }
        assert_eq!(world.bitbucket().count(KEYS), 1);
        world.advance(661);
        assert_eq!(verdict(world, "/pipeline", &token), "token_expired");
        let log = world.edge.log().join("\n");
        assert!(log.contains("token_expired"));
        assert!(!log.contains(&token), "a token in the log");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!log.contains(signature));
        if let Some(shared) = world.edge.shared_data() {
            assert!(!shared.contains(signature), "a token in shared data");
        }
    }
);

story!(
    a_repository_of_a_step_is_asked_for_by_its_uuid,
    Setup {
        config: |all| {
            config(all);
            all["repositories"] = json!({});
            all["rules"] = json!([
                {"match": {"path": "/{workspace}/{repo}"}, "allow": {"pipeline": {"workspace": "{workspace}", "repository": "{repo}"}}},
            ]);
        },
        ..Setup::with_clock()
    },
    |world| {
        let document = json!({"workspace": "acme", "scopes": ["repository"], "token": "ATCT-canary-of-the-bot-0001"});
        control(world, "access_tokens", &document);
        let token = step(world, &json!({}));
        assert_eq!(verdict(world, "/acme/widgets", &token), "ok");
        let asked = world.bitbucket_calls();
        for path in [
            "/acme/gadgets",
            "/acme/made-up",
            "/acme/other",
            "/beta-labs/widgets",
            "/acme/Widgets",
        ] {
            assert_eq!(
                verdict(world, path, &token),
                "pipeline_not_allowed",
                "{path}"
            );
        }
        // Names that nobody has cost nothing.
        assert_eq!(world.bitbucket_calls(), asked);
        {
            let mut bitbucket = world.bitbucket();
            let directory = &mut bitbucket.settings.directory;
            directory
                .rename_repository("acme", "widgets", "gears")
                .unwrap();
            directory
                .rename_repository("acme", "gadgets", "widgets")
                .unwrap();
        }
        world.advance(301);
        assert_eq!(
            verdict(world, "/acme/widgets", &token),
            "pipeline_not_allowed"
        );
        assert_eq!(verdict(world, "/acme/gears", &token), "ok");
    }
);

story!(
    other_issuers_are_bots_and_nobodys_account,
    Setup {
        config: |all| {
            config(all);
            all["issuers"] = json!([{
                "issuer": "http://127.0.0.1:10002/2.0/workspaces/acme/pipelines-config/identity/oidc",
                "jwks": {"cluster": "bitbucket_api", "url": format!("http://127.0.0.1:10002{KEYS}")},
                "audiences": ["bitgate"],
                "required_claims": {"branchName": ["main", "next"]},
            }]);
            let issuer = all["issuers"][0]["issuer"].clone();
            all["rules"] = json!([
                {"match": {"path": "/bot"}, "allow": {"principal": "bot"}},
                {"match": {"path": "/issuer"}, "allow": {"issuer": issuer}},
                {"match": {"path": "/subject"}, "allow": {"issuer": issuer, "subject": "deployer"}},
                {"match": {"path": "/account"}, "allow": {"account": "557058:3f0c8a52-6b1d-4f7e-9a50-2d1f6a7c1e11"}},
                {"match": {"path": "/not-account"}, "allow": {"not": {"account": "557058:x"}}},
                {"match": {"path": "/**"}, "allow": "signed_in"},
            ]);
        },
        ..Setup::with_clock()
    },
    |world| {
        let ada = world.person("ada");
        let token = |world: &World, subject: &str, branch: &str| {
            step(
                world,
                &json!({"audiences": ["bitgate"], "claims": {"sub": subject, "branchName": branch}}),
            )
        };
        let deployer = token(world, "deployer", "main");
        let adas = token(world, &ada, "next");
        let other = token(world, "deployer", "other");
        for (path, expected) in [
            ("/bot", ["ok", "ok", "invalid_token"]),
            ("/issuer", ["ok", "ok", "invalid_token"]),
            ("/subject", ["ok", "pipeline_not_allowed", "invalid_token"]),
            (
                "/account",
                ["wrong_principal", "wrong_principal", "invalid_token"],
            ),
            (
                "/not-account",
                ["wrong_principal", "wrong_principal", "invalid_token"],
            ),
            (
                "/x",
                ["wrong_principal", "wrong_principal", "invalid_token"],
            ),
        ] {
            let verdicts = [&deployer, &adas, &other].map(|token| verdict(world, path, token));
            assert_eq!(verdicts, expected, "{path}");
        }
        assert_eq!(received(world, "x-forwarded-user"), None);
        assert_eq!(
            received(world, "x-bitgate-principal").as_deref(),
            Some("bot")
        );
    }
);

story!(a_bad_token_is_not_saved_by_a_session, setup(), |world| {
    let token = step(world, &json!({"exp": -120}));
    let person = world.person("ada");
    let mut browser = world.browser();
    browser.sign_in("/person", &person);
    let cookie = browser.jar.header();
    let world = browser.world;
    let mut request = request("/person", &format!("Bearer {token}"));
    request
        .headers_mut()
        .insert("cookie", cookie.parse().unwrap());
    let answer = world.send(request);
    assert_eq!(header(&answer, "x-bitgate-reason"), "token_expired");
});

story!(
    a_program_can_ask_whom_its_token_makes_it,
    setup(),
    |world| {
        let token = step(world, &json!({"lifetime": 600}));
        let answer = ask(world, "/_bitgate/session", &token);
        assert_eq!(answer.status(), 200);
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(document["principal"], "pipeline");
        assert_eq!(document["repository_uuid"], WIDGETS);
        assert_eq!(document["branch"], "main");
        assert_eq!(document["account_id"], Value::Null);
        assert!(document["seconds_left"].as_u64().unwrap() > 500);
        let old = step(world, &json!({"exp": -120}));
        let answer = ask(world, "/_bitgate/session", &old);
        assert_eq!(header(&answer, "x-bitgate-reason"), "token_expired");
    }
);

story!(
    the_first_pipeline_of_a_workspace_waits_a_minute_at_most,
    Setup {
        has_pipelines: false,
        ..setup()
    },
    |world| {
        let token = step(world, &json!({}));
        let ran = |world: &World, ran: bool| {
            control(
                world,
                "pipelines",
                &json!({"workspace": "acme", "ran": ran}),
            )
        };
        ran(world, false);
        for _ in 0..60 {
            assert_eq!(verdict(world, "/pipeline", &token), "keys_unavailable");
            world.advance(20);
        }
        // Bitbucket takes 60 calls without a credential in an hour.
        let asked = world.bitbucket().count(KEYS);
        assert!(asked <= by_edge(30, 60), "{asked} in 20 minutes");
        let token = step(world, &json!({}));
        ran(world, true);
        world.advance(60);
        assert_eq!(verdict(world, "/pipeline", &token), "ok");
    }
);
