//! Answers of the API: the document, or why there is none.

use std::fmt;

use crate::http::Reply;
use crate::json::Json;
use crate::time::Seconds;

/// Why an answer of the API is of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidAnswer {
    /// Bitbucket refuses, with this status.
    Denied(u16),
    /// The token lacks these scopes, which Bitbucket names.
    LacksScope(String),
    /// An answer of another shape; the part that is wrong.
    Malformed(&'static str),
    /// There is no such thing, or none that the token may see.
    NotFound,
    /// A status that says that it cannot answer now.
    Unavailable(u16),
    /// Too many calls; when to come again, if it says so.
    RateLimited(Option<Seconds>),
    /// No answer at all.
    NoAnswer(Reply),
}

/// Reads the document of an answer.
pub(super) fn document(reply: Reply) -> Result<Json, InvalidAnswer> {
    let (status, media_type, body, retry_after) = match reply {
        Reply::Answer {
            status,
            media_type,
            body,
            retry_after,
        } => (status, media_type, body, retry_after),
        Reply::TimedOut | Reply::TooLarge | Reply::Unreachable => {
            return Err(InvalidAnswer::NoAnswer(reply));
        }
    };
    match status {
        200 if media_type == "application/json" => {
            Json::parse_strict(&body).ok_or(InvalidAnswer::Malformed("body"))
        }
        200 => Err(InvalidAnswer::Malformed("content-type")),
        403 => {
            Err(missing_scopes(&body)
                .map_or(InvalidAnswer::Denied(status), InvalidAnswer::LacksScope))
        }
        401 => Err(InvalidAnswer::Denied(status)),
        404 => Err(InvalidAnswer::NotFound),
        429 => Err(InvalidAnswer::RateLimited(retry_after)),
        status => Err(InvalidAnswer::Unavailable(status)),
    }
}

/// The scopes that Bitbucket says are missing: `{"error": {"detail": {"required": […]}}}`. Only what
/// looks like scopes is taken over into messages.
fn missing_scopes(body: &[u8]) -> Option<String> {
    let document = Json::parse_strict(body)?;
    let required = document
        .member("error")?
        .member("detail")?
        .member("required")?;
    let is_scope = |name: &&str| {
        let is_mark = |b: u8| b.is_ascii_lowercase() || b == b':' || b == b'-';
        (1..=32).contains(&name.len()) && name.bytes().all(is_mark)
    };
    let names = required.as_array()?.iter().filter_map(Json::as_str);
    let names: Vec<&str> = names.filter(is_scope).take(8).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// What goes into headers and into keys: visible ASCII of a bounded length. Atlassian's ids have
/// 24 to 43 characters.
#[must_use]
pub fn is_account_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

impl fmt::Display for InvalidAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(status) => {
                write!(f, "expected an active person, but found status {status}")
            }
            Self::LacksScope(names) => write!(f, "expected a token with {names}, but found less"),
            Self::Malformed(part) => write!(f, "expected an answer, but found another {part}"),
            Self::NotFound => f.write_str("expected an answer, but found status 404"),
            Self::Unavailable(status) => write!(f, "expected an answer, but found status {status}"),
            Self::RateLimited(_) => f.write_str("expected an answer, but found status 429"),
            Self::NoAnswer(reply) => write!(f, "expected an answer, but found {reply:?}"),
        }
    }
}

impl std::error::Error for InvalidAnswer {}
