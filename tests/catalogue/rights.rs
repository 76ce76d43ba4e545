//! PRIV: what somebody may do is what Bitbucket says, and not for long after it says otherwise. The site
//! has rules by workspace, repository, project, group, account and address.

use bitgate::config::Config;
use bitgate::policy::Permission as Level;
use bitgate::rights::Question;
use bitgate_simulator::bitbucket::{Fault, FaultResponse, Permission, Role};
use serde_json::{Value, json};

use super::case::{Case, ada, empty, get, reason};
use super::cfg::problems;
use crate::support::browser::{Browser, header};
use crate::support::native_edge::environment;
use crate::support::setup::Setup;
use crate::support::world::World;

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const ADA: &str = "557058:00000001-ada0-4c0d-8e1f-b17b0c4e7000";

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("PRIV-01", removed).with(with_clock),
        Case::both("PRIV-02", |world| {
            let grace = world.person("grace");
            let mut browser = signed_in(world, "grace");
            assert_eq!(verdict(&mut browser, "/team/acme"), "200");
            browser.world.bitbucket().close_account(&grace);
            browser.world.advance(301);
            assert_eq!(verdict(&mut browser, "/team/acme"), "401 grant_refused");
            assert_eq!(browser.open("/team/acme").status(), 302);
        })
        .with(with_clock),
        Case::both("PRIV-03", |world| {
            let grace = world.person("grace");
            let mut browser = signed_in(world, "grace");
            let path = "/repo/acme/widgets/x";
            assert_eq!(put(&mut browser, path), "200");
            let set = browser.world.bitbucket().set_permission(
                "acme",
                "widgets",
                &grace,
                Some(Permission::Read),
            );
            set.unwrap();
            browser.world.advance(301);
            assert_eq!(put(&mut browser, path), "403 insufficient_permission");
            assert_eq!(verdict(&mut browser, path), "200");
        })
        .with(with_clock),
        Case::both("PRIV-05", absent_is_no).with(site),
        Case::both("PRIV-06", |world| {
            // 401: the token is over, and with it the session. 403: the workspace knows nothing of them.
            let mut browser = signed_in(world, "ada");
            for (status, expected) in [
                (403, "403 not_a_member"),
                (404, "403 not_a_member"),
                (401, "401 grant_refused"),
            ] {
                browser.jar.0.clear();
                browser = signed_in(browser.world, "ada");
                browser.world.bitbucket().fail_next(Fault {
                    path: format!("/2.0/user/workspaces/{}/permission", encoded(ACME)),
                    times: 1,
                    response: FaultResponse::Status(status),
                });
                assert_eq!(verdict(&mut browser, "/owners"), expected, "{status}");
                // What was said is known for a while.
                browser.world.advance(310);
            }
        })
        .with(with_clock),
        Case::both("PRIV-08", taken_slug).with(with_clock),
        Case::both("PRIV-09", |world| {
            let (ada, mallory) = (
                world.person("ada"),
                "557058:00000009-ada0-4c0d-8e1f-b17b0c4e7000",
            );
            {
                let mut bitbucket = world.bitbucket();
                let mut person = bitbucket.settings.people[0].clone();
                bitbucket.close_account(&ada);
                // The same names, the same address, another account.
                person.account_id = mallory.to_owned();
                person.uuid = "{00000009-1111-4222-8333-444444444444}".to_owned();
                bitbucket.settings.people.insert(0, person);
            }
            let mut browser = signed_in(world, "ada");
            for (path, expected) in [
                ("/account", "403 account_not_listed"),
                ("/team/acme", "403 not_a_member"),
                ("/owners", "403 not_a_member"),
                ("/repo/acme/widgets/x", "403 insufficient_permission"),
                ("/", "200"),
            ] {
                assert_eq!(verdict(&mut browser, path), expected, "{path}");
            }
            let received = browser.world.upstream().last_request().unwrap().clone();
            assert_eq!(received.header("x-forwarded-user"), Some(mallory));
            for name in ["nickname", "username", "display_name", "uuid"] {
                let found = problems(|config| config["rules"][0]["allow"] = json!({name: "ada"}));
                assert!(!found.is_empty(), "{name}");
            }
        })
        .with(site),
        Case::native("PRIV-11", |_| {
            for allow in [
                json!([]),
                json!({}),
                json!(null),
                json!(""),
                json!(true),
                json!({"all_of": []}),
                json!({"any_of": []}),
                json!({"not": {}}),
                json!({"not": []}),
                json!({"not": "public"}),
                json!({"any_of": ["public"]}),
                json!({"account": []}),
                json!({"account": ""}),
                json!({"account": "a b"}),
                json!({"email_domain": []}),
                json!({"email_domain": "*"}),
                json!({"email_domain": "*.example.com"}),
                json!({"email_domain": "@example.com"}),
                json!({"email_domain": "com"}),
                json!({"scope": []}),
                json!({"scope": ""}),
                json!({"group": ""}),
                json!({"group": "nobody-defines-it"}),
                json!({"workspace": ""}),
                json!({"workspace": "*"}),
                json!({"workspace": "Acme"}),
                json!({"workspace": "acme", "role": "collaborator"}),
                json!({"workspace": "acme", "roles": "owner"}),
                json!({"workspace": "acme", "permission": "read"}),
                json!({"workspace": "acme", "account": ADA}),
                json!({"workspace": "{nothing}"}),
                json!({"workspaces": ["acme"]}),
                json!({"worksapce": "acme"}),
                json!({"repository": "acme"}),
                json!({"repository": "acme/"}),
                json!({"repository": "acme/*"}),
                json!({"repository": "acme/widgets", "permission": "none"}),
                json!({"repository": "acme/widgets", "permission": ""}),
                json!({"project": "acme/wid"}),
                json!({"principal": "anybody"}),
                json!({"public": true}),
            ] {
                let found = problems(|config| config["rules"][1]["allow"] = allow.clone());
                assert!(!found.is_empty(), "{allow}");
                assert!(
                    found
                        .iter()
                        .all(|problem| problem.starts_with("rules[1].allow")),
                    "{found:?}"
                );
            }
        }),
        Case::both("PRIV-12", |world| {
            // Whatever is wrong with what somebody brings: it never counts as more than nothing.
            for (name, value) in [
                ("cookie", "__Host-bitgate=x.y.z"),
                ("cookie", "__Host-bitgate="),
                ("authorization", "Bearer canary"),
                ("authorization", "Basic Y2FuYXJ5Og=="),
                ("x-forwarded-user", ADA),
                ("accept", "*/*"),
            ] {
                for path in [
                    "/other",
                    "/or",
                    "/team/acme",
                    "/not-owner",
                    "/not-address",
                    "/",
                ] {
                    let answer = world.send(empty(get(path).header(name, value)));
                    let found = (answer.status().as_u16(), reason(&answer));
                    assert_eq!(found, (401, "no_session"), "{path} {name}: {value}");
                }
                // Nobody is named where nobody was asked who they are.
                let answer = world.send(empty(get("/public/x").header(name, value)));
                assert_eq!(answer.status(), 200);
                let received = world.upstream().last_request().unwrap().clone();
                assert_eq!(received.header("x-forwarded-user"), None, "{name}: {value}");
                assert_eq!(received.header("x-bitgate-principal"), None);
            }
        })
        .with(site),
        Case::both("PRIV-13", addresses).with(site),
        Case::both("PRIV-15", |world| {
            let (all, none) = (["200"; 2], ["403 insufficient_permission"; 2]);
            let read = ["200", "403 insufficient_permission"];
            // Twice, so that all answers are known the second time, whoever asks.
            for _ in 0..2 {
                for (name, path, expected) in [
                    ("ada", "/repo/acme/secrets/x", all),
                    ("grace", "/repo/acme/secrets/x", none),
                    ("grace", "/repo/acme/gadgets/x", read),
                    ("grace", "/repo/beta-labs/lab/x", all),
                    ("ada", "/repo/beta-labs/lab/x", none),
                    ("linus", "/repo/acme/widgets/x", read),
                    ("linus", "/repo/acme/gadgets/x", none),
                    ("linus", "/project/WID", read),
                    ("grace", "/project/WID", all),
                    ("grace", "/project/OPS", none),
                ] {
                    let mut browser = signed_in(world, name);
                    let found = [verdict(&mut browser, path), put(&mut browser, path)];
                    assert_eq!(found, expected, "{name} {path}");
                }
            }
            distinct_keys();
        })
        .with(site),
    ]
}

