//! CFG: a configuration that would be unsafe is not taken.

use bitgate::config::Config;
use serde_json::{Value, json};

use super::case::Case;
use crate::support::example::Example;
use crate::support::native_edge;

const KEY: &str = "dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=";

pub fn cases() -> Vec<Case> {
    vec![
        Case::native("CFG-03", |_| {
            refuses("session.keys[1].key", |config| {
                let key = config["session"]["keys"][0]["key"].clone();
                config["session"]["keys"] =
                    json!([{"kid": "a", "key": key}, {"kid": "b", "key": key}]);
            });
            refuses("session.keys[0].key", |config| {
                config["bitbucket"]["client_secret"] = json!({"env": "BITGATE_SESSION_KEY"})
            });
            for weak in [
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                "YWJjZGFiY2RhYmNkYWJjZGFiY2RhYmNkYWJjZGFiY2Q=",
            ] {
                let problems = with_environment(|_| {}, &|_| Some(weak.to_owned()));
                assert!(
                    problems
                        .iter()
                        .any(|p| p.starts_with("session.keys[0].key: ")),
                    "{problems:?}"
                );
            }
            for short in ["YWJj", "not base64", ""] {
                assert!(!with_environment(|_| {}, &|_| Some(short.to_owned())).is_empty());
            }
        }),
        Case::native("CFG-04", |_| {
            for id in ["", " id", "id\n", "id id", "\u{2026}"] {
                refuses("bitbucket.client_id", |config| {
                    config["bitbucket"]["client_id"] = json!(id)
                });
            }
            for secret in ["", " ", "secret\n", "a b", "\u{e9}"] {
                refuses("bitbucket.client_secret", |config| {
                    config["bitbucket"]["client_secret"] = json!({"inline": secret})
                });
            }
            for word in ["changeme", "PASSWORD", "secret"] {
                let environment = |name: &str| {
                    Some(if name == "SECRET" {
                        word.to_owned()
                    } else {
                        KEY.to_owned()
                    })
                };
                let problems = with_environment(public_site, &environment);
                assert!(
                    problems
                        .iter()
                        .any(|p| p.starts_with("bitbucket.client_secret: ")),
                    "{word}: {problems:?}"
                );
            }
        }),
        Case::native("CFG-05", |_| {
            for url in [
                "http://tools.example.com",
                "https://tools.example.com/path",
                "https://tools.example.com/?q",
                "https://tools.example.com#f",
                "https://user:canary@tools.example.com",
                "https://user:canary\u{e9}@tools.example.com",
                "//tools.example.com",
                "/x",
                "https://*.example.com",
                "ftp://tools.example.com",
                "https:tools.example.com",
                "https://",
                "javascript:alert(1)",
                "https://tools.example.com\\@evil.test",
                "https://t\u{f6}ols.example.com",
                "https://A\u{434}.example",
                "https://A%D0%B4.example",
                " https://tools.example.com",
                "https://tools.example.com:99999",
            ] {
                refuses("public_url", |config| config["public_url"] = json!(url));
            }
        }),
        Case::native("CFG-06", |_| {
            for url in [
                "http://bitbucket.org",
                "https://user@bitbucket.org",
                "ftp://bitbucket.org",
                "https://bitbucket.org/path",
                "http://127.0.0.1:1",
                "https://127.0.0.1",
                "https://169.254.169.254",
                "https://10.0.0.1",
                "https://[::1]",
                "https://[fd00::1]",
                "https://localhost",
                "http://localhost:1",
            ] {
                for host in ["web", "api"] {
                    let problems = problems(|config| {
                        public_site(config);
                        config["bitbucket"][host]["url"] = json!(url);
                    });
                    let path = format!("bitbucket.{host}.url: ");
                    assert!(
                        problems.iter().any(|p| p.starts_with(&path)),
                        "{url}: {problems:?}"
                    );
                }
            }
        }),
        Case::native("CFG-07", |_| {
            for origin in [
                "*",
                "https://*",
                "https://*.com",
                ".co.uk",
                "https://*.bitbucket.io",
                "https://a.test/path",
                "null",
                "https://",
                "a.test",
                "http://a.test",
                "^https://.*$",
                "http://localhost:3000",
            ] {
                refuses("rules[0].origins", |config| {
                    public_site(config);
                    config["rules"] = json!([{"match": {"path": "/a"}, "allow": "signed_in", "origins": [origin]}]);
                });
            }
        }),
        Case::native("CFG-08", |_| {
            for rules in [json!([]), json!(null), json!({}), json!("signed_in")] {
                refuses("rules", |config| config["rules"] = rules.clone());
            }
            for allow in [
                json!(null),
                json!(""),
                json!([]),
                json!({}),
                json!("*"),
                json!(["signed_in"]),
                json!(true),
                json!("any_authenticated"),
            ] {
                refuses("rules[0].allow", |config| {
                    config["rules"][0]["allow"] = allow.clone()
                });
            }
            refuses("rules[0].match.methods", |config| {
                config["rules"][0]["match"]["methods"] = json!([])
            });
            refuses("bitbucket.scopes", |config| {
                config["bitbucket"]["scopes"] = json!([])
            });
        }),
        Case::native("CFG-09", |_| {
            for path in [
                "/*", ".*", "^", "", "*", "**", "/**/", "/a/../b", "/a;b", "/a?b", "/a#b", "/%2e",
                "/%2f", "/a//b", "//", "/ ",
            ] {
                refuses("rules[0].match.path", |config| {
                    config["rules"] = json!([{"match": {"path": path}, "allow": "public"}]);
                });
            }
            refuses("rules[0].match", |config| {
                config["rules"] = json!([{"match": {"path": "/**"}, "allow": "public"}])
            });
            refuses("rules[0].match", |config| {
                config["rules"] = json!([{"match": {"paths": ["/a", "/**"]}, "allow": "public"}])
            });
            refuses(
                "rules[0].inject",
                |config| {
                    config["rules"] =
                        json!([{"match": {"path": "/a"}, "allow": "public", "inject": "bearer"}])
                },
            );
            refuses("rules[0].match", |config| {
                config["rules"] = json!([{"match": {"path": "/{a}/**"}, "allow": "public"}]);
            });
            // Behind a rule that matches all of it, a closed folder is open.
            let two = |first: &str, second: &str| {
                json!([
                    {"match": {"path": first}, "allow": "signed_in"},
                    {"match": {"path": second}, "allow": "nobody"},
                ])
            };
            for (first, second) in [
                ("/**", "/admin/**"),
                ("/a/**", "/a/b"),
                ("/a/**", "/a"),
                ("/a/**", "/a/{b}/**"),
                ("/**", "/{a}"),
            ] {
                refuses("rules[1].match", |config| {
                    config["rules"] = two(first, second)
                });
            }
            for (first, second) in [
                ("/a/**", "/ab/**"),
                ("/a", "/a/b"),
                ("/a/{b}/**", "/a/x/**"),
                ("/a/b/**", "/a/**"),
            ] {
                let found = problems(|config| config["rules"] = two(first, second));
                assert!(found.is_empty(), "{first} {second}: {found:?}");
            }
            refuses(
                "rules[0].match.tail",
                |config| {
                    config["rules"] =
                        json!([{"match": {"path": "/a", "tail": "raw"}, "allow": "signed_in"}])
                },
            );
        }),
        Case::native("CFG-10", |_| {
            refuses("publicurl", |config| {
                config["publicurl"] = json!("https://a.test")
            });
            refuses("bitbucket.clientid", |config| {
                config["bitbucket"]["clientid"] = json!("a")
            });
            refuses("rules[0].alow", |config| {
                config["rules"][0]["alow"] = json!("public")
            });
            refuses("session.max_age", |config| {
                config["session"]["max_age"] = json!(3600)
            });
            let good = Example::read("demo.yaml").plugin().to_string();
            let twice = good.replacen("{\"", "{\"public_url\":\"http://localhost:1\",\"", 1);
            for text in [
                format!("{good} x"),
                format!("{good}{good}"),
                twice,
                good[..good.len() - 1].to_owned(),
                format!("[{good}]"),
            ] {
                assert!(Config::parse(text.as_bytes(), &environment).is_err());
            }
        }),
        Case::native("CFG-11", |_| {
            let good = json!({
                "issuer": "https://a.test",
                "audiences": ["us"],
                "jwks": {"cluster": "idp", "url": "https://a.test/keys"},
            });
            // Where no algorithms are named it is RS256 alone, as the one of Pipelines.
            assert_eq!(
                problems(|config| config["issuers"] = json!([good])),
                [""; 0]
            );
            for (path, member, value) in [
                ("audiences", "audiences", json!(null)),
                ("audiences", "audiences", json!([])),
                ("audiences[0]", "audiences", json!([""])),
                ("algorithms", "algorithms", json!([])),
                ("algorithms", "algorithms", json!(null)),
                ("algorithms[0]", "algorithms", json!(["none"])),
                ("algorithms[0]", "algorithms", json!(["HS256"])),
                ("algorithms[1]", "algorithms", json!(["RS256", "HS512"])),
                ("algorithms[0]", "algorithms", json!(["PS256"])),
                ("algorithms[0]", "algorithms", json!(["EdDSA"])),
                ("algorithms[0]", "algorithms", json!(["rs256"])),
                ("algorithms[0]", "algorithms", json!(["*"])),
                ("algorithms[0]", "algorithms", json!([""])),
                ("issuer", "issuer", json!("")),
                ("jwks", "jwks", json!({})),
                ("jwks.keys", "jwks", json!({"keys": []})),
                (
                    "jwks.keys",
                    "jwks",
                    json!({"keys": [{"kty": "oct", "k": "AA"}]}),
                ),
            ] {
                let mut issuer = good.clone();
                issuer[member] = value;
                let path = format!("issuers[0].{path}");
                refuses(&path, |config| config["issuers"] = json!([issuer]));
            }
            for member in ["issuer", "audiences", "jwks"] {
                let mut issuer = good.clone();
                issuer.as_object_mut().unwrap().remove(member);
                let path = format!("issuers[0].{member}");
                refuses(&path, |config| config["issuers"] = json!([issuer]));
            }
            refuses("issuers[0].bitbucket_pipelines.audiences", |config| {
                config["issuers"] = json!([{"bitbucket_pipelines": {
                    "workspace": "acme",
                    "workspace_uuid": "{77aa0000-1111-4222-8333-444455556666}",
                    "audiences": [],
                }}]);
            });
        }),
        Case::native("CFG-13", |_| {
            for value in [
                "0s",
                "-1s",
                "31d",
                "1.5h",
                "1e3s",
                "12",
                "12 h",
                "99999999999999999999s",
                "",
            ] {
                refuses("session.max_age", |config| {
                    config["session"]["max_age"] = json!(value)
                });
                refuses("session.idle_timeout", |config| {
                    config["session"]["idle_timeout"] = json!(value)
                });
            }
            refuses(
                "session.idle_timeout",
                |config| config["session"] = json!({"keys": config["session"]["keys"], "max_age": "1h", "idle_timeout": "2h"}),
            );
        }),
        Case::native("CFG-15", |_| {
            for name in [
                "host",
                "cookie",
                "content-length",
                ":path",
                "connection",
                "transfer-encoding",
                "authorization",
                "x-forwarded-for",
                "x-envoy-x",
                "X-User",
                "x user",
                "",
                "x-request-id",
                "te",
                "upgrade",
                "proxy-authorization",
                "sec-fetch-site",
            ] {
                let problems =
                    problems(|config| config["identity_headers"] = json!({name: "email"}));
                assert!(
                    problems.iter().any(|p| p.starts_with("identity_headers.")),
                    "{name}: {problems:?}"
                );
            }
            refuses("identity_headers.", |config| {
                config["identity_headers"] = json!({"x-user": "email", "x_user": "account_id"})
            });
        }),
        Case::native("CFG-16", |_| {
            for path in [
                "/_bitgate/**",
                "/_bitgate",
                "/_bitgate/callback",
                "/_bitgate/callback/**",
            ] {
                refuses("rules[0].match.path", |config| {
                    config["rules"] = json!([{"match": {"path": path}, "allow": "public"}])
                });
            }
        }),
        Case::native("CFG-17", |_| {
            // There is no switch for tests: what is looser on a loopback host is refused elsewhere.
            for (path, value) in [
                ("dev", json!(true)),
                ("insecure", json!(true)),
                ("skip_validation", json!(true)),
            ] {
                refuses(path, |config| config[path] = value.clone());
            }
            let problems =
                problems(|config| config["public_url"] = json!("https://tools.example.com"));
            for path in [
                "bitbucket.client_secret.inline",
                "bitbucket.web.url",
                "bitbucket.api.url",
            ] {
                assert!(
                    problems.iter().any(|p| p.starts_with(path)),
                    "{path}: {problems:?}"
                );
            }
        }),
        Case::native("CFG-18", |_| {
            let key = |kid: &str, number: u8| {
                let key = format!(
                    "dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktM{}A=",
                    char::from(b'A' + number)
                );
                json!({"kid": kid, "key": {"inline": key}})
            };
            let nine: Vec<Value> = (0..9)
                .map(|number| key(&format!("k{number}"), number))
                .collect();
            refuses("session.keys", |config| {
                config["session"]["keys"] = nine.clone().into()
            });
            refuses("session.keys", |config| {
                config["session"]["keys"] = json!([])
            });
            refuses("session.keys[1].kid", |config| {
                config["session"]["keys"] = json!([key("a", 1), key("a", 2)])
            });
            for moment in [
                "tomorrow",
                "2026-13-01T00:00:00Z",
                "2026-11-24",
                "1700000000",
                "",
            ] {
                refuses("session.keys[0].not_before", |config| {
                    config["session"]["keys"][0]["not_before"] = json!(moment)
                });
                refuses("revocations.everybody", |config| {
                    config["revocations"] = json!({"everybody": moment})
                });
                refuses("revocations.accounts.a", |config| {
                    config["revocations"] = json!({"accounts": {"a": moment}})
                });
            }
            going_back_to_older_keys_is_refused();
        }),
        Case::native("CFG-19", |_| {
            for section in ["client_secret", "key"] {
                let problems = problems(|config| {
                    public_site(config);
                    match section {
                        "key" => config["session"]["keys"][0]["key"] = json!({"inline": KEY}),
                        _ => {
                            config["bitbucket"]["client_secret"] =
                                json!({"inline": "canary-canary"})
                        }
                    }
                });
                assert!(
                    problems.iter().any(|p| p.contains(".inline: ")),
                    "{problems:?}"
                );
            }
            refuses("bitbucket.client_secret", |config| {
                config["bitbucket"]["client_secret"] = json!("canary")
            });
        }),
        Case::native("CFG-23", |_| {
            for value in ["0s", "61s", "1h", "-1s"] {
                refuses("bitbucket.web.timeout", |config| {
                    config["bitbucket"]["web"]["timeout"] = json!(value)
                });
            }
        }),
        Case::native("CFG-24", |_| {
            // In every place where somebody could put a secret by mistake.
            let places: [fn(&mut Value); 8] = [
                |config| config["bitbucket"]["client_secret"] = json!("canary"),
                |config| config["bitbucket"]["client_secret"] = json!({"env": "canary-value"}),
                |config| config["bitbucket"]["client_secret"] = json!({"inline": "canary\n"}),
                |config| config["bitbucket"]["client_secret"] = json!({"inline": ["canary"]}),
                |config| config["session"]["keys"][0]["key"] = json!({"inline": "canary"}),
                |config| config["session"]["keys"][0]["key"] = json!("canary"),
                |config| config["public_url"] = json!("https://user:canary@a.test"),
                |config| {
                    config["bitbucket"]["web"]["url"] = json!("https://user:canary\u{e9}@a.test:x")
                },
            ];
            for place in places {
                let problems = problems(place);
                assert!(!problems.is_empty());
                assert!(
                    !problems.iter().any(|p| p.contains("canary")),
                    "{problems:?}"
                );
            }
        }),
    ]
}

