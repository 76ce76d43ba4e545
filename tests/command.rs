//! The command `bitgate`: what it says about files, and that it says it as the module does.

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
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const SESSION_KEY: &str = "dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=";

/// What the environment of every run has. A canary must never be printed.
const VARIABLES: [(&str, &str); 2] = [
    ("BITGATE_SESSION_KEY", SESSION_KEY),
    ("BITBUCKET_CLIENT_SECRET", "canary-client-secret"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

struct Ran {
    stdout: String,
    stderr: String,
    status: i32,
}

/// Runs the command in the project's root, with nothing but these variables.
fn run_with(variables: &[(&str, &str)], input: &str, arguments: &[&str]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bitgate"))
        .args(arguments)
        .current_dir(root())
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended before.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let ran = Ran {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code().unwrap(),
    };
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains("canary"), "{arguments:?}: {text}");
        assert!(!text.contains(SESSION_KEY), "{arguments:?}: {text}");
    }
    ran
}

fn run(arguments: &[&str]) -> Ran {
    run_with(&VARIABLES, "", arguments)
}

/// The files of a folder that `bitgate check` reads.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_input = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "yaml" || extension == "json")
    };
    let mut paths: Vec<_> = paths.filter(is_input).collect();
    paths.sort();
    paths
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// `BLESS=1 cargo test --test command` writes what is printed now; look at the difference then.
#[test]
fn every_file_gets_the_findings_beside_it() {
    let paths = files("tests/vectors/command");
    assert!(paths.len() >= 15, "{paths:?}");
    for path in paths {
        let ran = run(&["check", &relative(&path)]);
        let printed = format!("{}exit status {}\n", ran.stdout, ran.status);
        let expected = path.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &printed).unwrap();
        }
        let expected =
            fs::read_to_string(&expected).unwrap_or_else(|e| panic!("{}: {e}", expected.display()));
        assert_eq!(printed, expected, "{}", path.display());
    }
}

fn codes() -> Vec<(String, String)> {
    let listed = run(&["check", "--codes"]).stdout;
    let codes = listed.lines().map(|line| {
        let (head, text) = line.split_once(": ").unwrap();
        (head.to_owned(), text.to_owned())
    });
    codes.collect()
}

#[test]
fn every_code_is_found_in_some_file() {
    let mut seen = BTreeSet::new();
    for path in files("tests/vectors/command") {
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        for line in expected.lines() {
            if let Some((_, rest)) = line.split_once('[')
                && !line.starts_with(' ')
            {
                seen.insert(rest.split(']').next().unwrap().to_owned());
            }
        }
    }
    let listed: Vec<_> = codes()
        .into_iter()
        .map(|(head, _)| head.split(' ').next().unwrap().to_owned())
        .collect();
    assert!(listed.is_sorted(), "{listed:?}");
    for code in &listed {
        assert!(seen.contains(code), "no file has {code}");
    }
}

#[test]
fn the_documentation_lists_the_codes() {
    let text = fs::read_to_string(root().join("docs/command.md")).unwrap();
    let documented: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<_> = codes()
        .iter()
        .map(|(head, text)| {
            let (code, level) = head.split_once(' ').unwrap();
            let level = level.trim_matches(['(', ')']);
            format!("| `{code}` | {level} | {text} |")
        })
        .collect();
    assert_eq!(documented, expected);
}

/// The session that docs/command.md shows.
#[test]
fn the_documentation_shows_what_is_printed() {
    let text = fs::read_to_string(root().join("docs/command.md")).unwrap();
    let mut shown = 0;
    for block in text.split("```text\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let (command, printed) = block.split_once('\n').unwrap();
        let Some(command) = command.strip_prefix("$ bitgate ") else {
            continue;
        };
        let arguments: Vec<_> = command.split(' ').collect();
        assert_eq!(run(&arguments).stdout, printed, "{command}");
        shown += 1;
    }
    assert!(shown >= 2, "{shown}");
}

