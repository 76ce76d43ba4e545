//! Several workers and several instances of Envoy, with clients that come all at once.

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

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use serde_json::{Value, json};
use support::browser::{Jar, SITE, header};
use support::envoy_edge::EnvoyEdge;
use support::setup::Setup;
use support::world::{Kind, Surroundings, World};
use support::{Request, Response, eventually};

const TOKEN: &str = "/site/oauth2/access_token";

/// Tokens live for 1,000 seconds, and are renewed from 750 to 800 on.
fn setup(workers: u32) -> Setup {
    Setup {
        bitbucket: |settings| {
            settings.access_lifetime = 1_000;
            settings.reuse_window = 0;
        },
        config: |config| {
            config["session"]["idle_timeout"] = json!("12h");
            config["bitbucket"]["web"]["timeout"] = json!("2s");
        },
        workers,
        ..Setup::with_clock()
    }
}

/// Instances that share one Bitbucket, one clock and one configuration.
struct Fleet {
    edges: Vec<Arc<EnvoyEdge>>,
    around: Surroundings,
    jar: Jar,
    path: &'static str,
    /// Whether a balancer gives each request to the next instance, or all to the same one.
    goes_round: bool,
}

impl Fleet {
    fn start(instances: usize, setup: &Setup) -> Self {
        let (example, around) = World::parts(Kind::Envoy, setup);
        let start = |_| Arc::new(EnvoyEdge::start(example.clone(), setup, around.clone()));
        let edges: Vec<_> = (0..instances).map(start).collect();
        let mut world = World {
            edge: Box::new(Arc::clone(&edges[0])),
            around: around.clone(),
        };
        let ada = world.person("ada");
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &ada).status(), 302);
        let jar = browser.jar.clone();
        Self {
            edges,
            around,
            jar,
            path: "/",
            goes_round: true,
        }
    }

    /// Signs in once more, for what `path` needs, and asks for that from here on.
    fn sign_in_for(&mut self, path: &'static str) {
        let mut world = World {
            edge: Box::new(Arc::clone(&self.edges[0])),
            around: self.around.clone(),
        };
        let ada = world.person("ada");
        let mut browser = world.browser();
        browser.jar = self.jar.clone();
        assert_eq!(browser.sign_in(path, &ada).status(), 302);
        (self.jar, self.path) = (browser.jar.clone(), path);
    }

    fn request(&self) -> Request {
        self.request_of(self.path)
    }

    fn request_of(&self, path: &str) -> Request {
        let request = http::Request::get(path).header("host", "localhost:10000");
        request
            .header("cookie", self.jar.header_for(path))
            .body(Vec::new())
            .unwrap()
    }

    fn send(&mut self, instance: usize) -> Response {
        let answer = self.edges[instance]
            .send_all(vec![self.request()])
            .pop()
            .unwrap();
        self.take(instance, answer)
    }

    /// Keeps the cookies, and follows as a browser does.
    fn take(&mut self, instance: usize, mut answer: Response) -> Response {
        for hop in 1.. {
            self.jar.take(&answer);
            if answer.status() != 307 {
                break;
            }
            assert!(hop <= 2, "sent around: {}", header(&answer, "location"));
            let location = header(&answer, "location");
            let path = location.strip_prefix(SITE).unwrap().to_owned();
            let step = if self.goes_round { hop } else { 0 };
            let edge = &self.edges[(instance + step) % self.edges.len()];
            answer = edge.send_all(vec![self.request_of(&path)]).pop().unwrap();
        }
        answer
    }

    fn take_all(&mut self, answers: Vec<(usize, Response)>) -> Vec<Response> {
        let answers = answers.into_iter();
        let taken = answers.map(|(instance, answer)| self.take(instance, answer));
        taken.collect()
    }

    /// One more instance, with a configuration of its own.
    fn join(&mut self, setup: &Setup) {
        let (example, _) = World::parts(Kind::Envoy, setup);
        let edge = EnvoyEdge::start(example, setup, self.around.clone());
        self.edges.push(Arc::new(edge));
    }

    fn send_many_to(&mut self, instance: usize, count: usize) -> Vec<Response> {
        let requests = (0..count).map(|_| self.request()).collect();
        let answers = self.edges[instance].send_all(requests).into_iter();
        self.take_all(answers.map(|answer| (instance, answer)).collect())
    }

    /// All at once, as evenly as it gets over the instances. Cookies are taken from the answers.
    fn send_many(&mut self, count: usize) -> Vec<Response> {
        let threads: Vec<_> = self
            .edges
            .iter()
            .enumerate()
            .map(|(instance, edge)| {
                let edge = Arc::clone(edge);
                let requests = (0..count / self.edges.len())
                    .map(|_| self.request())
                    .collect();
                std::thread::spawn(move || {
                    let answers = edge.send_all(requests).into_iter();
                    answers.map(|answer| (instance, answer)).collect::<Vec<_>>()
                })
            })
            .collect();
        let threads = threads.into_iter();
        let answers = threads.flat_map(|thread| thread.join().unwrap());
        let answers = answers.collect();
        self.take_all(answers)
    }

    fn advance(&self, seconds: u64) {
        self.around.clock.advance(seconds);
    }

    fn calls(&self) -> usize {
        self.around.bitbucket.lock().unwrap().count(TOKEN)
    }

    /// The next token call takes so long.
    fn slow(&self, milliseconds: u64) {
        self.around.bitbucket.lock().unwrap().fail_next(Fault {
            path: TOKEN.to_owned(),
            times: 1,
            response: FaultResponse::Slow(milliseconds),
        });
    }

    /// How often each refresh token was used, by Bitbucket's own ledger: those that worked, and all.
    fn uses(&self) -> BTreeMap<String, (usize, usize)> {
        let bitbucket = self.around.bitbucket.lock().unwrap();
        let mut uses = BTreeMap::new();
        for entry in bitbucket.ledger() {
            if let Some(token) = &entry.refresh_token {
                let (worked, all) = uses.entry(token.clone()).or_insert((0, 0));
                *worked += usize::from(entry.status == 200);
                *all += 1;
            }
        }
        uses
    }

    fn assert_alive(&self) {
        for edge in &self.edges {
            let reloads = edge.envoy.stats("vm_reload");
            assert!(
                !reloads.lines().any(|line| !line.ends_with(": 0")),
                "{reloads}"
            );
            assert!(!edge.envoy.log_text().contains("panicked"));
        }
    }
}

