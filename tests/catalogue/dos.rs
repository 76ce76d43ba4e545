//! DOS: what a stranger sends costs little, and what Bitbucket sends is cut.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use serde_json::json;

use super::case::{Case, empty, get, reason, refused};
use crate::support::setup::Setup;
use crate::support::world::World;

const TOKEN: &str = "/site/oauth2/access_token";

pub fn cases() -> Vec<Case> {
    vec![
        Case::both("DOS-02", |world| {
            let many: String = (0..1_000).map(|number| format!("__Host-bitgate-login.{number}=x; ")).collect();
            for path in ["/page", "/_bitgate/logout", "/_bitgate/session"] {
                let request = get(path).header("cookie", &many).header("accept", "text/html");
                let answer = world.send(empty(request));
                assert!(answer.status().as_u16() < 500);
                // No thousand lines of removals.
                assert!(answer.headers().get_all("set-cookie").iter().count() <= 24);
            }
            let crumbs = (0..90).fold(get("/page"), |request, number| request.header("cookie", format!("a{number}=b")));
            refused(world, empty(crumbs), 401, "no_session");
        }),
        Case::both("DOS-03", |world| {
            // A login leaves nothing with us, and little with the browser.
            let mut browser = world.browser();
            for number in 0..60 {
                assert_eq!(browser.open(&format!("/page/{number}")).status(), 302);
            }
            assert!(browser.jar.0.len() <= 4 && browser.jar.header().len() < 4_096);
            assert_eq!(browser.world.bitbucket_calls(), 0);
        }),
        Case::native("DOS-05", |_| {
            for path in ["/(a+)+$", "/(.*)*x", "/a{1,99999}"] {
                // Not a pattern: a literal that is compared, or refused.
                let problems = super::cfg::problems(|config| config["rules"][0]["match"]["path"] = json!(path));
                let is_refused = path.contains(['*', '{']);
                assert_eq!(!problems.is_empty(), is_refused, "{path}: {problems:?}");
            }
        }),
        Case::both("DOS-06", |world| {
            fails(world, FaultResponse::Hang, "504 bitbucket_timeout");
        })
        .with(one_second),
        Case::both("DOS-08", |world| {
            let body = vec![b' '; 20_000_000];
            let headers = vec![("content-type", "application/json".to_owned())];
            fails(world, FaultResponse::Raw { status: 200, headers, body }, "502 bitbucket_invalid_answer");
        }),
        Case::both("DOS-09", |world| {
            let many: Vec<String> = (0..10_000).map(|number| format!("\"{number}\":1")).collect();
            for text in [
                "[".repeat(60_000),
                "{\"a\":".repeat(10_000),
                format!("{{{}}}", many.join(",")).chars().take(60_000).collect(),
                format!("{{\"expires_in\": 1e{}}}", "9".repeat(50_000)),
                format!("{{\"expires_in\": {}}}", "9".repeat(60_000)),
                format!("{{\"access_token\": \"{}\"}}", "a".repeat(60_000)),
                "{\"expires_in\": 1e999999999}".to_owned(),
            ] {
                let headers = vec![("content-type", "application/json".to_owned())];
                let body = text.into_bytes();
                fails(world, FaultResponse::Raw { status: 200, headers, body }, "502 bitbucket_invalid_answer");
            }
        }),
        Case::both("DOS-10", |world| {
            let account = world.person("ada");
            let mut browser = world.browser();
            let sent_away = browser.open("/page");
            browser.answer(&sent_away, &account, "grant");
            let state = sent_away.headers()["location"].to_str().unwrap().split("state=").nth(1).unwrap();
            let state = state.split('&').next().unwrap().to_owned();
            let before = browser.world.bitbucket().count(TOKEN);
            for number in 0..50 {
                browser.open(&format!("/_bitgate/callback?code=random{number}&state={state}"));
            }
            assert_eq!(browser.world.bitbucket().count(TOKEN), before + 1, "one code for one login");
        }),
        Case::native("DOS-21", |world| {
            refused(world, empty(get("/page")), 401, "no_session");
        })
        .with(|| Setup {
            config: |config| {
                let rules = config["rules"].as_array_mut().unwrap();
                let filler = |number| json!({"match": {"path": format!("/f/{number}/{{x}}/**")}, "allow": "nobody"});
                rules.splice(0..0, (0..20_000).map(filler));
            },
            ..Setup::default()
        }),
    ]
}

fn one_second() -> Setup {
    Setup {
        config: |config| config["bitbucket"]["web"]["timeout"] = json!("1s"),
        ..Setup::default()
    }
}

fn fails(world: &mut World, response: FaultResponse, expected: &str) {
    world.bitbucket().fail_next(Fault {
        path: TOKEN.to_owned(),
        times: 1,
        response,
    });
    let account = world.person("ada");
    let answer = world.browser().sign_in("/", &account);
    assert_eq!(
        format!("{} {}", answer.status().as_u16(), reason(&answer)),
        expected
    );
}
