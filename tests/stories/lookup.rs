//! Who asks Bitbucket, how often, and what becomes of that.

use bitgate_simulator::bitbucket::{Fault, FaultResponse, Group, Repository};
use serde_json::{Value, json};

use crate::support::browser::{Browser, header};
use crate::support::setup::Setup;
use crate::support::world::World;

const ACME: &str = "%7B77aa0000-1111-4222-8333-444455556666%7D";

fn signed_in<'w>(world: &'w mut World, name: &str) -> Browser<'w> {
    let person = world.person(name);
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &person).status(), 302);
    browser
}

fn verdict(browser: &mut Browser<'_>, path: &str) -> (u16, String) {
    let answer = browser.fetch(path);
    let reason = header(&answer, "x-bitgate-reason").to_owned();
    (answer.status().as_u16(), reason)
}

fn ok() -> (u16, String) {
    (200, String::new())
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

/// The timer reads the groups: at once natively, within two seconds in Envoy.
fn once_groups_are_read(browser: &mut Browser<'_>, path: &str) -> (u16, String) {
    for _ in 0..100 {
        let found = verdict(browser, path);
        if found != refused(503, "rights_unavailable") {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the groups were never read");
}

fn example(config: fn(&mut Value)) -> Setup {
    Setup {
        example: "access.yaml",
        config,
        ..Setup::default()
    }
}

story!(
    groups_of_the_workspace_are_read_by_a_bot,
    example(|_| {}),
    |world| {
        let mut browser = signed_in(world, "ada");
        assert_eq!(once_groups_are_read(&mut browser, "/deploy"), ok());
        let received = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(
            received.header("x-forwarded-groups"),
            Some("admins,developers")
        );
        let mut browser = signed_in(browser.world, "linus");
        // What decides already is not asked for: whether Linus is a member.
        assert_eq!(
            verdict(&mut browser, "/deploy"),
            refused(403, "not_in_group")
        );
        assert_eq!(
            browser
                .world
                .bitbucket()
                .count(&format!("/2.0/user/workspaces/{ACME}/permission")),
            1
        );
        let calls = browser.world.bitbucket().count("/1.0/groups/acme");
        assert_eq!(calls, 1, "one worker asks for all");
    }
);

story!(
    who_leaves_a_group_loses_access_when_it_is_read_again,
    Setup {
        example: "access.yaml",
        config: |config| {
            config["rights"] = json!({"max_age": "5m", "grace": "1h"});
            config["rules"] = json!([
                {"match": {"path": "/deploy/**"}, "allow": {"group": "developers"}},
                {"match": {"path": "/**"}, "allow": "signed_in"},
            ]);
        },
        ..Setup::with_clock()
    },
    |world| {
        let grace = world.person("grace");
        let mut browser = signed_in(world, "grace");
        assert_eq!(once_groups_are_read(&mut browser, "/deploy"), ok());
        let developers = Group {
            name: "Developers".to_owned(),
            slug: "developers".to_owned(),
            members: Vec::new(),
        };
        let mut bitbucket = browser.world.bitbucket();
        let directory = &mut bitbucket.settings.directory;
        assert!(
            directory
                .groups_of(&grace)
                .contains(&("acme".to_owned(), "developers".to_owned()))
        );
        directory.set_group("acme", developers).unwrap();
        drop(bitbucket);
        browser.world.advance(301);
        // The first request tells the module the time; the timer reads soon after.
        let found = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let found = verdict(&mut browser, "/deploy");
            (found != ok()).then_some(found)
        });
        assert_eq!(found, Some(refused(403, "not_in_group")));
    }
);

story!(
    while_the_groups_are_not_known_nobody_can_say,
    Setup {
        example: "access.yaml",
        bitbucket: |settings| settings.access_tokens.clear(),
        config: |config| {
            config["groups"]["members"] =
                json!({"friends": ["557058:00000002-ada0-4c0d-8e1f-b17b0c4e7000"]});
            config["rules"] = json!([
                {"match": {"path": "/deploy/**"}, "allow": {"group": "developers"}},
                {"match": {"path": "/friends/**"}, "allow": {"group": "friends"}},
                {"match": {"path": "/**"}, "allow": "signed_in"},
            ]);
        },
        ..Setup::default()
    },
    |world| {
        let mut browser = signed_in(world, "grace");
        assert_eq!(
            verdict(&mut browser, "/deploy"),
            refused(503, "rights_unavailable")
        );
        assert_eq!(verdict(&mut browser, "/friends"), ok());
        let received = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(received.header("x-forwarded-groups"), Some("friends"));
        let mut browser = signed_in(browser.world, "ada");
        assert_eq!(
            verdict(&mut browser, "/friends"),
            refused(403, "not_in_group")
        );
    }
);

story!(
    a_bot_asks_once_for_all_members_and_for_each_persons_repositories,
    example(|config| config["rights"] = json!({"bot": "reader"})),
    |world| {
        for (name, member, widgets) in [
            ("ada", ok(), ok()),
            ("grace", ok(), ok()),
            (
                "linus",
                refused(403, "not_a_member"),
                refused(403, "insufficient_permission"),
            ),
        ] {
            let mut browser = signed_in(world, name);
            assert_eq!(verdict(&mut browser, "/members"), member, "{name}");
            let request = http::Request::put("/artifacts/acme/widgets/x").body(Vec::new());
            let answer = browser.send(request.unwrap());
            let reason = header(&answer, "x-bitgate-reason").to_owned();
            assert_eq!((answer.status().as_u16(), reason), widgets, "{name}");
        }
        let bitbucket = world.bitbucket();
        assert_eq!(
            bitbucket.count(&format!("/2.0/workspaces/{ACME}/permissions")),
            1
        );
        let path = format!("/2.0/workspaces/{ACME}/permissions/repositories");
        assert_eq!(bitbucket.count(&path), 3, "one for each person");
        assert_eq!(
            bitbucket.count("/2.0/user/workspaces"),
            0,
            "the name is in the configuration"
        );
        let path = format!("/2.0/user/workspaces/{ACME}/permissions/repositories");
        assert_eq!(bitbucket.count(&path), 0);
    }
);

fn with_bot_for_all(config: &mut Value) {
    config["rights"] = json!({"bot": "reader"});
    config["bots"]["reader"]["api_budget"] = json!(1_000);
    config["groups"] = json!({"unused": ["x"]});
    config["rules"] = json!([
        {"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}},
        {"match": {"path": "/**"}, "allow": "signed_in"},
    ]);
}

story!(
    who_is_not_in_the_list_of_all_members_is_asked_about_alone,
    Setup {
        example: "access.yaml",
        config: with_bot_for_all,
        ..Setup::with_clock()
    },
    |world| {
        // Somebody left while the list was read, page by page: another one fell between two pages.
        let list = format!("/2.0/workspaces/{ACME}/permissions");
        let ada = world.person("ada");
        let row = json!({
            "permission": "owner",
            "user": {"account_id": ada},
            "workspace": {"slug": "acme"},
        });
        world.bitbucket().fail_next(Fault {
            path: list.clone(),
            times: 1,
            response: FaultResponse::Raw {
                status: 200,
                headers: vec![("content-type", "application/json".to_owned())],
                body: json!({"values": [row]}).to_string().into_bytes(),
            },
        });
        let own = format!("/2.0/user/workspaces/{ACME}/permission");
        let mut browser = signed_in(world, "ada");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        let mut browser = signed_in(browser.world, "grace");
        for _ in 0..3 {
            assert_eq!(verdict(&mut browser, "/members"), ok());
        }
        let mut browser = signed_in(browser.world, "linus");
        for _ in 0..3 {
            assert_eq!(
                verdict(&mut browser, "/members"),
                refused(403, "not_a_member")
            );
        }
        let bitbucket = browser.world.bitbucket();
        assert_eq!(bitbucket.count(&list), 1);
        assert!(bitbucket.count(&own) <= 3, "once for each");
    }
);

story!(
    nobody_waits_for_the_list_of_all_members,
    Setup {
        example: "access.yaml",
        config: with_bot_for_all,
        ..Setup::with_clock()
    },
    |world| {
        let list = format!("/2.0/workspaces/{ACME}/permissions");
        world.bitbucket().fail_next(Fault {
            path: list.clone(),
            times: 1_000,
            response: FaultResponse::Status(403),
        });
        let mut browser = signed_in(world, "grace");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        let mut browser = signed_in(browser.world, "linus");
        assert_eq!(
            verdict(&mut browser, "/members"),
            refused(403, "not_a_member")
        );
    }
);

story!(
    six_thousand_members_are_read,
    Setup {
        example: "access.yaml",
        config: with_bot_for_all,
        bitbucket: |settings| {
            use bitgate_simulator::bitbucket::Role;
            for number in 0..6_000 {
                let account_id = format!("557058:{number:08}-0000-4000-8000-000000000000");
                let directory = &mut settings.directory;
                directory
                    .set_role("acme", &account_id, Some(Role::Member))
                    .unwrap();
            }
        },
        ..Setup::with_clock()
    },
    |world| {
        let list = format!("/2.0/workspaces/{ACME}/permissions");
        let own = format!("/2.0/user/workspaces/{ACME}/permission");
        let mut browser = signed_in(world, "ada");
        assert_eq!(verdict(&mut browser, "/members"), ok());
        let pages = |browser: &Browser<'_>| browser.world.bitbucket().count(&list);
        for _ in 0..600 {
            if pages(&browser) == 61 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(pages(&browser), 61);
        let asked = browser.world.bitbucket().count(&own);
        let mut browser = signed_in(browser.world, "grace");
        // The last page is there before it is known.
        for _ in 0..20 {
            assert_eq!(verdict(&mut browser, "/members"), ok());
        }
        assert!(browser.world.bitbucket().count(&own) <= asked + 1);
    }
);

story!(
    lists_are_read_to_their_end,
    Setup {
        example: "access.yaml",
        bitbucket: |settings| {
            use bitgate_simulator::bitbucket::{Paging, Permission};
            settings.paging = Paging::Opaque;
            let ada = settings.people[0].account_id.clone();
            for number in 0..250 {
                let slug = format!("repo-{number:03}");
                let repository = Repository {
                    uuid: format!("{{0c0c0000-1111-4222-8333-{number:012}}}"),
                    slug: slug.clone(),
                    project: "WID".to_owned(),
                    is_private: true,
                };
                settings
                    .directory
                    .add_repository("acme", repository)
                    .unwrap();
                let directory = &mut settings.directory;
                directory
                    .set_permission("acme", &slug, &ada, Some(Permission::Read))
                    .unwrap();
            }
        },
        ..Setup::default()
    },
    |world| {
        let mut browser = signed_in(world, "ada");
        for slug in ["repo-000", "repo-249", "widgets"] {
            assert_eq!(
                verdict(&mut browser, &format!("/artifacts/acme/{slug}/x")),
                ok()
            );
        }
        let path = format!("/2.0/user/workspaces/{ACME}/permissions/repositories");
        assert_eq!(browser.world.bitbucket().count(&path), 3, "three pages");
    }
);

story!(
    a_list_that_breaks_off_grants_and_denies_nothing,
    example(|_| {}),
    |world| {
        let mut browser = signed_in(world, "ada");
        let path = format!("/2.0/user/workspaces/{ACME}/permissions/repositories");
        for body in [
            r#"{"values": [], "next": "https://evil.example/2.0/x"}"#,
            r#"{"values": [], "next": "http://127.0.0.1:10002.evil.example/2.0/x"}"#,
            r#"{"values": [{"permission": "admin"}]}"#,
            r#"{"values": {}}"#,
            r#"{"values": [], "values": []}"#,
            "[]",
        ] {
            let bitbucket = &mut browser.world.bitbucket();
            bitbucket.forgive();
            bitbucket.fail_next(Fault {
                path: path.clone(),
                times: 1,
                response: FaultResponse::Raw {
                    status: 200,
                    headers: vec![("content-type", "application/json".to_owned())],
                    body: body.as_bytes().to_vec(),
                },
            });
        }
        let found = verdict(&mut browser, "/artifacts/acme/widgets/x");
        assert_eq!(found, refused(503, "rights_unavailable"));
    }
);

story!(
    who_is_signed_in_goes_before_who_signs_in,
    Setup {
        example: "access.yaml",
        config: |config| {
            config["bitbucket"]["api_budget"] = json!(20);
            config["session"]["idle_timeout"] = json!("12h");
            config["groups"] = json!({"unused": ["x"]});
            config["rules"] = json!([
                {"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}},
                {"match": {"path": "/**"}, "allow": "signed_in"},
            ]);
        },
        bitbucket: |settings| settings.api_limit = Some(20),
        ..Setup::with_clock()
    },
    |world| {
        // A sign-in makes two calls, and the lookup one.
        for _ in 0..5 {
            let mut browser = signed_in(world, "grace");
            assert_eq!(verdict(&mut browser, "/members"), ok());
        }
        for _ in 0..2 {
            signed_in(world, "ada");
        }
        let ada = signed_in(world, "ada").jar;
        let linus = signed_in(world, "linus").jar;
        // 18 calls are 90%: from there on nobody begins to sign in.
        let grace = world.person("grace");
        let mut browser = world.browser();
        let exhausted = || refused(503, "api_budget_exhausted");
        let answer = browser.sign_in("/", &grace);
        let reason = header(&answer, "x-bitgate-reason").to_owned();
        assert_eq!((answer.status().as_u16(), reason), exhausted());
        // Who has signed in does not find that nothing is left.
        let not_a_member = || refused(403, "not_a_member");
        browser.jar = linus.clone();
        assert_eq!(verdict(&mut browser, "/members"), not_a_member());
        browser.jar = ada;
        assert_eq!(verdict(&mut browser, "/members"), exhausted());
        assert_eq!(verdict(&mut browser, "/"), ok());
        // An hour later there is a new one.
        browser.world.advance(3_800);
        assert_eq!(verdict(&mut browser, "/members"), ok());
        browser.jar = linus;
        assert_eq!(verdict(&mut browser, "/members"), not_a_member());
        assert_eq!(browser.world.bitbucket().rate_limited(), 0);
    }
);

story!(
    who_is_denied_again_and_again_does_not_use_the_budget_up,
    Setup {
        config: |config| {
            config["bitbucket"]["api_budget"] = json!(20);
            config["session"]["idle_timeout"] = json!("12h");
            config["workspaces"] = json!({"acme": "{77aa0000-1111-4222-8333-444455556666}"});
            config["rules"] = json!([
                {"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}},
                {"match": {"path": "/**"}, "allow": "signed_in"},
            ]);
        },
        ..Setup::with_clock()
    },
    |world| {
        let path = format!("/2.0/user/workspaces/{ACME}/permission");
        let denied = || refused(403, "not_a_member");
        let linus = world.person("linus");
        let mut browser = signed_in(world, "linus");
        assert_eq!(verdict(&mut browser, "/members"), denied());
        let jar = browser.jar;
        for _ in 0..6 {
            signed_in(world, "ada");
        }
        // 15 of 20 calls are made.
        let mut browser = world.browser();
        browser.jar = jar;
        browser.world.advance(301);
        assert_eq!(verdict(&mut browser, "/members"), denied());
        assert_eq!(browser.world.bitbucket().count(&path), 1);
        // Sooner than somebody who is let through all the same.
        browser.world.advance(1_200);
        let member = Some(bitgate_simulator::bitbucket::Role::Member);
        let mut bitbucket = browser.world.bitbucket();
        let directory = &mut bitbucket.settings.directory;
        directory.set_role("acme", &linus, member).unwrap();
        drop(bitbucket);
        assert_eq!(verdict(&mut browser, "/members"), ok());
        assert_eq!(browser.world.bitbucket().count(&path), 2);
    }
);

story!(
    a_workspace_of_the_configuration_in_the_path_costs_no_list,
    Setup {
        config: |config| {
            config["workspaces"] = json!({"acme": "{77aa0000-1111-4222-8333-444455556666}"});
            config["rules"] = json!([
                {"match": {"path": "/"}, "allow": "signed_in"},
                {
                    "match": {"path": "/artifacts/{workspace}/{repo}/**"},
                    "allow": {"repository": "{workspace}/{repo}"},
                },
            ]);
        },
        ..Setup::default()
    },
    |world| {
        let denied = || refused(403, "insufficient_permission");
        let mut browser = signed_in(world, "grace");
        assert_eq!(verdict(&mut browser, "/artifacts/acme/widgets/x"), ok());
        assert_eq!(verdict(&mut browser, "/artifacts/acme/secrets/x"), denied());
        let path = "/artifacts/%7B77aa0000-1111-4222-8333-444455556666%7D/widgets/x";
        assert_eq!(verdict(&mut browser, path), ok());
        assert_eq!(browser.world.bitbucket().count("/2.0/user/workspaces"), 0);
        // Others are looked for in the person's list.
        assert_eq!(verdict(&mut browser, "/artifacts/beta-labs/lab"), ok());
        assert_eq!(verdict(&mut browser, "/artifacts/made-up/lab"), denied());
        assert_eq!(browser.world.bitbucket().count("/2.0/user/workspaces"), 1);
    }
);

story!(
    who_waits_for_an_answer_of_bitbucket_is_not_idle,
    Setup {
        config: |config| {
            config["session"]["idle_timeout"] = json!("1h");
            config["rules"] = json!([{"match": {"path": "/**"}, "allow": {"workspace": "acme"}}]);
        },
        ..Setup::with_clock()
    },
    |world| {
        let grace = world.person("grace");
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/", &grace).status(), 302);
        browser.world.bitbucket().fail_next(Fault {
            path: format!("/2.0/user/workspaces/{ACME}/permission"),
            times: 1_000,
            response: FaultResponse::Status(500),
        });
        browser.world.bitbucket().fail_next(Fault {
            path: "/2.0/user/workspaces".to_owned(),
            times: 1_000,
            response: FaultResponse::Status(500),
        });
        for _ in 0..8 {
            assert_eq!(
                verdict(&mut browser, "/"),
                refused(503, "rights_unavailable")
            );
            browser.world.advance(600);
        }
        browser.world.bitbucket().forgive();
        assert_eq!(verdict(&mut browser, "/"), ok());
    }
);

fn limited(world: &mut World, headers: Vec<(&'static str, String)>) {
    let mut headers = headers;
    headers.push(("content-type", "text/plain".to_owned()));
    world.bitbucket().fail_next(Fault {
        path: format!("/2.0/user/workspaces/{ACME}/permission"),
        times: 1,
        response: FaultResponse::Raw {
            status: 429,
            headers,
            body: b"Rate limit for this resource has been exceeded".to_vec(),
        },
    });
}

story!(
    a_429_is_honoured_with_and_without_a_time,
    Setup {
        example: "access.yaml",
        config: |config| {
            config["rules"] = json!([
                {"match": {"path": "/members/**"}, "allow": {"workspace": "acme"}},
                {"match": {"path": "/**"}, "allow": "signed_in"},
            ]);
        },
        ..Setup::with_clock()
    },
    |world| {
        let path = format!("/2.0/user/workspaces/{ACME}/permission");
        let mut browser = signed_in(world, "grace");
        for (headers, pause) in [
            (vec![("retry-after", "7".to_owned())], 7),
            // The second one in a row, and without a word: two minutes.
            (Vec::new(), 120),
        ] {
            limited(browser.world, headers);
            let calls = browser.world.bitbucket().count(&path);
            assert_eq!(
                verdict(&mut browser, "/members"),
                refused(503, "rate_limited")
            );
            browser.world.advance(pause - 2);
            assert_eq!(
                verdict(&mut browser, "/members"),
                refused(503, "rate_limited")
            );
            assert_eq!(
                browser.world.bitbucket().count(&path),
                calls + 1,
                "nobody asks"
            );
            browser.world.advance(3);
        }
        assert_eq!(verdict(&mut browser, "/members"), ok());
    }
);

story!(
    git_gets_its_own_form_of_the_token,
    example(|config| {
        config["rules"] = json!([
            {"match": {"path": "/{w}/{r}.git/**"}, "allow": {"repository": "{w}/{r}"}, "inject": "git"},
            {"match": {"path": "/**"}, "allow": "signed_in", "inject": "none"},
        ]);
    }),
    |world| {
        use base64::Engine;
        let ada = world.person("ada");
        let mut browser = signed_in(world, "ada");
        assert_eq!(verdict(&mut browser, "/acme/widgets.git/info/refs"), ok());
        let token = browser
            .world
            .bitbucket()
            .access_tokens_of(&ada)
            .pop()
            .unwrap();
        let pair = format!("x-token-auth:{token}");
        let expected = base64::engine::general_purpose::STANDARD.encode(pair);
        let received = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(
            received.header("authorization"),
            Some(format!("Basic {expected}").as_str())
        );
        assert_eq!(verdict(&mut browser, "/acme/widgets"), ok());
        let received = browser.world.upstream().last_request().unwrap().clone();
        assert_eq!(received.header("authorization"), None);
    }
);

story!(
    a_workspace_that_the_bot_may_not_see_is_no_outage_for_others,
    Setup {
        example: "access.yaml",
        config: |config| {
            config["rights"] = json!({"bot": "reader"});
            config["groups"] = json!({"developers": ["x"], "admins": ["x"]});
        },
        ..Setup::with_clock()
    },
    |world| {
        let mut browser = signed_in(world, "grace");
        let before = browser.world.bitbucket_calls();
        for _ in 0..10 {
            assert_eq!(
                verdict(&mut browser, "/artifacts/beta-labs/lab/x"),
                refused(503, "rights_unavailable")
            );
            browser.world.advance(6);
        }
        // The list of her workspaces, and one try.
        assert_eq!(browser.world.bitbucket_calls(), before + 2);
        let mut browser = signed_in(browser.world, "ada");
        assert_eq!(verdict(&mut browser, "/artifacts/acme/widgets/x"), ok());
    }
);

story!(
    a_workspace_with_an_odd_slug_locks_nobody_out,
    example(|_| {}),
    |world| {
        use bitgate_simulator::bitbucket::Role;
        let ada = world.person("ada");
        let slug = "0a0a0000-1111-4222-8333-444455556666";
        let mut bitbucket = world.bitbucket();
        bitbucket
            .reuse_slug(slug, "{0a0a0000-1111-4222-8333-444455556667}")
            .unwrap();
        let directory = &mut bitbucket.settings.directory;
        directory.set_role(slug, &ada, Some(Role::Member)).unwrap();
        drop(bitbucket);
        let mut browser = signed_in(world, "ada");
        assert_eq!(verdict(&mut browser, "/artifacts/acme/widgets/x"), ok());
        let odd = format!("/artifacts/{slug}/widgets/x");
        assert_eq!(
            verdict(&mut browser, &odd),
            refused(403, "insufficient_permission")
        );
    }
);
