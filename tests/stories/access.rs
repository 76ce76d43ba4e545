//! Who may do what: rules over what Bitbucket says of people.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use serde_json::{Value, json};

use crate::support::browser::{Browser, header};
use crate::support::setup::Setup;
use crate::support::world::World;

/// A site with these rules; `/` is for everybody with a session.
fn rules(config: &mut Value, rules: Value) {
    let mut all = rules.as_array().unwrap().clone();
    all.push(json!({"match": {"path": "/**"}, "allow": "signed_in"}));
    config["rules"] = all.into();
}

fn artifacts(config: &mut Value) {
    let repository = "{workspace}/{repo}";
    rules(
        config,
        json!([{
            "name": "artifacts",
            "match": {"path": "/artifacts/{workspace}/{repo}/**"},
            "allow": {"repository": repository, "permission": "by_method"},
            "inject": "bearer",
        }]),
    );
}

fn members(config: &mut Value) {
    rules(
        config,
        json!([
            {"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}, "inject": "bearer"},
            {"match": {"path": "/owners/**"}, "allow": {"workspace": "acme", "role": "owner"}},
        ]),
    );
}

fn signed_in<'w>(world: &'w mut World, name: &str) -> Browser<'w> {
    let person = world.person(name);
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &person).status(), 302);
    browser
}

fn verdict(browser: &mut Browser<'_>, path: &str) -> (u16, String) {
    let answer = browser.fetch(path);
    (
        answer.status().as_u16(),
        header(&answer, "x-bitgate-reason").to_owned(),
    )
}

fn ok() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

fn with(config: fn(&mut Value)) -> Setup {
    Setup {
        config,
        ..Setup::default()
    }
}

fn with_clock(config: fn(&mut Value)) -> Setup {
    Setup {
        config,
        ..Setup::with_clock()
    }
}

story!(
    members_and_owners_are_let_through_and_others_are_not,
    with(members),
    |world| {
        for (name, member, owner) in [
            ("ada", ok(), ok()),
            ("grace", ok(), refused(403, "not_a_member")),
            // A collaborator belongs to no workspace.
            (
                "linus",
                refused(403, "not_a_member"),
                refused(403, "not_a_member"),
            ),
        ] {
            let mut browser = signed_in(world, name);
            assert_eq!(verdict(&mut browser, "/members/list"), member, "{name}");
            assert_eq!(verdict(&mut browser, "/owners"), owner, "{name}");
            assert_eq!(verdict(&mut browser, "/"), ok(), "{name}");
        }
    }
);

story!(
    who_may_not_can_become_somebody_else,
    with(members),
    |world| {
        let mut browser = signed_in(world, "linus");
        let page = browser.open("/members?a=b");
        assert_eq!(page.status(), 403);
        let text = crate::support::browser::body(&page);
        assert!(
            text.contains("<a href=\"/_bitgate/logout\">Sign out</a>"),
            "{text}"
        );
        assert!(
            text.contains("<a href=\"/members?a=b\">Try again</a>"),
            "{text}"
        );
    }
);

story!(
    a_permission_on_the_repository_in_the_path_decides,
    with(artifacts),
    |world| {
        let denied = || refused(403, "insufficient_permission");
        for (name, path, read, write) in [
            ("ada", "/artifacts/acme/widgets/x", ok(), ok()),
            ("grace", "/artifacts/acme/widgets/x", ok(), ok()),
            ("linus", "/artifacts/acme/widgets/x", ok(), denied()),
            ("ada", "/artifacts/acme/secrets/x", ok(), ok()),
            ("grace", "/artifacts/acme/secrets/x", denied(), denied()),
            ("grace", "/artifacts/beta-labs/lab", ok(), ok()),
            ("ada", "/artifacts/beta-labs/lab", denied(), denied()),
            ("ada", "/artifacts/acme/no-such/x", denied(), denied()),
            ("ada", "/artifacts/no-such/widgets/x", denied(), denied()),
            ("ada", "/artifacts/ACME/widgets/x", denied(), denied()),
            ("ada", "/artifacts/acme/Widgets/x", denied(), denied()),
            ("ada", "/artifacts/acme/widgets%20/x", denied(), denied()),
            (
                "ada",
                "/artifacts/%7B77aa0000-1111-4222-8333-444455556666%7D/widgets/x",
                ok(),
                ok(),
            ),
        ] {
            let mut browser = signed_in(world, name);
            assert_eq!(verdict(&mut browser, path), read, "{name} reads {path}");
            let request = http::Request::put(path).body(Vec::new()).unwrap();
            let answer = browser.send(request);
            let reason = header(&answer, "x-bitgate-reason").to_owned();
            assert_eq!(
                (answer.status().as_u16(), reason),
                write,
                "{name} writes {path}"
            );
        }
    }
);

