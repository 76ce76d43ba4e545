//! PATH: one path, however it is written. `/health` and `/public/**` are public, `/foo/{name}/bar`
//! too; `/nobody/**` is closed; all the rest needs a session.

use serde_json::json;

use super::case::{Case, ada, empty, get, raw, reason, refused, turned_away};
use crate::support::browser::header;
use crate::support::setup::Setup;
use crate::support::world::World;

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("PATH-02", |world| {
            closed(
                world,
                &[
                    "/public/%2e%2e/admin",
                    "/public/%2E%2e/admin",
                    "/public/.%2e/admin",
                    "/public/%2e./admin",
                    "/public/../admin",
                ],
            );
        }),
        Case::both("PATH-03", |world| {
            // Data for everybody who decodes once. Who decodes twice must not be behind a public rule.
            let answer = world.send(empty(raw(b"/public/%252e%252e/admin")));
            assert_eq!(answer.status(), 200);
            let seen = world.upstream().last_request().unwrap().target.clone();
            assert_eq!(seen, "/public/%252e%252e/admin");
        }),
        Case::both("PATH-06", |world| {
            closed(
                world,
                &[
                    "/public;/../admin",
                    "/public/..;/admin",
                    "/public/.;a=b/../admin",
                    "/admin;x=/public/",
                    "/health;jsessionid=1",
                    "/admin;x=y/action;foo=bar",
                ],
            );
        }),
        Case::both("PATH-07", |world| {
            closed(
                world,
                &[
                    "/health/",
                    "/health/.",
                    "/health%20",
                    "/health%00",
                    "/healthz",
                    "/health.json",
                    "/health%2f",
                ],
            );
        }),
        Case::both("PATH-08", |world| {
            closed(world, &["/HEALTH", "/Public/x", "/PUBLIC/x", "/ADMIN"])
        }),
        Case::both("PATH-09", |world| {
            closed(world, &["/%61dmin", "/adm%69n"]);
            for path in ["/%6eobody", "/n%6Fbody/x", "/nobody/%78"] {
                assert_eq!(
                    reason(&world.send(empty(raw(path.as_bytes())))),
                    "forbidden",
                    "{path}"
                );
            }
            // And the other way round: a public path stays public in every spelling of the same path.
            assert_eq!(world.send(empty(raw(b"/%70ublic/x"))).status(), 200);
        }),
        Case::both("PATH-10", |world| {
            closed(
                world,
                &[
                    "/admin%2fusers",
                    "/admin%2Fusers",
                    "/admin%252fusers",
                    "/public%2fx",
                    "/public%5cx",
                ],
            );
        }),
        Case::both("PATH-11", |world| {
            closed(
                world,
                &[
                    "/admin?x=/public/",
                    "/admin?/health",
                    "/x?next=/health",
                    "/?/public/x",
                ],
            )
        }),
        Case::both("PATH-12", |world| {
            closed(
                world,
                &[
                    "/admin#/public",
                    "/public/x#/../../admin",
                    "/foo/secret%23/bar",
                    "/foo/secret%3f/bar",
                    "/foo/secret%3F/bar",
                ],
            );
            assert_eq!(world.send(empty(raw(b"/foo/logo/bar"))).status(), 200);
        }),
        Case::both("PATH-13", |world| {
            closed(
                world,
                &["/public/\\..\\admin", "/public\\admin", "\\public\\x"],
            )
        }),
        Case::both("PATH-14", |world| {
            closed(
                world,
                &[
                    "/public/%c0%ae%c0%ae/admin",
                    "/public/%e0%80%ae/x",
                    "/public/%u002e/x",
                    "/public/%zz",
                    "/public/%",
                    "/public/%4",
                ],
            );
        }),
        Case::both("PATH-15", |world| {
            closed(
                world,
                &[
                    "/\u{ff41}dmin",
                    "/adm\u{200c}in",
                    "/adm\u{131}n",
                    "/caf\u{e9}",
                    "/cafe\u{301}",
                ],
            );
            closed(
                world,
                &[
                    "/%EF%BD%90ublic/x",
                    "/publ%E2%80%8Cic/x",
                    "/hea%C4%B1th",
                    "/h%C3%A9alth",
                    "/he%CC%81alth",
                ],
            );
        }),
        Case::both("PATH-16", |world| {
            closed(
                world,
                &[
                    "/public/%0a",
                    "/public/%09",
                    "/public/%7f",
                    "/public/\u{1}",
                    "/public/a b",
                ],
            )
        }),
        Case::both("PATH-18", |world| {
            let long = format!("/public/{}", "a".repeat(8_000));
            assert_eq!(world.send(empty(raw(long.as_bytes()))).status(), 200);
            let many = format!("/public{}", "/a".repeat(10_000));
            let up = format!("/public{}/admin", "/..".repeat(5_000));
            closed(world, &[&many, &up]);
        }),
        Case::both("PATH-19", |world| {
            closed(
                world,
                &[
                    "*",
                    "?x",
                    "admin",
                    "http://localhost:10000/public/../admin",
                    "http://localhost:10000//admin",
                ],
            );
        }),
        Case::both("PATH-23", |world| {
            for host in [
                "a.public.example.com@x",
                "localhost:10000@evil",
                "localhost:10000, evil",
                "evil/localhost:10000",
            ] {
                let request = http::Request::get("/page").header("host", host);
                turned_away(world, empty(request));
            }
            for host in [
                "evillocalhost:10000",
                "localhost:10000.evil.com",
                "localhost",
            ] {
                let request = http::Request::get("/page").header("host", host);
                refused(world, empty(request), 421, "wrong_host");
            }
        }),
        Case::native("PATH-28", |_| {
            // The same decisions with three rules and with 2,000.
            let long = Setup {
                config: |config| {
                    let rules = config["rules"].as_array_mut().unwrap();
                    for number in 0..2_000 {
                        rules.insert(0, json!({"match": {"path": format!("/filler/{number}")}, "allow": "nobody"}));
                    }
                },
                ..Setup::default()
            };
            let mut few = World::new(crate::support::world::Kind::Native, &Setup::default());
            let mut many = World::new(crate::support::world::Kind::Native, &long);
            for path in [
                "/public/x",
                "/PUBLIC/x",
                "/nobody/x",
                "/page",
                "/%6eobody/x",
                "/a;b",
                "/identity",
            ] {
                let answers = [&mut few, &mut many].map(|world| {
                    let answer = world.send(empty(raw(path.as_bytes())));
                    (answer.status().as_u16(), reason(&answer).to_owned())
                });
                assert_eq!(answers[0], answers[1], "{path}");
            }
        }),
        Case::native("PATH-29", a_closing_rule_opens_nothing),
        Case::native("PATH-31", |_| {
            for path in [
                "health",
                "/.*health",
                "^/health$",
                "/health|/admin",
                "/a*",
                "/[a-z]+",
                "/**/health",
                "/{}",
                "/%61",
            ] {
                let problem = super::cfg::problems(|config| {
                    config["rules"][0]["match"]["path"] = json!(path)
                });
                // "|" and "[" are in no normalised path, so they are no literals either.
                assert!(!problem.is_empty(), "{path}");
            }
        }),
        Case::both("PATH-36", |world| {
            for query in ["repo=a&repo=b", "repo%5b%5d=a", "REPO=a", "_method=DELETE"] {
                assert_eq!(
                    world
                        .send(empty(get(&format!("/public/x?{query}"))))
                        .status(),
                    200
                );
                refused(
                    world,
                    empty(get(&format!("/nobody?{query}"))),
                    403,
                    "forbidden",
                );
            }
        }),
        Case::both("PATH-37", |world| {
            let jar = ada(world).jar;
            let send = |world: &mut World, method: &str, extra: (&str, &str)| {
                let request = http::Request::builder().method(method).uri("/read-only");
                let request = request
                    .header("host", "localhost:10000")
                    .header("cookie", jar.header());
                world
                    .send(empty(request.header(extra.0, extra.1)))
                    .status()
                    .as_u16()
            };
            let none = ("accept", "*/*");
            assert_eq!(send(world, "GET", none), 200);
            assert_eq!(send(world, "HEAD", none), 200);
            // The next rule closes what this one does not open. Methods are compared exactly.
            for method in ["get", "Get", "POST", "DELETE", "PROPFIND"] {
                assert!(matches!(send(world, method, none), 400 | 403), "{method}");
            }
            assert_eq!(send(world, "POST", ("x-http-method-override", "GET")), 403);
        }),
        Case::both("PATH-40", |world| {
            for path in [
                "/_bitgate/callbackX",
                "/_bitgate/callback/",
                "/_bitgate/callback/x",
                "/_bitgate/Callback",
            ] {
                refused(world, empty(get(path)), 404, "not_found");
            }
            closed(
                world,
                &[
                    "/_bitgate/callback/../admin",
                    "/_bitgate%2fcallback",
                    "/_bitgate;x/callback",
                    "/_bitgate/callback;x",
                    "//_bitgate/callback",
                ],
            );
            refused(world, empty(get("/_BITGATE/callback")), 401, "no_session");
        }),
        Case::both("PATH-41", |world| {
            closed(world, &["/_bitgate/../admin", "/_bitgate/./x"]);
            for path in [
                "/_bitgate/unknown",
                "/_bitgate",
                "/_bitgate/",
                "/%5Fbitgate/unknown",
                "/_bitgate/admin",
            ] {
                let jar = ada(world).jar;
                refused(
                    world,
                    empty(get(path).header("cookie", jar.header())),
                    404,
                    "not_found",
                );
            }
        }),
        Case::both("PATH-42", |world| {
            let jar = ada(world).jar;
            let seen = world.upstream().count();
            for path in [
                "/_bitgate/session",
                "/_bitgate/status",
                "/_bitgate/logout",
                "/_bitgate/login",
            ] {
                world.send(empty(get(path).header("cookie", jar.header())));
            }
            assert_eq!(world.upstream().count(), seen);
        }),
        Case::both("PATH-44", |world| {
            for host in ["localhost:10000", "10.0.0.7:10000"] {
                let request = http::Request::get("/_bitgate/status").header("host", host);
                let answer = world.send(empty(request));
                assert_eq!(
                    (answer.status().as_u16(), answer.body().as_slice()),
                    (200, &b"{\"status\":\"ready\"}\n"[..])
                );
                assert_eq!(header(&answer, "cache-control"), "private, no-store");
            }
            for path in [
                "/_bitgate/status/",
                "/_bitgate/status/x",
                "/_bitgate/statusx",
            ] {
                refused(world, empty(get(path)), 404, "not_found");
            }
            let post = http::Request::post("/_bitgate/status").header("host", "localhost:10000");
            refused(world, empty(post), 405, "method_not_allowed");
        }),
    ]
}