fn going_back_to_older_keys_is_refused() {
    use bitgate::gate::Gate;
    use bitgate::host::{Host, NativeSignatures};
    use bitgate::time::UnixTime;
    let gate = |keys: Value| {
        let mut config = Example::read("demo.yaml").plugin();
        config["session"]["keys"] = keys;
        let config = Config::parse(config.to_string().as_bytes(), &environment).unwrap();
        Gate::new(config).unwrap()
    };
    let old = json!({"kid": "old", "key": {"env": "BITGATE_SESSION_KEY"}});
    let new = json!({
        "kid": "new",
        "key": {"inline": "bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3LTAwMDI="},
        "not_before": "2026-11-01T00:00:00Z",
    });
    let (mut random, mut shared) = native_edge::parts();
    let mut host = Host {
        now: UnixTime(1_800_000_000),
        random: &mut random,
        shared: &mut shared,
        signatures: &NativeSignatures,
    };
    for keys in [json!([old]), json!([new, old]), json!([new])] {
        assert_eq!(gate(keys).take_over_keys(&mut host), Ok(()));
    }
    let problem = gate(json!([old])).take_over_keys(&mut host).unwrap_err();
    assert_eq!(problem.path, "session.keys");
    assert!(problem.message.contains("\"new\""), "{problem}");
    // With the key that seals it may come back, in any order.
    assert_eq!(gate(json!([old, new])).take_over_keys(&mut host), Ok(()));
}