fn all_are_good(answers: &[Response]) {
    for answer in answers {
        let reason = header(answer, "x-bitgate-reason");
        assert_eq!((answer.status().as_u16(), reason), (200, ""));
    }
}

fn with_new_grant(answers: &[Response]) -> usize {
    let sets_grant = |answer: &&Response| {
        let mut cookies = answer.headers().get_all("set-cookie").iter();
        cookies.any(|line| line.as_bytes().starts_with(b"__Host-bitgate-grant="))
    };
    answers.iter().filter(sets_grant).count()
}

#[test]
fn five_hundred_requests_at_once_make_one_call() {
    let mut fleet = Fleet::start(1, &setup(2));
    let before = fleet.calls();
    fleet.advance(810);
    fleet.slow(300);
    let old = fleet.jar.clone();
    let answers = fleet.send_many(500);
    assert_eq!(answers.len(), 500);
    all_are_good(&answers);
    assert_eq!(fleet.calls(), before + 1, "at the refresh point");
    assert!(with_new_grant(&answers) >= 1);
    assert_ne!(fleet.jar.0, old.0);

    // And all that still have the old cookie get the new one.
    let new = std::mem::replace(&mut fleet.jar, old);
    let answers = fleet.send_many(100);
    all_are_good(&answers);
    assert_eq!(with_new_grant(&answers), 100);
    assert_eq!(fleet.jar.0, new.0);

    // Long after the end of the token nobody can go on without the next one.
    fleet.advance(5_000);
    fleet.slow(300);
    let answers = fleet.send_many(500);
    all_are_good(&answers);
    assert_eq!(fleet.calls(), before + 2, "after the end");
    assert_eq!(with_new_grant(&answers), 500);
    let uses: Vec<_> = fleet.uses().into_values().collect();
    assert_eq!(uses, [(1, 1), (1, 1)], "each refresh token was used once");
    fleet.assert_alive();
}