/// Nobody without a session gets through with any of these.
#[track_caller]
fn closed(world: &mut World, targets: &[&str]) {
    for target in targets {
        turned_away(world, empty(raw(target.as_bytes())));
        turned_away(
            world,
            empty(raw(target.as_bytes()).header("accept", "text/html")),
        );
    }
}

/// Whatever rules there are: one more that closes something lets nothing more through.
fn a_closing_rule_opens_nothing(_: &mut World) {
    use bitgate::http::RequestTarget;
    use bitgate::policy::{Allow, Found, Inject, PathTemplate, Policy, Rule, Shadow, Tail};
    let templates = [
        "/",
        "/**",
        "/a",
        "/a/**",
        "/{x}",
        "/{x}/b",
        "/a/b",
        "/b/**",
        "/a/{y}/**",
    ];
    let allows = [Allow::Public, Allow::SignedIn, Allow::Nobody];
    let tails = [Tail::Strict, Tail::Raw];
    let targets = [
        "/", "/a", "/a/", "/a/b", "/a/b/c", "/b", "/b/x", "/c/b", "/a/x%2fy", "/a;x/b", "/b/x;y",
        "/b%2fx",
    ];
    let mut seed = 7_usize;
    let mut draw = |count: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % count
    };
    for _ in 0..2_000 {
        let mut rule = |allow: Option<Allow>| Rule {
            name: None,
            paths: vec![PathTemplate::parse(templates[draw(templates.len())]).unwrap()],
            methods: None,
            git: Vec::new(),
            tail: tails[draw(2)],
            origins: Vec::new(),
            allow: allow.unwrap_or_else(|| allows[draw(3)].clone()),
            inject: Inject::None,
            shadow: Shadow::Decides,
            identity_token: None,
            consumer: None,
        };
        let rules: Vec<Rule> = (0..4).map(|_| rule(None)).collect();
        let closing = rule(Some(Allow::Nobody));
        let before = Policy::new(rules.clone());
        for at in 0..=rules.len() {
            let mut after = rules.clone();
            after.insert(at, closing.clone());
            let after = Policy::new(after);
            for target in targets {
                let target = RequestTarget::parse(target.as_bytes()).unwrap();
                let allowed = |policy: &Policy| match policy.find("GET", &target) {
                    Found::Rule(_, rule) => {
                        Some(rule.allow.clone()).filter(|allow| *allow != Allow::Nobody)
                    }
                    Found::Ambiguous(_) | Found::Nothing => None,
                };
                let (old, new) = (allowed(&before), allowed(&after));
                assert!(new.is_none() || new == old, "{target:?} {old:?} {new:?}");
            }
        }
    }
}
