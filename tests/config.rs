//! The configuration: what is refused and how it is said, and that the documentation is true.

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

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use bitgate::config::{Config, Problem};
use bitgate::policy::{Inject, TokenForm};
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn environment(name: &str) -> Option<String> {
    match name {
        "KEY" | "BITGATE_SESSION_KEY" => {
            Some("dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=".to_owned())
        }
        "SECRET" | "BITBUCKET_CLIENT_SECRET" | "CI_CLIENT_SECRET" | "DEPLOYER_SECRET" => {
            Some("canary-secret".to_owned())
        }
        "SHORT_KEY" => Some("Y2FuYXJ5".to_owned()),
        "EMPTY" => Some(String::new()),
        "WITH_LINE_FEED" => Some("canary\n".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, String> {
    let lines = |problems: Vec<Problem>| {
        problems
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect::<String>()
    };
    Config::parse(text.as_bytes(), &environment).map_err(lines)
}

/// The smallest good configuration.
fn minimal() -> Value {
    json!({
        "public_url": "https://tools.example.com",
        "bitbucket": {
            "client_id": "id",
            "client_secret": {"env": "SECRET"},
            "scopes": ["account"],
            "web": {"cluster": "web"},
            "api": {"cluster": "api"},
        },
        "session": {"keys": [{"kid": "a", "key": {"env": "KEY"}}]},
        "rules": [{"match": {"path": "/**"}, "allow": "signed_in"}],
    })
}

fn consumer(client_id: &str) -> Value {
    json!({"client_id": client_id, "client_secret": {"env": "SECRET"}, "scopes": ["account"]})
}

fn client(client_id: &str) -> Value {
    json!({"client_id": client_id, "client_secret": {"env": "SECRET"}})
}

fn issuer() -> Value {
    json!({
        "issuer": "https://idp.example.com",
        "jwks": {"cluster": "idp", "url": "https://idp.example.com/keys?v=2"},
        "audiences": ["us"],
    })
}

fn pipelines() -> Value {
    json!({"bitbucket_pipelines": {
        "workspace": "acme",
        "workspace_uuid": "{77AA0000-1111-4222-8333-444455556666}",
    }})
}

#[test]
fn the_smallest_configuration_has_safe_defaults() {
    let config = parse(&minimal().to_string()).unwrap();
    assert_eq!(config.public.origin, "https://tools.example.com");
    assert_eq!(config.bitbucket.web.origin(), "https://bitbucket.org");
    assert_eq!(config.bitbucket.api.origin(), "https://api.bitbucket.org");
    assert_eq!(
        (config.lifetimes.max_age.0, config.lifetimes.idle_timeout.0),
        (43_200, 3_600)
    );
    assert_eq!(config.policy.rules()[0].inject, Inject::Identity);
    let names: Vec<_> = config
        .identity_headers
        .iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-bitgate-principal",
            "x-bitgate-request-id"
        ]
    );
    assert_eq!(config.warnings, []);
    assert_eq!(config.bitbucket.api_budget, 1_000);
    assert!(config.consumers.is_empty());
}

/// Each `invalid-*.json` beside the problems that it has. With `BITGATE_BLESS` set, writes what is
/// found: read the difference before you commit it.
#[test]
fn every_problem_is_found_and_said() {
    let folder = root().join("tests/vectors/config");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        count += 1;
        let found =
            parse(&fs::read_to_string(&path).unwrap()).expect_err("an invalid configuration");
        assert!(!found.is_empty() && !found.contains("canary"), "{found}");
        let expected = path.with_extension("txt");
        if std::env::var_os("BITGATE_BLESS").is_some() {
            fs::write(&expected, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap();
        assert_eq!(found, expected, "{}", path.display());
    }
    assert!(count >= 6, "{count}");
}

#[test]
fn a_missing_key_is_named() {
    for (section, name) in [
        (None, "public_url"),
        (None, "bitbucket"),
        (None, "session"),
        (None, "rules"),
        (Some("bitbucket"), "client_id"),
        (Some("bitbucket"), "client_secret"),
        (Some("bitbucket"), "scopes"),
        (Some("bitbucket"), "web"),
        (Some("bitbucket"), "api"),
        (Some("session"), "keys"),
    ] {
        let mut config = minimal();
        let object = match section {
            Some(section) => &mut config[section],
            None => &mut config,
        };
        object.as_object_mut().unwrap().remove(name).unwrap();
        let path = section.map_or(name.to_owned(), |section| format!("{section}.{name}"));
        let found = parse(&config.to_string()).unwrap_err();
        assert_eq!(found, format!("{path}: expected a value, but found none\n"));
    }
}

#[test]
fn addresses_are_origins() {
    let url = |text: &str| {
        let mut config = minimal();
        config["public_url"] = json!(text);
        parse(&config.to_string()).map(|config| config.public.origin)
    };
    for (text, origin) in [
        (
            "https://Tools.Example.com:443/",
            "https://tools.example.com",
        ),
        (
            "https://tools.example.com:8443",
            "https://tools.example.com:8443",
        ),
        ("http://localhost:10000", "http://localhost:10000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:80", "http://[::1]"),
    ] {
        assert_eq!(url(text).as_deref(), Ok(origin));
    }
    for text in [
        "",
        "tools.example.com",
        "//tools.example.com",
        "ftp://tools.example.com",
        "http://tools.example.com",
        "https://a@tools.example.com",
        "https://a:canary@x.test",
        "https://tools.example.com/path",
        "https://tools.example.com/?q",
        "https://x.test/#f",
        "https://",
        "https:\\\\x.test",
        " https://x.test",
        "https://x.test\n",
        "https://ex\u{e4}mple.com",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "javascript:alert(1)",
    ] {
        let found = url(text).unwrap_err();
        assert!(
            found.starts_with("public_url: expected ") && !found.contains("canary"),
            "{text}: {found}"
        );
    }
}

#[test]
fn an_inline_secret_needs_a_loopback_site() {
    let mut config = minimal();
    config["bitbucket"]["client_secret"] = json!({"inline": "canary"});
    let found = parse(&config.to_string()).unwrap_err();
    assert!(found.starts_with("bitbucket.client_secret.inline: ") && !found.contains("canary"));
    config["public_url"] = json!("http://localhost:8080");
    assert!(parse(&config.to_string()).is_ok());
}

/// `docs/configuration.md` has a heading for every key that the reader knows, and for no other.
/// The reader's own messages tell what it knows.
#[test]
fn every_key_is_documented_and_every_documented_key_exists() {
    let text = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let documented: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_start_matches("| `").split('`').next().unwrap())
        .collect();
    let mut known = BTreeSet::new();
    let sections = [
        ("", vec![]),
        ("bitbucket", vec!["bitbucket"]),
        ("bitbucket.web", vec!["bitbucket", "web"]),
        ("bitbucket.api", vec!["bitbucket", "api"]),
        ("consumers.<name>", vec!["consumers", "ci"]),
        ("issuers[]", vec!["issuers", "0"]),
        ("issuers[].jwks", vec!["issuers", "0", "jwks"]),
        (
            "issuers[].bitbucket_pipelines",
            vec!["issuers", "1", "bitbucket_pipelines"],
        ),
        ("callers", vec!["callers"]),
        ("callers.bitbucket", vec!["callers", "bitbucket"]),
        ("session", vec!["session"]),
        ("status", vec!["status"]),
        ("rights", vec!["rights"]),
        ("bots.*", vec!["bots", "reader"]),
        (
            "bots.*.client_credentials",
            vec!["bots", "deployer", "client_credentials"],
        ),
        ("revocations", vec!["revocations"]),
        ("session.keys[]", vec!["session", "keys", "0"]),
        ("rules[]", vec!["rules", "0"]),
        ("rules[].match", vec!["rules", "0", "match"]),
        (
            "rules[].identity_token",
            vec!["rules", "0", "identity_token"],
        ),
    ];
    for (path, steps) in sections {
        let mut config = minimal();
        config["status"] = json!({"allow": "nobody"});
        config["revocations"] = json!({});
        config["rights"] = json!({});
        config["bots"] = json!({
            "reader": {"access_token": {"env": "SECRET"}},
            "deployer": {"client_credentials": client("bot-id")},
        });
        config["rules"][0]["identity_token"] = json!({"audience": "a"});
        config["consumers"] = json!({"ci": consumer("ci-id")});
        config["issuers"] = json!([issuer(), pipelines()]);
        config["callers"] = json!({"bitbucket": {"accept": ["api_tokens"]}});
        let mut value = &mut config;
        for step in steps {
            value = match step {
                "0" => &mut value[0],
                "1" => &mut value[1],
                step => &mut value[step],
            };
        }
        value
            .as_object_mut()
            .unwrap()
            .insert("no_such_key".to_owned(), json!(1));
        let found = parse(&config.to_string()).unwrap_err();
        let list = found
            .split("expected one of ")
            .nth(1)
            .unwrap()
            .split(", but")
            .next()
            .unwrap();
        known.extend(list.split(", ").map(|key| match path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }));
    }
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    assert_eq!(documented, known);
}

