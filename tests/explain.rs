//! `bitgate explain` says what the module does: 10,000 random requests, natively and through Envoy, under
//! the rules of an example and under random ones.

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
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use support::browser::{Browser, Jar, header};
use support::control::control;
use support::envoy_edge::EnvoyEdge;
use support::example::SESSION_KEY;
use support::native_edge::NativeEdge;
use support::setup::Setup;
use support::world::{Kind, World};

const PEOPLE: [&str; 3] = ["ada", "grace", "linus"];

/// All of them together.
const REQUESTS: usize = 10_000;

const METHODS: [&str; 6] = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "DELETE"];

const WORDS: [&str; 28] = [
    "artifacts",
    "acme",
    "beta-labs",
    "widgets",
    "gadgets",
    "secrets",
    "lab",
    "members",
    "owners",
    "deploy",
    "healthz",
    "x",
    "ACME",
    "Widgets",
    "no-such",
    "%7B77aa0000-1111-4222-8333-444455556666%7D",
    "%7B99cc0000-1111-4222-8333-444455556666%7D",
    "a%2fb",
    "a;b",
    "",
    ".",
    "..",
    "%2e",
    "%61cme",
    "caf%C3%A9",
    "%23",
    "_bitgated",
    "website",
];

struct Draw(u64);

impl Draw {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % count
    }

    /// Half of them near a rule, the others anything.
    fn request(&mut self) -> (&'static str, String) {
        let method = METHODS[self.below(METHODS.len())];
        let heads = [
            "/artifacts/acme",
            "/artifacts",
            "/members",
            "/owners",
            "/deploy",
            "/widgets",
            "",
            "",
        ];
        let mut path = heads[self.below(heads.len())].to_owned();
        for _ in 0..=self.below(3) {
            path.push('/');
            path.push_str(WORDS[self.below(WORDS.len())]);
        }
        (method, path)
    }
}

/// What the simulator knows, in the form that `--as` reads.
fn described(world: &World, account_id: &str) -> Value {
    let bitbucket = world.bitbucket();
    let directory = &bitbucket.settings.directory;
    let people = &bitbucket.settings.people;
    let person = people
        .iter()
        .find(|person| person.account_id == account_id)
        .unwrap();
    let email = person
        .emails
        .iter()
        .find(|email| email.is_primary && email.is_confirmed);
    let workspaces = directory.workspaces().filter_map(|workspace| {
        let role = directory.role_of(account_id, &workspace.slug)?;
        let repositories = directory.repositories(&workspace.slug).filter_map(|repository| {
            let permission = directory.permission_of(account_id, &workspace.slug, &repository.slug)?;
            Some(json!({
                "slug": repository.slug, "uuid": repository.uuid, "permission": permission.as_str(),
                "project": repository.project,
            }))
        });
        Some(json!({
            "slug": workspace.slug, "uuid": workspace.uuid, "role": role.as_str(),
            "repositories": repositories.collect::<Vec<_>>(),
        }))
    });
    let groups = directory.groups_of(account_id).into_iter();
    let groups = groups
        .filter(|(workspace, _)| workspace == "acme")
        .map(|(_, group)| group);
    let mut described = json!({
        "account_id": account_id, "principal": "person",
        "scopes": ["account", "email", "repository"],
        "groups": groups.collect::<Vec<_>>(), "workspaces": workspaces.collect::<Vec<_>>(),
    });
    if let Some(email) = email {
        described["email"] = email.email.as_str().into();
    }
    described
}

/// What the command says of each request: the status, and the reason of a refusal.
fn explained(file: &str, person: &Value, requests: &[(&str, String)]) -> Vec<(u16, String)> {
    let described = own_file(person["account_id"].as_str().unwrap_or("step"));
    std::fs::write(&described, person.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bitgate"));
    command
        .args(["explain", "--json", "--as"])
        .arg(&described)
        .args([file, "-"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("BITGATE_SESSION_KEY", SESSION_KEY);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = requests
        .iter()
        .map(|(method, path)| format!("{method} {path}\n"))
        .collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    std::fs::remove_file(&described).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        match line["outcome"].as_str().unwrap() {
            "forwarded" => (200, String::new()),
            _ => (
                u16::try_from(line["status"].as_u64().unwrap()).unwrap(),
                line["reason"].as_str().unwrap_or_default().to_owned(),
            ),
        }
    });
    said.collect()
}

/// A file of this test's own.
fn own_file(what: &str) -> PathBuf {
    let thread = std::thread::current();
    let name = format!("explain-{}-{what}.json", thread.name().unwrap_or_default());
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name.replace(':', "-"))
}

