//! Cases of several groups about what stands around the filter: routes of Envoy that rewrite, mirror and
//! redirect, caches, and Bitbucket's long lists. Where the filter can do nothing, the command warns.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bitgate_simulator::bitbucket::{Entry, Fault, FaultResponse, Group};
use bitgate_simulator::server::{self, Running};
use serde_json::{Value, json};

use super::case::{Case, empty, get, raw, reason};
use super::rights::{signed_in, site, verdict, with_clock};
use crate::support::example::{Example, SESSION_KEY};
use crate::support::native_edge::NativeEdge;
use crate::support::setup::Setup;
use crate::support::world::World;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("PATH-34", |world| {
            // Grace may write to one repository, and not see the other.
            let jar = signed_in(world, "grace").jar;
            for (path, is_same) in [
                ("/repo/acme/widgets", true),
                ("/repo/acme/%77idgets", true),
                ("/repo/%61cme/widget%73/x", true),
                ("/repo/acme/widgets/", true),
                ("/repo/acme/widgets%2f..%2fsecrets", false),
                ("/repo/acme/widgets%2F..%2Fsecrets/x", false),
                ("/repo/acme/widgets/..%2fsecrets", false),
                ("/repo/acme/widgets/../secrets", false),
                ("/repo/acme//widgets", false),
                ("/repo//acme/widgets", false),
                ("/repo/acme/widgets;/", false),
                ("/repo/acme;/widgets", false),
                ("/repo/acme/widgets;x=secrets", false),
                ("/repo/ACME/widgets", false),
                ("/repo/acme/Widgets", false),
                ("/repo/acme/widgets.git", false),
                ("/repo/acme/widgets%20", false),
                ("/repo/acme/widgets.", false),
                ("/repo/acme/widgets%00", false),
                ("/repo/acme/widgets%2e", false),
                ("/repo/acme/%EF%BD%97idgets", false),
                ("/repo/acme", false),
                ("/repo/acme/", false),
                ("/repo/acme/secrets", false),
                ("/repo/acme/%73ecrets", false),
                ("/repo/acme/secret%73/../widgets", false),
            ] {
                let request = raw(path.as_bytes()).header("cookie", jar.header());
                let seen = world.upstream().count();
                let answer = world.send(empty(request));
                let is_through = world.upstream().count() > seen;
                assert_eq!(is_through, is_same, "{path} {}", reason(&answer));
                let status = answer.status().as_u16();
                assert_eq!(matches!(status, 400 | 403), !is_same, "{path} {status}");
            }
        })
        .with(site),
        Case::both("PATH-35", |world| {
            let jar = signed_in(world, "ada").jar;
            let long = "a".repeat(1_024);
            for name in [
                ".*",
                "(acme|x)",
                "[a-z]+",
                "^acme$",
                "acme$",
                "ac.e",
                "acme|x",
                "a{4}",
                "\\w+",
                "%5Cw+",
                "acme%0a",
                "acme%00",
                "",
                ".",
                "..",
                "...",
                "%2e",
                "%2e%2e",
                "*",
                "**",
                "{workspace}",
                "%7Bworkspace%7D",
                "%7B%7D",
                "%25",
                "'",
                "\"",
                "a,b",
                &long,
            ] {
                for path in [
                    format!("/team/{name}"),
                    format!("/team/{name}/x"),
                    format!("/repo/{name}/widgets"),
                    format!("/repo/acme/{name}"),
                    format!("/repo/acme/{name}/x"),
                    format!("/project/{name}"),
                ] {
                    let request = raw(path.as_bytes()).header("cookie", jar.header());
                    let seen = world.upstream().count();
                    let status = world.send(empty(request)).status().as_u16();
                    assert!(matches!(status, 400 | 403), "{path} {status}");
                    assert_eq!(world.upstream().count(), seen, "{path}");
                }
            }
        })
        .with(site),
        Case::both("SESS-44", |world| {
            // Groups and rights lie in no cookie: nothing to be told by their lengths. Who has the cookies
            // may ask /_bitgate/session for the rest.
            let lengths = |world: &mut World| -> Vec<(String, usize)> {
                let jar = signed_in(world, "grace").jar;
                jar.0
                    .into_iter()
                    .map(|(name, value)| (name, value.len()))
                    .collect()
            };
            let before = lengths(world);
            let grace = world.person("grace");
            for number in 0..300 {
                let slug = format!("group-{number}");
                let group = Group {
                    name: slug.clone(),
                    slug,
                    members: vec![grace.clone()],
                };
                world
                    .bitbucket()
                    .settings
                    .directory
                    .set_group("acme", group)
                    .unwrap();
            }
            assert_eq!(lengths(world), before);
        })
        .with(site),
        Case::both("DOS-14", pages_without_end).with(with_clock),
        Case::native("DOS-15", |world| {
            // The timer reads the groups here at each request; Envoy's answers end at 1 MiB in the same way.
            let grace = world.person("grace");
            for (count, expected) in [(2_000, "200"), (100_000, "503 rights_unavailable")] {
                let mut members: Vec<String> = (0..count)
                    .map(|number| format!("557058:{number:036}"))
                    .collect();
                members.push(grace.clone());
                let group = Group {
                    name: "Developers".to_owned(),
                    slug: "developers".to_owned(),
                    members,
                };
                world
                    .bitbucket()
                    .settings
                    .directory
                    .set_group("acme", group)
                    .unwrap();
                let mut config = Example::read("demo.yaml").plugin();
                (site().config)(&mut config);
                let edge = NativeEdge::new(&config.to_string(), &site(), world.around.clone());
                let mut fresh = World {
                    edge: Box::new(edge),
                    around: world.around.clone(),
                };
                let mut browser = signed_in(&mut fresh, "grace");
                assert_eq!(verdict(&mut browser, "/group"), expected, "{count}");
                assert_eq!(verdict(&mut browser, "/team/acme"), "200", "{count}");
            }
        })
        .with(site),
        Case::envoy("PATH-21", |world| {
            // Envoy rewrites behind the filter: the service gets a path that the rules close.
            let answer = world.send(empty(get("/public/nobody/x")));
            assert_eq!(answer.status(), 200);
            assert_eq!(world.upstream().last_request().unwrap().target, "/nobody/x");
            let found = findings(rewriting);
            assert!(
                found.contains(
                    "warning [path-rewrite] virtual host site: routes[0].route.regex_rewrite"
                ),
                "{found}"
            );
            assert!(!findings(|_| {}).contains("[path-rewrite]"));
        })
        .with(|| Setup {
            envoy: rewriting,
            ..Setup::default()
        }),
        Case::native("CACHE-07", |_| {
            let found = findings(|example| cached(example, 0));
            let line = found
                .lines()
                .find(|line| line.contains("http_filters[0]"))
                .unwrap_or_default();
            assert!(line.starts_with("warning [filter-order]"), "{found}");
            let found = findings(|example| cached(example, 1));
            assert!(!found.contains("[filter-order]"), "{found}");
        }),
        Case::envoy("LEAK-09", elsewhere).with(with_others),
    ]
}