/// Every JSON block of the README and the manual is a whole configuration and is accepted.
#[test]
fn every_configuration_in_the_documentation_is_good() {
    let mut count = 0;
    for file in ["README.md", "docs/configuration.md"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for block in text.split("```json\n").skip(1) {
            count += 1;
            let block = block.split("```").next().unwrap();
            assert!(parse(block).is_ok(), "{file}: {:?}", parse(block).err());
        }
    }
    assert!(count >= 2, "{count}");
}

#[test]
fn a_consumer_is_named_by_rules_or_a_warning() {
    let mut config = minimal();
    config["consumers"] = json!({"ci": consumer("ci-id"), "idle": consumer("other-id")});
    config["consumers"]["ci"]["api_budget"] = json!(250);
    config["rules"] = json!([
        {"match": {"path": "/ci/**"}, "allow": "signed_in", "inject": "bearer", "consumer": "ci"},
        {"match": {"path": "/**"}, "allow": "signed_in", "inject": "bearer"},
    ]);
    let config = parse(&config.to_string()).unwrap();
    let read: Vec<_> = config
        .consumers
        .iter()
        .map(|consumer| (consumer.name.as_str(), consumer.api_budget))
        .collect();
    assert_eq!(read, [("ci", 250), ("idle", 1_000)]);
    let of = |index: usize| config.policy.rules()[index].consumer.as_deref();
    assert_eq!((of(0), of(1)), (Some("ci"), None));
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(config.warnings[0].path, "consumers.idle");
}

