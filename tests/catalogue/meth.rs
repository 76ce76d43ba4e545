//! METH: no method, no protocol and no kind of request is a way in.

use super::case::{Case, ada, empty, get, navigation, post, reason, refused, turned_away};
use crate::support::browser::{SITE, header};
use crate::support::setup::Setup;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("METH-01", |world| {
            let preflight = |path: &str| {
                let request = http::Request::options(path).header("host", "localhost:10000");
                empty(
                    request
                        .header("origin", "https://other.test")
                        .header("access-control-request-method", "PUT"),
                )
            };
            refused(world, preflight("/page"), 401, "no_session");
            let options = http::Request::options("/page").header("host", "localhost:10000");
            refused(world, empty(options), 401, "no_session");
            // Where a rule allows it, nothing of the person goes along.
            let jar = ada(world).jar;
            let mut request = preflight("/public/x");
            request
                .headers_mut()
                .insert("cookie", jar.header().parse().unwrap());
            request
                .headers_mut()
                .insert("x-forwarded-user", "spoofed".parse().unwrap());
            assert_eq!(world.send(request).status(), 200);
            let seen = world.upstream().last_request().unwrap().clone();
            for name in ["cookie", "authorization", "x-forwarded-user"] {
                assert_eq!(seen.header(name), None, "{name}");
            }
        }),
        Case::both("METH-02", |world| {
            let head = |path: &str| http::Request::head(path).header("host", "localhost:10000");
            refused(world, empty(head("/nobody")), 403, "forbidden");
            refused(world, empty(head("/page")), 401, "no_session");
            let answer = world.send(navigation(head("/page")));
            assert_eq!(answer.status(), 302);
            assert_eq!(world.send(empty(head("/public/x"))).status(), 200);
        }),
        Case::both("METH-03", |world| {
            let jar = ada(world).jar;
            for method in ["TRACE", "TRACK"] {
                for path in ["/page", "/public/x"] {
                    let request = http::Request::builder().method(method).uri(path);
                    let request = request.header("host", "localhost:10000");
                    let answer = turned_away(world, empty(request.header("cookie", jar.header())));
                    // Envoy does not know TRACK.
                    let is_envoys = answer.status() == 400 && method == "TRACK";
                    assert!(
                        is_envoys || reason(&answer) == "method_not_supported",
                        "{method}"
                    );
                }
            }
            for method in ["PROPFIND", "FOO", "M-SEARCH"] {
                let request = http::Request::builder().method(method).uri("/page");
                let answer = turned_away(world, empty(request.header("host", "localhost:10000")));
                assert!(matches!(answer.status().as_u16(), 400 | 401), "{method}");
            }
            let long = "A".repeat(1_024);
            let request = http::Request::builder()
                .method(long.as_str())
                .uri("/public/x")
                .header("host", "localhost:10000");
            assert_eq!(world.send(empty(request)).status(), 400);
        }),
        Case::envoy("METH-04", |world| {
            let jar = ada(world).jar;
            for head in [
                "CONNECT localhost:10000 HTTP/1.1\r\nhost: localhost:10000\r\n".to_owned(),
                format!(
                    "CONNECT localhost:10000 HTTP/1.1\r\nhost: localhost:10000\r\ncookie: {}\r\n",
                    jar.header()
                ),
                "CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test:443\r\n".to_owned(),
            ] {
                let seen = world.upstream().count();
                let answer = world
                    .edge
                    .envoy()
                    .unwrap()
                    .send_raw(format!("{head}\r\nGET /public/x HTTP/1.1\r\n\r\n").as_bytes());
                assert!(
                    answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5"),
                    "{answer}"
                );
                assert_eq!(world.upstream().count(), seen);
            }
        }),
        Case::both("METH-05", |world| {
            let upgrade = |path: &str| {
                get(path)
                    .header("connection", "upgrade")
                    .header("upgrade", "websocket")
                    .header("sec-websocket-version", "13")
                    .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
                    .header("accept", "text/html")
            };
            refused(world, empty(upgrade("/socket")), 401, "no_session");
            let jar = ada(world).jar;
            for foreign in ["https://evil.test", "null", "http://localhost:10001"] {
                let request = upgrade("/socket")
                    .header("cookie", jar.header())
                    .header("origin", foreign);
                refused(world, empty(request), 403, "cross_site");
            }
            let request = upgrade("/socket")
                .header("cookie", jar.header())
                .header("sec-fetch-site", "cross-site");
            refused(world, empty(request), 403, "cross_site");
            let seen = world.upstream().count();
            world.send(empty(
                upgrade("/socket")
                    .header("cookie", jar.header())
                    .header("origin", SITE),
            ));
            assert_eq!(world.upstream().count(), seen + 1, "the own origin may");
        }),
        Case::both("METH-07", |world| {
            // A stream that is open lives on, as stream_idle_timeout lets it. No new one is opened.
            let jar = ada(world).jar;
            world.advance(13 * 3_600);
            let request = get("/events")
                .header("cookie", jar.header())
                .header("accept", "text/event-stream");
            refused(world, empty(request), 401, "session_expired");
        })
        .with(Setup::with_clock),
        Case::both("METH-08", |world| {
            let call = |path: &str, kind: &str| {
                empty(
                    post(path)
                        .header("content-type", kind)
                        .header("te", "trailers"),
                )
            };
            for (path, status, code) in [
                ("/pkg.Service/Call", "16", "no_session"),
                ("/nobody/Call", "7", "forbidden"),
            ] {
                for kind in ["application/grpc", "application/grpc+proto"] {
                    let answer = refused(world, call(path, kind), 200, code);
                    assert_eq!(header(&answer, "grpc-status"), status, "{kind} {path}");
                    assert!(header(&answer, "grpc-message").contains(code));
                    assert_eq!(header(&answer, "content-type"), "application/grpc");
                    assert!(answer.body().is_empty(), "trailers only");
                    assert!(answer.headers().get("location").is_none());
                }
                // gRPC-Web has its trailers in the body: a frame with the highest bit set.
                let answer = refused(world, call(path, "application/grpc-web+proto"), 200, code);
                assert_eq!(
                    header(&answer, "content-type"),
                    "application/grpc-web+proto"
                );
                let (head, trailers) = answer.body().split_at(5);
                assert_eq!(head, [0x80, 0, 0, 0, u8::try_from(trailers.len()).unwrap()]);
                let wanted = format!("grpc-status: {status}\r\n");
                assert!(trailers.starts_with(wanted.as_bytes()), "{trailers:?}");
                let text = refused(world, call(path, "application/grpc-web-text"), 200, code);
                assert_eq!(header(&text, "content-type"), "application/grpc-web-text");
                assert!(text.body().starts_with(b"gAAAA"), "the same in base64");
            }
        }),
        Case::both("METH-09", |world| {
            for (name, value) in [
                ("sec-fetch-mode", "cors"),
                ("x-requested-with", "XMLHttpRequest"),
                ("accept", "application/json"),
            ] {
                let answer = refused(
                    world,
                    empty(get("/data").header(name, value)),
                    401,
                    "no_session",
                );
                assert!(
                    answer.headers().get("set-cookie").is_none()
                        && answer.headers().get("location").is_none()
                );
                assert_eq!(header(&answer, "content-type"), "application/json");
            }
        }),
        Case::both("METH-14", |world| {
            for (name, value) in [
                ("range", "bytes=0-9"),
                ("if-none-match", "*"),
                ("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT"),
            ] {
                refused(
                    world,
                    empty(get("/page").header(name, value)),
                    401,
                    "no_session",
                );
                assert_eq!(
                    world
                        .send(navigation(get("/page").header(name, value)))
                        .status(),
                    302
                );
            }
        }),
        Case::both("METH-15", |world| {
            for path in [
                "/_bitgate/callback?code=c&state=s",
                "/_bitgate/logout",
                "/_bitgate/login",
            ] {
                refused(
                    world,
                    empty(get(path).header("early-data", "1")),
                    425,
                    "too_early",
                );
            }
        }),
        Case::envoy("METH-16", |world| {
            let jar = ada(world).jar;
            for cookie in [String::new(), format!("cookie: {}\r\n", jar.header())] {
                for upgrade in ["foo", "TLS/1.0", "h2c"] {
                    let seen = world.upstream().requests().len();
                    let head = format!(
                        "GET /page HTTP/1.1\r\nhost: localhost:10000\r\nconnection: upgrade\r\nupgrade: {upgrade}\r\n{cookie}\r\n\
                         GET /smuggled HTTP/1.1\r\nhost: localhost:10000\r\n{cookie}\r\n"
                    );
                    world.edge.envoy().unwrap().send_raw(head.as_bytes());
                    let upstream = world.upstream();
                    for received in upstream.requests().iter().skip(seen) {
                        assert!(
                            !cookie.is_empty(),
                            "{} reached the upstream",
                            received.target
                        );
                        assert_ne!(received.header("upgrade"), Some(upgrade));
                    }
                }
            }
        }),
        Case::both("METH-17", |world| {
            use bitgate::http::Request;
            // The core, with every pseudo-header missing in turn; Envoy, with a CONNECT that has no path.
            for missing in [":method", ":authority", ":path"] {
                let fields = [
                    (":method", "CONNECT"),
                    (":authority", "localhost:10000"),
                    (":path", "/"),
                ];
                let fields = fields.iter().filter(|(name, _)| *name != missing);
                let fields = fields
                    .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()))
                    .collect::<Vec<_>>();
                assert!(Request::read(fields).is_err(), "{missing}");
            }
            if let Some(envoy) = world.edge.envoy() {
                let answer = envoy
                    .send_raw(b"CONNECT localhost:10000 HTTP/1.1\r\nhost: localhost:10000\r\n\r\n");
                assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
            }
        }),
    ]
}
