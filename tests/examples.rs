//! Every file under `envoy/` is complete: Envoy itself checks it, with our module inside.

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

use std::fs;

use serde_json::json;
use support::envoy::{module, validate};
use support::example::{Example, root};

fn names() -> Vec<String> {
    let entries = fs::read_dir(root().join("envoy")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|name| name.ends_with(".yaml")).collect();
    assert!(names.len() >= 3, "{names:?}");
    names
}

#[test]
fn envoy_accepts_every_example() {
    for name in names() {
        let mut example = Example::read(&name);
        example.set_module(&module("bitgate"));
        let output = validate(&example);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {text}");
    }
}

#[test]
fn envoy_says_every_problem_of_a_bad_configuration() {
    let mut example = Example::read("demo.yaml");
    example.set_module(&module("bitgate"));
    let mut config = example.plugin();
    config["rules"][2]["match"]["path"] = json!("reports/*");
    config["session"]["max_age"] = json!("soon");
    example.set_plugin(&config);
    let output = validate(&example);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    let wanted = [
        r#"rules[2].match.path: expected a path starting with "/", but found "reports/*""#,
        r#"session.max_age: expected a duration such as "90s", "30m", "12h" or "7d" from 60s to 2592000s, but found "soon""#,
    ];
    for line in wanted {
        let found = text
            .lines()
            .any(|found| found.contains("[error]") && found.ends_with(line));
        assert!(found, "{line}\n{text}");
    }
}

#[test]
fn nothing_opens_without_a_configuration() {
    for text in ["", "{", "{}", "[]"] {
        let mut example = Example::read("demo.yaml");
        example.set_module(&module("bitgate"));
        example.set_plugin_text(text);
        assert!(!validate(&example).status.success(), "{text:?}");
    }
}

/// The same configuration as a Struct: Envoy hands it over as binary protobuf.
#[test]
fn a_struct_is_as_good_as_a_string() {
    let mut example = Example::read("demo.yaml");
    example.set_module(&module("bitgate"));
    let mut config = example.plugin();
    example.set_plugin_struct(&config);
    let output = validate(&example);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    // And what YAML made of an unquoted kid is said.
    config["session"]["keys"][0]["kid"] = json!(2026);
    config["no_such_key"] = json!(null);
    example.set_plugin_struct(&config);
    let output = validate(&example);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    for line in [
        "session.keys[0].kid: expected a string, but found a number: write it in quotes",
        "no_such_key: expected one of ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}
