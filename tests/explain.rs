//! `bitgate explain` says what the module does: 10,000 random requests, natively and through Envoy.

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

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::browser::header;
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
fn explained(person: &Value, requests: &[(&str, String)]) -> Vec<(u16, String)> {
    let file = std::env::temp_dir().join(format!(
        "bitgate-explain-{}-{}.json",
        std::process::id(),
        person["account_id"].as_str().unwrap().replace(':', "-")
    ));
    std::fs::write(&file, person.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_bitgate"));
    command
        .args(["explain", "--json", "--as"])
        .arg(&file)
        .args(["envoy/access.yaml", "-"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
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
    std::fs::remove_file(&file).unwrap();
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
        // The timer reads the groups.
        for _ in 0..100 {
            if browser.fetch("/deploy").status() != 503 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let cookies = browser.jar.header();
        let count = REQUESTS.div_ceil(PEOPLE.len());
        let requests: Vec<_> = (0..count).map(|_| draw.request()).collect();
        let said = explained(&person, &requests);
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
