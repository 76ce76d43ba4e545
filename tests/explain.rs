//! `bitgate explain` says what the module does: random rules, random people, random requests, the same
//! answers. What the file says of a person is what the simulated Bitbucket says of them.

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

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use support::browser::{Jar, header};
use support::envoy_edge::EnvoyEdge;
use support::example::SESSION_KEY;
use support::native_edge::NativeEdge;
use support::setup::Setup;
use support::world::{Kind, World};

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const BETA: &str = "{88bb0000-1111-4222-8333-444455556666}";
const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";

/// Always the same numbers.
struct Draw(u64);

impl Draw {
    fn number(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::try_from(below).unwrap()) as usize
    }

    fn one<'t, T: ?Sized>(&mut self, all: &[&'t T]) -> &'t T {
        all[self.number(all.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.number(one_in) == 0
    }
}

/// A template and the captures in it: workspace, repository, key of a project.
type Shape = (&'static str, [Option<&'static str>; 3]);

const SHAPES: [Shape; 8] = [
    (
        "/files/{workspace}/{repo}/**",
        [Some("workspace"), Some("repo"), None],
    ),
    (
        "/git/{workspace}/{repo}.git/**",
        [Some("workspace"), Some("repo"), None],
    ),
    (
        "/projects/{workspace}/{key}",
        [Some("workspace"), None, Some("key")],
    ),
    ("/spaces/{workspace}/**", [Some("workspace"), None, None]),
    ("/acme/{repo}/**", [None, Some("repo"), None]),
    ("/files/acme/**", [None; 3]),
    ("/teams/{team}", [None; 3]),
    ("/**", [None; 3]),
];

fn leaf(draw: &mut Draw, [workspace, repo, key]: [Option<&str>; 3], people: &[String]) -> Value {
    let part = |draw: &mut Draw, capture: Option<&str>, literals: &[&str]| match capture {
        Some(name) if !draw.chance(3) => format!("{{{name}}}"),
        _ => draw.one(literals).to_owned(),
    };
    let owner = part(
        draw,
        workspace,
        &["acme", "beta-labs", "nobodys", ACME, BETA],
    );
    let permission = draw.one(&["read", "write", "admin", "by_method"]);
    match draw.number(10) {
        0 => json!("signed_in"),
        1 => match draw.chance(4) {
            true => json!("nobody"),
            false => json!({"principal": draw.one(&["person", "person", "bot"])}),
        },
        2 | 3 => json!({"workspace": owner, "role": draw.one(&["member", "owner"])}),
        4 | 5 => {
            let name = part(
                draw,
                repo,
                &["widgets", "secrets", "lab", "website", WIDGETS],
            );
            json!({"repository": format!("{owner}/{name}"), "permission": permission})
        }
        6 => {
            let key = part(draw, key, &["WID", "OPS", "LAB", "NON"]);
            json!({"project": format!("{owner}/{key}"), "permission": permission})
        }
        7 => json!({"account": [people[draw.number(people.len())]]}),
        8 => match draw.chance(2) {
            true => json!({"email_domain": draw.one(&["example.com", "example.org"])}),
            false => json!({"scope": draw.one(&["repository", "repository:write", "email"])}),
        },
        _ => json!({"group": draw.one(&["developers", "admins", "release", "no-such-group"])}),
    }
}

fn condition(draw: &mut Draw, captures: [Option<&str>; 3], people: &[String], depth: u32) -> Value {
    if depth == 0 || draw.chance(2) {
        return leaf(draw, captures, people);
    }
    let inner = |draw: &mut Draw| condition(draw, captures, people, depth - 1);
    match draw.number(3) {
        0 => json!({"all_of": [inner(draw), inner(draw)]}),
        1 => json!({"any_of": [inner(draw), inner(draw)]}),
        _ => json!({"not": inner(draw)}),
    }
}

fn rule(draw: &mut Draw, people: &[String]) -> Value {
    let (path, captures) = SHAPES[draw.number(SHAPES.len())];
    let mut rule = json!({
        "match": {"path": path},
        "allow": condition(draw, captures, people, 3),
        "inject": draw.one(&["bearer", "identity", "none", "git"]),
        "shadow": draw.chance(4),
    });
    if draw.chance(3) {
        rule["match"]["methods"] = json!([draw.one(&["GET", "PUT"]), "POST"]);
    }
    if draw.chance(4) && path.ends_with("/**") {
        rule["match"]["tail"] = json!("raw");
    }
    if draw.chance(8) && path != "/**" {
        rule["allow"] = json!("public");
        rule["inject"] = json!("none");
    }
    rule
}

