//! What the API says when it does not answer.

use serde_json::{Value, json};

use crate::{Response, json, response};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Removed in July 2026. The API's body was not seen; the text is that of git.
    AppPassword,
    BadRequest(String),
    Forbidden,
    LacksScopes {
        required: Vec<String>,
        granted: Vec<String>,
    },
    MethodNotAllowed,
    NotFound(String),
    Removed,
    Unauthorized,
    /// A name and a password, as if there still were such.
    WrongLogin,
}

impl Refusal {
    pub(super) fn no_workspace(name: &str) -> Self {
        Self::NotFound(format!("No workspace with identifier '{name}'."))
    }

    pub(super) fn no_repository(workspace: &str, repository: &str) -> Self {
        Self::NotFound(format!("Repository {workspace}/{repository} not found"))
    }

    pub(super) fn response(self) -> Response {
        match self {
            Self::AppPassword => {
                let changelog =
                    "https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-3222";
                let error = json!({
                    "message": "CHANGE-3222 - Functionality has been deprecated",
                    "detail": "App passwords are deprecated and must be replaced with API tokens.",
                    "data": {"announcement_url": changelog},
                });
                challenged(envelope(401, &error))
            }
            Self::BadRequest(message) => envelope(400, &json!({"message": message})),
            Self::Forbidden => envelope(403, &json!({"message": "Forbidden"})),
            Self::LacksScopes { required, granted } => lacks_scopes(&required, &granted),
            Self::MethodNotAllowed => envelope(405, &json!({"message": "Method not allowed"})),
            Self::NotFound(message) => envelope(404, &json!({"message": message})),
            Self::Removed => {
                let changelog =
                    "https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-2770";
                let error = json!({
                    "message": "CHANGE-2770 - Functionality has been deprecated",
                    "detail": "Please read the changelog entry for more details.",
                    "data": {"announcement_url": changelog},
                });
                envelope(410, &error)
            }
            Self::Unauthorized => {
                let message = "Token is invalid, expired, or not supported for this endpoint.";
                challenged(envelope(401, &json!({"message": message})))
            }
            Self::WrongLogin => {
                let text = "Login failed due to incorrect login credentials or method.";
                challenged(response(401, "text/plain", text))
            }
        }
    }
}

fn challenged(mut answer: Response) -> Response {
    let realm = http::HeaderValue::from_static("OAuth realm=\"Bitbucket.org HTTP\"");
    answer.headers_mut().insert("www-authenticate", realm);
    answer
}

fn lacks_scopes(required: &[String], granted: &[String]) -> Response {
    let error = json!({
        "message": "Your credentials lack one or more required privilege scopes.",
        "detail": {"required": required, "granted": granted},
    });
    let mut answer = envelope(403, &error);
    for (name, scopes) in [
        ("x-oauth-scopes", granted),
        ("x-accepted-oauth-scopes", required),
    ] {
        if let Ok(value) = scopes.join(", ").parse() {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn envelope(status: u16, error: &Value) -> Response {
    json(status, &json!({"type": "error", "error": error}))
}