/// The grants of two consumers, both due or both over.
#[test]
fn five_hundred_requests_at_once_renew_two_grants_once_each() {
    let mut fleet = Fleet::start(
        1,
        &Setup {
            bitbucket: |settings| {
                (setup(2).bitbucket)(settings);
                let mut ci = settings.consumers[0].clone();
                ci.client_id = "ci-consumer".to_owned();
                settings.consumers.push(ci);
            },
            config: |config| {
                (setup(2).config)(config);
                let mut ci = config["bitbucket"].clone();
                ci["client_id"] = json!("ci-consumer");
                ci.as_object_mut()
                    .unwrap()
                    .retain(|key, _| !matches!(key.as_str(), "web" | "api"));
                config["consumers"] = json!({"ci": ci});
                config["rules"] = json!([{
                    "match": {"path": "/**"}, "allow": "signed_in", "inject": "bearer", "consumer": "ci",
                }]);
            },
            ..setup(2)
        },
    );
    fleet.sign_in_for("/ci");
    let before = fleet.calls();
    fleet.advance(810);
    all_are_good(&fleet.send_many(500));
    all_are_good(&fleet.send_many(500));
    assert_eq!(fleet.calls(), before + 2, "at the refresh point");
    fleet.advance(5_000);
    fleet.slow(300);
    all_are_good(&fleet.send_many(500));
    assert_eq!(fleet.calls(), before + 4, "after the end");
    let uses: Vec<_> = fleet.uses().into_values().collect();
    assert_eq!(uses, [(1, 1); 4], "each refresh token was used once");
    fleet.assert_alive();
}

#[test]
fn two_instances_renew_one_session_twenty_times() {
    let mut fleet = Fleet::start(
        2,
        &Setup {
            bitbucket: |settings| {
                settings.access_lifetime = 1_000;
                settings.reuse_window = 0;
                // Who loses the race locks all of the consumer out for half a minute.
                settings.lock_out = 30;
            },
            ..setup(2)
        },
    );
    for round in 0..20 {
        fleet.advance(810);
        let before = fleet.calls();
        let answers = fleet.send_many(60);
        all_are_good(&answers);
        // One of them wins; the other may have asked as well.
        let calls = fleet.calls() - before;
        assert!((1..=2).contains(&calls), "{calls} calls in round {round}");
        for instance in [0, 1] {
            all_are_good(&[fleet.send(instance)]);
        }
    }
    for (worked, all) in fleet.uses().into_values() {
        assert_eq!(worked, 1);
        assert!(all <= 2, "once by each instance at the most");
    }
    fleet.assert_alive();
}

#[test]
fn after_the_end_of_the_token_two_instances_sign_nobody_out() {
    let mut fleet = Fleet::start(2, &setup(1));
    fleet.advance(5_000);
    let answers = fleet.send_many(100);
    for answer in &answers {
        // The instance that lost the race cannot know what the other got: it asks to come again.
        let found = (answer.status().as_u16(), header(answer, "x-bitgate-reason"));
        assert!(
            matches!(found, (200, "") | (503, "renewal_unavailable")),
            "{found:?}"
        );
    }
    assert!(answers.iter().any(|answer| answer.status() == 200));
    for instance in [0, 1] {
        all_are_good(&[fleet.send(instance)]);
    }
    fleet.assert_alive();
}

#[test]
fn a_restart_after_a_renewal_signs_nobody_out() {
    let mut fleet = Fleet::start(2, &setup(1));
    fleet.advance(810);
    let answer = fleet.send(0);
    assert_eq!(
        with_new_grant(std::slice::from_ref(&answer)),
        1,
        "the cookie has left"
    );
    // What it knew is gone with it.
    drop(fleet.edges.remove(0));
    for seconds in [0, 700] {
        fleet.advance(seconds);
        all_are_good(&[fleet.send(0)]);
    }
}