/// A story about CFG-18 … CFG-24: the examples have none of what they are warned of.
#[test]
fn every_example_is_clean() {
    let paths = files("envoy");
    assert!(paths.len() >= 3, "{paths:?}");
    for path in paths {
        let ran = run(&["check", "--strict", "--env", &relative(&path)]);
        assert_eq!(ran.status, 0, "{}: {}", path.display(), ran.stdout);
        assert!(
            ran.stdout
                .ends_with("0 errors, 0 warnings in 1 configuration\n"),
            "{}: {}",
            path.display(),
            ran.stdout
        );
    }
}

/// The lines are those of Envoy's log: it is the same reader.
#[test]
fn a_bad_configuration_gets_the_lines_of_the_module() {
    let variables = [
        ("KEY", SESSION_KEY),
        ("BITGATE_SESSION_KEY", SESSION_KEY),
        ("SECRET", "canary-secret"),
        ("BITBUCKET_CLIENT_SECRET", "canary-secret"),
        ("SHORT_KEY", "Y2FuYXJ5"),
        ("EMPTY", ""),
        ("WITH_LINE_FEED", "canary\n"),
    ];
    let mut compared = 0;
    for path in files("tests/vectors/config") {
        let ran = run_with(&variables, "", &["check", "--env", &relative(&path)]);
        assert_eq!(ran.status, 1, "{}", path.display());
        let prefix = format!("error [configuration] {}: ", relative(&path));
        let printed: Vec<_> = ran
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect();
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        if ran.stdout.starts_with("error [syntax]") {
            continue;
        }
        assert_eq!(
            printed,
            expected.lines().collect::<Vec<_>>(),
            "{}",
            path.display()
        );
        compared += 1;
    }
    assert!(compared >= 7, "{compared}");
}

#[test]
fn standard_input_is_a_file_too() {
    let text = fs::read_to_string(root().join("tests/vectors/command/plain.yaml")).unwrap();
    let ran = run_with(&VARIABLES, &text, &["check", "-"]);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("warning [covered-rule] standard input: rules[3]")
    );
    let ran = run_with(&VARIABLES, "{", &["check", "-"]);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
}

#[test]
fn what_is_not_set_is_a_warning_unless_it_must_be() {
    let file = "tests/vectors/command/gateway.yaml";
    let lines = |variables: &[(&str, &str)], arguments: &[&str]| {
        let ran = run_with(variables, "", arguments);
        let lines = ran.stdout.lines().filter(|line| line.contains('['));
        let kinds = lines.map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "));
        (ran.status, kinds.collect::<Vec<_>>())
    };
    let (status, kinds) = lines(&[], &["check", file]);
    assert_eq!(status, 0);
    assert_eq!(
        kinds[..2],
        ["warning [env-not-set]", "warning [env-not-set]"]
    );
    let (status, _) = lines(&[], &["check", "--strict", file]);
    assert_eq!(status, 1);
    let (status, kinds) = lines(&[], &["check", "--env", file]);
    assert_eq!(status, 1);
    assert_eq!(
        kinds[..2],
        ["error [configuration]", "error [configuration]"]
    );
    let (status, _) = lines(&VARIABLES, &["check", "--strict", "--env", file]);
    assert_eq!(status, 0);
    // A value that is there is checked.
    let bad = [("BITGATE_SESSION_KEY", "Y2FuYXJ5"), VARIABLES[1]];
    let (status, kinds) = lines(&bad, &["check", file]);
    assert_eq!((status, kinds[0].as_str()), (1, "error [configuration]"));
}

