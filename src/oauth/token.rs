//! The token endpoint (RFC 6749 sections 2.3.1, 4.1.3, 5.1 and 5.2) and the bearer header (RFC 6750
//! section 2.1).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::http::{HeaderValue, Reply};
use crate::json::Json;
use crate::oauth::{AccessToken, AuthorizationCode, ClientSecret, CodeVerifier, RefreshToken};
use crate::time::Seconds;

/// How a client proves to the token endpoint who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The client's id, public.
    pub id: String,
    /// The client's secret.
    pub secret: ClientSecret,
}

impl ClientCredentials {
    /// `Authorization: Basic` with both parts form-encoded first, as RFC 6749 section 2.3.1 asks.
    ///
    /// `None` never happens: base64 is a header value. The type says so to the caller.
    #[must_use]
    pub fn basic_authorization(&self) -> Option<HeaderValue> {
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encode(&self.id), encode(self.secret.expose()));
        HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()
    }
}

/// `Authorization: Bearer` for `token`; `None` if the token is no header value.
#[must_use]
pub fn bearer_authorization(token: &AccessToken) -> Option<HeaderValue> {
    HeaderValue::try_from(bearer_parts(token).concat()).ok()
}

/// The scheme with its space, and the token: one behind the other they are the value of `Authorization`, if
/// [`bearer_authorization`] finds that they can be.
#[must_use]
pub fn bearer_parts(token: &AccessToken) -> [&str; 2] {
    ["Bearer ", token.expose()]
}

/// What is asked of the token endpoint.
#[derive(Debug)]
pub enum TokenRequest<'a> {
    /// A code for tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    AuthorizationCode {
        /// The one-time code.
        code: &'a AuthorizationCode,
        /// Exactly the one of the authorization request.
        redirect_uri: &'a str,
        /// Proves that the request comes from who asked for the code.
        code_verifier: &'a CodeVerifier,
    },
    /// A token for the client itself (RFC 6749 section 4.4.2).
    ClientCredentials,
    /// A refresh token for the next pair (RFC 6749 section 6).
    RefreshToken(&'a RefreshToken),
}

impl TokenRequest<'_> {
    /// The body, `application/x-www-form-urlencoded`.
    #[must_use]
    pub fn form(&self) -> String {
        match self {
            Self::AuthorizationCode {
                code,
                redirect_uri,
                code_verifier,
            } => form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "authorization_code")
                .append_pair("code", code.expose())
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("code_verifier", code_verifier.expose())
                .finish(),
            Self::ClientCredentials => "grant_type=client_credentials".to_owned(),
            Self::RefreshToken(token) => form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.expose())
                .finish(),
        }
    }
}

/// A successful answer of the token endpoint (RFC 6749 section 5.1).
#[derive(PartialEq)]
pub struct TokenResponse {
    /// The access token: visible ASCII, so that it can go into a header.
    pub access_token: AccessToken,
    /// The refresh token, if one was issued.
    pub refresh_token: Option<RefreshToken>,
    /// How long the access token lives, if the provider says so; at least one second.
    pub expires_in: Option<Seconds>,
    /// The whole document, for members that only one provider has.
    pub document: Json,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidTokenResponse {
    /// The provider refuses (RFC 6749 section 5.2) with this error code: lower case and `_` only.
    Refused(String),
    /// An answer that is neither a token nor a refusal; the member or part that is wrong.
    Malformed(&'static str),
    /// A status code that says that the provider cannot answer now.
    Unavailable(u16),
    /// No answer at all.
    NoAnswer(Reply),
}

impl fmt::Debug for TokenResponse {
    /// The document holds the tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

impl TokenResponse {
    /// Reads what came back.
    ///
    /// # Errors
    /// [`InvalidTokenResponse`] keeps a refusal apart from an answer that could not be had.
    pub fn read(reply: Reply) -> Result<Self, InvalidTokenResponse> {
        use InvalidTokenResponse::{Malformed, NoAnswer, Refused, Unavailable};
        let (status, media_type, body) = match reply {
            Reply::Answer {
                status,
                media_type,
                body,
                ..
            } => (status, media_type, body),
            Reply::TimedOut | Reply::TooLarge | Reply::Unreachable => return Err(NoAnswer(reply)),
        };
        let is_json = media_type == "application/json";
        match status {
            200 if is_json => {}
            200 => return Err(Malformed("content-type")),
            // RFC 6749 section 5.2 says 400 or 401; some providers say 403.
            400 | 401 | 403 => {
                let document = Json::parse_strict(&body).filter(|_| is_json);
                let error = document
                    .as_ref()
                    .and_then(|json| json.member("error")?.as_str());
                return Err(match error.filter(|code| is_error_code(code)) {
                    Some(code) => Refused(code.to_owned()),
                    // The only error that the RFC gives this status.
                    None if status == 401 => Refused("invalid_client".to_owned()),
                    None => Malformed("error"),
                });
            }
            status => return Err(Unavailable(status)),
        }
        let document = Json::parse_strict(&body).ok_or(Malformed("body"))?;
        let text = |name| document.member(name).and_then(Json::as_str);
        let token_type = text("token_type").ok_or(Malformed("token_type"))?;
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(Malformed("token_type"));
        }
        let access_token = text("access_token").filter(|token| is_token_text(token));
        let access_token = AccessToken::new(access_token.ok_or(Malformed("access_token"))?);
        let refresh_token = match document.member("refresh_token") {
            None | Some(Json::Null) => None,
            Some(Json::String(token)) if is_token_text(token) => Some(RefreshToken::new(token)),
            Some(_) => return Err(Malformed("refresh_token")),
        };
        let expires_in = match document.member("expires_in") {
            None => None,
            Some(value) => match value.as_u64() {
                Some(seconds) if seconds > 0 => Some(Seconds(seconds)),
                Some(_) | None => return Err(Malformed("expires_in")),
            },
        };
        Ok(Self {
            access_token,
            refresh_token,
            expires_in,
            document,
        })
    }
}

/// `1*VSCHAR` of RFC 6749 appendix A.12, without the space.
fn is_token_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Narrower than RFC 6749 appendix A.7: the codes in use are words, and a word can be logged.
fn is_error_code(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

impl fmt::Display for InvalidTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "expected a token, but found the refusal {error}"),
            Self::Malformed(part) => {
                write!(f, "expected a token response, but found another {part}")
            }
            Self::Unavailable(status) => write!(f, "expected a token, but found status {status}"),
            Self::NoAnswer(reply) => write!(f, "expected a token, but found {reply:?}"),
        }
    }
}

