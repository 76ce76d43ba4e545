//! Callers with one of Bitbucket's own tokens: asked about once, and let through as who they are.

use base64::{Engine, engine::general_purpose::STANDARD};
use bitgate_simulator::bitbucket::{Fault, FaultResponse, Role};
use serde_json::{Value, json};

use crate::support::browser::{body, header};
use crate::support::control::control;
use crate::support::setup::Setup;
use crate::support::world::World;
use crate::support::{Request, Response};

const ADDRESS: &str = "grace@example.com";

fn config(config: &mut Value) {
    config["callers"] = json!({"bitbucket": {
        "accept": ["access_tokens", "api_tokens"],
        "workspace": "acme",
        "unknown_budget": 20,
    }});
    let rule = |path: &str, allow: Value, inject: &str| json!({"match": {"path": path}, "allow": allow, "inject": inject});
    config["rules"] = json!([
        rule("/bot", json!({"principal": "bot"}), "bearer"),
        rule(
            "/git",
            json!({"any_of": ["signed_in", {"principal": "bot"}]}),
            "git"
        ),
        rule("/person", json!({"principal": "person"}), "bearer"),
        rule("/signed-in", json!("signed_in"), "identity"),
        rule("/none", json!({"principal": "bot"}), "none"),
        rule("/member", json!({"workspace": "acme"}), "identity"),
        rule(
            "/read/{repo}",
            json!({"repository": "acme/{repo}"}),
            "identity"
        ),
        rule(
            "/write/{repo}",
            json!({"repository": "acme/{repo}", "permission": "write"}),
            "identity"
        ),
        rule(
            "/ws/{workspace}/{repo}",
            json!({"repository": "{workspace}/{repo}"}),
            "identity"
        ),
        json!({"match": {"path": "/healthz"}, "allow": "public"}),
        rule("/**", json!("signed_in"), "identity"),
    ]);
}

fn setup() -> Setup {
    Setup {
        config,
        ..Setup::with_clock()
    }
}

fn token(world: &World, path: &str, document: &Value) -> String {
    let answer = control(world, path, document);
    answer["token"].as_str().unwrap().to_owned()
}

fn access_token(world: &World, more: &Value) -> String {
    let mut document = json!({"workspace": "acme", "scopes": ["repository:write"]});
    let members = more.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(members);
    token(world, "access_tokens", &document)
}

fn api_token(world: &World, name: &str) -> String {
    let scopes = ["user", "workspace", "repository"].map(|it| format!("read:{it}:bitbucket"));
    let document = json!({"account_id": world.person(name), "scopes": scopes});
    token(world, "api_tokens", &document)
}

fn request(path: &str, authorization: &str) -> Request {
    let request = http::Request::get(path).header("host", "localhost:10000");
    let request = request.header("authorization", authorization);
    request.body(Vec::new()).unwrap()
}

