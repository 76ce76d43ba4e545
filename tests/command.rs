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
use serde_json::{Value, json};

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

/// What docs/command.md shows is what is printed; with `BLESS=1` it is written there.
#[test]
fn the_documentation_shows_what_is_printed() {
    let path = root().join("docs/command.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut parts = text.split("```text\n");
    let mut written = parts.next().unwrap().to_owned();
    let mut shown = 0;
    for part in parts {
        let (block, rest) = part.split_once("```").unwrap();
        let (command, _) = block.split_once('\n').unwrap();
        let arguments = command.strip_prefix("$ bitgate ").unwrap();
        let printed = run(&arguments.split(' ').collect::<Vec<_>>()).stdout;
        written.push_str(&format!("```text\n{command}\n{printed}```{rest}"));
        shown += 1;
    }
    assert!(shown >= 3, "{shown}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &written).unwrap();
        return;
    }
    assert_eq!(text, written);
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

/// The parts of an example that a case changes.
struct Parts {
    root: Value,
}

impl Parts {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(root().join("envoy").join(name)).unwrap();
        Self {
            root: serde_saphyr::from_str(&text).unwrap(),
        }
    }

    fn manager(&mut self) -> &mut Value {
        let listener = &mut self.root["static_resources"]["listeners"][0];
        &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
    }

    fn filters(&mut self) -> &mut Vec<Value> {
        self.manager()["http_filters"].as_array_mut().unwrap()
    }

    /// The filter's `config`.
    fn plugin(&mut self) -> &mut Value {
        &mut self.filters()[0]["typed_config"]["config"]
    }

    fn host(&mut self) -> &mut Value {
        &mut self.manager()["route_config"]["virtual_hosts"][0]
    }

    fn cluster(&mut self, name: &str) -> &mut Value {
        let clusters = self.root["static_resources"]["clusters"].as_array_mut();
        let mut clusters = clusters.unwrap().iter_mut();
        clusters.find(|cluster| cluster["name"] == name).unwrap()
    }

    fn validation(&mut self) -> &mut Value {
        let socket = &mut self.cluster("bitbucket_web")["transport_socket"];
        &mut socket["typed_config"]["common_tls_context"]["validation_context"]
    }
}

fn without(value: &mut Value, name: &str) {
    assert!(
        value.as_object_mut().unwrap().remove(name).is_some(),
        "{name}"
    );
}

fn filter(kind: &str) -> Value {
    let url = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
    json!({"name": kind, "typed_config": {"@type": url}})
}

fn other_plugin(vm_id: &str) -> Value {
    let mut plugin = filter("wasm.v3.Wasm");
    plugin["typed_config"]["config"] = json!({"name": "metrics", "vm_config": {"vm_id": vm_id}});
    plugin
}

fn retries() -> Value {
    let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    json!({name: {"@type": format!("type.googleapis.com/{name}"), "retry_policy": {"num_retries": 2}}})
}

type Change = fn(&mut Parts);