/// A list whose end never comes, and one that goes on at somebody else's.
fn pages_without_end(world: &mut World) {
    let list = "/2.0/user/workspaces";
    for (name, next, calls) in [
        (
            "ada",
            "http://127.0.0.1:10002/2.0/user/workspaces?pagelen=100",
            50,
        ),
        (
            "grace",
            "http://127.0.0.1:10001/2.0/user/workspaces?page=2",
            1,
        ),
        (
            "linus",
            "http://127.0.0.1:10002.evil.test/2.0/user/workspaces",
            1,
        ),
        ("linus", "http://evil.test/2.0/user/workspaces", 1),
        (
            "linus",
            "http://127.0.0.1:10002@evil.test/2.0/user/workspaces",
            1,
        ),
        ("linus", "//evil.test/2.0/user/workspaces", 1),
        ("linus", "http://127.0.0.1:10002/1.0/groups/acme", 1),
        ("linus", "http://127.0.0.1:10002/2.0/../1.0/groups/acme", 1),
        ("linus", "file:///etc/passwd", 1),
    ] {
        let id = world.person(name);
        {
            let mut bitbucket = world.bitbucket();
            // An account that nothing is known of.
            let place = bitbucket
                .settings
                .people
                .iter()
                .position(|person| person.account_id == id)
                .unwrap();
            let number = bitbucket.ledger().len() + 100;
            bitbucket.settings.people[place].account_id =
                format!("557058:{number:08}-ada0-4c0d-8e1f-b17b0c4e7000");
        }
        let mut browser = signed_in(world, name);
        let before = browser.world.bitbucket().count(list);
        let all = browser.world.bitbucket().ledger().len();
        let body = json!({"values": [], "next": next}).to_string();
        browser.world.bitbucket().fail_next(Fault {
            path: list.to_owned(),
            times: 1_000,
            response: FaultResponse::Raw {
                status: 200,
                headers: vec![("content-type", "application/json".to_owned())],
                body: body.into_bytes(),
            },
        });
        assert_eq!(
            verdict(&mut browser, "/team/acme"),
            "503 rights_unavailable",
            "{next}"
        );
        let bitbucket = browser.world.bitbucket();
        assert_eq!(bitbucket.count(list) - before, calls, "{next}");
        // Nobody else was asked with the token: before the list, the configured workspace itself was.
        // The bots ask by the clock: one for the groups, under the workspace's UUID, one for its token.
        let asked = bitbucket.ledger().iter().skip(all);
        let by_clock = |entry: &&Entry| {
            entry.path.starts_with("/1.0/groups/%7B")
                || entry.grant_type.as_deref() == Some("client_credentials")
        };
        let asked = asked.filter(|entry| !by_clock(entry));
        assert_eq!(asked.count(), calls + 1, "{next}");
        drop(bitbucket);
        browser.world.bitbucket().forgive();
        // After some failures nobody is asked for a while.
        browser.world.advance(90);
    }
}

/// The other cluster, and what it received.
static OTHERS: LazyLock<Others> = LazyLock::new(Others::start);