/// A public page, a page for everybody with a session, and a rule of each kind.
fn rules(config: &mut Value) {
    config["workspaces"] = json!({"acme": ACME});
    config["bots"] =
        json!({"reader": {"access_token": {"inline": "ATCTT3xFfGN0-demo-workspace-token"}}});
    config["groups"] = json!({"source": "bitbucket", "workspace": ACME, "bot": "reader"});
    let rule = |path: &str, allow: Value| json!({"match": {"path": path}, "allow": allow});
    config["rules"] = json!([
        rule("/public/**", json!("public")),
        rule("/", json!("signed_in")),
        rule("/team/{workspace}/**", json!({"workspace": "{workspace}"})),
        rule("/owners/**", json!({"workspace": "acme", "role": "owner"})),
        rule(
            "/not-owner/**",
            json!({"not": {"workspace": "acme", "role": "owner"}})
        ),
        rule(
            "/repo/{workspace}/{repo}/**",
            json!({"repository": "{workspace}/{repo}", "permission": "by_method"})
        ),
        rule("/by-uuid/**", json!({"workspace": ACME})),
        rule(
            "/project/{key}/**",
            json!({"project": "acme/{key}", "permission": "by_method"})
        ),
        rule("/group/**", json!({"group": "developers"})),
        rule("/account/**", json!({"account": ADA})),
        rule(
            "/address/**",
            json!({"email_domain": ["corp.com", "example.com"]})
        ),
        rule(
            "/not-address/**",
            json!({"not": {"email_domain": "corp.com"}})
        ),
        rule(
            "/or/**",
            json!({"any_of": ["signed_in", {"workspace": "acme"}]})
        ),
        rule("/other/**", json!({"not": {"principal": "bot"}})),
    ]);
}