/// CFG-20, CFG-21 and CFG-22: each unsafe setting by itself, and settings that look like one.
#[test]
fn one_unsafe_setting_is_one_finding() {
    let none = "";
    let table: &[(&str, Change)] = &[
        (none, |_| {}),
        ("fail-open", |it| {
            it.plugin()["failure_policy"] = json!("FAIL_OPEN")
        }),
        ("fail-open", |it| it.plugin()["failure_policy"] = json!(3)),
        ("fail-open", |it| it.plugin()["fail_open"] = json!(true)),
        ("fail-open", |it| it.plugin()["failOpen"] = json!("true")),
        (none, |it| it.plugin()["fail_open"] = json!(false)),
        ("fail-closed", |it| without(it.plugin(), "failure_policy")),
        ("fail-closed", |it| {
            it.plugin()["failure_policy"] = json!("FAIL_CLOSED")
        }),
        (none, |it| it.plugin()["failure_policy"] = json!(1)),
        ("body-before-decision", |it| {
            it.plugin()["allow_on_headers_stop_iteration"] = json!(true);
        }),
        ("path-normalization", |it| {
            without(it.manager(), "normalize_path")
        }),
        ("path-normalization", |it| {
            it.manager()["normalize_path"] = json!(false)
        }),
        ("merge-slashes", |it| {
            it.manager()["merge_slashes"] = json!(true)
        }),
        (none, |it| without(it.manager(), "merge_slashes")),
        ("escaped-slashes", |it| {
            without(it.manager(), "path_with_escaped_slashes_action")
        }),
        ("escaped-slashes", |it| {
            it.manager()["path_with_escaped_slashes_action"] = json!("KEEP_UNCHANGED");
        }),
        ("escaped-slashes", |it| {
            it.manager()["path_with_escaped_slashes_action"] = json!(4)
        }),
        (none, |it| {
            it.manager()["path_with_escaped_slashes_action"] = json!("UNESCAPE_AND_REDIRECT");
        }),
        ("client-address", |it| {
            without(it.manager(), "use_remote_address")
        }),
        (none, |it| {
            without(it.manager(), "use_remote_address");
            it.manager()["original_ip_detection_extensions"] = json!([{"name": "xff"}]);
        }),
        ("underscore-headers", |it| {
            without(it.manager(), "common_http_protocol_options");
        }),
        (none, |it| {
            it.manager()["common_http_protocol_options"]["headers_with_underscores_action"] =
                json!("DROP_HEADER");
        }),
        ("no-stream-timeout", |it| {
            without(it.manager(), "stream_idle_timeout")
        }),
        ("no-stream-timeout", |it| {
            it.manager()["stream_idle_timeout"] = json!("0.000s")
        }),
        ("no-stream-timeout", |it| {
            it.host()["routes"][0]["route"]["idle_timeout"] = json!("0s");
        }),
        (none, |it| {
            it.manager()["stream_idle_timeout"] = json!("0.5s")
        }),
        ("filter-order", |it| {
            it.filters().insert(0, filter("lua.v3.Lua"))
        }),
        ("filter-order", |it| {
            it.filters()
                .insert(0, filter("ext_proc.v3.ExternalProcessor"));
        }),
        ("filter-order", |it| {
            it.filters().insert(0, filter("cache.v3.CacheConfig"))
        }),
        ("filter-order", |it| {
            it.filters().insert(0, filter("compressor.v3.Compressor"))
        }),
        ("filter-order", |it| {
            it.filters().insert(0, other_plugin("another"))
        }),
        ("filter-order", |it| {
            let router = it.filters().pop().unwrap();
            it.filters().insert(0, router);
        }),
        (none, |it| it.filters().insert(0, filter("cors.v3.Cors"))),
        (none, |it| it.filters().insert(1, filter("lua.v3.Lua"))),
        ("shared-vm", |it| {
            it.filters().insert(1, other_plugin("bitgate"))
        }),
        (none, |it| it.filters().insert(1, other_plugin("another"))),
        ("filter-disabled", |it| {
            it.filters()[0]["disabled"] = json!(true)
        }),
        ("filter-disabled", |it| {
            let off = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
            it.host()["routes"][0]["typed_per_filter_config"] =
                json!({"envoy.filters.http.wasm": {"@type": off, "disabled": true}});
        }),
        (none, |it| {
            let off = "type.googleapis.com/envoy.config.route.v3.FilterConfig";
            it.host()["routes"][0]["typed_per_filter_config"] =
                json!({"another": {"@type": off, "disabled": true}});
        }),
        ("admin-address", |it| {
            it.root["admin"]["address"]["socket_address"]["address"] = json!("0.0.0.0");
        }),
        ("admin-address", |it| {
            it.root["admin"]["address"]["socket_address"]["address"] = json!("::");
        }),
        (none, |it| {
            it.root["admin"]["address"]["socket_address"]["address"] = json!("::1");
        }),
        (none, |it| without(&mut it.root, "admin")),
        ("no-buffer-limit", |it| {
            without(&mut it.root, "layered_runtime")
        }),
        (none, |it| {
            it.root["layered_runtime"] =
                json!({"layers": [{"name": "a", "disk_layer": {"symlink_root": "/a"}}]});
        }),
        ("retry-policy", |it| {
            it.cluster("bitbucket_web")["typed_extension_protocol_options"] = retries();
        }),
        (none, |it| {
            it.cluster("bitbucket_api")["typed_extension_protocol_options"] = retries();
        }),
        ("retry-policy", |it| {
            let route = json!({"weighted_clusters": {"clusters": [{"name": "bitbucket_web"}]}});
            it.host()["routes"][0]["route"] = route;
            it.host()["retry_policy"] = json!({"num_retries": 1});
        }),
        (none, |it| {
            it.host()["retry_policy"] = json!({"num_retries": 1})
        }),
        ("tls-missing", |it| {
            without(it.cluster("bitbucket_api"), "transport_socket")
        }),
        ("tls-unverified", |it| {
            without(it.validation(), "trusted_ca")
        }),
        ("tls-unverified", |it| {
            without(it.validation(), "match_typed_subject_alt_names")
        }),
        ("tls-unverified", |it| {
            it.validation()["match_typed_subject_alt_names"][0]["matcher"] =
                json!({"exact": "bitbucket.example.com"});
        }),
        ("tls-unverified", |it| {
            it.validation()["trust_chain_verification"] = json!("ACCEPT_UNTRUSTED");
        }),
        (none, |it| {
            without(it.validation(), "trusted_ca");
            it.validation()["system_root_certs"] = json!({});
        }),
        (none, |it| {
            without(it.validation(), "match_typed_subject_alt_names");
            let socket = &mut it.cluster("bitbucket_web")["transport_socket"];
            socket["typed_config"]["auto_sni_san_validation"] = json!(true);
        }),
        (none, |it| {
            it.validation()["match_typed_subject_alt_names"][0]["matcher"] =
                json!({"suffix": ".org"});
        }),
        ("unknown-cluster", |it| {
            it.cluster("bitbucket_api")["name"] = json!("api")
        }),
        (none, |it| {
            it.cluster("bitbucket_api")["name"] = json!("api");
            it.root["dynamic_resources"] = json!({"cds_config": {"path": "/a"}});
        }),
        ("env-not-passed", |it| {
            let variables = &mut it.plugin()["vm_config"]["environment_variables"];
            variables["host_env_keys"] = json!(["BITBUCKET_CLIENT_SECRET"]);
        }),
    ];
    for (index, (code, change)) in table.iter().enumerate() {
        let mut parts = Parts::read("bitbucket-cloud.yaml");
        change(&mut parts);
        let ran = run_with(&VARIABLES, &parts.root.to_string(), &["check", "-"]);
        let is_finding = |line: &&str| !line.starts_with(' ') && line.contains(" [");
        let found: Vec<_> = ran.stdout.lines().filter(is_finding).collect();
        let codes = found
            .iter()
            .map(|line| line.split(['[', ']']).nth(1).unwrap());
        let expected: Vec<_> = [*code]
            .into_iter()
            .filter(|code| !code.is_empty())
            .collect();
        assert_eq!(
            codes.collect::<Vec<_>>(),
            expected,
            "case {index}: {}",
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
        &["explain", "-", "-"],
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

/// What `explain` says as JSON: outcome, status, reason and the rule's name.
fn explained(arguments: &[&str]) -> (String, u64, String, String) {
    let arguments = [&["explain", "--json"], arguments].concat();
    let ran = run(&arguments);
    let answer: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", ran.stderr));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let outcome = text(&answer["outcome"]);
    assert_eq!(ran.status, i32::from(outcome == "refused"), "{arguments:?}");
    (
        outcome,
        answer["status"].as_u64().unwrap_or_default(),
        text(&answer["reason"]),
        text(&answer["rule"]["name"]),
    )
}

fn refused(status: u64, reason: &str, rule: &str) -> (String, u64, String, String) {
    (
        "refused".to_owned(),
        status,
        reason.to_owned(),
        rule.to_owned(),
    )
}

fn forwarded(rule: &str) -> (String, u64, String, String) {
    ("forwarded".to_owned(), 0, String::new(), rule.to_owned())
}

#[test]
fn a_request_is_explained_by_what_the_gate_says() {
    let demo = "envoy/demo.yaml";
    for (method, path, expected) in [
        ("GET", "/public/a", forwarded("public pages")),
        ("GET", "/nobody/a", refused(403, "forbidden", "nobody")),
        ("GET", "/a", refused(401, "no_session", "everything else")),
        ("GET", "", refused(401, "no_session", "everything else")),
        ("GET", "/a//b", refused(400, "bad_request", "")),
        ("GET", "/a/../b", refused(400, "bad_request", "")),
        ("GET", "/a%2fb", refused(400, "bad_request", "")),
        (
            "GET",
            "/public/%23",
            refused(400, "bad_request", "public pages"),
        ),
        ("TRACE", "/a", refused(501, "method_not_supported", "")),
        ("GET", "/_bitgate/session", refused(401, "no_session", "")),
        ("GET", "/_bitgate/nothing", refused(404, "not_found", "")),
        (
            "GET",
            "/_bitgate/status",
            ("answered".to_owned(), 0, String::new(), String::new()),
        ),
    ] {
        let url = format!("http://localhost:10000{path}");
        assert_eq!(
            explained(&[demo, method, &url]),
            expected,
            "{method} {path}"
        );
    }
    let elsewhere = explained(&[demo, "GET", "https://other.example.com/a"]);
    assert_eq!(elsewhere, refused(421, "wrong_host", "everything else"));
    let elsewhere = explained(&[demo, "GET", "https://other.example.com/public/a"]);
    assert_eq!(elsewhere, forwarded("public pages"));
}

const ADA: &str = "tests/vectors/command/people/ada.json";

#[test]
fn a_person_is_who_a_file_says() {
    let demo = "envoy/demo.yaml";
    let own = explained(&[demo, "--as", ADA, "GET", "/a"]);
    assert_eq!(own, forwarded("everything else"));
    let closed = explained(&[demo, "--as", ADA, "GET", "/nobody/a"]);
    assert_eq!(closed, refused(403, "forbidden", "nobody"));
    let file = "tests/vectors/command/plain-conditions.yaml";
    for (method, path, expected) in [
        ("PUT", "/git/acme/widgets.git/info/refs", forwarded("git")),
        (
            "GET",
            "/git/acme/secrets.git/info/refs",
            refused(403, "insufficient_permission", "git"),
        ),
        (
            "GET",
            "/git/ACME/widgets.git/info/refs",
            refused(403, "insufficient_permission", "git"),
        ),
        (
            "GET",
            "/git/%7B77aa0000-1111-4222-8333-444455556666%7D/widgets.git/x",
            forwarded("git"),
        ),
        ("GET", "/deploy/a", forwarded("deploy")),
        ("GET", "/reports/a", forwarded("reports")),
        ("GET", "/a", refused(403, "no_rule", "")),
    ] {
        assert_eq!(
            explained(&[file, "--as", ADA, method, path]),
            expected,
            "{method} {path}"
        );
    }
}

#[test]
fn a_file_that_describes_nobody_is_said() {
    let workspace = |members: &str| {
        let uuid = "{77aa0000-1111-4222-8333-444455556666}";
        format!(
            r#"{{"account_id": "a", "workspaces": [{{"slug": "acme", "uuid": "{uuid}"{members}}}]}}"#
        )
    };
    let good = workspace(r#", "role": "collaborator""#);
    let explain = |person: &str| {
        run_with(
            &VARIABLES,
            person,
            &["explain", "envoy/demo.yaml", "--as", "-", "GET", "/a"],
        )
    };
    assert_eq!(explain(&good).status, 0);
    for bad in [
        "{",
        "{}",
        r#"{"account_id": "a", "account_id": "b"}"#,
        r#"{"account_id": "a", "workspace": []}"#,
        r#"{"account_id": "a", "principal": "robot"}"#,
        r#"{"account_id": "a", "workspaces": [{"slug": "acme"}]}"#,
        r#"{"account_id": "a", "workspaces": [{"slug": "Acme", "uuid": "{77aa0000-1111-4222-8333-444455556666}"}]}"#,
        r#"{"account_id": "a", "workspaces": [{"slug": "acme", "uuid": "77aa0000-1111-4222-8333-444455556666"}]}"#,
        &workspace(r#", "role": "boss""#),
        &workspace(
            r#", "repositories": [{"slug": "a", "uuid": "{99cc0000-1111-4222-8333-444455556666}", "permission": "none"}]"#,
        ),
    ] {
        let ran = explain(bad);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{bad}");
        assert!(
            ran.stderr.starts_with("bitgate: -: "),
            "{bad}: {}",
            ran.stderr
        );
    }
}

#[test]
fn many_requests_can_be_explained_at_once() {
    let requests = "# Who may deploy?\nGET /deploy/a\n\n  GET  /a\n";
    let file = "tests/vectors/command/plain-conditions.yaml";
    let ran = run_with(
        &VARIABLES,
        requests,
        &["explain", file, "--as", ADA, "--json", "-"],
    );
    let answers: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes: Vec<_> = answers.iter().map(|answer| &answer["outcome"]).collect();
    assert_eq!(outcomes, ["forwarded", "refused"]);
    assert_eq!(answers[0]["on_trial"][0]["reason"], "not_a_member");
    assert_eq!(answers[0]["rule"]["conditions"][0]["condition"], "all_of");
    assert_eq!(ran.status, 1);
    let ran = run_with(&VARIABLES, "GET\n", &["explain", file, "-"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""));
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
