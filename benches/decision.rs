//! What a decision costs, natively: `make bench`. Ratios within one run mean something, single numbers
//! on a noisy machine do not.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    missing_docs,
    reason = "benchmarks: a failed expectation is a failed run"
)]

#[path = "workload/other_rules.rs"]
mod other_rules;
#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use bitgate::gate::Step;
use bitgate::http::RequestTarget;
use bitgate::policy::{Found, Policy};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use support::native_edge::{Fields, NativeEdge};
use support::setup::Setup;
use support::world::{Kind, World};

/// Numbers of rules: the cost should hardly follow them.
const SIZES: [usize; 4] = [1, 20, 500, 5_000];

/// `count` rules of the kinds that sites have, of which the last matches what is asked for.
fn rules(count: usize) -> Value {
    let mut rules: Vec<Value> = (1..count).map(other_rules::other).collect();
    rules.push(json!({
        "match": {"path": "/artifacts/{workspace}/{repo}/**"},
        "allow": {"repository": "{workspace}/{repo}", "permission": "by_method"},
        "inject": "bearer",
    }));
    rules.into()
}

const PATH: &str = "/artifacts/acme/widgets/dist/app.js";

/// A core where Ada is signed in and has asked once, and her next request.
fn warm(count: usize, path: &str) -> (NativeEdge, Fields) {
    // Short tokens travel with the request, to an instance that has seen nothing.
    let setup = Setup {
        bitbucket: |settings| settings.token_length = Some(100),
        ..Setup::default()
    };
    let (mut example, around) = World::parts(Kind::Native, &setup);
    let mut config = example.plugin();
    config["workspaces"] = json!({"acme": "{77aa0000-1111-4222-8333-444455556666}"});
    config["rules"] = rules(count);
    let edge = NativeEdge::new(&config.to_string(), &setup, around.clone());
    let mut world = World {
        edge: Box::new(edge),
        around: around.clone(),
    };
    let ada = world.person("ada");
    let mut browser = world.browser();
    assert_eq!(browser.sign_in(path, &ada).status(), 302);
    assert_eq!(browser.fetch(path).status(), 200);
    let cookies = browser.jar.header();
    let mut edge = NativeEdge::new(&config.to_string(), &setup, around);
    let fields: Vec<(&str, String)> = vec![
        (":method", "GET".to_owned()),
        (":authority", "localhost:10000".to_owned()),
        (":path", path.to_owned()),
        (":scheme", "http".to_owned()),
        ("accept", "*/*".to_owned()),
        ("user-agent", "bench".to_owned()),
        ("sec-fetch-mode", "cors".to_owned()),
        ("sec-fetch-site", "same-origin".to_owned()),
        ("cookie", cookies),
    ];
    let fields: Fields = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    // Not from memory: the session is opened and the rights are asked for.
    assert!(matches!(edge.settled(fields.clone()), Step::Forward(_)));
    (edge, fields)
}

fn finding(c: &mut Criterion) {
    let mut group = c.benchmark_group("find a rule");
    for count in SIZES {
        let setup = Setup::default();
        let (mut example, _) = World::parts(Kind::Native, &setup);
        let mut config = example.plugin();
        config["rules"] = rules(count);
        let text = config.to_string();
        let environment = support::native_edge::environment;
        let config = bitgate::config::Config::parse(text.as_bytes(), &environment).unwrap();
        let policy: Policy = config.policy;
        let target = RequestTarget::parse(PATH.as_bytes()).unwrap();
        let found = policy.find("GET", &target);
        assert!(matches!(found, Found::Rule(at, _) if at == count - 1));
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| black_box(policy.find("GET", black_box(&target))));
        });
    }
    group.finish();
}

fn deciding(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide about a warm request");
    for count in SIZES {
        let (mut edge, fields) = warm(count, PATH);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| black_box(edge.judge(fields.clone())));
        });
    }
    group.finish();
}

criterion_group!(benches, finding, deciding);
criterion_main!(benches);