/// The path of a request, and its credential.
type Seen = (String, Option<String>);

struct Others {
    server: Running,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Others {
    fn start() -> Self {
        let seen: Arc<Mutex<Vec<_>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let server = server::spawn(([127, 0, 0, 1], 0).into(), move |_, request| {
            let credential = request.headers().get("authorization");
            let credential = credential.map(|value| value.to_str().unwrap().to_owned());
            let path = request.uri().path().to_owned();
            kept.lock().unwrap().push((path.clone(), credential));
            let mut answer = http::Response::new(Vec::new());
            if path == "/away" {
                *answer.status_mut() = http::StatusCode::FOUND;
                let headers = answer.headers_mut();
                headers.insert(
                    "location",
                    "http://localhost:10000/public/landing".parse().unwrap(),
                );
            }
            answer
        });
        Self {
            server: server.unwrap(),
            seen,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }
}

/// An Envoy with routes that send a request to others as well.
fn with_others() -> Setup {
    Setup {
        envoy: |example| {
            example.leave_paths_alone();
            let port = OTHERS.server.address().port();
            let clusters = example.0["static_resources"]["clusters"]
                .as_array_mut()
                .unwrap();
            let text = clusters[0].to_string().replace("demo_upstream", "others");
            clusters.push(serde_json::from_str(&text).unwrap());
            example.set_cluster_port("others", port);
            let routes = routes(&mut example.0);
            let more = json!([
                {"match": {"prefix": "/mirrored"}, "route": {"cluster": "demo_upstream", "request_mirror_policies": [{"cluster": "others"}]}},
                {"match": {"prefix": "/away"}, "route": {"cluster": "others", "internal_redirect_policy": {}}},
                {"match": {"prefix": "/public/landing"}, "route": {"cluster": "others"}},
            ]);
            routes.splice(0..0, more.as_array().unwrap().clone());
        },
        ..Setup::default()
    }
}

fn routes(bootstrap: &mut Value) -> &mut Vec<Value> {
    let manager = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
        [0]["typed_config"];
    let routes = &mut manager["route_config"]["virtual_hosts"][0]["routes"];
    routes.as_array_mut().unwrap()
}

/// What Envoy does behind the filter, which nothing in it can hinder: the command warns of each.
fn elsewhere(world: &mut World) {
    let jar = signed_in(world, "ada").jar;
    for path in ["/mirrored", "/away"] {
        let request = get(path).header("cookie", jar.header());
        assert_eq!(world.send(empty(request)).status(), 200, "{path}");
    }
    // The mirror's copy may still be on its way.
    let deadline = Instant::now() + Duration::from_secs(30);
    while OTHERS.seen().len() < 3 {
        assert!(Instant::now() < deadline, "{:?}", OTHERS.seen());
        std::thread::yield_now();
    }
    let mut seen = OTHERS.seen().clone();
    seen.sort_unstable();
    let paths: Vec<&str> = seen.iter().map(|(path, _)| path.as_str()).collect();
    // The last of them is public, and its rule passes nothing on.
    assert_eq!(paths, ["/away", "/mirrored", "/public/landing"]);
    let has_token = |(_, credential): &Seen| {
        credential
            .as_ref()
            .is_some_and(|value| value.starts_with("Bearer "))
    };
    assert!(
        seen.iter().all(has_token),
        "Envoy has changed: take the warning back"
    );
    let found = findings(with_others().envoy);
    let wanted = [
        "routes[0].route.request_mirror_policies[0]",
        "routes[1].route.internal_redirect_policy",
    ];
    for place in wanted {
        let line = found
            .lines()
            .find(|line| line.contains(place))
            .unwrap_or_default();
        assert!(
            line.starts_with("warning [credential-elsewhere]"),
            "{found}"
        );
    }
}

/// What `bitgate check` says of the demo with a change.
fn findings(change: fn(&mut Example)) -> String {
    let mut example = Example::read("demo.yaml");
    change(&mut example);
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("around-{}.json", std::process::id()));
    let path = path.with_extension(format!("{:?}.json", std::thread::current().id()));
    fs::write(&path, example.0.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_bitgate"))
        .arg("check")
        .arg(&path)
        .env("BITGATE_SESSION_KEY", SESSION_KEY)
        .output()
        .unwrap();
    fs::remove_file(path).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn rewriting(example: &mut Example) {
    example.leave_paths_alone();
    let pattern = json!({"pattern": {"regex": "^/public/(.*)$"}, "substitution": "/\\1"});
    let route = json!({"match": {"prefix": "/public/"}, "route": {"cluster": "demo_upstream", "regex_rewrite": pattern}});
    routes(&mut example.0).insert(0, route);
}

/// Envoy's cache, before the filter and behind it.
fn cached(example: &mut Example, at: usize) {
    let manager = &mut example.0["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
        [0]["typed_config"];
    let cache = json!({"name": "cache", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cache.v3.CacheConfig",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.http.cache.simple_http_cache.v3.SimpleHttpCacheConfig"},
    }});
    manager["http_filters"]
        .as_array_mut()
        .unwrap()
        .insert(at, cache);
}
