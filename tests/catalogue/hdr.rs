//! HDR: a client cannot say who it is, nor change who is asked.

use super::case::{Case, ada, empty, get, navigation, refused, turned_away};
use crate::support::browser::Jar;
use crate::support::world::World;

/// All that only Bitgate may say.
const MANAGED: [&str; 5] = [
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-bitgate-principal",
    "x-bitgate-request-id",
];

const CANARY: &str = "spoofed";

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("HDR-01", |world| {
            for name in MANAGED {
                strips(world, &[(name, CANARY)]);
            }
        }),
        Case::both("HDR-02", |world| {
            let mut seed = 1_u32;
            for round in 0..100 {
                let name: String = MANAGED[round % MANAGED.len()]
                    .chars()
                    .map(|c| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if seed >> 31 == 0 {
                            c
                        } else {
                            c.to_ascii_uppercase()
                        }
                    })
                    .collect();
                strips(world, &[(&name, CANARY)]);
            }
        }),
        Case::both("HDR-03", |world| {
            for name in [
                "x_forwarded_user",
                "x-forwarded_user",
                "X_FORWARDED-USER",
                "x.forwarded.user",
                "x.forwarded-email",
                "x_bitgate_principal",
                "X-Bitgate_Anything",
                "x.bitgate.groups",
                "x_forwarded_groups",
            ] {
                strips(world, &[(name, CANARY)]);
            }
        }),
        Case::both("HDR-04", |world| {
            let copies = [("x-forwarded-user", CANARY); 3];
            strips(world, &copies);
            strips(
                world,
                &[
                    ("a", "b"),
                    ("x-forwarded-user", CANARY),
                    ("x_forwarded_user", CANARY),
                    ("c", "d"),
                ],
            );
        }),
        Case::envoy("HDR-05", |world| {
            for line in [
                "x-forwarded-user : spoofed",
                "x-forwarded-user\t: spoofed",
                "x-forwarded-user\x0b: spoofed",
                "x-forwarded-user\0: spoofed",
                "x-forw\u{e4}rded: spoofed",
                ": spoofed",
            ] {
                let seen = world.upstream().count();
                let head = format!(
                    "GET /public/x HTTP/1.1\r\nhost: localhost:10000\r\n{line}\r\nconnection: close\r\n\r\n"
                );
                world.edge.envoy().unwrap().send_raw(head.as_bytes());
                if world.upstream().count() > seen {
                    clean(world);
                }
            }
        }),
        Case::both("HDR-06", |world| {
            for (method, path) in [
                ("GET", "/public/x"),
                ("OPTIONS", "/public/x"),
                ("POST", "/public/x"),
                ("HEAD", "/public/x"),
                ("GET", "/health"),
            ] {
                let mut request = http::Request::builder()
                    .method(method)
                    .uri(path)
                    .header("host", "localhost:10000");
                for name in MANAGED {
                    request = request.header(name, CANARY);
                }
                let request = request.header("cookie", "__Host-bitgate=unreadable; a=b");
                assert_eq!(world.send(empty(request)).status(), 200);
                clean(world);
            }
        }),
        Case::envoy("HDR-07", |world| {
            let request = "POST /public/x HTTP/1.1\r\nhost: localhost:10000\r\ntransfer-encoding: chunked\r\ntrailer: x-forwarded-user\r\n\
                           connection: close\r\n\r\n1;x-forwarded-user=spoofed\r\na\r\n0\r\nx-forwarded-user: spoofed\r\n\r\n";
            let seen = world.upstream().count();
            world.edge.envoy().unwrap().send_raw(request.as_bytes());
            assert_eq!(world.upstream().count(), seen + 1);
            clean(world);
        }),
        Case::envoy("HDR-08", |world| {
            let jar = ada(world).jar;
            let mut forwarded = 0;
            for nominated in [
                "x-forwarded-user",
                "X-Forwarded-User, x-bitgate-principal",
                "close, authorization, cookie",
            ] {
                let head = format!(
                    "GET / HTTP/1.1\r\nhost: localhost:10000\r\ncookie: {}\r\nconnection: {nominated}\r\nkeep-alive: x-forwarded-user\r\n\
                     proxy-connection: x-forwarded-user\r\nte: trailers, x-forwarded-user\r\n\r\n",
                    jar.header()
                );
                let seen = world.upstream().count();
                let answer = world.edge.envoy().unwrap().send_raw(head.as_bytes());
                if world.upstream().count() == seen {
                    // Envoy or the filter would not pass it on, as without a cookie.
                    assert!(!answer.contains(" 200 "), "{answer}");
                    continue;
                }
                forwarded += 1;
                let received = world.upstream().last_request().unwrap().clone();
                assert!(received.header("x-forwarded-user").is_some(), "{nominated}");
                assert!(
                    received
                        .header("authorization")
                        .is_some_and(|value| value.starts_with("Bearer "))
                );
                let connection = received.header("connection").unwrap_or_default();
                assert!(!connection.contains("x-"), "{connection}");
            }
            assert!(forwarded > 0, "nothing was forwarded");
        }),
        Case::envoy("HDR-09", |world| {
            let head = "GET /public/x HTTP/1.1\r\nhost: localhost:10000\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
                        http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
            let seen = world.upstream().count();
            world.edge.envoy().unwrap().send_raw(head.as_bytes());
            if world.upstream().count() > seen {
                let received = world.upstream().last_request().unwrap().clone();
                assert_eq!(
                    (
                        received.header("upgrade"),
                        received.header("http2-settings")
                    ),
                    (None, None)
                );
            }
        }),
        Case::both("HDR-10", |world| {
            for (name, value) in [
                ("x-envoy-original-path", "/public/x"),
                ("x-original-url", "/public/x"),
                ("x-rewrite-url", "/public/x"),
                ("x-forwarded-uri", "/public/x"),
                ("x-forwarded-prefix", "/public"),
                ("x-forwarded-host", "public.example.com"),
                ("x-forwarded-method", "OPTIONS"),
                ("x-http-method-override", "GET"),
                ("forwarded", "host=localhost:10000;proto=https"),
            ] {
                refused(
                    world,
                    empty(get("/nobody").header(name, value)),
                    403,
                    "forbidden",
                );
                refused(
                    world,
                    empty(get("/page").header(name, value)),
                    401,
                    "no_session",
                );
            }
        }),
        Case::both("HDR-12", |world| {
            for value in ["127.0.0.1", "::1", "10.0.0.1, 127.0.0.1", "garbage\u{a0}"] {
                let value = http::HeaderValue::from_bytes(value.as_bytes()).unwrap();
                refused(
                    world,
                    empty(get("/nobody").header("x-forwarded-for", value)),
                    403,
                    "forbidden",
                );
            }
        }),
        Case::both("HDR-13", |world| {
            let jar = ada(world).jar;
            for (path, replaced) in [("/", true), ("/identity", false)] {
                let request = get(path)
                    .header("cookie", jar.header())
                    .header("authorization", "Bearer of-the-client");
                assert_eq!(world.send(empty(request)).status(), 200);
                let seen = world.upstream().last_request().unwrap().clone();
                let passed_on = seen.header("authorization") == Some("Bearer of-the-client");
                assert_eq!(passed_on, !replaced, "{path}");
            }
        }),
        Case::both("HDR-17", |world| {
            let account = world.person("linus");
            let mut browser = world.browser();
            browser.sign_in("/", &account);
            let request = get("/identity").header("x-forwarded-email", CANARY);
            assert_eq!(browser.send(empty(request)).status(), 200);
            clean(world);
            let seen = world.upstream().last_request().unwrap().clone();
            assert_eq!(seen.header("x-forwarded-email"), None);
        }),
        Case::native("HDR-19", |world| {
            let mut request = get("/public/x");
            for number in 0..1_000 {
                request = request.header(format!("x-{number}"), "y");
            }
            request = request.header("x_forwarded_user", CANARY);
            assert_eq!(world.send(empty(request)).status(), 200);
            clean(world);
        }),
    ]
}

/// None of these fields gets through, on a public path, with a session, or without one.
fn strips(world: &mut World, fields: &[(&str, &str)]) {
    let request = |path: &str, jar: Option<&Jar>| {
        let mut request = get(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        match jar {
            Some(jar) => request.header("cookie", jar.header()),
            None => request,
        }
    };
    assert_eq!(world.send(empty(request("/public/x", None))).status(), 200);
    clean(world);
    turned_away(world, navigation(request("/", None)));
    let jar = ada(world).jar;
    for path in ["/", "/identity", "/public/x"] {
        assert_eq!(world.send(empty(request(path, Some(&jar)))).status(), 200);
        clean(world);
    }
}

/// Nothing that the client made up reached the upstream.
#[track_caller]
fn clean(world: &World) {
    let upstream = world.upstream();
    for (name, value) in &upstream.last_request().unwrap().headers {
        let is_canary = value
            .windows(CANARY.len())
            .any(|part| part == CANARY.as_bytes());
        assert!(!is_canary || name.contains("trailer"), "{name}");
    }
}