#[test]
fn a_bot_is_used_by_rules_or_lookups_or_a_warning() {
    let mut config = minimal();
    config["bots"] = json!({
        "reader": {"access_token": {"env": "SECRET"}},
        "deployer": {"client_credentials": client("a"), "scopes": ["repository:write"]},
        "idle": {"client_credentials": client("b"), "api_budget": 7},
        "lister": {"client_credentials": client("c")},
    });
    config["rights"] = json!({"bot": "reader"});
    config["groups"] = json!({"source": "bitbucket", "workspace": "acme", "bot": "lister"});
    config["rules"] = json!([
        {"match": {"path": "/git/**"}, "allow": {"group": "developers"}, "inject": {"bot": "deployer", "as": "git"}},
        {"match": {"path": "/**"}, "allow": "signed_in", "inject": {"bot": "deployer"}},
    ]);
    let read = parse(&config.to_string()).unwrap();
    let inject: Vec<Inject> = read.policy.rules().iter().map(|rule| rule.inject).collect();
    assert_eq!(
        inject,
        [
            Inject::Bot(1, TokenForm::Git),
            Inject::Bot(1, TokenForm::Bearer)
        ]
    );
    assert_eq!(read.access.bot, Some(0));
    assert_eq!(read.access.groups.source.as_ref().unwrap().bot, 3);
    assert_eq!(read.access.bots[2].api_budget, 7);
    // Whoever has an account would act with what the bot may.
    let warnings: Vec<_> = read.warnings.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(warnings, ["rules[1].inject", "bots.idle"]);
    assert!(!format!("{:?}", read.access).contains("canary"));
    // The secret of a bot is no session key.
    config["bots"]["idle"]["client_credentials"]["client_secret"] = json!({"env": "KEY"});
    let found = parse(&config.to_string()).unwrap_err();
    assert_eq!(
        found,
        "session.keys[0].key: expected a key of its own, but found the client secret\n"
    );
}

