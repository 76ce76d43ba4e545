//! `/2.0/…`: bearer header only, 410 on what was removed.

use serde_json::{Value, json};

use crate::bitbucket::Bitbucket;
use crate::bitbucket::ledger::Entry;
use crate::{Request, Response, header, json};

/// Removed in April 2026 (CHANGE-2770).
const REMOVED: [&str; 4] = [
    "/2.0/workspaces",
    "/2.0/repositories",
    "/2.0/user/permissions/workspaces",
    "/2.0/user/permissions/repositories",
];

impl Bitbucket {
    pub(super) fn api(&mut self, now: u64, request: &Request, entry: &mut Entry) -> Response {
        let path = request.uri().path();
        let path = path.strip_suffix('/').unwrap_or(path);
        let query = request.uri().query().unwrap_or("");
        let in_query =
            form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "access_token");
        let in_body =
            form_urlencoded::parse(request.body()).any(|(name, _)| name == "access_token");
        let token =
            header(request, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        let subject = token.and_then(|token| self.grants.subject_of(token, now));
        let Some(subject) = subject.filter(|_| !in_query && !in_body) else {
            return unauthorized();
        };
        entry.account_id.clone_from(&subject.account_id);
        if REMOVED.contains(&path) {
            return removed();
        }
        if *request.method() != http::Method::GET {
            return error(405, "Method not allowed");
        }
        let person = subject.account_id.as_ref().and_then(|id| {
            self.settings
                .people
                .iter()
                .find(|person| person.account_id == *id)
        });
        let may = |scope: &str| subject.scopes.iter().any(|held| implies(held, scope));
        match path {
            "/2.0/user" if !may("account") => lacks_scope("account", &subject.scopes),
            "/2.0/user" => match person {
                None => json(
                    200,
                    &json!({
                        "type": "app_user",
                        "account_id": format!("app:{}", subject.client_id),
                        "uuid": "{99999999-1111-4222-8333-444444444444}",
                        "account_status": "active",
                        "display_name": subject.client_id,
                        "kind": "consumer",
                    }),
                ),
                Some(person) => json(
                    200,
                    &json!({
                        "type": "user",
                        "account_id": person.account_id,
                        "uuid": person.uuid,
                        "nickname": person.nickname,
                        "display_name": person.display_name,
                        "username": person.nickname,
                        "account_status": "active",
                        "is_staff": false,
                        "links": {},
                    }),
                ),
            },
            "/2.0/user/emails" if !may("email") => lacks_scope("email", &subject.scopes),
            "/2.0/user/emails" => {
                let emails = person
                    .map(|person| person.emails.as_slice())
                    .unwrap_or_default();
                let values: Vec<Value> = emails
                    .iter()
                    .map(|email| {
                        json!({
                            "type": "email",
                            "email": email.email,
                            "is_primary": email.is_primary,
                            "is_confirmed": email.is_confirmed,
                            "links": {},
                        })
                    })
                    .collect();
                json(
                    200,
                    &json!({"values": values, "pagelen": 10, "page": 1, "size": emails.len()}),
                )
            }
            _ => error(404, "Resource not found"),
        }
    }
}

/// As far as the scopes of the endpoints here go.
fn implies(held: &str, wanted: &str) -> bool {
    held == wanted
        || matches!(
            (held, wanted),
            ("account", "email") | ("account:write", "account" | "email")
        )
}

fn error(status: u16, message: &str) -> Response {
    json(
        status,
        &json!({"type": "error", "error": {"message": message}}),
    )
}

fn unauthorized() -> Response {
    let message = "Token is invalid, expired, or not supported for this endpoint.";
    let mut answer = error(401, message);
    let realm = http::HeaderValue::from_static("OAuth realm=\"Bitbucket.org HTTP\"");
    answer.headers_mut().insert("www-authenticate", realm);
    answer
}

fn lacks_scope(required: &str, granted: &[String]) -> Response {
    json(
        403,
        &json!({"type": "error", "error": {
            "message": "Your credentials lack one or more required privilege scopes.",
            "detail": {"required": [required], "granted": granted},
        }}),
    )
}

fn removed() -> Response {
    json(
        410,
        &json!({"type": "error", "error": {
            "message": "CHANGE-2770 - Functionality has been deprecated",
            "detail": "Please read the changelog entry for more details.",
            "data": {"announcement_url": "https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-2770"},
        }}),
    )
}