story!(
    made_up_workspaces_cost_one_call_in_all,
    with(artifacts),
    |world| {
        let mut browser = signed_in(world, "ada");
        let before = browser.world.bitbucket_calls();
        for number in 0..30 {
            let path = format!("/artifacts/made-up-{number}/x/y");
            assert_eq!(
                verdict(&mut browser, &path),
                refused(403, "insufficient_permission")
            );
        }
        assert_eq!(browser.world.bitbucket_calls(), before + 1);
        assert_eq!(browser.world.bitbucket().count("/2.0/user/workspaces"), 1);
    }
);

story!(
    one_call_tells_of_all_repositories_of_a_workspace,
    with(artifacts),
    |world| {
        let mut browser = signed_in(world, "ada");
        for _ in 0..3 {
            for repository in ["widgets", "secrets", "none"] {
                verdict(&mut browser, &format!("/artifacts/acme/{repository}/x"));
            }
        }
        let path = "/2.0/user/workspaces/%7B77aa0000-1111-4222-8333-444455556666%7D/permissions/repositories";
        assert_eq!(browser.world.bitbucket().count(path), 1);
    }
);

story!(
    who_is_removed_loses_access_within_the_age_of_an_answer,
    with_clock(members),
    |world| {
        let grace = world.person("grace");
        let mut browser = signed_in(world, "grace");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        browser
            .world
            .bitbucket()
            .remove_member("acme", &grace)
            .unwrap();
        assert_eq!(
            verdict(&mut browser, "/members"),
            ok(),
            "it is not known yet"
        );
        browser.world.advance(301);
        assert_eq!(
            verdict(&mut browser, "/members"),
            refused(403, "not_a_member")
        );
    }
);

story!(
    who_is_added_gets_access_within_the_age_of_an_answer,
    with_clock(artifacts),
    |world| {
        use bitgate_simulator::bitbucket::Permission;
        let linus = world.person("linus");
        let mut browser = signed_in(world, "linus");
        let path = "/artifacts/acme/secrets/x";
        assert_eq!(
            verdict(&mut browser, path),
            refused(403, "insufficient_permission")
        );
        browser
            .world
            .bitbucket()
            .set_permission("acme", "secrets", &linus, Some(Permission::Read))
            .unwrap();
        browser.world.advance(301);
        assert_eq!(verdict(&mut browser, path), ok());
    }
);

fn down(world: &mut World) {
    for path in [
        "/2.0/user/workspaces/%7B77aa0000-1111-4222-8333-444455556666%7D/permission",
        "/2.0/user/workspaces",
    ] {
        world.bitbucket().fail_next(Fault {
            path: path.to_owned(),
            times: 1_000,
            response: FaultResponse::Status(500),
        });
    }
}

story!(
    in_an_outage_known_rights_hold_for_the_grace_and_then_nobody_can_say,
    with_clock(members),
    |world| {
        let mut browser = signed_in(world, "grace");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        down(browser.world);
        for _ in 0..5 {
            browser.world.advance(600);
            assert_eq!(verdict(&mut browser, "/members"), ok());
        }
        // What is known to be denied stays denied, too.
        assert_eq!(
            verdict(&mut browser, "/owners"),
            refused(403, "not_a_member")
        );
        browser.world.advance(601);
        assert_eq!(
            verdict(&mut browser, "/members"),
            refused(503, "rights_unavailable")
        );
        browser.world.bitbucket().forgive();
        browser.world.advance(40);
        assert_eq!(verdict(&mut browser, "/members"), ok());
    }
);

story!(
    who_is_not_known_at_all_gets_no_verdict_in_an_outage,
    with(members),
    |world| {
        let mut browser = signed_in(world, "grace");
        down(browser.world);
        let answer = browser.fetch("/members");
        assert_eq!(answer.status(), 503);
        assert_eq!(header(&answer, "x-bitgate-reason"), "rights_unavailable");
        assert_eq!(header(&answer, "retry-after"), "10");
        assert_eq!(verdict(&mut browser, "/"), ok());
    }
);

story!(
    a_token_that_is_not_accepted_any_more_ends_the_session,
    with(members),
    |world| {
        let grace = world.person("grace");
        let mut browser = signed_in(world, "grace");
        browser.world.bitbucket().revoke(&grace);
        assert_eq!(
            verdict(&mut browser, "/members"),
            refused(401, "grant_refused")
        );
        assert_eq!(browser.sign_in("/members", &grace).status(), 302);
        assert_eq!(verdict(&mut browser, "/members"), ok());
    }
);

