//! FAIL: what cannot be judged or asked opens nothing, and stops nobody else.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use serde_json::json;

use super::case::{Case, get, reason};
use crate::support::setup::Setup;
use crate::support::world::World;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("FAIL-01", |world| {
            for name in [
                "cookie",
                "authorization",
                "referer",
                "accept",
                "accept-language",
                "origin",
                "sec-fetch-mode",
                "sec-fetch-site",
                "sec-fetch-dest",
                "user-agent",
                "x-request-id",
                "content-type",
                "x-forwarded-user",
                "x_forwarded_user",
                "upgrade-insecure-requests",
                "purpose",
                "git-protocol",
                "early-data",
                "x-anything",
            ] {
                for value in [
                    &b"\xff"[..],
                    b"\xff\xfe=\xff",
                    b"\xc0\xaf",
                    b"text/html,\xff",
                    b"\xe2\x28\xa1",
                ] {
                    for path in [
                        "/page",
                        "/nobody",
                        "/_bitgate/session",
                        "/_bitgate/logout",
                        "/_bitgate/callback?code=c&state=s",
                    ] {
                        let value = http::HeaderValue::from_bytes(value).unwrap();
                        let request = get(path).header(name, value).body(Vec::new()).unwrap();
                        let seen = world.upstream().count();
                        let status = world.send(request).status().as_u16();
                        assert!(status < 500, "{name} {path} {status}");
                        assert_eq!(world.upstream().count(), seen, "{name} {path}");
                    }
                }
            }
            if let Some(envoy) = world.edge.envoy() {
                for head in [
                    &b"GET /\xff HTTP/1.1\r\nhost: localhost:10000\r\n"[..],
                    b"GET / HTTP/1.1\r\nhost: \xff\xfe\r\n",
                    b"GET / HTTP/1.1\r\nhost: localhost:10000\r\n\xff: x\r\n",
                    b"GET / HTTP/1.1\r\nhost: localhost:10000\r\nx-\xe4: x\r\n",
                    b"G\xffT / HTTP/1.1\r\nhost: localhost:10000\r\n",
                ] {
                    let answer = envoy.send_raw(&[head, b"connection: close\r\n\r\n"].concat());
                    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
                }
            }
        }),
        Case::both("FAIL-04", |world| {
            for text in ["[".repeat(60_000), "{\"a\":".repeat(12_000)] {
                let headers = vec![("content-type", "application/json".to_owned())];
                let response = FaultResponse::Raw {
                    status: 200,
                    headers,
                    body: text.into_bytes(),
                };
                for path in ["/site/oauth2/access_token", "/2.0/user", "/2.0/user/emails"] {
                    ends_with(world, path, response.clone(), "bitbucket_invalid_answer");
                }
            }
        }),
        Case::both("FAIL-05", |world| {
            let account = world.person("ada");
            let answer = world.browser().sign_in("/", &account);
            assert_eq!(
                (answer.status().as_u16(), reason(&answer)),
                (503, "bitbucket_unreachable")
            );
        })
        .with(|| Setup {
            // Natively the same by its name: no such cluster.
            is_bitbucket_down: true,
            config: |config| config["bitbucket"]["web"]["cluster"] = json!("no_such_cluster"),
            ..Setup::default()
        }),
        Case::native("FAIL-06", |_| {
            for text in ["", "{}", "{\"rules\": []}"] {
                let parsed = bitgate::config::Config::parse(text.as_bytes(), &|_| None);
                assert!(parsed.is_err(), "no gate without a configuration");
            }
        }),
        Case::envoy("FAIL-09", |world| {
            use std::io::Write;
            let account = world.person("ada");
            for _ in 0..10 {
                world.bitbucket().fail_next(Fault {
                    path: "/site/oauth2/access_token".to_owned(),
                    times: 1,
                    response: FaultResponse::Slow(150),
                });
                let mut browser = world.browser();
                let sent_away = browser.open("/page");
                let callback = browser.answer(&sent_away, &account, "grant");
                let cookie = browser.jar.header();
                let envoy = browser.world.edge.envoy().unwrap();
                let mut client = std::net::TcpStream::connect(envoy.listener).unwrap();
                let head = format!(
                    "GET {callback} HTTP/1.1\r\nhost: localhost:10000\r\ncookie: {cookie}\r\n\r\n"
                );
                client.write_all(head.as_bytes()).unwrap();
                // Gone before Bitbucket has answered.
                std::thread::sleep(std::time::Duration::from_millis(30));
                drop(client);
            }
            std::thread::sleep(std::time::Duration::from_millis(300));
            let log = world.edge.envoy().unwrap().log_text();
            assert!(!log.contains("panicked") && !log.contains("[critical]"));
        }),
    ]
}

fn ends_with(world: &mut World, path: &str, response: FaultResponse, code: &str) {
    world.bitbucket().fail_next(Fault {
        path: path.to_owned(),
        times: 1,
        response,
    });
    let account = world.person("ada");
    let answer = world.browser().sign_in("/", &account);
    assert_eq!(reason(&answer), code);
}
