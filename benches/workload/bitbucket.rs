//! Bitbucket as far as a sign-in, rights and keys need it: one person, one repository, one key.

use bitgate::http::{Call, Reply};
use serde_json::{Value, json};

pub const WORKSPACE: &str = "{77aa0000-1111-4222-8333-444455556666}";
pub const REPOSITORY: &str = "{99cc0000-1111-4222-8333-444455556666}";

/// The token of a step of `acme/widgets`, signed with the first key of the simulator
/// (simulator/src/bitbucket/pipelines/keys/1.pem) for the hour of [`super::host::NOW`].
pub const STEP_TOKEN: &str = include_str!("pipelines-token.jwt").trim_ascii();

const KEYS: &str = include_str!("pipelines-keys.json");

/// Answers a call, with tokens of `token_bytes`.
pub fn answer(call: &Call, token_bytes: usize) -> Reply {
    let (path, _) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let document = match path {
        "/site/oauth2/access_token" => json!({
            "access_token": "a".repeat(token_bytes),
            "refresh_token": "r".repeat(token_bytes),
            "expires_in": 7_200,
            "token_type": "Bearer",
            "scope": "account email repository",
        }),
        "/2.0/user" => json!({
            "type": "user",
            "account_id": "557058:3f2a9c04-0b1d-4e5f-8a67-1c2d3e4f5a6b",
            "account_status": "active",
            "nickname": "Ada",
        }),
        "/2.0/user/emails" => json!({
            "values": [{"email": "ada@example.com", "is_primary": true, "is_confirmed": true}],
        }),
        _ if path.ends_with("/permissions/repositories") => json!({
            "values": [{
                "permission": "write",
                "repository": {"full_name": "acme/widgets", "uuid": REPOSITORY},
            }],
        }),
        _ if path.ends_with("/keys.json") => KEYS.parse::<Value>().unwrap(),
        _ => panic!("expected a call that is answered here, but found {path}"),
    };
    Reply::Answer {
        status: 200,
        media_type: "application/json".to_owned(),
        body: document.to_string().into_bytes(),
        retry_after: None,
    }
}
