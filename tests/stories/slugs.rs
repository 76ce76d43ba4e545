//! Slugs that change hands: neither a condition nor its opposite holds for them.

use bitgate_simulator::bitbucket::{Permission, Role};
use serde_json::{Value, json};

use crate::support::browser::{Browser, header};
use crate::support::setup::Setup;
use crate::support::world::World;

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";
const OTHER: &str = "{0bad0000-1111-4222-8333-444455556666}";

fn pinned(config: &mut Value) {
    config["workspaces"] = json!({"acme": ACME});
    config["repositories"] = json!({"acme/widgets": WIDGETS});
    let not = |path: &str, condition: Value| json!({"match": {"path": path}, "allow": {"not": condition}});
    config["rules"] = json!([
        {"match": {"path": "/"}, "allow": "signed_in"},
        not("/workspace", json!({"workspace": "acme", "role": "owner"})),
        not("/project", json!({"project": "acme/WID", "permission": "admin"})),
        not("/repository", json!({"repository": "acme/widgets", "permission": "admin"})),
        not("/new", json!({"repository": "acme/widgets-2", "permission": "admin"})),
        not("/path/{workspace}/{repo}", json!({"repository": "{workspace}/{repo}", "permission": "admin"})),
    ]);
}

fn setup() -> Setup {
    Setup {
        config: pinned,
        ..Setup::with_clock()
    }
}

fn of<'w>(world: &'w mut World, name: &str) -> Browser<'w> {
    let person = world.person(name);
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &person).status(), 302);
    browser
}

fn verdict(browser: &mut Browser<'_>, path: &str) -> String {
    let answer = browser.fetch(path);
    match answer.status().as_u16() {
        200 => "ok".to_owned(),
        _ => header(&answer, "x-bitgate-reason").to_owned(),
    }
}

#[track_caller]
fn verdicts(browser: &mut Browser<'_>, expected: [(&str, &str); 4]) {
    for (path, verdict_of) in expected {
        assert_eq!(verdict(browser, path), verdict_of, "{path}");
    }
}

story!(
    a_workspace_that_was_renamed_is_no_reason_to_let_its_owner_through,
    setup(),
    |world| {
        let mut browser = of(world, "ada");
        let all = [
            "/workspace",
            "/project",
            "/repository",
            "/path/acme/widgets",
        ];
        verdicts(&mut browser, all.map(|path| (path, "not_allowed")));
        let renamed = browser
            .world
            .bitbucket()
            .rename_workspace("acme", "acme-corp");
        renamed.unwrap();
        browser.world.advance(301);
        verdicts(&mut browser, all.map(|path| (path, "slug_reused")));
        assert_eq!(
            verdict(&mut browser, "/path/acme-corp/widgets"),
            "not_allowed"
        );
    }
);

story!(
    a_repository_whose_slug_changed_hands_is_no_reason_either,
    setup(),
    |world| {
        let mut browser = of(world, "ada");
        let grace = browser.world.person("grace");
        {
            let mut bitbucket = browser.world.bitbucket();
            let directory = &mut bitbucket.settings.directory;
            directory
                .rename_repository("acme", "widgets", "widgets-2")
                .unwrap();
        }
        // Under its new name it is the same; the old one is nobody's.
        verdicts(
            &mut browser,
            [
                ("/repository", "slug_reused"),
                ("/path/acme/widgets", "slug_reused"),
                ("/new", "not_allowed"),
                ("/path/acme/widgets-2", "not_allowed"),
            ],
        );
        {
            let mut bitbucket = browser.world.bitbucket();
            let directory = &mut bitbucket.settings.directory;
            directory
                .rename_repository("acme", "gadgets", "widgets")
                .unwrap();
            directory
                .set_permission("acme", "widgets", &grace, Some(Permission::Read))
                .unwrap();
        }
        browser.world.advance(301);
        assert_eq!(verdict(&mut browser, "/repository"), "slug_reused");
        // Grace may only read the other one: that, too, says nothing about the one that is meant.
        let mut browser = of(browser.world, "grace");
        assert_eq!(verdict(&mut browser, "/repository"), "slug_reused");
        let mut browser = of(browser.world, "linus");
        assert_eq!(verdict(&mut browser, "/repository"), "slug_reused");
    }
);

story!(who_was_never_in_it_is_not_in_it, setup(), |world| {
    let ada = world.person("ada");
    {
        let mut bitbucket = world.bitbucket();
        bitbucket.rename_workspace("acme", "acme-corp").unwrap();
        bitbucket.reuse_slug("acme", OTHER).unwrap();
        let directory = &mut bitbucket.settings.directory;
        directory.set_role("acme-corp", &ada, None).unwrap();
        directory.set_role(OTHER, &ada, Some(Role::Owner)).unwrap();
    }
    let mut browser = of(world, "ada");
    verdicts(
        &mut browser,
        [
            ("/workspace", "ok"),
            ("/project", "ok"),
            ("/repository", "ok"),
            // The path may mean the other one, or the one that rules know.
            ("/path/acme/widgets", "slug_reused"),
        ],
    );
});
