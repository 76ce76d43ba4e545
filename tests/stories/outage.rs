//! Bitbucket does not answer as it should while somebody signs in.

use bitgate_simulator::bitbucket::{Fault, FaultResponse};
use serde_json::json;

use crate::support::browser::{body, header};
use crate::support::example::root;
use crate::support::setup::Setup;
use crate::support::world::World;

const TOKEN: &str = "/site/oauth2/access_token";
const USER: &str = "/2.0/user";
const EMAILS: &str = "/2.0/user/emails";

fn raw(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> FaultResponse {
    FaultResponse::Raw {
        status,
        headers: vec![("content-type", content_type.to_owned())],
        body: body.into(),
    }
}

fn json_of(text: impl Into<Vec<u8>>) -> FaultResponse {
    raw(200, "application/json", text)
}

/// The same mistake in each of the three documents.
fn each(token: &str, user: &str, emails: &str) -> [(&'static str, FaultResponse); 3] {
    [
        (TOKEN, json_of(token)),
        (USER, json_of(user)),
        (EMAILS, json_of(emails)),
    ]
}

fn everywhere(response: &FaultResponse) -> [(&'static str, FaultResponse); 3] {
    [TOKEN, USER, EMAILS].map(|path| (path, response.clone()))
}

/// Every fault, with what it does to each call.
fn faults() -> Vec<(&'static str, [(&'static str, FaultResponse); 3])> {
    let with_retry_after = FaultResponse::Raw {
        status: 429,
        headers: vec![("retry-after", "3600".to_owned())],
        body: b"Rate limit for this resource has been exceeded".to_vec(),
    };
    let redirect = FaultResponse::Raw {
        status: 302,
        headers: vec![("location", "https://evil.test/".to_owned())],
        body: Vec::new(),
    };
    let gzip = FaultResponse::Raw {
        status: 200,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("content-encoding", "gzip".to_owned()),
        ],
        body: vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
    };
    let token = |token: &str| {
        json!({"access_token": token, "token_type": "bearer", "expires_in": 7200, "scope": "account email repository"})
            .to_string()
    };
    let whole: [&'static str; 3] = [TOKEN, USER, EMAILS];
    vec![
        ("slow: 300 ms", everywhere(&FaultResponse::Slow(300))),
        (
            "slow: 1.5 s, with a timeout of 1 s",
            everywhere(&FaultResponse::Slow(1_500)),
        ),
        ("hangs", everywhere(&FaultResponse::Hang)),
        ("resets the connection", everywhere(&FaultResponse::Reset)),
        (
            "400 without a word",
            everywhere(&raw(400, "application/json", "{}")),
        ),
        ("401", everywhere(&raw(401, "application/json", "{}"))),
        ("403", everywhere(&raw(403, "application/json", "{}"))),
        ("404", everywhere(&FaultResponse::Status(404))),
        ("410", everywhere(&FaultResponse::Status(410))),
        ("429", everywhere(&FaultResponse::Status(429))),
        ("429 with Retry-After", everywhere(&with_retry_after)),
        ("500", everywhere(&FaultResponse::Status(500))),
        ("502", everywhere(&FaultResponse::Status(502))),
        ("503", everywhere(&FaultResponse::Status(503))),
        ("504", everywhere(&FaultResponse::Status(504))),
        ("a redirect", everywhere(&redirect)),
        (
            "HTML with 200",
            everywhere(&raw(200, "text/html", "<h1>Maintenance</h1>")),
        ),
        (
            "JSON that says it is text",
            whole.map(|path| (path, raw(200, "text/plain", "{}"))),
        ),
        ("nothing", everywhere(&json_of(""))),
        ("an empty object", everywhere(&json_of("{}"))),
        ("a list", everywhere(&json_of("[]"))),
        ("null", everywhere(&json_of("null"))),
        (
            "cut off",
            each(
                "{\"access_token\": \"a",
                "{\"type\": \"user\", \"acc",
                "{\"values\": [{\"ema",
            ),
        ),
        (
            "wrong types",
            each(
                r#"{"access_token": 5, "token_type": "bearer", "expires_in": 7200}"#,
                r#"{"type": "user", "account_id": 5}"#,
                r#"{"values": {"email": true}}"#,
            ),
        ),
        (
            "repeated members",
            each(
                r#"{"access_token": "a", "access_token": "b", "token_type": "bearer", "expires_in": 7200}"#,
                r#"{"type": "user", "account_id": "a", "account_id": "b"}"#,
                r#"{"values": [], "values": []}"#,
            ),
        ),
        (
            "100,000 levels deep",
            everywhere(&json_of("[".repeat(100_000))),
        ),
        (
            "10,000 levels deep",
            everywhere(&json_of("[".repeat(10_000))),
        ),
        ("20 MB", everywhere(&json_of(" ".repeat(20_000_000)))),
        ("gzip", everywhere(&gzip)),
        (
            "CR and LF in a value",
            each(
                &token("a\r\nx-evil: 1"),
                r#"{"type": "user", "account_id": "a\r\nx-evil: 1"}"#,
                r#"{"values": [{"email": "a@b.test\r\nx-evil: 1", "is_primary": true, "is_confirmed": true}]}"#,
            ),
        ),
        (
            "NUL and Unicode in a value",
            each(
                &token("a\0\u{e9}"),
                "{\"type\": \"user\", \"account_id\": \"a\\u0000\u{e9}\"}",
                "{\"values\": [{\"email\": \"a\u{e9}@b.test\", \"is_primary\": true, \"is_confirmed\": true}]}",
            ),
        ),
    ]
}

/// What a browser sees that signs in while `path` answers with the fault.
fn outcome(world: &mut World, path: &str, response: FaultResponse) -> String {
    let ada = world.person("ada");
    let calls_before = world.bitbucket().count(TOKEN);
    world.bitbucket().fail_next(Fault {
        path: path.to_owned(),
        times: 1,
        response,
    });
    let mut browser = world.browser();
    let answer = browser.sign_in("/wanted", &ada);
    let signed_in = browser.jar.0.contains_key("__Host-bitgate");
    let outcome = if signed_in {
        assert_eq!(answer.status(), 302);
        assert_eq!(browser.open("/wanted").status(), 200);
        "signed in".to_owned()
    } else {
        assert!(
            body(&answer).contains("href=\"/wanted\""),
            "{}",
            body(&answer)
        );
        assert!(browser.jar.0.is_empty(), "{:?}", browser.jar.names());
        assert!(!body(&answer).contains("evil"));
        let retry = header(&answer, "retry-after");
        assert_eq!(retry.is_empty(), answer.status() != 503);
        format!(
            "{} {}",
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason")
        )
    };
    assert!(answer.headers().get("x-evil").is_none());
    // A code works once: no fault makes us ask twice.
    assert_eq!(world.bitbucket().count(TOKEN), calls_before + 1);
    outcome
}

/// `docs/faults.md` is what the stories find. With `BITGATE_BLESS` set it is written.
fn same_as_documented(section: &str, table: &str) {
    let path = root().join("docs/faults.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {section} -->\n"), "<!-- end -->");
    let (head, rest) = text.split_once(&begin).unwrap();
    let (found, tail) = rest.split_once(end).unwrap();
    if std::env::var_os("BITGATE_BLESS").is_some() {
        std::fs::write(&path, format!("{head}{begin}{table}{end}{tail}")).unwrap();
    } else {
        assert_eq!(
            found, table,
            "docs/faults.md: set BITGATE_BLESS=1 to write it"
        );
    }
}

