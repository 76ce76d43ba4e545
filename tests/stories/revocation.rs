//! Sessions that end before their time, and no others.

use serde_json::json;

use crate::support::browser::{Browser, header};
use crate::support::setup::Setup;
use crate::support::world::World;

fn signed_in<'w>(world: &'w mut World, name: &str) -> Browser<'w> {
    let account = world.person(name);
    let mut browser = world.browser();
    assert_eq!(browser.sign_in("/", &account).status(), 302);
    browser
}

fn sign_out(browser: &mut Browser<'_>) {
    let request = http::Request::post("/_bitgate/logout").header("sec-fetch-site", "same-origin");
    let answer = browser.send(request.body(Vec::new()).unwrap());
    assert_eq!(answer.status(), 303);
}

story!(
    a_copy_of_a_session_that_was_signed_out_is_worth_nothing_here,
    |world| {
        let mut browser = signed_in(world, "ada");
        let copy = browser.jar.clone();
        sign_out(&mut browser);
        assert!(browser.jar.0.is_empty());
        browser.jar = copy;
        let answer = browser.fetch("/");
        let found = (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason"),
        );
        assert_eq!(found, (401, "session_revoked"));
        assert_eq!(browser.fetch("/_bitgate/session").status(), 401);
        // Others, and a new session of the same person, are not meant.
        let mut browser = signed_in(world, "grace");
        assert_eq!(browser.open("/").status(), 200);
        let mut browser = signed_in(world, "ada");
        assert_eq!(browser.open("/").status(), 200);
    }
);

story!(
    who_signs_out_while_the_session_is_renewed_gets_nothing_back,
    Setup {
        bitbucket: |settings| settings.access_lifetime = 1_000,
        config: |config| config["session"]["idle_timeout"] = "12h".into(),
        ..Setup::with_clock()
    },
    |world| {
        let mut browser = signed_in(world, "ada");
        let old = browser.jar.clone();
        browser.world.advance(810);
        assert_eq!(browser.open("/").status(), 200, "it is renewed");
        sign_out(&mut browser);
        // With the cookie from before the renewal nobody gets at the new grant.
        browser.jar = old;
        let answer = browser.fetch("/");
        assert_eq!(header(&answer, "x-bitgate-reason"), "session_revoked");
        assert!(answer.headers().get("set-cookie").is_none());
    }
);

story!(
    a_moment_ends_every_session_from_before,
    Setup {
        config: |config| config["revocations"] = json!({"everybody": "2999-01-01T00:00:00Z"}),
        ..Setup::default()
    },
    |world| {
        let mut browser = signed_in(world, "ada");
        let answer = browser.fetch("/");
        let found = (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason"),
        );
        assert_eq!(found, (401, "session_revoked"));
    }
);

story!(
    an_account_is_ended_and_others_are_not,
    Setup {
        config: |config| {
            let ada = "557058:00000001-ada0-4c0d-8e1f-b17b0c4e7000";
            config["revocations"] = json!({
                "everybody": "2001-01-01T00:00:00Z",
                "accounts": {ada: "2999-01-01T00:00:00Z"},
                "sessions": {"unknown": "2999-01-01T00:00:00Z"},
            });
        },
        ..Setup::default()
    },
    |world| {
        let mut browser = signed_in(world, "ada");
        assert_eq!(
            header(&browser.fetch("/"), "x-bitgate-reason"),
            "session_revoked"
        );
        let mut browser = signed_in(world, "grace");
        assert_eq!(browser.fetch("/").status(), 200);
    }
);

story!(
    a_workspace_is_ended_with_everybody_who_could_be_in_it,
    Setup {
        config: |config| {
            config["revocations"] = json!({"workspaces": {"acme": "2999-01-01T00:00:00Z"}});
        },
        ..Setup::default()
    },
    |world| {
        let mut browser = signed_in(world, "ada");
        assert_eq!(
            header(&browser.fetch("/"), "x-bitgate-reason"),
            "session_revoked"
        );
    }
);

story!(
    the_id_of_a_session_is_in_the_log_and_opens_nothing,
    |world| {
        let jar = signed_in(world, "ada").jar;
        let log = world.edge.log();
        let line = log
            .iter()
            .find(|line| line.contains("\"signed_in\""))
            .unwrap();
        let (_, rest) = line.split_once("\"session\":\"").expect("the session's id");
        let id = rest.split('"').next().unwrap();
        assert_eq!(id.len(), 22, "128 bits in base64url");
        assert!(!jar.header().contains(id));
    }
);
