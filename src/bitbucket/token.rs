//! Bitbucket's token endpoint, and how its answers differ from RFC 6749.

use crate::bitbucket::{Endpoint, Scopes};
use crate::http::{Call, HeaderValue, Reply};
use crate::json::Json;
use crate::oauth::{ClientCredentials, InvalidTokenResponse, TokenRequest, TokenResponse};
use crate::session::{Grant, USUAL_LIFETIME};
use crate::time::UnixTime;

/// The path of the authorization endpoint on the web host.
pub const AUTHORIZE_PATH: &str = "/site/oauth2/authorize";

const TOKEN_PATH: &str = "/site/oauth2/access_token";

/// The token request: client credentials as Basic, because those in the body are not documented.
#[must_use]
pub fn token_call(web: &Endpoint, client: &ClientCredentials, request: &TokenRequest<'_>) -> Call {
    let mut call = web.call("POST", TOKEN_PATH);
    if let Some(value) = client.basic_authorization() {
        call.headers.push(("authorization", value));
    }
    let form = HeaderValue::fixed("application/x-www-form-urlencoded");
    call.headers.push(("content-type", form));
    call.body = request.form().into_bytes();
    call
}

/// Tokens, and what they are good for.
#[derive(Debug)]
pub struct Granted {
    /// The pair.
    pub grant: Grant,
    /// What the token says it may; `None` if the answer did not say.
    pub scopes: Option<Scopes>,
}

impl Granted {
    /// Reads the answer of the token endpoint at `now`, from both worlds: migrated consumers get
    /// `scope`, older ones `scopes`; not every consumer gets a refresh token.
    ///
    /// # Errors
    /// [`InvalidTokenResponse`].
    pub fn read(reply: Reply, now: UnixTime) -> Result<Self, InvalidTokenResponse> {
        let response = TokenResponse::read(reply)?;
        let member = |name| {
            response
                .document
                .member(name)
                .filter(|value| **value != Json::Null)
        };
        let text = match member("scope").or_else(|| member("scopes")) {
            None => None,
            Some(Json::String(text)) => Some(text.clone()),
            Some(_) => return Err(InvalidTokenResponse::Malformed("scope")),
        };
        let lifetime = response.expires_in.unwrap_or(USUAL_LIFETIME);
        let grant = Grant {
            access_token: response.access_token,
            refresh_token: response.refresh_token,
            expires_at: now.plus(lifetime),
            lifetime,
            scopes: text,
        };
        let scopes = grant.scopes.as_deref().map(Scopes::parse);
        Ok(Self { grant, scopes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Granted, InvalidTokenResponse> {
        let reply = Reply::Answer {
            status: 200,
            media_type: "application/json".to_owned(),
            body: body.as_bytes().to_vec(),
            retry_after: None,
        };
        Granted::read(reply, UnixTime(1_000))
    }

    #[test]
    fn both_worlds_are_read() {
        let legacy = r#"{"access_token":"t","scopes":"account email","expires_in":3600,
            "token_type":"bearer","state":"authorization_code","refresh_token":"r"}"#;
        let legacy = read(legacy).unwrap();
        assert_eq!(legacy.scopes, Some(Scopes::parse("account email")));
        assert_eq!(legacy.grant.expires_at, UnixTime(4_600));
        let migrated = r#"{"access_token":"t.t.t","scope":"account","token_type":"Bearer"}"#;
        let migrated = read(migrated).unwrap();
        assert_eq!(migrated.scopes, Some(Scopes::parse("account")));
        assert_eq!(migrated.grant.expires_at, UnixTime(8_200));
        assert_eq!(migrated.grant.refresh_token, None);
    }

    #[test]
    fn a_scope_that_is_no_text_is_malformed_and_a_missing_one_is_not() {
        let with = |member: &str| {
            read(&format!(
                r#"{{"access_token":"t","token_type":"bearer"{member}}}"#
            ))
        };
        assert_eq!(with("").unwrap().scopes, None);
        assert_eq!(with(r#","scope":null"#).unwrap().scopes, None);
        assert_eq!(
            with(r#","scope":["a"]"#).unwrap_err(),
            InvalidTokenResponse::Malformed("scope")
        );
    }
}
