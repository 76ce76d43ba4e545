//! The built modules: what the released one has not, and what the one for tests shows.

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
use std::sync::atomic::{AtomicUsize, Ordering};

use bitgate_simulator::{client, server};
use support::envoy::{Envoy, module};
use support::eventually;
use support::example::Example;
use support::setup::Setup;
use support::world::{Kind, World};

#[test]
fn the_released_module_has_no_test_hook() {
    let contains = |name: &str, text: &str| {
        let bytes = std::fs::read(module(name)).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    for hook in [
        "x-bitgate-test-clock",
        "x-bitgate-test-panic",
        "x-bitgate-test-trap",
        "x-bitgate-test-token",
    ] {
        assert!(contains("bitgate-test-hooks", hook), "{hook}");
        assert!(!contains("bitgate", hook), "{hook}");
    }
    assert!(!contains("bitgate", "bitgate-test"));
}

#[test]
fn the_released_module_is_small() {
    let size = std::fs::metadata(module("bitgate")).unwrap().len();
    assert!(size <= 600 * 1_024, "{size} bytes");
}

/// proxy-wasm exports all callbacks, and Envoy crosses into the module for each one that is there. What
/// is missing is for Envoy what the empty default would be; that it still works is what every other
/// test in Envoy shows.
#[test]
fn the_modules_export_what_is_used() {
    let mut expected = vec![
        // What the host needs besides callbacks.
        "memory".to_owned(),
        "_initialize".to_owned(),
        "proxy_abi_version_0_2_1".to_owned(),
        "proxy_on_memory_allocate".to_owned(),
        // What the SDK does itself.
        "proxy_on_context_create".to_owned(),
        "proxy_on_delete".to_owned(),
    ];
    expected.extend(callbacks());
    expected.sort_unstable();
    expected.dedup();
    for name in ["bitgate", "bitgate-test-hooks"] {
        let bytes = std::fs::read(module(name)).unwrap();
        let mut exports = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
            if let wasmparser::Payload::ExportSection(section) = payload.unwrap() {
                exports.extend(section.into_iter().map(|export| export.unwrap().name));
            }
        }
        exports.sort_unstable();
        assert_eq!(exports, expected, "{name}");
    }
}

/// The callbacks that the adapter implements, by their names in the interface.
fn callbacks() -> Vec<String> {
    let sources = [
        include_str!("../src/adapter/root.rs"),
        include_str!("../src/adapter/filter.rs"),
    ];
    let lines = sources.iter().flat_map(|source| source.lines());
    lines
        .filter_map(|line| line.strip_prefix("    fn on_")?.split_once('('))
        .map(|(name, _)| match name.strip_prefix("http_") {
            Some(rest) if rest != "call_response" => format!("proxy_on_{rest}"),
            Some(_) | None => format!("proxy_on_{name}"),
        })
        .collect()
}

#[test]
fn the_released_module_ignores_the_hooks() {
    let mut world = World::new(Kind::Envoy, &Setup::default());
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &ada).status(), 302);
    let request = http::Request::get("/").header("x-bitgate-test-clock", "999999999");
    let answer = browser.send(request.body(Vec::new()).unwrap());
    assert_eq!(answer.status(), 200);
    assert_eq!(
        world
            .upstream()
            .last_request()
            .unwrap()
            .header("x-bitgate-test-clock"),
        None
    );
}

