//! Machines at the API: consumers as themselves, access tokens, API tokens, and what is no more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::Response;
use crate::bitbucket::control::tests::control;
use crate::bitbucket::{Bitbucket, CredentialKind, Mode, Permission, Settings};

const WEB: &str = "127.0.0.1:10001";
const API: &str = "127.0.0.1:10002";
const ADA: &str = "557058:00000001-ada0-4c0d-8e1f-b17b0c4e7000";
const GRACE: &str = "557058:00000002-ada0-4c0d-8e1f-b17b0c4e7000";
const ADAS_TOKEN: &str = "ATATT3xFfGF0-demo-api-token";

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn send(bitbucket: &mut Bitbucket, now: u64, authorization: &str, path: &str) -> Response {
    let request = http::Request::get(path)
        .header("host", API)
        .header("authorization", authorization);
    bitbucket.handle(now, &request.body(Vec::new()).unwrap())
}

fn status(bitbucket: &mut Bitbucket, authorization: &str, path: &str) -> u16 {
    send(bitbucket, 1_000, authorization, path)
        .status()
        .as_u16()
}

fn slugs(bitbucket: &mut Bitbucket, authorization: &str, path: &str) -> Vec<String> {
    let answer = send(bitbucket, 1_000, authorization, path);
    assert_eq!(answer.status(), 200, "{path}");
    let document: Value = serde_json::from_slice(answer.body()).unwrap();
    let rows = document["values"].as_array().unwrap().iter();
    rows.map(|row| row["slug"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn token_of(bitbucket: &mut Bitbucket, id: &str, secret: &str) -> (u16, Value) {
    let request = http::Request::post("/site/oauth2/access_token")
        .header("host", WEB)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", basic(id, secret));
    let body = b"grant_type=client_credentials".to_vec();
    let answer = bitbucket.handle(1_000, &request.body(body).unwrap());
    let document = serde_json::from_slice(answer.body()).unwrap();
    (answer.status().as_u16(), document)
}

fn with_bot(scopes: &[&str]) -> Bitbucket {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let body = json!({"client_id": "bot", "client_secret": "s", "scopes": scopes});
    assert_eq!(control(&mut bitbucket, "POST", "consumers", &body).0, 200);
    bitbucket
}

#[test]
fn only_a_private_consumer_with_a_callback_acts_as_itself() {
    let mut bitbucket = with_bot(&["repository"]);
    let (status, public) = token_of(&mut bitbucket, "demo-consumer", "demo-secret");
    let text = "Cannot use client_credentials with a consumer marked as \"public\". \
                Calls for auto generated consumers should use urn:bitbucket:oauth2:jwt instead.";
    assert_eq!(
        (status, &public["error"]),
        (400, &json!("unauthorized_client"))
    );
    assert_eq!(public["error_description"], text);
    let (status, wrong) = token_of(&mut bitbucket, "bot", "other");
    let text = "Invalid OAuth client credentials";
    assert_eq!((status, &wrong["error_description"]), (400, &json!(text)));
    let body = json!({"client_id": "bot", "callback": ""});
    control(&mut bitbucket, "POST", "consumers", &body);
    let (status, without) = token_of(&mut bitbucket, "bot", "s");
    let text = "No callback uri defined for the OAuth client.";
    assert_eq!((status, &without["error_description"]), (400, &json!(text)));
    assert_eq!(without["error"], "invalid_request");
    let entry = bitbucket.ledger().last().unwrap();
    assert_eq!(entry.credential, CredentialKind::Consumer);
    for body in [
        json!({"client_id": "new"}),
        json!({"client_id": "bot", "scopes": 1}),
    ] {
        assert_eq!(control(&mut bitbucket, "POST", "consumers", &body).0, 400);
    }
}

#[test]
fn a_consumer_as_itself_gets_no_refresh_token() {
    for mode in [Mode::Migrated, Mode::Legacy] {
        let mut bitbucket = with_bot(&["account", "repository"]);
        bitbucket.settings.mode = mode;
        let (status, granted) = token_of(&mut bitbucket, "bot", "s");
        assert_eq!((status, granted.get("refresh_token")), (200, None));
        assert_eq!(granted["expires_in"], 7_200);
        let (name, length) = match mode {
            Mode::Migrated => ("scope", 2_600),
            Mode::Legacy => ("scopes", 100),
        };
        assert_eq!(granted[name], "account repository");
        let token = granted["access_token"].as_str().unwrap();
        assert_eq!(token.len(), length);
        let bearer = format!("Bearer {token}");
        let user = send(&mut bitbucket, 1_000, &bearer, "/2.0/user");
        let user: Value = serde_json::from_slice(user.body()).unwrap();
        let told = [&user["type"], &user["account_id"], &user["display_name"]];
        assert_eq!(told, ["app_user", "app:bot", "bot"]);
        assert_eq!(
            send(&mut bitbucket, 8_200, &bearer, "/2.0/user").status(),
            401
        );
        let seen = (CredentialKind::AppUser, 200);
        assert_eq!(bitbucket.credentials().get(&seen), Some(&1));
    }
}

#[test]
fn a_consumer_as_itself_sees_the_workspace_that_owns_it() {
    let mut bitbucket = with_bot(&["account", "repository:write"]);
    let (_, granted) = token_of(&mut bitbucket, "bot", "s");
    let bearer = format!("Bearer {}", granted["access_token"].as_str().unwrap());
    let rows = send(&mut bitbucket, 1_000, &bearer, "/2.0/user/workspaces");
    let rows: Value = serde_json::from_slice(rows.body()).unwrap();
    assert_eq!(rows["size"], 1);
    assert_eq!(rows["values"][0]["workspace"]["slug"], "acme");
    assert_eq!(rows["values"][0]["administrator"], false);
    let acme = "/2.0/repositories/acme?role=contributor";
    assert_eq!(slugs(&mut bitbucket, &bearer, acme).len(), 4);
    let admin = "/2.0/repositories/acme?role=admin";
    assert!(slugs(&mut bitbucket, &bearer, admin).is_empty());
    let path = "/2.0/user/workspaces/acme/permissions/repositories?pagelen=1";
    let rows = send(&mut bitbucket, 1_000, &bearer, path);
    let rows: Value = serde_json::from_slice(rows.body()).unwrap();
    let told = (&rows["size"], &rows["values"][0]["permission"]);
    assert_eq!(told, (&json!(4), &json!("write")));
    // Not even where somebody let it in.
    let lab = "/2.0/repositories/beta-labs/lab";
    bitbucket
        .set_permission("beta-labs", "lab", "app:bot", Some(Permission::Read))
        .unwrap();
    assert_eq!(status(&mut bitbucket, &bearer, lab), 404);
    assert_eq!(
        status(&mut bitbucket, &bearer, "/2.0/workspaces/beta-labs"),
        403
    );
    // What it was given counts, and no more.
    bitbucket
        .set_permission("acme", "gadgets", "app:bot", Some(Permission::Read))
        .unwrap();
    assert_eq!(
        slugs(
            &mut bitbucket,
            &bearer,
            "/2.0/repositories/acme?role=member"
        ),
        ["gadgets"]
    );
}

fn access_token(bitbucket: &mut Bitbucket, body: &Value) -> String {
    let request = body.to_string().into_bytes();
    let request = http::Request::post("/_simulator/access_tokens").body(request);
    let answer = bitbucket.handle(1_000, &request.unwrap());
    assert_eq!(answer.status(), 200, "{body}");
    let document: Value = serde_json::from_slice(answer.body()).unwrap();
    format!("Bearer {}", document["token"].as_str().unwrap())
}

#[test]
fn an_access_token_sees_what_it_is_for() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let members = "/2.0/repositories/acme?role=member";
    for (body, expected) in [
        (json!({"workspace": "acme"}), 4),
        (json!({"workspace": "acme", "project": "WID"}), 3),
        (json!({"workspace": "acme", "repository": "secrets"}), 1),
    ] {
        let mut body = body;
        body["scopes"] = json!(["repository"]);
        let bearer = access_token(&mut bitbucket, &body);
        assert!(bearer.starts_with("Bearer ATCT"));
        assert_eq!(slugs(&mut bitbucket, &bearer, members).len(), expected);
        assert_eq!(status(&mut bitbucket, &bearer, "/2.0/workspaces/acme"), 200);
        for (path, expected) in [
            ("/2.0/user", 401),
            ("/2.0/user/", 401),
            ("/2.0/user/emails", 401),
            ("/2.0/user/workspaces", 403),
            ("/2.0/user/workspaces/acme/permission", 403),
            ("/2.0/workspaces/beta-labs", 403),
            ("/2.0/workspaces/acme/permissions", 403),
            ("/2.0/repositories/beta-labs/lab", 404),
        ] {
            assert_eq!(status(&mut bitbucket, &bearer, path), expected, "{path}");
        }
        // It is no password.
        let token = bearer.strip_prefix("Bearer ").unwrap();
        let basic = basic("x-token-auth", token);
        assert_eq!(status(&mut bitbucket, &basic, "/2.0/workspaces/acme"), 401);
    }
    let body = json!({"workspace": "acme", "scopes": ["pipeline"]});
    let bearer = access_token(&mut bitbucket, &body);
    assert_eq!(status(&mut bitbucket, &bearer, "/2.0/workspaces/acme"), 200);
    assert_eq!(status(&mut bitbucket, &bearer, members), 403);
    for body in [
        json!({"workspace": "acme"}),
        json!({"workspace": "acme", "scopes": ["account"]}),
        json!({"workspace": "nobody", "scopes": []}),
        json!({"workspace": "acme", "scopes": [], "project": "LAB"}),
        json!({"workspace": "acme", "scopes": [], "repository": "lab"}),
        json!({"workspace": "acme", "scopes": [], "repository": "widgets", "project": "WID"}),
        json!({"workspace": "acme", "scopes": [], "token": "x"}),
    ] {
        let (status, _) = control(&mut bitbucket, "POST", "access_tokens", &body);
        assert_eq!(status, 400, "{body}");
    }
}

#[test]
fn tokens_end() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let body = json!({"workspace": "acme", "scopes": ["repository"], "lifetime": 60});
    let bearer = access_token(&mut bitbucket, &body);
    let token = bearer.strip_prefix("Bearer ").unwrap().to_owned();
    let workspace = "/2.0/workspaces/acme";
    for (now, expected) in [(1_059, 200), (1_060, 401)] {
        let answer = send(&mut bitbucket, now, &bearer, workspace);
        assert_eq!(answer.status(), expected);
    }
    let ends = |lifetime: u64| json!({"token": token, "lifetime": lifetime});
    assert_eq!(
        control(&mut bitbucket, "PUT", "tokens", &ends(5_000)).0,
        200
    );
    assert_eq!(status(&mut bitbucket, &bearer, workspace), 200);
    let revoke = json!({"token": token});
    assert_eq!(control(&mut bitbucket, "DELETE", "tokens", &revoke).0, 200);
    assert_eq!(status(&mut bitbucket, &bearer, workspace), 401);
    assert_eq!(control(&mut bitbucket, "DELETE", "tokens", &revoke).0, 400);
    assert_eq!(control(&mut bitbucket, "PUT", "tokens", &ends(1)).0, 400);
    let seen = (CredentialKind::AccessToken, 401);
    assert_eq!(bitbucket.credentials().get(&seen), Some(&2));

    let ada = basic("ada@example.com", ADAS_TOKEN);
    assert_eq!(status(&mut bitbucket, &ada, "/2.0/user"), 200);
    assert!(bitbucket.expire_token(ADAS_TOKEN, 1_000));
    assert_eq!(status(&mut bitbucket, &ada, "/2.0/user"), 401);

    let mut bitbucket = with_bot(&["account"]);
    let (_, granted) = token_of(&mut bitbucket, "bot", "s");
    let token = granted["access_token"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    assert_eq!(status(&mut bitbucket, &bearer, "/2.0/user"), 200);
    assert!(bitbucket.revoke_token(&token));
    assert_eq!(status(&mut bitbucket, &bearer, "/2.0/user"), 401);
}

#[test]
fn an_api_token_comes_with_the_address_of_its_account() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let right = basic("Ada@Example.com", ADAS_TOKEN);
    let user = send(&mut bitbucket, 1_000, &right, "/2.0/user");
    let user: Value = serde_json::from_slice(user.body()).unwrap();
    assert_eq!(
        (&user["type"], &user["account_id"]),
        (&json!("user"), &json!(ADA))
    );
    let entry = bitbucket.ledger().last().unwrap();
    assert_eq!(entry.credential, CredentialKind::ApiToken);
    assert_eq!(entry.user.as_deref(), Some("Ada@Example.com"));
    assert_eq!(entry.account_id.as_deref(), Some(ADA));
    assert_eq!(entry.client_id, None);
    for name in [
        "ada",
        "x-bitbucket-api-token-auth",
        "",
        "countess@example.net",
        "grace@example.com",
    ] {
        let wrong = basic(name, ADAS_TOKEN);
        assert_eq!(status(&mut bitbucket, &wrong, "/2.0/user"), 401, "{name}");
    }
    let bearer = format!("Bearer {ADAS_TOKEN}");
    assert_eq!(status(&mut bitbucket, &bearer, "/2.0/user"), 401);
    // With the rights of the person.
    for (path, expected) in [
        ("/2.0/user/emails", 200),
        ("/2.0/user/workspaces", 200),
        ("/2.0/user/workspaces/acme/permission", 200),
        ("/2.0/user/workspaces/acme/permissions/repositories", 200),
        ("/2.0/workspaces/acme", 200),
        ("/2.0/repositories/acme/secrets", 200),
        ("/2.0/repositories/beta-labs/lab", 404),
        ("/2.0/workspaces/beta-labs", 403),
    ] {
        assert_eq!(status(&mut bitbucket, &right, path), expected, "{path}");
    }
    bitbucket.close_account(ADA);
    assert_eq!(status(&mut bitbucket, &right, "/2.0/user"), 401);
}

#[test]
fn the_scopes_of_an_api_token_imply_nothing() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let body = json!({"account_id": GRACE, "scopes": ["write:repository:bitbucket"]});
    let (_, answer) = control(&mut bitbucket, "POST", "api_tokens", &body);
    let token = answer["token"].as_str().unwrap();
    assert!(token.starts_with("ATAT"));
    let grace = basic("grace@example.com", token);
    let answer = send(
        &mut bitbucket,
        1_000,
        &grace,
        "/2.0/repositories/acme/widgets",
    );
    let document: Value = serde_json::from_slice(answer.body()).unwrap();
    let detail = json!({
        "required": ["read:repository:bitbucket"],
        "granted": ["write:repository:bitbucket"],
    });
    assert_eq!(answer.status(), 403);
    assert_eq!(document["error"]["detail"], detail);
    for body in [
        json!({"account_id": "nobody", "scopes": []}),
        json!({"account_id": GRACE}),
        json!({"account_id": GRACE, "scopes": [], "token": "ATCT"}),
    ] {
        let (status, _) = control(&mut bitbucket, "POST", "api_tokens", &body);
        assert_eq!(status, 400, "{body}");
    }
}