/// Rules that the reader takes: those that no request reaches are left out.
fn rules(draw: &mut Draw, config: &mut Value, people: &[String]) {
    let mut rules: Vec<Value> = Vec::new();
    for _ in 0..16 {
        let next = rule(draw, people);
        // Nothing could follow it.
        if next["match"]["path"] == "/**" && rules.len() < 6 {
            continue;
        }
        rules.push(next);
        config["rules"] = json!(rules);
        let environment = support::native_edge::environment;
        if bitgate::config::Config::parse(config.to_string().as_bytes(), &environment).is_err() {
            rules.pop();
        }
    }
    config["rules"] = json!(rules);
}

fn request(draw: &mut Draw) -> (String, String) {
    let method = draw.one(&["GET", "GET", "PUT", "POST", "OPTIONS", "DELETE"]);
    let first = draw.one(&[
        "files", "git", "projects", "spaces", "acme", "teams", "other",
    ]);
    let owner = draw.one(&[
        "acme",
        "acme",
        "beta-labs",
        "nobodys",
        "ACME",
        "%7B77aa0000-1111-4222-8333-444455556666%7D",
        "%7B88BB0000-1111-4222-8333-444455556666%7D",
        "77aa0000-1111-4222-8333-444455556666",
        "acme%2fwidgets",
    ]);
    let second = draw.one(&[
        "widgets",
        "widgets.git",
        "secrets",
        "lab.git",
        "WID",
        "LAB",
        "Widgets",
        "%7B99cc0000-1111-4222-8333-444455556666%7D",
        ".git",
    ]);
    let tail = draw.one(&[
        "", "/", "/a", "/a/b", "/a%2fb", "/a;b", "//a", "/../a", "/%61", "/%23",
    ]);
    let path = match draw.number(4) {
        0 => format!("/{first}/{owner}{tail}"),
        _ => format!("/{first}/{owner}/{second}{tail}"),
    };
    (method.to_owned(), path)
}

/// What the simulated Bitbucket knows about somebody, as `--as` wants it.
fn described(world: &World, account_id: &str) -> Value {
    let bitbucket = world.bitbucket();
    let settings = &bitbucket.settings;
    let directory = &settings.directory;
    let person = settings
        .people
        .iter()
        .find(|person| person.account_id == account_id)
        .unwrap();
    let email = person
        .emails
        .iter()
        .find(|email| email.is_primary && email.is_confirmed);
    let groups = directory.groups_of(account_id).into_iter();
    let groups: Vec<_> = groups
        .filter(|(workspace, _)| workspace == "acme")
        .map(|(_, group)| group)
        .collect();
    let workspaces =
        directory.workspaces().filter_map(|workspace| {
            let role = directory.role_of(account_id, &workspace.uuid)?;
            let repositories = directory.repositories(&workspace.uuid).filter_map(|repository| {
            let held = directory.permission_of(account_id, &workspace.uuid, &repository.uuid)?;
            Some(json!({
                "slug": repository.slug, "uuid": repository.uuid, "project": repository.project,
                "permission": held.as_str(),
            }))
        });
            Some(json!({
                "slug": workspace.slug, "uuid": workspace.uuid, "role": role.as_str(),
                "repositories": repositories.collect::<Vec<_>>(),
            }))
        });
    let workspaces: Vec<_> = workspaces.collect();
    json!({
        "account_id": account_id,
        "email": email.map(|email| email.email.clone()),
        "groups": groups,
        "workspaces": workspaces,
    })
}