/// What no HTTP library sends. Whatever it is answered with, the worker lives and the upstream is
/// not asked.
#[test]
fn a_stranger_cannot_stop_the_worker() {
    let mut example = Example::read("demo.yaml");
    let upstream_requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&upstream_requests);
    let upstream = server::spawn(([127, 0, 0, 1], 0).into(), move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        http::Response::new(Vec::new())
    })
    .unwrap();
    example.set_cluster_port("demo_upstream", upstream.address().port());
    example.free_ports();
    example.set_module(&module("bitgate"));
    let envoy = Envoy::start(&example, 1);
    let many = (0..1_000)
        .map(|number| format!("__Host-bitgate-login.{number}=x; "))
        .collect::<String>();
    let long = "a".repeat(65_536);
    let lines: Vec<Vec<u8>> = vec![
        b"x: \xff\xfe".to_vec(),
        b"cookie: \xff\xfe=\xff".to_vec(),
        b"cookie: __Host-bitgate=\xff".to_vec(),
        b"cookie: __Host-bitgate=a; __Host-bitgate=b\r\ncookie: __Host-bitgate=c".to_vec(),
        b"cookie: __Host-bitgate=eyJhbGciOiJub25lIn0....\r\ncookie: __Host-bitgate-grant=5.1.."
            .to_vec(),
        b"authorization: \xff\r\nauthorization: Bearer x".to_vec(),
        b"accept: \xff,text/html\r\nsec-fetch-mode: \xff".to_vec(),
        b"x-request-id: \xff\r\nx-forwarded-user: \xff".to_vec(),
        format!("cookie: {many}").into_bytes(),
        format!("cookie: {long}").into_bytes(),
        format!("x-long: {long}").into_bytes(),
    ];
    let targets = [
        "/",
        "/_bitgate/callback?code=%ff&state=%00",
        "/_bitgate/login?rd=%ff%fe",
        "/_bitgate/session",
    ];
    for line in &lines {
        for target in targets {
            let mut request =
                format!("GET {target} HTTP/1.1\r\nhost: localhost:10000\r\n").into_bytes();
            request.extend(line);
            request.extend(b"\r\nconnection: close\r\n\r\n");
            let answer = envoy.send_raw(&request);
            let status = answer.get(9..12).unwrap_or("none");
            assert!(
                status.starts_with('3') || status.starts_with('4'),
                "{answer}"
            );
        }
    }
    for head in [
        "GET / HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: localhost:10000\r\n\r\n",
        "CONNECT localhost:1 HTTP/1.1\r\nhost: localhost:1\r\n\r\n",
        "G\u{e9}T / HTTP/1.1\r\n\r\n",
    ] {
        let head = head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        assert!(!envoy.send_raw(head.as_bytes()).contains(" 200 "), "{head}");
    }
    assert_eq!(upstream_requests.load(Ordering::SeqCst), 0);
    let plain = http::Request::get("/public/x").header("host", "localhost:10000");
    let answer = client::send(envoy.listener, plain.body(Vec::new()).unwrap()).unwrap();
    assert_eq!(answer.status(), 200);
    let reloads = envoy.stats("vm_reload");
    assert!(
        !reloads.lines().any(|line| !line.ends_with(": 0")),
        "{reloads}"
    );
    assert!(!envoy.log_text().contains("panicked"));
}

/// Much of what writes about a panic is left out of the modules; what an operator needs is there.
#[test]
fn a_panic_says_in_the_log_where_and_why() {
    let mut example = Example::read("demo.yaml");
    example.free_ports();
    example.set_module(&module("bitgate-test-hooks"));
    let envoy = Envoy::start(&example, 1);
    let head = "GET / HTTP/1.1\r\nhost: localhost:10000\r\nconnection: close\r\n";
    let answer = envoy.send_raw(format!("{head}x-bitgate-test-panic: x\r\n\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    envoy.eventually_logged("panicked at src/adapter/filter.rs:");
    envoy.eventually_logged("for a test: invalid digit found in string");
}

/// Every event is counted, and the counters of the examples have labels.
#[test]
fn events_are_counted_by_kind_and_reason() {
    let mut world = World::new(Kind::Envoy, &Setup::default());
    let count = |world: &World, event: &str, reason: &str| {
        let wanted = format!(
            "bitgate_events_total{{bitgate_event=\"{event}\",bitgate_reason=\"{reason}\"}} "
        );
        let text = world.edge.envoy().unwrap().prometheus();
        let line = text.lines().find(|line| line.starts_with(&wanted));
        let line = line.unwrap_or_else(|| panic!("no {wanted} in:\n{text}"));
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    // There from the start, for every reason.
    for reason in bitgate::gate::Reason::ALL {
        assert_eq!(count(&world, "refused", reason.code()), 0);
    }
    let ada = world.person("ada");
    let mut browser = world.browser();
    for _ in 0..3 {
        browser.fetch("/page");
    }
    browser.open("/nobody");
    browser.sign_in("/", &ada);
    browser.fetch("/_bitgate/session");
    // Cookies that do not open are no session, and are counted.
    browser
        .jar
        .0
        .insert("__Host-bitgate-grant".to_owned(), "1.1.x.y".to_owned());
    browser.fetch("/page");
    let envoy = world.edge.envoy().unwrap();
    // The module counts those once a second.
    let opened = "bitgate_sessions_opened_total{} 1\n";
    eventually(|| envoy.prometheus().contains(opened));
    let text = envoy.prometheus();
    assert!(
        text.contains("bitgate_unreadable_sessions_total{} 1"),
        "{text}"
    );
    for (event, reason, expected) in [
        ("refused", "no_session", 4),
        ("refused", "forbidden", 1),
        ("login_started", "no_session", 1),
        ("signed_in", "none", 1),
        ("asked", "none", 1),
        ("signed_out", "none", 0),
    ] {
        assert_eq!(count(&world, event, reason), expected, "{event} {reason}");
    }
}