pub fn site() -> Setup {
    Setup {
        config: rules,
        envoy: |example| example.leave_paths_alone(),
        ..Setup::default()
    }
}

pub fn with_clock() -> Setup {
    Setup {
        clock: true,
        ..site()
    }
}

fn encoded(uuid: &str) -> String {
    uuid.replace('{', "%7B").replace('}', "%7D")
}

pub fn signed_in<'w>(world: &'w mut World, name: &str) -> Browser<'w> {
    let person = world.person(name);
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &person).status(), 302);
    browser
}

/// `200`, or the status with its reason.
fn told(answer: &crate::support::Response) -> String {
    let reason = header(answer, "x-bitgate-reason");
    format!("{} {reason}", answer.status().as_u16())
        .trim_end()
        .to_owned()
}

pub fn verdict(browser: &mut Browser<'_>, path: &str) -> String {
    told(&browser.fetch(path))
}

fn put(browser: &mut Browser<'_>, path: &str) -> String {
    told(&browser.send(empty(http::Request::put(path))))
}

fn removed(world: &mut World) {
    let grace = world.person("grace");
    let paths = [
        "/team/acme",
        "/repo/acme/widgets/x",
        "/project/WID",
        "/by-uuid",
    ];
    let mut browser = signed_in(world, "grace");
    for path in paths {
        assert_eq!(verdict(&mut browser, path), "200", "{path}");
    }
    // In Envoy a timer reads the groups; a story waits for it.
    let is_native = browser.world.edge.envoy().is_none();
    if is_native {
        assert_eq!(verdict(&mut browser, "/group"), "200");
    }
    browser
        .world
        .bitbucket()
        .remove_member("acme", &grace)
        .unwrap();
    browser.world.advance(301);
    let denied = [
        "not_a_member",
        "insufficient_permission",
        "insufficient_permission",
        "not_a_member",
    ];
    for (path, reason) in paths.into_iter().zip(denied) {
        assert_eq!(
            verdict(&mut browser, path),
            format!("403 {reason}"),
            "{path}"
        );
    }
    if is_native {
        assert_eq!(verdict(&mut browser, "/group"), "403 not_in_group");
    }
    assert_eq!(
        verdict(&mut browser, "/team/beta-labs"),
        "200",
        "of her own"
    );
}

