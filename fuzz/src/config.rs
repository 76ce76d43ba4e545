//! The configuration.

use bitgate::config::{Config, Problem};
use bitgate::gate::Gate;
use bitgate::policy::{Allow, Condition, Inject, Name, Part, Rule, is_project_key};
use serde_json::Value;
use url::Url;

use crate::setup::{KEY_TEXT, is_one_line, secret_for};

/// Where a secret stands, or where somebody may put one by mistake.
const SECRETS: [&str; 17] = [
    "/bots/deployer/client_credentials/client_secret",
    "/bots/deployer/client_credentials/client_secret/env",
    "/bots/deployer/client_credentials/client_secret/inline",
    "/bots/reader/access_token",
    "/bots/reader/access_token/env",
    "/bots/reader/access_token/inline",
    "/consumers/ci/client_secret",
    "/consumers/ci/client_secret/env",
    "/consumers/ci/client_secret/inline",
    "/bitbucket/client_secret",
    "/bitbucket/client_secret/env",
    "/bitbucket/client_secret/inline",
    "/session/keys/0/key",
    "/session/keys/0/key/env",
    "/session/keys/0/key/inline",
    "/session/keys/1/key/env",
    "/session/keys/1/key/inline",
];

/// The input is a configuration. It is read or refused, and no message has a secret in it: not the
/// environment's, and not one that was written into the document.
pub(crate) fn config(bytes: &[u8]) {
    let secret = secret_for(bytes);
    check(bytes, &secret);
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        return;
    };
    // A password in an address, also in one that is none.
    for end in ["@a.example", "é@a.example", "@a.example:x"] {
        let mut planted = document.clone();
        if let Some(text @ Value::String(_)) = planted.pointer_mut("/public_url") {
            *text = format!("https://user:{secret}{end}").into();
            check(planted.to_string().as_bytes(), &secret);
        }
    }
    for pointer in SECRETS {
        let mut planted = document.clone();
        if let Some(Value::String(text)) = planted.pointer_mut(pointer) {
            text.clone_from(&secret);
            check(planted.to_string().as_bytes(), &secret);
        }
    }
}

fn check(text: &[u8], secret: &str) {
    let environment = |name: &str| match name {
        "UNSET" => None,
        "BROKEN" => Some(format!("{secret}\n")),
        _ if name.ends_with("KEY") => Some(KEY_TEXT.to_owned()),
        _ => Some(secret.to_owned()),
    };
    // A key that is inline may stand elsewhere too, where it is no secret.
    let key = Some(KEY_TEXT).filter(|key| !String::from_utf8_lossy(text).contains(key));
    let is_clean = |text: &str| !text.contains(secret) && key.is_none_or(|key| !text.contains(key));
    let problems = match Config::parse(text, &environment) {
        Ok(config) => {
            assert!(is_clean(&format!("{config:?}")), "Debug shows a secret");
            check_values(&config);
            let warnings = config.warnings.clone();
            assert!(Gate::new(config).is_some());
            warnings
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "a refusal has a reason");
            problems
        }
    };
    for Problem { path, message } in problems {
        assert!(!path.is_empty() && !message.is_empty());
        assert!(
            is_one_line(&path) && is_one_line(&message),
            "{path:?}: {message:?}"
        );
        assert!(
            is_clean(&path) && is_clean(&message),
            "a secret shows: {path}"
        );
    }
}

/// The URL standard reads it, and as the same. It decodes labels that begin with `xn--`; Bitgate takes
/// them as they are.
fn check_origin(origin: &str) -> Url {
    let plain = origin.replace("xn--", "xn-");
    let url = Url::parse(&plain).expect("an origin is an address");
    assert_eq!(url.origin().ascii_serialization(), plain);
    url
}