story!(
    a_slug_that_was_renamed_or_taken_grants_nothing,
    with_clock(artifacts),
    |world| {
        let mut browser = signed_in(world, "ada");
        assert_eq!(verdict(&mut browser, "/artifacts/acme/widgets/x"), ok());
        {
            let mut bitbucket = browser.world.bitbucket();
            bitbucket.rename_workspace("acme", "acme-corp").unwrap();
            let uuid = "{0bad0000-1111-4222-8333-444455556666}";
            bitbucket.reuse_slug("acme", uuid).unwrap();
        }
        browser.world.advance(301);
        assert_eq!(
            verdict(&mut browser, "/artifacts/acme-corp/widgets/x"),
            ok()
        );
        let (status, _) = verdict(&mut browser, "/artifacts/acme/widgets/x");
        assert_eq!(status, 403);
        // Ada has rights in the new one, too.
        {
            use bitgate_simulator::bitbucket::Role;
            let ada = browser.world.person("ada");
            let mut bitbucket = browser.world.bitbucket();
            let uuid = "{0bad0000-1111-4222-8333-444455556666}";
            bitbucket
                .settings
                .directory
                .set_role(uuid, &ada, Some(Role::Owner))
                .unwrap();
        }
        browser.world.advance(301);
        assert_eq!(
            verdict(&mut browser, "/artifacts/acme/widgets/x"),
            refused(403, "slug_reused")
        );
    }
);

story!(
    a_rule_on_trial_is_logged_and_the_next_one_decides,
    with(|config| rules(
        config,
        json!([{
            "name": "trial",
            "match": {"path": "/members/**"},
            "allow": {"workspace": "acme"},
            "shadow": true,
        }])
    )),
    |world| {
        let mut browser = signed_in(world, "grace");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        let mut browser = signed_in(browser.world, "linus");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        browser.jar.0.clear();
        assert_eq!(
            verdict(&mut browser, "/members"),
            refused(401, "no_session")
        );
        let log = browser.world.edge.log();
        let trials: Vec<&String> = log
            .iter()
            .filter(|line| line.contains("shadowed"))
            .collect();
        assert_eq!(trials.len(), 3, "{log:?}");
        assert!(
            trials
                .iter()
                .all(|line| line.contains("\"rule\":\"trial\""))
        );
        assert!(!trials[0].contains("reason"), "{}", trials[0]);
        assert!(trials[1].contains("not_a_member"), "{}", trials[1]);
        assert!(trials[2].contains("no_session"), "{}", trials[2]);
    }
);

story!(
    a_scope_counts_if_the_token_has_it_or_one_that_implies_it,
    Setup {
        config: |config| {
            config["bitbucket"]["scopes"] = json!(["account", "repository:write"]);
            rules(
                config,
                json!([
                    {"match": {"path": "/read/**"}, "allow": {"scope": "repository"}},
                    {"match": {"path": "/both/**"}, "allow": {"scope": ["email", "repository:write"]}},
                    {"match": {"path": "/admin/**"}, "allow": {"scope": ["repository", "repository:admin"]}},
                ]),
            );
        },
        bitbucket: |settings| {
            let scopes = ["account", "repository:write"];
            settings.consumers[0].scopes = scopes.map(str::to_owned).to_vec();
        },
        ..Setup::default()
    },
    |world| {
        let mut browser = signed_in(world, "ada");
        assert_eq!(verdict(&mut browser, "/read"), ok());
        assert_eq!(verdict(&mut browser, "/both"), ok());
        assert_eq!(
            verdict(&mut browser, "/admin"),
            refused(403, "insufficient_scope")
        );
    }
);

story!(
    who_may_not_is_not_sent_to_a_second_sign_in,
    Setup {
        config: |config| {
            config["consumers"] = json!({"ci": {
                "client_id": "ci-consumer",
                "client_secret": {"inline": "ci-secret"},
                "scopes": ["account", "repository:write"],
            }});
            rules(
                config,
                json!([{
                    "match": {"path": "/push/**"},
                    "allow": {"all_of": [{"workspace": "acme"}, {"scope": "repository:write"}]},
                    "inject": "bearer",
                    "consumer": "ci",
                }]),
            );
        },
        ..Setup::default()
    },
    |world| {
        let mut browser = signed_in(world, "linus");
        assert_eq!(verdict(&mut browser, "/push"), refused(403, "not_a_member"));
        let mut browser = signed_in(browser.world, "grace");
        assert_eq!(verdict(&mut browser, "/push"), refused(401, "no_grant"));
    }
);