/// A list that does not name something denies it, and one that was not read to its end says nothing.
fn absent_is_no(world: &mut World) {
    let list = format!(
        "/2.0/user/workspaces/{}/permissions/repositories",
        encoded(ACME)
    );
    let row = |slug: &str, uuid: u8| {
        json!({"type": "repository_permission", "permission": "admin", "repository": {
            "type": "repository", "full_name": format!("acme/{slug}"), "uuid": format!("{{99cc000{uuid}-1111-4222-8333-444455556666}}"),
        }})
    };
    let next = "http://127.0.0.1:10002/2.0/user/workspaces/x/permissions/repositories?page=2";
    let unknown = "503 rights_unavailable";
    for (body, expected) in [
        (
            json!({"values": []}).to_string(),
            "403 insufficient_permission",
        ),
        (
            json!({"values": [row("gadgets", 1)]}).to_string(),
            "403 insufficient_permission",
        ),
        (
            json!({"pagelen": 100, "size": 7, "page": 1, "values": [row("gadgets", 1)]})
                .to_string(),
            "403 insufficient_permission",
        ),
        // There is more, and it does not come.
        (
            json!({"values": [row("widgets", 0)], "next": next}).to_string(),
            unknown,
        ),
        (
            json!({"values": [row("widgets", 0)]})
                .to_string()
                .replace("]}", ""),
            unknown,
        ),
        (
            json!({"values": [row("widgets", 0), {"permission": "admin"}]}).to_string(),
            unknown,
        ),
        (
            json!({"values": [row("widgets", 0), row("widgets", 1)]}).to_string(),
            unknown,
        ),
        ("{}".to_owned(), unknown),
        (String::new(), unknown),
    ] {
        // A person without an answer that is known.
        let mut person = world.bitbucket().settings.people[0].clone();
        let number = world.bitbucket().settings.people.len() + 10;
        person.account_id = format!("557058:000000{number}-ada0-4c0d-8e1f-b17b0c4e7000");
        person.uuid = format!("{{000000{number}-1111-4222-8333-444444444444}}");
        person.nickname = format!("new{number}");
        let id = person.account_id.clone();
        {
            let mut bitbucket = world.bitbucket();
            bitbucket.settings.people.push(person);
            bitbucket
                .settings
                .directory
                .set_role("acme", &id, Some(Role::Member))
                .unwrap();
            bitbucket.fail_next(Fault {
                path: list.clone(),
                times: 1,
                response: FaultResponse::Raw {
                    status: 200,
                    headers: vec![("content-type", "application/json".to_owned())],
                    body: body.as_bytes().to_vec(),
                },
            });
        }
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &id).status(), 302);
        assert_eq!(
            verdict(&mut browser, "/repo/acme/widgets/x"),
            expected,
            "{body}"
        );
        world.bitbucket().forgive();
    }
}

fn taken_slug(world: &mut World) {
    let ada = world.person("ada");
    let mut browser = signed_in(world, "ada");
    for path in ["/team/acme", "/by-uuid", "/owners"] {
        assert_eq!(verdict(&mut browser, path), "200", "{path}");
    }
    {
        // Mallory's, who makes Ada an owner there to see what that opens.
        let other = "{0bad0000-1111-4222-8333-444455556666}";
        let mut bitbucket = browser.world.bitbucket();
        bitbucket.rename_workspace("acme", "acme-corp").unwrap();
        bitbucket.reuse_slug("acme", other).unwrap();
        let directory = &mut bitbucket.settings.directory;
        directory.set_role(ACME, &ada, Some(Role::Member)).unwrap();
        directory.set_role(other, &ada, Some(Role::Owner)).unwrap();
    }
    browser.world.advance(301);
    for (path, expected) in [
        ("/team/acme", "403 slug_reused"),
        ("/owners", "403 slug_reused"),
        ("/not-owner", "403 slug_reused"),
        ("/by-uuid", "200"),
    ] {
        assert_eq!(verdict(&mut browser, path), expected, "{path}");
    }
    // Who writes slugs without UUIDs is told.
    let mut config = crate::support::example::Example::read("demo.yaml").plugin();
    config["rules"][1]["allow"] = json!({"workspace": "acme"});
    let config = Config::parse(config.to_string().as_bytes(), &environment).unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert!(
        warnings
            .iter()
            .any(|line| line.starts_with("workspaces: acme")),
        "{warnings:?}"
    );
}