#[test]
fn a_preset_knows_what_an_issuer_has_to_say() {
    use bitgate::host::SignatureAlgorithm;
    use bitgate::issuers::{Keys, Kind};
    let mut config = minimal();
    config["issuers"] = json!([pipelines(), issuer()]);
    config["issuers"][1]["algorithms"] = json!(["ES256", "RS512"]);
    config["issuers"][1]["required_claims"] = json!({"team": "red", "env": ["dev", "test"]});
    let read = parse(&config.to_string()).unwrap().issuers;
    let uuid = "77aa0000-1111-4222-8333-444455556666";
    let base = "/2.0/workspaces/acme/pipelines-config/identity/oidc";
    let [preset, other] = read.as_slice() else {
        panic!("expected two issuers")
    };
    assert_eq!(*preset.issuer, format!("https://api.bitbucket.org{base}"));
    assert_eq!(
        preset.audiences,
        [format!("ari:cloud:bitbucket::workspace/{uuid}")]
    );
    assert_eq!(preset.algorithms, [SignatureAlgorithm::RsaSha256]);
    assert_eq!(
        preset.kind,
        Kind::Pipelines {
            workspace: "acme".to_owned(),
            workspace_uuid: format!("{{{uuid}}}"),
        }
    );
    assert_eq!(preset.label(), "pipelines_acme");
    let Keys::Remote(call) = &preset.keys else {
        panic!("expected a call")
    };
    assert_eq!(
        (call.cluster.as_str(), call.authority.as_str()),
        ("api", "api.bitbucket.org")
    );
    assert_eq!(call.path, format!("{base}/keys.json"));
    let Keys::Remote(call) = &other.keys else {
        panic!("expected a call")
    };
    assert_eq!(
        (call.scheme, call.authority.as_str(), call.path.as_str()),
        ("https", "idp.example.com", "/keys?v=2")
    );
    assert!(
        call.headers
            .iter()
            .all(|(name, _)| *name != "authorization")
    );
    assert_eq!(other.label(), "idp_example_com");
    assert_eq!(
        other.algorithms,
        [
            SignatureAlgorithm::EcdsaP256Sha256,
            SignatureAlgorithm::RsaSha512
        ]
    );
    assert_eq!(other.required[0].values, ["red"]);
    assert_eq!(other.required[1].values, ["dev", "test"]);
    // A custom audience takes the place of the default one.
    config["issuers"][0]["bitbucket_pipelines"]["audiences"] = json!(["bitgate"]);
    let read = parse(&config.to_string()).unwrap().issuers;
    assert_eq!(read[0].audiences, ["bitgate"]);
    // On a machine of one's own keys may come over http.
    config["issuers"][1]["jwks"]["url"] = json!("http://localhost:9000/keys");
    assert!(parse(&config.to_string()).is_err());
    config["public_url"] = json!("http://localhost:10000");
    assert!(parse(&config.to_string()).is_ok());
}

/// LFS says in its body what it does: with the bot of pushes, whoever may fetch could write.
#[test]
fn a_bot_that_pushes_is_no_bot_for_lfs_alone() {
    let mut config = minimal();
    config["bots"] = json!({
        "reader": {"access_token": {"env": "SECRET"}},
        "deployer": {"client_credentials": client("a")},
    });
    let rules = |bot: &str, uses: Value| {
        json!([
            {"match": {"path": "/acme/{repo}.git", "git": "write"},
             "allow": {"repository": "acme/{repo}", "permission": "write"},
             "inject": {"bot": "deployer", "as": "git", "own_first": true}},
            {"match": {"path": "/acme/{repo}", "git": uses}, "allow": {"workspace": "acme"},
             "inject": {"bot": bot, "as": "git"}},
        ])
    };
    for (bot, uses, warned) in [
        ("reader", json!(["read", "lfs"]), vec![]),
        ("deployer", json!("read"), vec![]),
        ("deployer", json!(["lfs", "write"]), vec![]),
        (
            "deployer",
            json!(["read", "lfs"]),
            vec!["rules[1].match.git"],
        ),
    ] {
        config["rules"] = rules(bot, uses);
        let read = parse(&config.to_string()).unwrap();
        let injects: Vec<_> = read.policy.rules().iter().map(|rule| rule.inject).collect();
        assert_eq!(injects[0], Inject::OwnOrBot(1, TokenForm::Git));
        assert!(matches!(injects[1], Inject::Bot(_, TokenForm::Git)));
        let warnings = read.warnings.iter().map(|it| it.path.as_str());
        let warnings: Vec<_> = warnings.filter(|path| path.starts_with("rules")).collect();
        assert_eq!(warnings, warned, "{bot}");
    }
}

