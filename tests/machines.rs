//! Machines under load: several workers, many requests at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test"
)]

mod support;

use std::sync::Arc;

use serde_json::{Value, json};
use support::control::control;
use support::envoy_edge::EnvoyEdge;
use support::setup::Setup;
use support::world::{Kind, World};
use support::{Request, Response};

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const PROBE: &str = "/2.0/workspaces/acme";
const KEYS: &str = "/2.0/workspaces/acme/pipelines-config/identity/oidc/keys.json";

fn config(config: &mut Value) {
    config["issuers"] = json!([
        {"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": ACME}},
    ]);
    config["callers"] = json!({"bitbucket": {"accept": ["access_tokens"], "workspace": "acme"}});
    config["rules"] = json!([
        {"match": {"path": "/healthz"}, "allow": "public"},
        {"match": {"path": "/**"}, "allow": {"any_of": [{"principal": "bot"}, {"principal": "pipeline"}]}},
    ]);
}

struct Machines {
    edge: Arc<EnvoyEdge>,
    world: World,
}

impl Machines {
    fn start() -> Self {
        let setup = Setup {
            config,
            workers: 4,
            ..Setup::with_clock()
        };
        let (example, around) = World::parts(Kind::Envoy, &setup);
        let edge = Arc::new(EnvoyEdge::start(example, &setup, around.clone()));
        let world = World {
            edge: Box::new(Arc::clone(&edge)),
            around,
        };
        Self { edge, world }
    }

    fn send(&self, count: usize, tokens: &[String]) -> Vec<Response> {
        let request = |number: usize| -> Request {
            let token = &tokens[number % tokens.len()];
            let request = http::Request::get("/x").header("host", "localhost:10000");
            let request = request.header("authorization", format!("Bearer {token}"));
            request.body(Vec::new()).unwrap()
        };
        self.edge.send_all((0..count).map(request).collect())
    }

    fn step(&self, more: &Value) -> String {
        let mut document = json!({"workspace": "acme", "repository": "widgets"});
        let members = more.as_object().unwrap().clone();
        document.as_object_mut().unwrap().extend(members);
        let answer = control(&self.world, "pipelines/tokens", &document);
        answer["token"].as_str().unwrap().to_owned()
    }

    fn count(&self, path: &str) -> usize {
        self.world.bitbucket().count(path)
    }
}

fn count(answers: &[Response], status: u16) -> usize {
    answers.iter().filter(|it| it.status() == status).count()
}

#[test]
fn all_workers_ask_once_about_a_token_in_its_lifetime() {
    let mut machines = Machines::start();
    let document = json!({"workspace": "acme", "scopes": ["repository"]});
    let tokens: Vec<String> = (0..5)
        .map(|_| control(&machines.world, "access_tokens", &document))
        .map(|answer| answer["token"].as_str().unwrap().to_owned())
        .collect();
    for lifetime in 1..=2 {
        for _ in 0..3 {
            let answers = machines.send(200, &tokens);
            assert_eq!(count(&answers, 200), 200);
        }
        assert_eq!(machines.count(PROBE), 5 * lifetime);
        machines.world.advance(301);
    }
    let now = machines.world.around.clock.now();
    for token in &tokens {
        assert!(machines.world.bitbucket().expire_token(token, now));
    }
    machines.world.advance(301);
    let answers = machines.send(200, &tokens);
    assert_eq!(count(&answers, 401), 200);
    assert_eq!(machines.count(PROBE), 15);
}

#[test]
fn all_workers_fetch_keys_once_and_a_key_changes_without_a_failed_request() {
    let mut machines = Machines::start();
    let first = machines.step(&json!({}));
    let answers = machines.send(400, std::slice::from_ref(&first));
    assert_eq!(count(&answers, 200), 400);
    let fetched = machines.count(KEYS);
    assert!(fetched <= 2, "{fetched}: one before the first pipeline ran");
    machines.world.advance(60);
    let key = json!({"published": true, "signs": true});
    control(&machines.world, "pipelines/keys", &key);
    let second = machines.step(&json!({}));
    let answers = machines.send(400, &[first, second]);
    assert_eq!(count(&answers, 200), 400);
    // Envoy's main thread does not hear of the tests' clock, takes the others' to be set back, and asks by its own,
    // once a second at most.
    let changed = machines.count(KEYS) - fetched;
    assert!((1..=8).contains(&changed), "{changed}");
    // A flood of made-up keys on all workers, once each of them has heard of the time.
    machines.world.advance(60);
    machines.send(400, &[String::new()]);
    let made_up: Vec<String> = (0..50)
        .map(|number| machines.step(&json!({"header": {"kid": format!("made-up-{number}")}})))
        .collect();
    let answers = machines.send(500, &made_up);
    assert_eq!(count(&answers, 401), 500);
    let more = machines.count(KEYS) - fetched - changed;
    assert!(more <= 15, "{more} for 50 keys that nobody has");
}