/// A timer reads the groups: until then, a path that asks for one cannot be judged.
fn await_groups(browser: &mut Browser<'_>, path: &str) {
    for _ in 0..100 {
        if browser.fetch(path).status() != 503 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

fn compare(kind: Kind) {
    let setup = Setup {
        example: "access.yaml",
        envoy: |example| example.leave_paths_alone(),
        ..Setup::default()
    };
    let mut world = World::new(kind, &setup);
    let mut draw = Draw(7);
    let mut outcomes = std::collections::BTreeMap::new();
    for name in PEOPLE {
        let account_id = world.person(name);
        let person = described(&world, &account_id);
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &account_id).status(), 302);
        await_groups(&mut browser, "/deploy");
        let cookies = browser.jar.header();
        let count = REQUESTS.div_ceil(PEOPLE.len());
        let requests: Vec<_> = (0..count).map(|_| draw.request()).collect();
        let said = explained("envoy/access.yaml", &person, &requests);
        assert_eq!(said.len(), requests.len());
        for ((method, path), said) in requests.iter().zip(said) {
            let request = http::Request::builder().method(*method).uri(path.as_str());
            let request = request
                .header("host", "localhost:10000")
                .header("cookie", &cookies);
            let answer = world.edge.send(request.body(Vec::new()).unwrap());
            let reason = header(&answer, "x-bitgate-reason").to_owned();
            let found = (answer.status().as_u16(), reason);
            assert_eq!(found, said, "{name} {method} {path}");
            *outcomes.entry(found).or_insert(0) += 1;
        }
    }
    assert!(outcomes.len() >= 5, "{outcomes:?}");
}

#[test]
fn the_command_and_the_core_agree() {
    compare(Kind::Native);
}

#[test]
fn the_command_and_the_module_agree() {
    compare(Kind::Envoy);
}

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const BETA: &str = "{88bb0000-1111-4222-8333-444455556666}";
const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";

impl Draw {
    fn one<'t, T: ?Sized>(&mut self, all: &[&'t T]) -> &'t T {
        all[self.below(all.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
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
    match draw.below(12) {
        0 => json!("signed_in"),
        1 => match draw.chance(4) {
            true => json!("nobody"),
            false => json!({"principal": draw.one(&["person", "pipeline", "bot"])}),
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
        7 => json!({"account": [people[draw.below(people.len())]]}),
        8 => match draw.chance(2) {
            true => json!({"email_domain": draw.one(&["example.com", "example.org"])}),
            false => json!({"scope": draw.one(&["repository", "repository:write", "email"])}),
        },
        10 | 11 => {
            let name = draw.one(&["widgets", "secrets", WIDGETS]);
            let mut wanted = json!({"repository": name});
            if draw.chance(2) {
                wanted["workspace"] = part(draw, workspace, &["acme", ACME]).into();
            }
            if draw.chance(3) {
                wanted["branch"] = json!(["main", "release/*"]);
            }
            json!({"pipeline": wanted})
        }
        _ => json!({"group": draw.one(&["developers", "admins", "release", "no-such-group"])}),
    }
}

fn condition(draw: &mut Draw, captures: [Option<&str>; 3], people: &[String], depth: u32) -> Value {
    if depth == 0 || draw.chance(2) {
        return leaf(draw, captures, people);
    }
    let inner = |draw: &mut Draw| condition(draw, captures, people, depth - 1);
    match draw.below(3) {
        0 => json!({"all_of": [inner(draw), inner(draw)]}),
        1 => json!({"any_of": [inner(draw), inner(draw)]}),
        _ => json!({"not": inner(draw)}),
    }
}

fn rule(draw: &mut Draw, people: &[String]) -> Value {
    let (path, captures) = SHAPES[draw.below(SHAPES.len())];
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
    let mut rules = vec![json!({"match": {"path": "/ready"}, "allow": {"group": "developers"}})];
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

fn request(draw: &mut Draw) -> (&'static str, String) {
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
        "", "", "", "/", "/a", "/a", "/a/b", "/a/b", "/%61", "/a%2fb", "/a;b", "//a", "/../a",
        "/%23",
    ]);
    let path = match draw.below(4) {
        0 => format!("/{first}/{owner}{tail}"),
        _ => format!("/{first}/{owner}/{second}{tail}"),
    };
    (method, path)
}

/// Compares as many requests of each person under as many sets of rules. Returns how often each
/// verdict was seen.
fn compare_rules(kind: Kind, sets: u64, requests: usize) -> BTreeMap<(u16, String), usize> {
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
        config["issuers"] =
            json!([{"bitbucket_pipelines": {"workspace": "acme", "workspace_uuid": ACME}}]);
        config["repositories"] = json!({"acme/widgets": WIDGETS, "acme/secrets": STEPS[1].1});
        config["groups"]["members"] = json!({"release": [people[0]]});
        rules(&mut draw, &mut config, &people);
        example.set_plugin(&config);
        let text = config.to_string();
        let file = own_file(&format!("rules-{set}"));
        std::fs::write(&file, &text).unwrap();
        let edge: Box<dyn support::Edge> = match kind {
            Kind::Native => Box::new(NativeEdge::new(&text, &setup, around.clone())),
            Kind::Envoy => Box::new(Arc::new(EnvoyEdge::start(example, &setup, around.clone()))),
        };
        let mut world = World { edge, around };
        control(
            &world,
            "pipelines",
            &json!({"workspace": "acme", "ran": true}),
        );
        for account_id in &people {
            let jar = sign_in(&mut world, account_id);
            let person = described(&world, account_id);
            let wanted: Vec<_> = (0..requests).map(|_| request(&mut draw)).collect();
            let said = explained(file.to_str().unwrap(), &person, &wanted);
            assert_eq!(said.len(), wanted.len());
            let cookies = ("cookie", jar.header());
            let context = format!("{person} under {}", config["rules"]);
            agree(&mut world, &wanted, &said, &cookies, &context, &mut seen);
        }
        for (repository, uuid, branch) in STEPS {
            let person = json!({"principal": "pipeline", "pipeline": {
                "workspace": "acme", "workspace_uuid": ACME,
                "repository": repository, "repository_uuid": uuid, "branch": branch,
            }});
            let step = json!({"workspace": "acme", "repository": repository, "branch": branch});
            let token = control(&world, "pipelines/tokens", &step);
            let token = format!("Bearer {}", token["token"].as_str().unwrap());
            let wanted: Vec<_> = (0..requests).map(|_| request(&mut draw)).collect();
            let said = explained(file.to_str().unwrap(), &person, &wanted);
            let context = format!("{person} under {}", config["rules"]);
            let shown = ("authorization", token);
            agree(&mut world, &wanted, &said, &shown, &context, &mut seen);
        }
        std::fs::remove_file(&file).unwrap();
    }
    seen
}