story!(
    projects_accounts_addresses_and_kinds_decide,
    with(|config| rules(
        config,
        json!([
            {"match": {"path": "/project/{key}/**", "methods": ["GET"]}, "allow": {"project": "acme/{key}"}},
            {"match": {"path": "/project/{key}/**"}, "allow": {"project": "acme/{key}", "permission": "by_method"}},
            {"match": {"path": "/account/**"}, "allow": {"account": "557058:00000002-ada0-4c0d-8e1f-b17b0c4e7000"}},
            {"match": {"path": "/address/**"}, "allow": {"email_domain": "example.com"}},
            {"match": {"path": "/others/**"}, "allow": {"not": {"email_domain": "example.com"}}},
            {"match": {"path": "/person/**"}, "allow": {"principal": "person"}},
            {"match": {"path": "/bot/**"}, "allow": {"principal": "bot"}},
            {"match": {"path": "/either/**"}, "allow": {"any_of": [{"principal": "bot"}, {"workspace": "beta-labs"}]}},
        ])
    )),
    |world| {
        let permission = || refused(403, "insufficient_permission");
        for (name, path, method, expected) in [
            ("ada", "/project/WID/x", "GET", ok()),
            ("ada", "/project/WID/x", "PUT", ok()),
            ("linus", "/project/WID/x", "GET", ok()),
            ("linus", "/project/WID/x", "PUT", permission()),
            ("linus", "/project/wid/x", "GET", permission()),
            ("linus", "/project/NONE/x", "GET", permission()),
            ("grace", "/account", "GET", ok()),
            ("ada", "/account", "GET", refused(403, "account_not_listed")),
            ("ada", "/address", "GET", ok()),
            // Grace's primary address is not confirmed, and nobody knows whether she is one of the others.
            (
                "grace",
                "/address",
                "GET",
                refused(403, "email_not_allowed"),
            ),
            ("grace", "/others", "GET", refused(403, "email_not_allowed")),
            ("ada", "/others", "GET", refused(403, "not_allowed")),
            ("ada", "/person", "GET", ok()),
            ("ada", "/bot", "GET", refused(403, "wrong_principal")),
            ("grace", "/either", "GET", ok()),
            ("linus", "/either", "GET", refused(403, "not_a_member")),
        ] {
            let mut browser = signed_in(world, name);
            let request = http::Request::builder().method(method).uri(path);
            let answer = browser.send(request.body(Vec::new()).unwrap());
            let reason = header(&answer, "x-bitgate-reason").to_owned();
            let found = (answer.status().as_u16(), reason);
            assert_eq!(found, expected, "{name} {method} {path}");
        }
    }
);

story!(
    a_closed_folder_is_closed_however_its_name_is_written,
    with(|config| rules(
        config,
        json!([
            {"match": {"path": "/npm/@private/**"}, "allow": "nobody"},
            {"match": {"path": "/npm/a+b:c/**"}, "allow": "nobody"},
            {"match": {"path": "/npm/%7Bx%7D/**"}, "allow": "nobody"},
        ])
    )),
    |world| {
        let mut browser = signed_in(world, "ada");
        for path in [
            "/npm/@private/x",
            "/npm/%40private/x",
            "/npm/a+b:c/x",
            "/npm/a%2bb%3Ac/x",
            "/npm/%7Bx%7D/x",
            "/npm/%7bx%7d/x",
        ] {
            assert_eq!(
                verdict(&mut browser, path),
                refused(403, "forbidden"),
                "{path}"
            );
        }
        assert_eq!(verdict(&mut browser, "/npm/%40public/x"), ok());
    }
);

story!(
    a_rule_on_trial_takes_no_lookup_away_from_the_one_that_decides,
    with_clock(|config| rules(
        config,
        json!([
            {"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}, "shadow": true},
            {"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}},
        ])
    )),
    |world| {
        let path = "/2.0/user/workspaces/%7B77aa0000-1111-4222-8333-444455556666%7D/permission";
        let mut browser = signed_in(world, "ada");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        let calls = browser.world.bitbucket().count(path);
        // In the last fifth of its time.
        browser.world.advance(250);
        assert_eq!(verdict(&mut browser, "/members"), ok());
        for _ in 0..100 {
            if browser.world.bitbucket().count(path) > calls {
                break;
            }
            assert_eq!(verdict(&mut browser, "/members"), ok());
        }
        assert_eq!(browser.world.bitbucket().count(path), calls + 1);
    }
);