story!(
    every_fault_at_sign_in_has_its_outcome,
    Setup {
        config: one_second,
        ..Setup::default()
    },
    |world| {
        let mut table =
            "| Fault | Token endpoint | `/2.0/user` | `/2.0/user/emails` |\n|---|---|---|---|\n"
                .to_owned();
        for (name, calls) in faults() {
            let outcomes = calls.map(|(path, response)| outcome(world, path, response));
            table.push_str(&format!("| {name} | {} |\n", outcomes.join(" | ")));
        }
        // And then all is well again.
        let ada = world.person("ada");
        let mut browser = world.browser();
        assert_eq!(browser.sign_in("/wanted", &ada).status(), 302);
        assert_eq!(browser.open("/wanted").status(), 200);
        same_as_documented("sign-in", &table);
    }
);

story!(
    every_fault_at_renewal_has_its_outcome,
    Setup {
        config: one_second,
        bitbucket: |settings| settings.access_lifetime = 1_000,
        ..Setup::with_clock()
    },
    |world| {
        let mut table =
            "| Fault | Token still good | Token over | Half a minute later |\n|---|---|---|---|\n"
                .to_owned();
        let ada = world.person("ada");
        for (name, [(path, response), _, _]) in faults() {
            let mut browser = world.browser();
            assert_eq!(browser.sign_in("/", &ada).status(), 302);
            let mut outcomes = Vec::new();
            for (seconds, is_fault) in [(810, true), (31, false), (2_000, true), (31, false)] {
                browser.world.advance(seconds);
                if is_fault {
                    browser.world.bitbucket().fail_next(Fault {
                        path: path.to_owned(),
                        times: 1,
                        response: response.clone(),
                    });
                }
                let answer = browser.fetch("/");
                outcomes.push(match header(&answer, "x-bitgate-reason") {
                    "" => {
                        assert_eq!(answer.status(), 200, "{name}");
                        "goes on".to_owned()
                    }
                    reason => format!("{} {reason}", answer.status().as_u16()),
                });
                assert!(answer.headers().get("x-evil").is_none());
            }
            assert_eq!(outcomes[1], "goes on", "{name}");
            table.push_str(&format!(
                "| {name} | {} | {} | {} |\n",
                outcomes[0], outcomes[2], outcomes[3]
            ));
        }
        same_as_documented("renewal", &table);
    }
);

fn one_second(config: &mut serde_json::Value) {
    config["bitbucket"]["web"]["timeout"] = json!("1s");
    config["bitbucket"]["api"]["timeout"] = json!("1s");
    config["session"]["idle_timeout"] = json!("12h");
}

story!(
    what_is_down_is_said_and_nobody_loops,
    Setup {
        is_bitbucket_down: true,
        ..Setup::default()
    },
    |world| {
        let ada = world.person("ada");
        let mut browser = world.browser();
        let answer = browser.sign_in("/wanted", &ada);
        let found = (
            answer.status().as_u16(),
            header(&answer, "x-bitgate-reason"),
        );
        assert_eq!(found, (503, "bitbucket_unreachable"));
        assert_eq!(header(&answer, "retry-after"), "10");
        assert_eq!(browser.fetch("/wanted").status(), 401);
    }
);

story!(
    a_refused_client_is_told_apart_from_a_refused_code,
    |world| {
        for (error, expected) in [
            ("unauthorized_client", "502 client_refused"),
            ("invalid_client", "502 client_refused"),
            ("invalid_grant", "400 code_refused"),
        ] {
            let document = json!({"error": error, "error_description": "canary"}).to_string();
            let response = raw(400, "application/json", document);
            assert_eq!(outcome(world, TOKEN, response), expected);
        }
        let app = json!({"type": "app_user", "account_id": "a"}).to_string();
        assert_eq!(outcome(world, USER, json_of(app)), "403 account_refused");
    }
);