/// The simulator's own spelling of an address; what Bitbucket would send if it let people choose.
fn addresses(world: &mut World) {
    for (address, is_confirmed, expected) in [
        ("ada@corp.com", true, "200"),
        // Names of hosts have no case (RFC 1035 section 2.3.3), so this is the same domain.
        ("ada@CORP.com", true, "200"),
        ("ada@corp.com", false, "403 email_not_allowed"),
        ("ada@corp.com.", true, "403 email_not_allowed"),
        ("ada@evilcorp.com", true, "403 email_not_allowed"),
        ("ada@corp.com.evil.test", true, "403 email_not_allowed"),
        ("ada@sub.corp.com", true, "403 email_not_allowed"),
        ("ada%corp.com@evil.test", true, "403 email_not_allowed"),
        ("ada+corp.com@evil.test", true, "403 email_not_allowed"),
        ("corp.com@evil.test", true, "403 email_not_allowed"),
        ("ada@xn--crp-xna.com", true, "403 email_not_allowed"),
        // Nobody signs in with one that could be read in two ways.
        ("ada@evil.test@corp.com", true, "refused"),
        ("\"ada@corp.com\"@evil.test", true, "refused"),
        ("ada@corp.com,eve@evil.test", true, "refused"),
        ("ada@corp.com eve@evil.test", true, "refused"),
        ("ada@c\u{f6}rp.com", true, "refused"),
        ("ada@", true, "refused"),
    ] {
        {
            let mut bitbucket = world.bitbucket();
            let emails = &mut bitbucket.settings.people[0].emails;
            emails.retain(|email| email.is_primary);
            emails[0].email = address.to_owned();
            emails[0].is_confirmed = is_confirmed;
        }
        let mut browser = world.browser();
        let answer = browser.sign_in("/", ADA);
        if expected == "refused" {
            assert_eq!(told(&answer), "502 bitbucket_invalid_answer", "{address}");
            continue;
        }
        assert_eq!(verdict(&mut browser, "/address"), expected, "{address}");
        let opposite = match (is_confirmed, expected) {
            (false, _) => "403 email_not_allowed",
            (true, "200") => "403 not_allowed",
            (true, _) => "200",
        };
        assert_eq!(verdict(&mut browser, "/not-address"), opposite, "{address}");
    }
    // One that is confirmed, and not the primary one.
    {
        let mut bitbucket = world.bitbucket();
        let emails = &mut bitbucket.settings.people[0].emails;
        emails[0].email = "ada@evil.test".to_owned();
        let mut other = emails[0].clone();
        other.email = "ada@corp.com".to_owned();
        other.is_primary = false;
        emails.push(other);
    }
    let mut browser = ada(world);
    assert_eq!(verdict(&mut browser, "/address"), "403 email_not_allowed");
}

/// Every question about everybody has a key of its own, however the parts are cut.
fn distinct_keys() {
    let names = [
        "",
        "a",
        "b",
        "ab",
        "a b",
        "a:b",
        "b:",
        ":a",
        "role",
        "repositories",
        "{a}",
        "{a}:read",
        "read",
        "*",
    ];
    let mut keys = std::collections::HashMap::new();
    for account in names {
        for workspace in names {
            let workspace = workspace.to_owned();
            let mut questions = vec![
                Question::Repositories(workspace.clone()),
                Question::Role(workspace.clone()),
            ];
            let levels = [Level::Read, Level::Write, Level::Admin];
            questions.extend(levels.map(|level| Question::Projects(workspace.clone(), level)));
            for question in questions {
                let key = question.key(account);
                let other = keys.insert(key, (question, account));
                assert!(other.is_none(), "{other:?}");
            }
        }
        keys.insert(
            Question::Workspaces.key(account),
            (Question::Workspaces, account),
        );
    }
    for workspace in names {
        for question in [
            Question::Directory(workspace.to_owned()),
            Question::Groups(workspace.to_owned()),
        ] {
            let key = question.key("a");
            assert_eq!(key, question.key("b"), "it is about nobody in particular");
            assert!(keys.insert(key, (question, "")).is_none());
        }
    }
    let expected = names.len() * names.len() * 5 + names.len() * 3;
    assert_eq!(keys.len(), expected);
}