fn ask(world: &mut World, path: &str, authorization: &str) -> Response {
    world.send(request(path, authorization))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// "ok", or the reason.
fn verdict(world: &mut World, path: &str, authorization: &str) -> String {
    let answer = ask(world, path, authorization);
    match answer.status().as_u16() {
        200 => "ok".to_owned(),
        _ => header(&answer, "x-bitgate-reason").to_owned(),
    }
}

/// What the service got as `name` of the last request.
fn received(world: &World, name: &str) -> Vec<String> {
    let upstream = world.upstream();
    let headers = &upstream.last_request().unwrap().headers;
    let found = headers.iter().filter(|(known, _)| known == name);
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect()
}

story!(
    an_access_token_is_a_bot_of_its_workspace,
    setup(),
    |world| {
        let workspaces = access_token(world, &json!({}));
        let repositorys = access_token(
            world,
            &json!({"repository": "gadgets", "scopes": ["repository"]}),
        );
        let others = access_token(world, &json!({"workspace": "beta-labs"}));
        for (token, path, expected) in [
            (&workspaces, "/bot", "ok"),
            (&workspaces, "/person", "wrong_principal"),
            (&workspaces, "/signed-in", "wrong_principal"),
            // It may belong to one repository only, so it is no member.
            (&workspaces, "/member", "not_a_member"),
            (&workspaces, "/write/widgets", "ok"),
            (&workspaces, "/read/no-such", "insufficient_permission"),
            (&workspaces, "/ws/acme/widgets", "ok"),
            (&workspaces, "/ws/beta-labs/lab", "insufficient_permission"),
            (&repositorys, "/read/gadgets", "ok"),
            (&repositorys, "/read/widgets", "insufficient_permission"),
            (&repositorys, "/write/gadgets", "insufficient_permission"),
            (&others, "/bot", "credential_refused"),
            (
                &"ATCTT3xFfGN0nobodys-at-all".to_owned(),
                "/bot",
                "credential_refused",
            ),
            (&"ATCTshort".to_owned(), "/bot", "invalid_token"),
        ] {
            assert_eq!(verdict(world, path, &bearer(token)), expected, "{path}");
            // git brings it as a password.
            let basic = basic("x-token-auth", token);
            assert_eq!(verdict(world, path, &basic), expected, "{path} as git");
        }
    }
);

story!(
    a_credential_goes_upstream_as_the_rule_says_and_not_otherwise,
    setup(),
    |world| {
        let access = access_token(world, &json!({}));
        let api = api_token(world, "grace");
        let api_basic = basic(ADDRESS, &api);
        let grace = world.person("grace");
        for (path, authorization, expected) in [
            ("/bot", bearer(&access), vec![bearer(&access)]),
            ("/bot", basic("anything", &access), vec![bearer(&access)]),
            (
                "/git",
                bearer(&access),
                vec![basic("x-token-auth", &access)],
            ),
            ("/none", bearer(&access), vec![]),
            ("/write/widgets", bearer(&access), vec![]),
            ("/person", api_basic.clone(), vec![api_basic.clone()]),
            (
                "/git",
                api_basic.clone(),
                vec![basic("x-bitbucket-api-token-auth", &api)],
            ),
            ("/signed-in", api_basic.clone(), vec![]),
        ] {
            assert_eq!(verdict(world, path, &authorization), "ok", "{path}");
            assert_eq!(received(world, "authorization"), expected, "{path}");
            let (user, kind) = match authorization == api_basic {
                true => (vec![grace.clone()], "person"),
                false => (vec![], "bot"),
            };
            let (user, kind) = match path {
                "/none" => (vec![], vec![]),
                _ => (user, vec![kind.to_owned()]),
            };
            assert_eq!(received(world, "x-forwarded-user"), user, "{path}");
            assert_eq!(received(world, "x-bitgate-principal"), kind, "{path}");
            assert!(received(world, "x-forwarded-email").is_empty());
        }
    }
);

story!(
    an_api_token_is_its_person_with_their_real_rights,
    setup(),
    |world| {
        let grace = basic(ADDRESS, &api_token(world, "grace"));
        for (path, expected) in [
            ("/signed-in", "ok"),
            ("/member", "ok"),
            ("/write/widgets", "ok"),
            ("/read/gadgets", "ok"),
            ("/write/gadgets", "insufficient_permission"),
            ("/read/secrets", "insufficient_permission"),
            ("/ws/beta-labs/lab", "ok"),
            ("/bot", "wrong_principal"),
        ] {
            assert_eq!(verdict(world, path, &grace), expected, "{path}");
        }
        let token = api_token(world, "linus");
        let with = |user: &str| basic(user, &token);
        // Nobody can say whose it is without the address, and with another one Bitbucket says no.
        assert_eq!(
            verdict(world, "/signed-in", &with("x-bitbucket-api-token-auth")),
            "api_token_alone"
        );
        assert_eq!(
            verdict(world, "/signed-in", &bearer(&token)),
            "api_token_alone"
        );
        assert_eq!(
            verdict(world, "/signed-in", &with(ADDRESS)),
            "credential_refused"
        );
        let document =
            json!({"account_id": world.person("ada"), "scopes": ["read:repository:bitbucket"]});
        let narrow = self::token(world, "api_tokens", &document);
        let narrow = basic("ada@example.com", &narrow);
        assert_eq!(
            verdict(world, "/signed-in", &narrow),
            "credential_lacks_scope"
        );
    }
);

story!(
    what_bitbucket_removed_gets_an_answer_that_says_so,
    setup(),
    |world| {
        for authorization in [
            basic("ada", "ATBBvLqYx3wUa7Pq2nEsTzRk9mXd01234567"),
            bearer("ATBBvLqYx3wUa7Pq2nEsTzRk9mXd01234567"),
        ] {
            let answer = ask(world, "/signed-in", &authorization);
            assert_eq!(answer.status(), 401);
            assert_eq!(header(&answer, "x-bitgate-reason"), "app_password_removed");
            assert!(body(&answer).contains("API token"), "{}", body(&answer));
        }
        assert_eq!(world.bitbucket_calls(), 0);
    }
);

story!(a_bad_credential_falls_back_to_nothing, setup(), |world| {
    let person = world.person("ada");
    let mut browser = world.browser();
    browser.sign_in("/", &person);
    let cookie = browser.jar.header();
    let world = browser.world;
    for authorization in [
        "Bearer",
        "Bearer ",
        "bearer  ",
        "Bearer\tATCTT3xFfGN0nobodys-at-all",
        "Bearer ATCTT3xFfGN0nobodys-\u{e9}t-all",
        "Bearer two words",
        "Bearer ATCTT3xFfGN0nobodys-at-all",
        "Basic eC10b2tlbi1hdXRoOg==",
    ] {
        for with_cookie in [false, true] {
            let mut request = request("/", authorization);
            if with_cookie {
                let value = cookie.parse().unwrap();
                request.headers_mut().insert("cookie", value);
            }
            let answer = world.send(request);
            assert_eq!(answer.status(), 401, "{authorization:?} {with_cookie}");
            let challenge = header(&answer, "www-authenticate");
            let expected = "Bearer realm=\"bitgate\", error=\"invalid_token\"";
            assert!(challenge.starts_with(expected), "{challenge}");
        }
    }
    // Two are one too many.
    let mut twice = request("/", &bearer(&access_token(world, &json!({}))));
    let second = twice.headers()["authorization"].clone();
    twice.headers_mut().append("authorization", second);
    let answer = world.send(twice);
    assert_eq!(header(&answer, "x-bitgate-reason"), "invalid_token");
    // What is none of ours decides nothing, and passes on.
    for authorization in ["Bearer somebody-elses", "Digest x", "Basic YTpi"] {
        let mut request = request("/", authorization);
        request
            .headers_mut()
            .insert("cookie", cookie.parse().unwrap());
        assert_eq!(world.send(request).status(), 200, "{authorization}");
        assert_eq!(received(world, "authorization"), [authorization]);
        assert_eq!(received(world, "x-bitgate-principal"), ["person"]);
    }
});

story!(
    bitbucket_is_asked_once_in_a_lifetime_whoever_asks,
    setup(),
    |world| {
        let token = access_token(world, &json!({}));
        let authorization = bearer(&token);
        let probes = |world: &World| world.bitbucket().count("/2.0/workspaces/acme");
        for _ in 0..50 {
            assert_eq!(verdict(world, "/bot", &authorization), "ok");
        }
        assert_eq!(probes(world), 1);
        world.advance(301);
        for _ in 0..50 {
            assert_eq!(verdict(world, "/bot", &authorization), "ok");
        }
        assert_eq!(probes(world), 2);
        let now = world.around.clock.now();
        assert!(world.bitbucket().expire_token(&token, now));
        world.advance(301);
        for _ in 0..50 {
            assert_eq!(verdict(world, "/bot", &authorization), "credential_refused");
        }
        assert_eq!(probes(world), 3);
        // Refused is what it is for a minute only.
        world.advance(61);
        assert_eq!(verdict(world, "/bot", &authorization), "credential_refused");
        assert_eq!(probes(world), 4);
        let log = world.edge.log().join("\n");
        assert!(log.contains("credential_refused"));
        assert!(!log.contains(&token), "a token in the log");
        if let Some(shared) = world.edge.shared_data() {
            assert!(shared.contains("bitgate.rights."));
            assert!(!shared.contains(&token), "a token in shared data");
        }
    }
);

story!(
    made_up_tokens_use_up_no_more_than_their_own_budget,
    setup(),
    |world| {
        let known = bearer(&access_token(world, &json!({})));
        assert_eq!(verdict(world, "/bot", &known), "ok");
        for number in 0..200 {
            let made_up = bearer(&format!("ATCTT3xFfGN0-made-up-{number:05}"));
            let answer = ask(world, "/bot", &made_up);
            assert!(matches!(answer.status().as_u16(), 401 | 503), "{number}");
        }
        let asked = world.bitbucket().count("/2.0/workspaces/acme");
        assert!(asked <= 20, "{asked}");
        // Who is known goes on, now and later, and people sign in.
        assert_eq!(verdict(world, "/bot", &known), "ok");
        world.advance(301);
        assert_eq!(verdict(world, "/bot", &known), "ok");
        let person = world.person("ada");
        assert_eq!(world.browser().sign_in("/", &person).status(), 302);
    }
);

story!(
    while_bitbucket_is_down_who_is_known_goes_on,
    setup(),
    |world| {
        let known = bearer(&access_token(world, &json!({})));
        let unknown = bearer(&access_token(world, &json!({"repository": "widgets"})));
        assert_eq!(verdict(world, "/bot", &known), "ok");
        world.advance(301);
        world.bitbucket().fail_next(Fault {
            path: "/2.0/workspaces/acme".to_owned(),
            times: 1_000,
            response: FaultResponse::Status(503),
        });
        assert_eq!(verdict(world, "/bot", &known), "ok");
        let answer = ask(world, "/bot", &unknown);
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        // It holds for an hour, counted from the last answer.
        world.advance(3_300);
        assert_eq!(ask(world, "/bot", &known).status(), 503);
        world.bitbucket().forgive();
        world.advance(31);
        assert_eq!(verdict(world, "/bot", &known), "ok");
    }
);

story!(
    who_leaves_loses_access_with_an_api_token_too,
    setup(),
    |world| {
        let grace = basic(ADDRESS, &api_token(world, "grace"));
        assert_eq!(verdict(world, "/member", &grace), "ok");
        let person = world.person("grace");
        world.bitbucket().remove_member("acme", &person).unwrap();
        assert_eq!(world.bitbucket().role_of(&person, "acme"), None::<Role>);
        world.advance(301);
        assert_eq!(verdict(world, "/member", &grace), "not_a_member");
        world.bitbucket().close_account(&person);
        world.advance(301);
        assert_eq!(verdict(world, "/signed-in", &grace), "credential_refused");
    }
);

story!(
    credentials_work_on_every_host_and_passwords_are_no_intent,
    setup(),
    |world| {
        let token = bearer(&access_token(world, &json!({})));
        let mut elsewhere = request("/bot", &token);
        elsewhere
            .headers_mut()
            .insert("host", "tools.internal".parse().unwrap());
        assert_eq!(world.send(elsewhere).status(), 200);
        let grace = basic(ADDRESS, &api_token(world, "grace"));
        for (authorization, expected) in [(&grace, 403), (&token, 200)] {
            let path = if authorization == &grace {
                "/person"
            } else {
                "/bot"
            };
            let request = http::Request::post(path)
                .header("host", "localhost:10000")
                .header("origin", "https://evil.example")
                .header("authorization", authorization);
            let answer = world.send(request.body(Vec::new()).unwrap());
            assert_eq!(answer.status(), expected, "{path}");
        }
    }
);

story!(
    tokens_of_applications_are_taken_only_where_the_operator_says_so,
    Setup {
        config: |all| {
            config(all);
            all["callers"]["bitbucket"]["accept"] = json!(["oauth_tokens"]);
        },
        ..Setup::with_clock()
    },
    |world| {
        let person = world.person("grace");
        world.browser().sign_in("/", &person);
        let tokens = world.bitbucket().access_tokens_of(&person);
        let token = bearer(tokens.first().unwrap());
        assert_eq!(verdict(world, "/member", &token), "ok");
        assert_eq!(received(world, "x-forwarded-user"), [person]);
        let access = bearer(&access_token(world, &json!({})));
        assert_eq!(verdict(world, "/bot", &access), "invalid_token");
        let garbage = bearer("nobody-has-such-a-token-at-all");
        assert_eq!(verdict(world, "/member", &garbage), "credential_refused");
    }
);

story!(
    a_site_without_callers_leaves_authorization_alone,
    Setup {
        config: |all| {
            config(all);
            all.as_object_mut().unwrap().remove("callers");
        },
        ..Setup::default()
    },
    |world| {
        let token = bearer(&access_token(world, &json!({})));
        assert_eq!(verdict(world, "/bot", &token), "no_session");
        assert_eq!(verdict(world, "/healthz", &token), "ok");
        assert_eq!(received(world, "authorization"), [token]);
    }
);

/// The workspace as everybody gets to see it, whose token they ever have.
fn make_public(world: &World) {
    let workspace = json!({
        "slug": "acme",
        "uuid": "{77aa0000-1111-4222-8333-444455556666}",
        "is_private": false,
    });
    world.bitbucket().fail_next(Fault {
        path: "/2.0/workspaces/acme".to_owned(),
        times: 1_000,
        response: FaultResponse::Raw {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: workspace.to_string().into_bytes(),
        },
    });
}

story!(to_see_a_public_workspace_proves_nothing, setup(), |world| {
    make_public(world);
    let own = access_token(world, &json!({}));
    let others = access_token(world, &json!({"workspace": "beta-labs"}));
    for (token, expected) in [
        (own.as_str(), "ok"),
        (&others, "credential_refused"),
        ("ATCTT3xFfGN0nobodys-at-all", "credential_refused"),
    ] {
        assert_eq!(verdict(world, "/bot", &bearer(token)), expected);
    }
    assert_eq!(verdict(world, "/read/widgets", &bearer(&own)), "ok");
});

story!(
    odd_tokens_stop_no_questions_about_others,
    setup(),
    |world| {
        world.bitbucket().fail_next(Fault {
            path: "/2.0/workspaces/acme".to_owned(),
            times: 8,
            response: FaultResponse::Status(400),
        });
        for number in 0..8 {
            let odd = bearer(&format!("ATCTT3xFfGN0-odd-{number:05}"));
            let reason = verdict(world, "/bot", &odd);
            assert_eq!(reason, "rights_unavailable", "{number}");
        }
        let grace = basic(ADDRESS, &api_token(world, "grace"));
        assert_eq!(verdict(world, "/member", &grace), "ok");
    }
);

story!(stale_tokens_leave_calls_to_new_ones, setup(), |world| {
    let stale = ["a", "b", "c"].map(|it| bearer(&format!("ATCTT3xFfGN0-stale-{it}-stale")));
    for _ in 0..30 {
        for token in &stale {
            assert_eq!(verdict(world, "/bot", token), "credential_refused");
        }
        world.advance(65);
    }
    let new = bearer(&access_token(world, &json!({})));
    assert_eq!(verdict(world, "/bot", &new), "ok");
});

story!(who_may_not_ask_keeps_nobody_from_it, setup(), |world| {
    let grace = basic(ADDRESS, &api_token(world, "grace"));
    assert_eq!(verdict(world, "/signed-in", &grace), "ok");
    let made_up = |number: usize| bearer(&format!("ATCTT3xFfGN0-made-up-{number:05}"));
    for number in 0..20 {
        ask(world, "/bot", &made_up(number));
    }
    for path in [
        "/2.0/user/workspaces",
        "/2.0/user/workspaces/{workspace}/permission",
    ] {
        world.bitbucket().fail_next(Fault {
            path: path.to_owned(),
            times: 1_000,
            response: FaultResponse::Status(503),
        });
    }
    for _ in 0..5 {
        assert_eq!(verdict(world, "/member", &grace), "rights_unavailable");
        world.advance(6);
    }
    world.bitbucket().forgive();
    world.advance(31);
    // The first after the pause finds out whether Bitbucket is there again, if it may ask at all.
    assert_eq!(verdict(world, "/bot", &made_up(20)), "api_budget_exhausted");
    assert_eq!(verdict(world, "/member", &grace), "ok");
});

story!(
    a_rule_on_trial_says_what_it_would_do_with_credentials,
    Setup {
        config: |all| {
            config(all);
            let mut rules = all["rules"].as_array().unwrap().clone();
            let trial = |path: &str, inject: &str| json!({"match": {"path": path}, "allow": {"principal": "person"}, "inject": inject, "shadow": true});
            rules.insert(0, trial("/person", "bearer"));
            all["rules"] = json!(rules);
        },
        ..Setup::with_clock()
    },
    |world| {
        let grace = basic(ADDRESS, &api_token(world, "grace"));
        let request = http::Request::post("/person")
            .header("host", "localhost:10000")
            .header("origin", "https://evil.example")
            .header("authorization", grace);
        let answer = world.send(request.body(Vec::new()).unwrap());
        assert_eq!(answer.status(), 403);
        let log = world.edge.log().join("\n");
        let trial = log.lines().find(|line| line.contains("shadowed")).unwrap();
        assert!(trial.contains("cross_site"), "{trial}");
        // Envoy writes its own words before it.
        let trial = &trial[trial.find('{').unwrap()..];
        let trial: Value = serde_json::from_str(trial).unwrap();
        assert_eq!(trial["account_id"], world.person("grace").as_str());
        assert!(trial["caller"].as_str().unwrap().starts_with("person "));
    }
);