/// An instance that does not know the tokens is brought them once, by whatever can follow.
#[test]
fn what_a_browser_does_first_after_a_restart_works_or_says_what_to_do() {
    let mut fleet = Fleet::start(1, &setup(2));
    let jar = fleet.jar.clone();
    let one =
        |fleet: &Fleet, request: Request| fleet.edges[0].send_all(vec![request]).pop().unwrap();
    let found = |answer: &Response| {
        let reason = header(answer, "x-bitgate-reason").to_owned();
        (answer.status().as_u16(), reason)
    };
    let elsewhere = |status| (status, "grant_elsewhere".to_owned());
    for first in ["page", "form", "socket"] {
        fleet.join(&setup(2));
        drop(fleet.edges.remove(0));
        fleet.jar = jar.clone();
        match first {
            "page" => {
                let answer = one(&fleet, fleet.request());
                assert_eq!(found(&answer), elsewhere(307));
                assert_eq!(
                    header(&answer, "location"),
                    format!("{SITE}/_bitgate/grant?rd=%2F")
                );
                assert_eq!(fleet.take(0, answer).status(), 200);
            }
            // 307 keeps method and body, as a browser does that follows it.
            "form" => {
                let mut path = "/form?a=b%2Fc".to_owned();
                let mut answers = Vec::new();
                for _ in 0..3 {
                    let mut post = fleet.request_of(&path).map(|_| b"field=1".to_vec());
                    *post.method_mut() = http::Method::POST;
                    let answer = one(&fleet, post);
                    fleet.jar.take(&answer);
                    let location = header(&answer, "location");
                    path = location.strip_prefix(SITE).unwrap_or_default().to_owned();
                    answers.push(answer.status().as_u16());
                }
                assert_eq!(answers, [307, 307, 200]);
                let upstream = fleet.around.upstream.lock().unwrap();
                let received = upstream.requests().back().unwrap();
                assert_eq!(
                    (received.method.as_str(), received.target.as_str()),
                    ("POST", "/form?a=b%2Fc")
                );
                assert_eq!(received.body, b"field=1");
            }
            _ => {
                let mut socket = fleet.request();
                for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
                    socket.headers_mut().insert(name, value.parse().unwrap());
                }
                let answer = one(&fleet, socket);
                assert_eq!(found(&answer), elsewhere(503));
                assert_eq!(header(&answer, "retry-after"), "10");
                let session = one(&fleet, fleet.request_of("/_bitgate/session"));
                assert_eq!(session.status(), 200);
                fleet.jar.take(&session);
            }
        }
        // From here on on every worker, and as light as before.
        for _ in 0..2 {
            let answers: Vec<_> = fleet.send_many(20);
            all_are_good(&answers);
        }
        assert_eq!(fleet.jar.header().len(), jar.header().len(), "{first}");
        let settled = fleet.send_many(20);
        assert!(
            settled
                .iter()
                .all(|answer| header(answer, "set-cookie").is_empty())
        );
    }
    fleet.assert_alive();
}

#[test]
fn who_brings_nothing_signs_in_again() {
    let mut fleet = Fleet::start(1, &setup(1));
    fleet.join(&setup(1));
    drop(fleet.edges.remove(0));
    // Without the cookies below /_bitgate/, as if somebody had copied those of a page alone.
    fleet.jar.0.retain(|name, _| !name.starts_with("__Secure-"));
    let answer = fleet.send(0);
    let found = (
        answer.status().as_u16(),
        header(&answer, "x-bitgate-reason"),
    );
    assert_eq!(found, (401, "no_session"));
    // Another's tokens do not open in this session.
    let mut world = World {
        edge: Box::new(Arc::clone(&fleet.edges[0])),
        around: fleet.around.clone(),
    };
    let grace = world.person("grace");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &grace).status(), 302);
    let apart = browser.jar.0.clone().into_iter();
    fleet
        .jar
        .0
        .extend(apart.filter(|(name, _)| name.starts_with("__Secure-")));
    assert_eq!(fleet.send(0).status(), 401);
    fleet.assert_alive();
}

#[test]
fn a_client_that_hangs_up_loses_nothing() {
    let mut fleet = Fleet::start(1, &setup(1));
    for round in 0..5 {
        fleet.advance(810);
        let before = fleet.calls();
        fleet.slow(200);
        let envoy = &fleet.edges[0].envoy;
        let mut client = std::net::TcpStream::connect(envoy.listener).unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nhost: localhost:10000\r\nx-bitgate-test-clock: {}\r\ncookie: {}\r\n\r\n",
            fleet.around.clock.offset(),
            fleet.jar.header()
        );
        client.write_all(head.as_bytes()).unwrap();
        eventually(|| fleet.calls() == before + 1);
        drop(client);
        // Until the answer is there, requests go on with the old token.
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = fleet.send(0);
            all_are_good(std::slice::from_ref(&answer));
            if with_new_grant(&[answer]) == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "round {round}");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(fleet.calls(), before + 1, "round {round}");
    }
    fleet.assert_alive();
}