#[test]
fn a_nickname_in_a_header_is_a_warning() {
    let mut config = minimal();
    config["identity_headers"] = json!({"x-name": "nickname"});
    let warnings = parse(&config.to_string()).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].path, "identity_headers.x-name");
}

/// A Struct decodes to what its JSON form says. What Envoy sends is tested in `examples.rs`.
#[test]
fn a_struct_is_read_as_its_json_form() {
    use prost::Message;
    let mut config = minimal();
    config["bitbucket"]["api_budget"] = json!(100_000);
    let bytes = structure(&config).encode_to_vec();
    let config = Config::parse(&bytes, &environment).unwrap();
    assert_eq!(
        config.bitbucket.api_budget, 100_000,
        "no number of a Struct is an integer"
    );
    assert_eq!(config.public.origin, "https://tools.example.com");
    assert_eq!(config.policy.rules().len(), 1);
    let cut = &bytes[..bytes.len() - 1];
    let problems = Config::parse(cut, &environment).unwrap_err();
    assert_eq!(problems[0].path, "configuration");
    // Bytes behind bytes are one message with every key twice.
    let problems = Config::parse(&bytes.repeat(2), &environment).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "bitbucket: expected the key once, but found it twice"
    );
}

fn structure(value: &Value) -> prost_types::Struct {
    let members = value.as_object().unwrap().iter();
    prost_types::Struct {
        fields: members
            .map(|(name, value)| (name.clone(), message(value)))
            .collect(),
    }
}

fn message(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => Kind::ListValue(prost_types::ListValue {
            values: items.iter().map(message).collect(),
        }),
        Value::Object(_) => Kind::StructValue(structure(value)),
    };
    prost_types::Value { kind: Some(kind) }
}

/// Two workspaces can each have a repository of the same name.
#[test]
fn a_repository_by_name_is_in_one_workspace() {
    let mut config = minimal();
    let uuid = "{99cc0000-1111-4222-8333-444455556666}";
    let mut other = pipelines();
    other["bitbucket_pipelines"] = json!({"workspace": "beta-labs", "workspace_uuid": uuid});
    config["bots"] = json!({"b": {"access_token": {"env": "SECRET"}}});
    config["rights"] = json!({"bot": "b"});
    for (issuers, pipeline, is_good) in [
        (json!([pipelines()]), json!({"repository": "widgets"}), true),
        (
            json!([pipelines(), other]),
            json!({"repository": uuid}),
            true,
        ),
        (
            json!([pipelines(), other]),
            json!({"repository": "widgets"}),
            false,
        ),
        (
            json!([pipelines(), other]),
            json!({"repository": "{repo}"}),
            false,
        ),
        (
            json!([pipelines(), other]),
            json!({"workspace": "acme", "repository": "{repo}"}),
            true,
        ),
    ] {
        config["issuers"] = issuers;
        config["rules"] = json!([{"match": {"path": "/{repo}"}, "allow": {"pipeline": pipeline}}]);
        let read = parse(&config.to_string());
        let problem = read.err().unwrap_or_default();
        let expected = match is_good {
            true => String::new(),
            false => "rules[0].allow: expected the workspace too, since each of them can have a repository of this name, but found a name\n".to_owned(),
        };
        assert_eq!(problem, expected);
    }
}

#[test]
fn a_steps_subject_is_no_identity() {
    let mut config = minimal();
    config["issuers"] = json!([pipelines(), issuer()]);
    let rule = |issuer: &str| json!([{"match": {"path": "/**"}, "allow": {"issuer": issuer, "subject": "deployer"}}]);
    config["rules"] = rule("https://idp.example.com");
    assert!(parse(&config.to_string()).is_ok());
    let preset = "https://api.bitbucket.org/2.0/workspaces/acme/pipelines-config/identity/oidc";
    config["rules"] = rule(preset);
    let problems = parse(&config.to_string()).unwrap_err().to_string();
    assert_eq!(
        problems.trim_end(),
        "rules[0].allow: expected a condition pipeline, since the subject of a step is no identity, \
         but found a subject"
    );
    config["rules"][0]["allow"] = json!({"issuer": preset});
    assert!(parse(&config.to_string()).is_ok());
}