/// What the rest of the program takes for granted.
fn check_values(config: &Config) {
    check_origin(&config.public.origin);
    assert!(config.public.is_authority(&config.public.authority));
    for endpoint in [&config.bitbucket.web, &config.bitbucket.api] {
        let url = check_origin(&endpoint.origin());
        let is_loopback = match url.host() {
            Some(url::Host::Domain(name)) => name.ends_with("localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        assert!(url.scheme() == "https" || is_loopback, "{url}");
        assert!((1..=60).contains(&endpoint.timeout.0));
    }
    assert!(!config.keys.is_empty() && !config.policy.rules().is_empty());
    assert!(config.bitbucket.scopes.allow("account"));
    assert!(config.bitbucket.client.basic_authorization().is_some());
    let mut ids = vec![&config.bitbucket.client.id];
    for consumer in &config.consumers {
        assert!(consumer.scopes.allow("account"));
        assert!((1..=16).contains(&consumer.name.len()));
        assert!(
            !ids.contains(&&consumer.client.id),
            "two grants of one consumer"
        );
        ids.push(&consumer.client.id);
    }
    check_access(config);
    for rule in config.policy.rules() {
        assert!(!rule.paths.is_empty());
        if let Allow::When(condition) = &rule.allow {
            check_condition(config, rule, condition, 1);
        }
        assert!(
            rule.inject
                .bot()
                .is_none_or(|bot| bot < config.access.bots.len())
        );
        assert!(rule.allow != Allow::Public || !rule.inject.is_credential());
        let is_known = |name: &String| config.consumers.iter().any(|known| known.name == *name);
        assert!(rule.consumer.as_ref().is_none_or(is_known));
        if let Some(token) = &rule.identity_token {
            assert!((1..=256).contains(&token.audience.len()));
            assert!(token.audience.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(rule.allow != Allow::Public && rule.inject != Inject::None);
        }
        assert!(
            !rule
                .paths
                .iter()
                .any(|path| path.matches("/_bitgate/x") && !path.matches("/x/x"))
        );
    }
}

/// Bots, groups and UUIDs that rules rely on.
fn check_access(config: &Config) {
    let access = &config.access;
    let spans = 10..=86_400;
    assert!(spans.contains(&access.terms.max_age.0) && spans.contains(&access.terms.grace.0));
    assert!(access.terms.max_age <= access.terms.grace);
    let is_bot = |name: &str| access.bots.iter().filter(|bot| bot.name == name).count() == 1;
    assert!(
        access
            .bots
            .iter()
            .all(|bot| is_bot(&bot.name) && (1..=100_000).contains(&bot.api_budget))
    );
    assert!(access.bot.is_none_or(|bot| bot < access.bots.len()));
    let source = access.groups.source.as_ref();
    assert!(source.is_none_or(|source| source.bot < access.bots.len()));
    for pins in [&access.workspaces, &access.repositories] {
        for (place, (slug, uuid)) in pins.iter().enumerate() {
            assert!(matches!(Name::workspace(uuid), Ok(Name::Uuid(same)) if same == *uuid));
            let others = || pins.iter().skip(place + 1);
            assert!(
                others().all(|(other, theirs)| other != slug && theirs != uuid),
                "{slug}"
            );
        }
    }
    for (group, ids) in &access.groups.members {
        assert!(ids.is_sorted(), "{group}");
    }
}

/// An empty list would let everybody through, or nobody, without a word; a capture that is not there
/// would have no value.
fn check_condition(config: &Config, rule: &Rule, condition: &Condition, depth: usize) {
    assert!(depth <= 8);
    let access = &config.access;
    let has = |name: &String| {
        rule.paths
            .iter()
            .all(|path| path.captures().any(|known| known == name))
    };
    let is_workspace = |part: &Part<Name>| match part {
        Part::Capture(name) => has(name),
        Part::Literal(Name::Uuid(_)) => true,
        Part::Literal(Name::Slug(slug)) => {
            access.workspaces.is_empty() || access.workspaces.iter().any(|(known, _)| known == slug)
        }
    };
    match condition {
        Condition::AllOf(parts) | Condition::AnyOf(parts) => {
            assert!(!parts.is_empty());
            for part in parts {
                check_condition(config, rule, part, depth + 1);
            }
        }
        Condition::Not(part) => check_condition(config, rule, part, depth + 1),
        Condition::Account(list) | Condition::EmailDomain(list) | Condition::Scope(list) => {
            assert!(!list.is_empty() && list.iter().all(|text| !text.is_empty()));
        }
        Condition::Group(name) => {
            assert!(access.groups.source.is_some() || access.groups.members(name).is_some());
        }
        Condition::Issuer { issuer, .. } => {
            assert!(config.issuers.iter().any(|known| known.issuer == *issuer));
        }
        Condition::Pipeline(pipeline) => {
            assert!(pipeline.workspace.is_some() || pipeline.repository.is_some());
            for part in pipeline.workspace.iter().chain(&pipeline.repository) {
                assert!(!matches!(part, Part::Capture(name) if !has(name)));
            }
        }
        Condition::Workspace { workspace, .. } => assert!(is_workspace(workspace)),
        Condition::Repository {
            workspace,
            repository,
            ..
        } => {
            assert!(is_workspace(workspace));
            assert!(!matches!(repository, Part::Capture(name) if !has(name)));
        }
        Condition::Project { workspace, key, .. } => {
            assert!(is_workspace(workspace));
            assert!(match key {
                Part::Capture(name) => has(name),
                Part::Literal(key) => is_project_key(key),
            });
        }
        Condition::Nobody | Condition::Principal(_) | Condition::SignedIn => {}
    }
}