fn environment(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("a-real-looking-secret".to_owned()),
        "BITGATE_SESSION_KEY" => Some(KEY.to_owned()),
        _ => None,
    }
}

fn public_site(config: &mut Value) {
    config["public_url"] = json!("https://tools.example.com");
    config["bitbucket"]["client_secret"] = json!({"env": "SECRET"});
    for host in ["web", "api"] {
        config["bitbucket"][host] = json!({"cluster": "c"});
    }
}

/// What is said about the demo's configuration after a change.
pub fn problems(change: impl FnOnce(&mut Value)) -> Vec<String> {
    with_environment(change, &environment)
}

fn with_environment(
    change: impl FnOnce(&mut Value),
    environment: &bitgate::config::Environment<'_>,
) -> Vec<String> {
    let mut config = Example::read("demo.yaml").plugin();
    change(&mut config);
    match Config::parse(config.to_string().as_bytes(), environment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// The change is refused, at this path, in one line that shows no secret.
#[track_caller]
fn refuses(path: &str, change: impl FnOnce(&mut Value)) {
    let problems = problems(change);
    assert!(
        problems.iter().any(|problem| problem.starts_with(path)),
        "{path}: {problems:?}"
    );
    assert!(
        problems
            .iter()
            .all(|problem| problem.contains("expected ") && !problem.contains(['\n', '\r'])),
        "{problems:?}"
    );
    assert!(
        !problems.iter().any(|problem| problem.contains("canary")),
        "{problems:?}"
    );
}