/// Sends what was explained, and counts the verdicts.
fn agree(
    world: &mut World,
    wanted: &[(&'static str, String)],
    said: &[(u16, String)],
    shown: &(&str, String),
    context: &str,
    seen: &mut BTreeMap<(u16, String), usize>,
) {
    assert_eq!(said.len(), wanted.len());
    for ((method, path), said) in wanted.iter().zip(said) {
        let request = http::Request::builder()
            .method(*method)
            .uri(path)
            .header("host", "localhost:10000")
            .header(shown.0, &shown.1);
        let answer = world.send(request.body(Vec::new()).unwrap());
        let reason = header(&answer, "x-bitgate-reason").to_owned();
        let did = (answer.status().as_u16(), reason);
        if *said != did {
            // Of several conditions that do not hold the module names one that it knows of,
            // which may be another one before everything was asked.
            let are_denials = is_denial(said) && is_denial(&did);
            assert!(are_denials, "{said:?} {did:?} {method} {path} by {context}");
            *seen.entry((0, "another denial".to_owned())).or_default() += 1;
        }
        *seen.entry(did).or_default() += 1;
    }
}

/// Repository, its UUID, branch.
const STEPS: [(&str, &str, &str); 2] = [
    ("widgets", WIDGETS, "main"),
    (
        "secrets",
        "{99cc0003-1111-4222-8333-444455556666}",
        "release/2",
    ),
];

/// Whether a condition does not hold.
fn is_denial((status, reason): &(u16, String)) -> bool {
    *status == 403 && !["forbidden", "no_rule", "cross_site"].contains(&reason.as_str())
}

fn sign_in(world: &mut World, account_id: &str) -> Jar {
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/_bitgate/login", account_id).status(), 302);
    await_groups(&mut browser, "/ready");
    browser.jar
}

/// Enough of everything that rules can say, or the comparison would be one of nothing.
fn assert_all_sides(seen: &BTreeMap<(u16, String), usize>, least: usize) {
    let total: usize = seen.values().sum();
    let others = seen.get(&(0, "another denial".to_owned()));
    let others = others.copied().unwrap_or_default();
    assert!(others * 100 <= total, "{others} of {total}");
    for reason in [
        "",
        "bad_request",
        "no_rule",
        "not_a_member",
        "insufficient_permission",
        "account_not_listed",
        "not_in_group",
        "not_allowed",
        "pipeline_not_allowed",
        "wrong_principal",
        "no_token",
    ] {
        let found = seen.iter().filter(|((_, found), _)| found == reason);
        let count: usize = found.map(|(_, count)| count).sum();
        assert!(count >= least, "{reason}: {count} in {seen:?}");
    }
}

#[test]
fn the_command_and_the_core_agree_on_any_rules() {
    assert_all_sides(&compare_rules(Kind::Native, 40, 100), 10);
}

#[test]
fn the_command_and_the_module_agree_on_any_rules() {
    assert_all_sides(&compare_rules(Kind::Envoy, 20, 80), 3);
}