#[test]
fn there_are_no_passwords_any_more() {
    let mut bitbucket = Bitbucket::new(Settings::default());
    let answer = send(&mut bitbucket, 0, &basic("ada", "ATBBdemo"), "/2.0/user");
    let document: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(answer.status(), 401);
    assert!(
        document["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("CHANGE-3222")
    );
    let answer = send(&mut bitbucket, 0, &basic("ada", "secret"), "/2.0/user");
    assert_eq!(
        (
            answer.status().as_u16(),
            answer.headers()["content-type"].to_str().unwrap()
        ),
        (401, "text/plain")
    );
    for kind in [CredentialKind::AppPassword, CredentialKind::Unknown] {
        assert_eq!(bitbucket.credentials().get(&(kind, 401)), Some(&1));
    }
}

#[test]
fn each_token_has_an_hour_of_its_own() {
    let mut bitbucket = with_bot(&["account"]);
    bitbucket.settings.api_limit = Some(2);
    let body = json!({"workspace": "acme", "scopes": ["repository"], "api_limit": 3});
    let bearer = access_token(&mut bitbucket, &body);
    let ada = basic("ada@example.com", ADAS_TOKEN);
    let (_, granted) = token_of(&mut bitbucket, "bot", "s");
    let bot = format!("Bearer {}", granted["access_token"].as_str().unwrap());
    for (authorization, path, limit) in [
        (&bearer, "/2.0/workspaces/acme", 3),
        (&ada, "/2.0/user", 2),
        (&bot, "/2.0/user", 2),
    ] {
        let answered = (0..5).filter(|_| status(&mut bitbucket, authorization, path) == 200);
        assert_eq!(answered.count(), limit);
    }
    assert_eq!(bitbucket.usage_of(ADAS_TOKEN).answered, 2);
    assert_eq!(bitbucket.usage_of("bot").refused, 3);
    assert_eq!(bitbucket.usage_of("demo-consumer").answered, 0);
}