#[test]
fn a_vm_that_dies_in_the_middle_is_followed_by_another() {
    let mut fleet = Fleet::start(
        1,
        &Setup {
            // What the dead one got is lost, so Bitbucket has to take the refresh token once more.
            bitbucket: |settings| {
                settings.access_lifetime = 1_000;
                settings.reuse_window = 600;
            },
            ..setup(1)
        },
    );
    fleet.advance(810);
    let before = fleet.calls();
    fleet.slow(1_000);
    let edge = Arc::clone(&fleet.edges[0]);
    let request = fleet.request();
    let first = std::thread::spawn(move || edge.send_all(vec![request]));
    eventually(|| fleet.calls() == before + 1);
    let mut trap = fleet.request();
    trap.headers_mut()
        .insert("x-bitgate-test-trap", "1".parse().unwrap());
    assert_eq!(fleet.edges[0].send_all(vec![trap])[0].status(), 503);
    // FAIL_RELOAD starts it anew after a second.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = fleet.send(0);
        if answer.status() == 200 {
            break;
        }
        assert!(Instant::now() < deadline, "{}", answer.status());
        std::thread::sleep(Duration::from_millis(100));
    }
    // The lease is still held, by nobody. When its time is over another takes it.
    fleet.advance(6);
    let answer = fleet.send(0);
    all_are_good(std::slice::from_ref(&answer));
    assert_eq!(with_new_grant(&[answer]), 1);
    assert_eq!(fleet.calls(), before + 2);
    let _ = first.join();
}

#[test]
fn a_sign_out_outlives_the_vm_that_saw_it() {
    let mut fleet = Fleet::start(1, &setup(1));
    let copy = fleet.jar.clone();
    let mut sign_out = fleet.request();
    *sign_out.method_mut() = http::Method::POST;
    *sign_out.uri_mut() = "/_bitgate/logout".parse().unwrap();
    assert_eq!(fleet.edges[0].send_all(vec![sign_out])[0].status(), 303);
    let mut trap = fleet.request();
    trap.headers_mut()
        .insert("x-bitgate-test-trap", "1".parse().unwrap());
    assert_eq!(fleet.edges[0].send_all(vec![trap])[0].status(), 503);
    fleet.jar = copy;
    let deadline = Instant::now() + Duration::from_secs(20);
    let answer = loop {
        let answer = fleet.send(0);
        if answer.status() != 503 {
            break answer;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    };
    let found = (
        answer.status().as_u16(),
        header(&answer, "x-bitgate-reason"),
    );
    assert_eq!(found, (401, "session_revoked"));
}

/// Instances with the old key, with both, and with the new one; what one of them issued goes to the
/// next.
#[test]
fn a_change_of_keys_signs_nobody_out_until_the_old_one_is_gone() {
    let with_keys = |config: fn(&mut Value)| Setup { config, ..setup(1) };
    let old = with_keys(|config| keys(config, &[("old", OLD, None)]));
    let before =
        with_keys(|config| keys(config, &[("new", NEW, Some(FUTURE)), ("old", OLD, None)]));
    let both = with_keys(|config| keys(config, &[("new", NEW, Some(PAST)), ("old", OLD, None)]));
    let new = with_keys(|config| keys(config, &[("new", NEW, Some(PAST))]));
    let mut fleet = Fleet::start(1, &old);
    // These instances are never there all at once.
    fleet.goes_round = false;
    for setup in [&before, &both, &new] {
        fleet.join(setup);
    }
    let first = fleet.jar.clone();
    // Not active yet: what the second one seals, the first one opens.
    for instance in [1, 0] {
        fleet.advance(810);
        all_are_good(&[fleet.send(instance)]);
    }
    // Active: a renewal and a slide seal with the new key, and both still open.
    fleet.advance(4_400);
    all_are_good(&fleet.send_many_to(2, 40));
    assert!(fleet.jar.0["__Secure-bitgate-grant"].contains(".new."));
    all_are_good(&[fleet.send(2)]);
    // The old one is taken out: who used the site meanwhile stays, and only who did not signs in again.
    all_are_good(&fleet.send_many_to(3, 40));
    fleet.jar = first;
    assert_eq!(fleet.send(3).status(), 401);
    fleet.assert_alive();
}

const OLD: &str = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLTAwMDE=";
const NEW: &str = "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LTAwMDI=";
const PAST: &str = "2001-01-01T00:00:00Z";
const FUTURE: &str = "2999-01-01T00:00:00Z";

fn keys(config: &mut Value, keys: &[(&str, &str, Option<&str>)]) {
    let key = |(kid, key, not_before): &(&str, &str, Option<&str>)| {
        let mut entry = json!({"kid": kid, "key": {"inline": key}});
        if let Some(moment) = not_before {
            entry["not_before"] = json!(moment);
        }
        entry
    };
    config["session"]["keys"] = keys.iter().map(key).collect();
    config["session"]["idle_timeout"] = json!("12h");
}