impl std::error::Error for InvalidTokenResponse {}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str, body: &str) -> Reply {
        Reply::Answer {
            status,
            media_type: media_type.to_owned(),
            body: body.as_bytes().to_vec(),
            retry_after: None,
        }
    }

    #[test]
    fn basic_encodes_both_parts_first() {
        let client = ClientCredentials {
            id: "a:b".to_owned(),
            secret: ClientSecret::new("%+ \u{e9}"),
        };
        let value = client.basic_authorization().unwrap();
        let decoded = STANDARD
            .decode(value.as_str().strip_prefix("Basic ").unwrap())
            .unwrap();
        assert_eq!(decoded, b"a%3Ab:%25%2B+%C3%A9");
    }

    #[test]
    fn a_good_answer_is_read() {
        let body = r#"{"access_token":"t.t","token_type":"bEaReR","expires_in":7200,"refresh_token":"r","scope":"a b"}"#;
        let token = TokenResponse::read(answer(200, "application/json", body)).unwrap();
        assert_eq!(token.access_token.expose(), "t.t");
        assert_eq!(token.refresh_token.unwrap().expose(), "r");
        assert_eq!(token.expires_in, Some(Seconds(7_200)));
        assert_eq!(
            token.document.member("scope").and_then(Json::as_str),
            Some("a b")
        );
    }

    #[test]
    fn refused_and_malformed_and_unavailable_are_kept_apart() {
        use InvalidTokenResponse::{Malformed, NoAnswer, Refused, Unavailable};
        let json = "application/json";
        let table = [
            (
                answer(400, json, r#"{"error":"invalid_grant"}"#),
                Refused("invalid_grant".to_owned()),
            ),
            (
                answer(403, json, r#"{"error":"invalid_grant"}"#),
                Refused("invalid_grant".to_owned()),
            ),
            (
                answer(400, json, r#"{"error":"<script>"}"#),
                Malformed("error"),
            ),
            (answer(400, "text/html", "<html>"), Malformed("error")),
            (
                answer(200, "text/html", "<html>"),
                Malformed("content-type"),
            ),
            (answer(200, json, ""), Malformed("body")),
            (answer(200, json, r#"{"access_token":"#), Malformed("body")),
            (answer(200, json, "[]"), Malformed("token_type")),
            (
                answer(200, json, r#"{"access_token":"t","token_type":"mac"}"#),
                Malformed("token_type"),
            ),
            (
                answer(200, json, r#"{"token_type":"bearer"}"#),
                Malformed("access_token"),
            ),
            (
                answer(200, json, r#"{"access_token":"","token_type":"bearer"}"#),
                Malformed("access_token"),
            ),
            (
                answer(200, json, r#"{"access_token":{},"token_type":"bearer"}"#),
                Malformed("access_token"),
            ),
            (
                answer(
                    200,
                    json,
                    r#"{"access_token":"a\r\nb","token_type":"bearer"}"#,
                ),
                Malformed("access_token"),
            ),
            (
                answer(
                    200,
                    json,
                    r#"{"access_token":"a","access_token":"b","token_type":"bearer"}"#,
                ),
                Malformed("body"),
            ),
            (
                answer(
                    200,
                    json,
                    r#"{"access_token":"t","token_type":"bearer","expires_in":0}"#,
                ),
                Malformed("expires_in"),
            ),
            (
                answer(
                    200,
                    json,
                    r#"{"access_token":"t","token_type":"bearer","expires_in":-1}"#,
                ),
                Malformed("expires_in"),
            ),
            (
                answer(
                    200,
                    json,
                    r#"{"access_token":"t","token_type":"bearer","expires_in":1e300}"#,
                ),
                Malformed("expires_in"),
            ),
            (
                answer(
                    200,
                    json,
                    r#"{"access_token":"t","token_type":"bearer","expires_in":"3600"}"#,
                ),
                Malformed("expires_in"),
            ),
            (
                answer(
                    200,
                    json,
                    r#"{"access_token":"t","token_type":"bearer","refresh_token":7}"#,
                ),
                Malformed("refresh_token"),
            ),
            (answer(302, json, ""), Unavailable(302)),
            (answer(429, "text/plain", "slow down"), Unavailable(429)),
            (answer(503, json, "{}"), Unavailable(503)),
            (Reply::TimedOut, NoAnswer(Reply::TimedOut)),
        ];
        for (reply, expected) in table {
            assert_eq!(
                TokenResponse::read(reply.clone()).unwrap_err(),
                expected,
                "{reply:?}"
            );
        }
    }
}