/// What `bitgate explain` says: status 0 for what the service gets, and the reason.
fn explained(config: &str, person: &Value, requests: &[(String, String)]) -> Vec<(u16, String)> {
    let folder = tempfile(config.len());
    let (config_file, person_file) = (folder.join("config.json"), folder.join("person.json"));
    fs::write(&config_file, config).unwrap();
    fs::write(&person_file, person.to_string()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bitgate"))
        .arg("explain")
        .arg(&config_file)
        .arg("--as")
        .arg(&person_file)
        .args(["--json", "-"])
        .env("BITGATE_SESSION_KEY", SESSION_KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = requests
        .iter()
        .map(|(method, path)| format!("{method} {path}\n"));
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(lines.collect::<String>().as_bytes())
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let answers = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let verdict = |answer: Value| match answer["outcome"].as_str().unwrap() {
        "forwarded" => (200, String::new()),
        _ => (
            u16::try_from(answer["status"].as_u64().unwrap()).unwrap(),
            answer["reason"].as_str().unwrap().to_owned(),
        ),
    };
    answers.map(verdict).collect()
}

/// A folder of this run's own.
fn tempfile(salt: usize) -> std::path::PathBuf {
    let thread = std::thread::current();
    let name = format!("explain-{}-{salt}", thread.name().unwrap_or_default());
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Compares as many requests of each person under as many sets of rules. Returns how often each
/// verdict was seen.
fn compare(kind: Kind, sets: u64, requests: usize) -> BTreeMap<(u16, String), usize> {
    let mut seen = BTreeMap::new();
    for set in 0..sets {
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15 ^ (set + 1));
        let setup = Setup {
            example: "access.yaml",
            envoy: |example| example.leave_paths_alone(),
            bitbucket: |settings| settings.api_limit = None,
            ..Setup::default()
        };
        let (mut example, around) = World::parts(kind, &setup);
        let people: Vec<String> = {
            let bitbucket = around.bitbucket.lock().unwrap();
            let people = bitbucket.settings.people.iter();
            people.map(|person| person.account_id.clone()).collect()
        };
        let mut config = example.plugin();
        config["bitbucket"]["api_budget"] = json!(100_000);
        config.as_object_mut().unwrap().remove("workspaces");
        config["groups"]["members"] = json!({"release": [people[0]]});
        rules(&mut draw, &mut config, &people);
        example.set_plugin(&config);
        let text = config.to_string();
        let edge: Box<dyn support::Edge> = match kind {
            Kind::Native => Box::new(NativeEdge::new(&text, &setup, around.clone())),
            Kind::Envoy => Box::new(Arc::new(EnvoyEdge::start(example, &setup, around.clone()))),
        };
        let mut world = World { edge, around };
        for account_id in &people {
            let jar = sign_in(&mut world, account_id);
            let person = described(&world, account_id);
            let wanted: Vec<_> = (0..requests).map(|_| request(&mut draw)).collect();
            let said = explained(&text, &person, &wanted);
            assert_eq!(said.len(), wanted.len());
            for ((method, path), said) in wanted.iter().zip(said) {
                let request = http::Request::builder()
                    .method(method.as_str())
                    .uri(path)
                    .header("host", "localhost:10000")
                    .header("cookie", jar.header());
                let answer = world.send(request.body(Vec::new()).unwrap());
                let reason = header(&answer, "x-bitgate-reason").to_owned();
                let did = (answer.status().as_u16(), reason);
                assert_eq!(
                    said, did,
                    "{method} {path} by {person} under {}",
                    config["rules"]
                );
                *seen.entry(did).or_default() += 1;
            }
        }
    }
    seen
}

fn sign_in(world: &mut World, account_id: &str) -> Jar {
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/_bitgate/login", account_id).status(), 302);
    browser.jar
}

/// Enough of everything that rules can say, or the comparison would be one of nothing.
fn assert_all_sides(seen: &BTreeMap<(u16, String), usize>) {
    let total: usize = seen.values().sum();
    assert!(total >= 10_000, "{total}");
    for reason in [
        "",
        "bad_request",
        "no_rule",
        "not_a_member",
        "insufficient_permission",
        "insufficient_scope",
        "account_not_listed",
        "email_not_allowed",
        "not_in_group",
        "not_allowed",
        "forbidden",
    ] {
        let count: usize = seen
            .iter()
            .filter(|((_, found), _)| found == reason)
            .map(|(_, count)| count)
            .sum();
        assert!(count >= 10, "{reason}: {count} in {seen:?}");
    }
}

#[test]
fn explain_says_what_the_core_does() {
    assert_all_sides(&compare(Kind::Native, 40, 100));
}

#[test]
fn explain_says_what_the_module_does() {
    assert_all_sides(&compare(Kind::Envoy, 12, 300));
}