#[test]
fn a_new_key_can_be_used_at_once() {
    let raw = run(&["keygen", "--raw"]).stdout;
    assert_ne!(raw, run(&["keygen", "--raw"]).stdout);
    assert_eq!(STANDARD.decode(raw.trim_end()).unwrap().len(), 32);
    let text = run(&["keygen", "--kid", "2026-12"]).stdout;
    let line = |prefix: &str| text.lines().find(|line| line.starts_with(prefix)).unwrap();
    let (name, key) = line("BITGATE_").split_once('=').unwrap();
    let entry: Value = serde_json::from_str(line("{")).unwrap();
    assert_eq!(entry["kid"], "2026-12");
    assert_eq!(entry["key"]["env"], name);
    let config = format!(
        r#"{{"public_url": "https://tools.example.com",
            "bitbucket": {{"client_id": "id", "client_secret": {{"env": "BITBUCKET_CLIENT_SECRET"}},
                "scopes": ["account"], "web": {{"cluster": "web"}}, "api": {{"cluster": "api"}}}},
            "session": {{"keys": [{entry}]}},
            "rules": [{{"match": {{"path": "/**"}}, "allow": "signed_in"}}]}}"#
    );
    let variables = [(name, key), VARIABLES[1]];
    let ran = run_with(&variables, &config, &["check", "--strict", "--env", "-"]);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
}

