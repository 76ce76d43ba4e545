//! What Bitbucket is asked with. It takes no other credential anywhere but in this header.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::http::HeaderValue;
use crate::oauth::{AccessToken, bearer_authorization};

/// A credential, as the API and git take it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A person's API token, which the API takes together with the address of the account.
    ApiToken {
        /// The e-mail address of the Atlassian account: visible ASCII without `:`.
        email: String,
        /// The token.
        token: AccessToken,
    },
    /// A token that speaks for itself: of OAuth, or an access token of a repository, a project or a
    /// workspace.
    Token(AccessToken),
}

/// Without the address: that is personal.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiToken { .. } => "ApiToken(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

impl Credential {
    /// `Authorization` for the API; `None` if the token is no header value.
    #[must_use]
    pub fn authorization(&self) -> Option<HeaderValue> {
        match self {
            Self::ApiToken { email, token } => basic(email, token),
            Self::Token(token) => bearer_authorization(token),
        }
    }

    /// `Authorization` as git sends it: by the name of the user Bitbucket knows what the password is.
    #[must_use]
    pub fn git_authorization(&self) -> Option<HeaderValue> {
        match self {
            Self::ApiToken { token, .. } => basic("x-bitbucket-api-token-auth", token),
            Self::Token(token) => git_authorization(token),
        }
    }

    /// The token in it.
    #[must_use]
    pub fn token(&self) -> &AccessToken {
        match self {
            Self::ApiToken { token, .. } | Self::Token(token) => token,
        }
    }
}

/// `Authorization: Basic` for a token that speaks for itself, as git sends it; `None` if that is no
/// header value.
#[must_use]
pub fn git_authorization(token: &AccessToken) -> Option<HeaderValue> {
    basic("x-token-auth", token)
}

impl From<AccessToken> for Credential {
    fn from(token: AccessToken) -> Self {
        Self::Token(token)
    }
}

/// RFC 7617 section 2.
fn basic(user: &str, password: &AccessToken) -> Option<HeaderValue> {
    let pair = zeroize::Zeroizing::new(format!("{user}:{}", password.expose()));
    HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.as_bytes()))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_credential_has_a_form_for_the_api_and_one_for_git() {
        let token = AccessToken::new("t");
        let email = "ada@corp.example".to_owned();
        let api_token = Credential::ApiToken {
            email,
            token: token.clone(),
        };
        let rows = [
            (
                Credential::Token(token),
                "Bearer t".to_owned(),
                "x-token-auth:t",
            ),
            (
                api_token,
                format!("Basic {}", STANDARD.encode("ada@corp.example:t")),
                "x-bitbucket-api-token-auth:t",
            ),
        ];
        for (credential, api, git) in rows {
            assert_eq!(credential.authorization().unwrap().as_str(), api);
            let git = format!("Basic {}", STANDARD.encode(git));
            assert_eq!(credential.git_authorization().unwrap().as_str(), git);
            assert!(!format!("{credential:?}").contains("\"t\""));
        }
    }
}
