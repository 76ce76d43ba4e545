//! What git is told when it is not served. Git prints a body of plain text, each line after
//! `remote: `.

use serde_json::json;

use super::Resource;
use crate::bitbucket::fault::too_many;
use crate::{Response, response};

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// With this status: two copies of Bitbucket's notice disagree, people saw 410.
    AppPassword(u16),
    /// A credential is wanted. LFS says so with this status: it was seen to say 403.
    Challenge(u16),
    /// The old protocol, which is read only and knows no permissions.
    Dumb,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    /// May read, but not write.
    ReadOnly,
    /// With the seconds of its `Retry-After`.
    TooMany(Option<u64>),
    WrongLogin,
}

impl Refusal {
    pub(super) fn response(self, resource: Resource) -> Response {
        let (status, text) = match self {
            Self::AppPassword(status) => (
                status,
                "CHANGE-3222 - Functionality has been deprecated\n\
                 App passwords are deprecated and must be replaced with API tokens.\n\
                 https://developer.atlassian.com/cloud/bitbucket/changelog#CHANGE-3222",
            ),
            Self::Challenge(status) if resource.is_lfs() => (status, "Authentication required"),
            Self::Challenge(_) => (401, "Authentication required"),
            Self::Dumb => (403, "Only the smart protocol is spoken here"),
            Self::Forbidden => (403, "Your credentials lack a required scope"),
            Self::MethodNotAllowed => (405, "Method not allowed"),
            Self::NotFound => (
                404,
                "The requested repository either does not exist or you do not have access.",
            ),
            Self::ReadOnly => (403, "You may read this repository, but not push to it"),
            Self::TooMany(retry_after) => return too_many(retry_after),
            Self::WrongLogin => (401, "Invalid credentials"),
        };
        let mut answer = match resource.is_lfs() {
            true => {
                let document = json!({"message": text}).to_string();
                response(status, "application/vnd.git-lfs+json", document)
            }
            false => response(status, "text/plain", format!("{text}\n")),
        };
        if status == 401 {
            let realm = http::HeaderValue::from_static("Basic realm=\"Bitbucket.org HTTP\"");
            answer.headers_mut().insert("www-authenticate", realm);
        }
        answer
    }
}
