//! Credentials that go stale show before somebody's deploy fails, and make no noise.

use serde_json::{Value, json};

use crate::support::Response;
use crate::support::browser::header;
use crate::support::control::control;
use crate::support::setup::Setup;
use crate::support::world::World;

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";

fn config(config: &mut Value) {
    config["issuers"] = json!([
        {"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": ACME}},
    ]);
    config["callers"] = json!({"bitbucket": {"accept": ["access_tokens"], "workspace": "acme"}});
    config["bots"] = json!({"reader": {"access_token": {"inline": "ATCT-canary-of-the-bot-0001"}}});
    config["rules"] = json!([
        {"match": {"path": "/bot"}, "allow": {"not": "nobody"}, "inject": {"bot": "reader"}},
        {"match": {"path": "/**"}, "allow": {"not": "nobody"}},
    ]);
}

fn setup() -> Setup {
    Setup {
        config,
        ..Setup::with_clock()
    }
}

fn ask(world: &mut World, path: &str, token: &str) -> Response {
    let request = http::Request::get(path)
        .header("host", "localhost:10000")
        .header("authorization", format!("Bearer {token}"));
    world.send(request.body(Vec::new()).unwrap())
}

fn step(world: &World, more: &Value) -> String {
    let mut document = json!({"workspace": "acme", "repository": "widgets"});
    let members = more.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(members);
    let answer = control(world, "pipelines/tokens", &document);
    answer["token"].as_str().unwrap().to_owned()
}

fn lines(world: &mut World, event: &str) -> Vec<Value> {
    let log = world.edge.log();
    let lines = log
        .iter()
        .filter_map(|line| line.find('{').map(|at| &line[at..]));
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["event"] == event).collect()
}

/// The gauges are set by a clock of Envoy's own.
fn eventually(
    world: &mut World,
    token: &str,
    what: &str,
    mut holds: impl FnMut(&mut World) -> bool,
) {
    for _ in 0..400 {
        ask(world, "/", token);
        if holds(world) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("never: {what}");
}

story!(
    a_credential_that_fails_all_day_is_told_of_once,
    setup(),
    |world| {
        let good = step(world, &json!({}));
        assert_eq!(ask(world, "/", &good).status(), 200);
        let old = step(world, &json!({"exp": -120}));
        let mut slowed_down = 0;
        for second in 0..120 {
            let answer = ask(world, "/", &old);
            assert_eq!(answer.status(), 401);
            assert_eq!(header(&answer, "x-bitgate-reason"), "token_expired");
            slowed_down += usize::from(answer.headers().contains_key("retry-after"));
            if second % 10 == 0 {
                world.advance(1);
            }
        }
        assert!(slowed_down > 100, "{slowed_down}");
        let refused = lines(world, "refused");
        let told: Vec<_> = refused
            .iter()
            .filter(|line| line["credential"] == "pipelines_acme")
            .collect();
        assert_eq!(told.len(), 1);
        let failing = lines(world, "credential_failing");
        assert_eq!(failing.len(), 1);
        assert_eq!(failing[0]["reason"], "token_expired");
        assert_eq!(failing[0]["credential"], "pipelines_acme");
        // Who is good is not slowed down.
        assert_eq!(ask(world, "/", &good).status(), 200);
    }
);

story!(
    each_kind_says_when_it_was_good_last_and_for_how_long,
    setup(),
    |world| {
        let token = step(world, &json!({"lifetime": 3_600}));
        let start = world.around.clock.now();
        let gauge = |world: &mut World, what: &str, kind: &str| {
            world
                .edge
                .gauge(&format!("bitgate_credential_{what}.kind.{kind}"))
        };
        eventually(world, &token, "a first success", |world| {
            gauge(world, "last_success", "pipelines_acme") >= start
        });
        let first = gauge(world, "first_seen", "pipelines_acme");
        assert!((start..start + 60).contains(&first), "{first}");
        assert_eq!(gauge(world, "last_success", "access_token"), 0);
        world.advance(1_800);
        eventually(world, &token, "a later one", |world| {
            gauge(world, "last_success", "pipelines_acme") >= start + 1_800
        });
        assert_eq!(gauge(world, "first_seen", "pipelines_acme"), first);
        // The gauges are set one after the other.
        eventually(world, &token, "what is left", |world| {
            let left = gauge(world, "seconds_left", "pipelines_acme");
            (1_600..=1_800).contains(&left)
        });
    }
);

story!(
    a_bot_whose_credential_a_service_refuses_shows,
    setup(),
    |world| {
        let token = step(world, &json!({}));
        let start = world.around.clock.now();
        let gauge = |world: &mut World, what: &str| {
            let name = format!("bitgate_bot_{what}.bot.reader");
            world.edge.gauge(&name)
        };
        assert_eq!(gauge(world, "first_seen"), 0);
        assert_eq!(ask(world, "/bot", &token).status(), 200);
        eventually(world, &token, "an accepted token", |world| {
            gauge(world, "last_success") >= start
        });
        let last = gauge(world, "last_success");
        assert_eq!(gauge(world, "first_seen"), last);
        assert!(lines(world, "bot_refused").is_empty());
        world.upstream().refuses = true;
        // The answer is the service's own, and is told once a minute.
        for _ in 0..20 {
            assert_eq!(ask(world, "/bot", &token).status(), 401);
        }
        let told = lines(world, "bot_refused");
        assert_eq!(told.len(), 1);
        assert_eq!(told[0]["bot"], "reader");
        if let Some(envoy) = world.edge.envoy() {
            let wanted = "bitgate_bot_failures_total{bitgate_reason=\"bot_refused\",bitgate_bot=\"reader\"} 20";
            let metrics = envoy.prometheus();
            assert!(metrics.contains(wanted), "{metrics}");
        }
        world.advance(61);
        assert_eq!(ask(world, "/bot", &token).status(), 401);
        assert_eq!(lines(world, "bot_refused").len(), 2);
        // What is refused is no success.
        assert_eq!(gauge(world, "last_success"), last);
    }
);