#[test]
fn a_key_is_named_by_the_day_unless_it_is_named() {
    let text = run(&["keygen"]).stdout;
    let entry: Value =
        serde_json::from_str(text.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    let kid = entry["kid"].as_str().unwrap();
    let parts: Vec<_> = kid.split('-').map(str::len).collect();
    assert_eq!(parts, [4, 2, 2], "{kid}");
    assert!(
        kid.bytes().all(|b| b.is_ascii_digit() || b == b'-'),
        "{kid}"
    );
    for kid in ["", "a b", "a\"b", &"a".repeat(33)] {
        let ran = run(&["keygen", "--kid", kid]);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{kid}");
    }
}

#[test]
fn what_cannot_be_understood_is_no_finding() {
    for arguments in [
        &[][..],
        &["chekc"],
        &["check"],
        &["check", "--strikt", "a"],
        &["check", "a", "b"],
        &["check", "/nowhere/at-all.yaml"],
        &["check", "tests"],
        &["keygen", "--kid"],
        &["keygen", "a"],
        &["explain", "envoy/demo.yaml", "GET"],
        &["explain", "/nowhere/at-all.yaml", "GET", "/"],
        &[
            "explain",
            "envoy/demo.yaml",
            "--as",
            "/nowhere/at-all.json",
            "GET",
            "/",
        ],
        &["explain", "envoy/demo.yaml", "GET", "demo"],
        &["explain", "envoy/demo.yaml", "GET", "/#top"],
        &[
            "explain",
            "tests/vectors/command/bootstrap-two-sites.yaml",
            "--in",
            "listener second",
            "GET",
            "/",
        ],
        &["explain", "tests/vectors/command/empty.yaml", "GET", "/"],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(
            ran.stderr.starts_with("bitgate: "),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}

#[test]
fn help_is_there_for_every_command() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["check", "--help"],
        &["explain", "--help"],
        &["keygen", "-h"],
    ] {
        let ran = run(arguments);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.contains("Usage:"), "{arguments:?}");
        assert!(
            ran.stdout.lines().all(|line| line.len() <= 100),
            "{arguments:?}"
        );
    }
    let version = format!("bitgate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]).stdout, version);
}

/// What `explain` says as JSON: outcome, status, reason and the rule's index.
fn explained(arguments: &[&str]) -> (String, Option<u64>, Option<String>, Option<u64>) {
    let arguments = [&["explain", "--json"], arguments].concat();
    let ran = run(&arguments);
    let answer: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", ran.stderr));
    let outcome = answer["outcome"].as_str().unwrap().to_owned();
    assert_eq!(ran.status, i32::from(outcome == "refused"), "{arguments:?}");
    (
        outcome,
        answer["status"].as_u64(),
        answer["reason"].as_str().map(str::to_owned),
        answer["rule"]["index"].as_u64(),
    )
}

#[test]
fn a_request_is_explained_by_what_the_gate_says() {
    let demo = "envoy/demo.yaml";
    let own = "http://localhost:10000";
    for (method, path, expected) in [
        ("GET", "/public/a", ("forwarded", None, None, Some(0))),
        (
            "GET",
            "/nobody/a",
            ("refused", Some(403), Some("forbidden"), Some(3)),
        ),
        (
            "GET",
            "/a",
            ("refused", Some(401), Some("no_session"), Some(4)),
        ),
        (
            "GET",
            "",
            ("refused", Some(401), Some("no_session"), Some(4)),
        ),
        (
            "GET",
            "/a//b",
            ("refused", Some(400), Some("bad_request"), None),
        ),
        (
            "GET",
            "/a/../b",
            ("refused", Some(400), Some("bad_request"), None),
        ),
        (
            "GET",
            "/a%2fb",
            ("refused", Some(400), Some("bad_request"), None),
        ),
        (
            "GET",
            "/public/%23",
            ("refused", Some(400), Some("bad_request"), Some(0)),
        ),
        (
            "TRACE",
            "/a",
            ("refused", Some(501), Some("method_not_supported"), None),
        ),
        (
            "GET",
            "/_bitgate/session",
            ("refused", Some(401), Some("no_session"), None),
        ),
        (
            "GET",
            "/_bitgate/nothing",
            ("refused", Some(404), Some("not_found"), None),
        ),
        ("GET", "/_bitgate/status", ("answered", None, None, None)),
    ] {
        let (outcome, status, reason, rule) = expected;
        let expected = (outcome.to_owned(), status, reason.map(str::to_owned), rule);
        let url = format!("{own}{path}");
        assert_eq!(
            explained(&[demo, method, &url]),
            expected,
            "{method} {path}"
        );
    }
    let elsewhere = explained(&[demo, "GET", "https://other.example.com/a"]);
    assert_eq!(
        elsewhere,
        (
            "refused".to_owned(),
            Some(421),
            Some("wrong_host".to_owned()),
            Some(4)
        )
    );
    let (outcome, ..) = explained(&[demo, "GET", "https://other.example.com/public/a"]);
    assert_eq!(outcome, "forwarded");
}

#[test]
fn a_person_is_who_a_file_says() {
    let person = "tests/vectors/command/people/ada.json";
    let (outcome, _, _, rule) = explained(&["envoy/demo.yaml", "--as", person, "GET", "/a"]);
    assert_eq!((outcome.as_str(), rule), ("forwarded", Some(4)));
    let (_, status, ..) = explained(&["envoy/demo.yaml", "--as", person, "GET", "/nobody/a"]);
    assert_eq!(status, Some(403));
    for bad in [
        "{",
        "{}",
        r#"{"account_id": "a", "workspace": []}"#,
        r#"{"account_id": "a", "principal": "robot"}"#,
    ] {
        let ran = run_with(
            &VARIABLES,
            bad,
            &["explain", "envoy/demo.yaml", "--as", "-", "GET", "/a"],
        );
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{bad}");
    }
}

#[test]
fn the_host_chooses_among_several_configurations() {
    let text = fs::read_to_string(root().join("tests/vectors/command/bootstrap-two-sites.yaml"));
    let text = text.unwrap().replace("kid: 2026,", "kid: \"2026\",");
    let explain = |arguments: &[&str]| {
        let arguments = [&["explain", "-"], arguments].concat();
        run_with(&VARIABLES, &text, &arguments)
    };
    let ran = explain(&["GET", "https://second.example.com/npm/a%2fb"]);
    assert!(
        ran.stdout.contains("configuration: listener second"),
        "{}",
        ran.stderr
    );
    let ran = explain(&["GET", "https://third.example.com/npm/a"]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr
            .contains("listener second (https://second.example.com)"),
        "{}",
        ran.stderr
    );
    let ran = explain(&["--in", "listener first", "GET", "/npm/a"]);
    assert!(
        ran.stdout.contains("configuration: listener first"),
        "{}",
        ran.stderr
    );
}
