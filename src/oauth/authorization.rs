//! The authorization request and its response (RFC 6749 sections 4.1.1 and 4.1.2).

use std::fmt;

use crate::oauth::{AuthorizationCode, CodeVerifier, State};

/// What the browser is sent to the provider with.
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// The authorization endpoint, without a query.
    pub endpoint: &'a str,
    /// The client's id.
    pub client_id: &'a str,
    /// Where the provider sends the browser back to: always sent, always the same text.
    pub redirect_uri: &'a str,
    /// Ties the response to this browser.
    pub state: &'a State,
    /// Its challenge is sent.
    pub code_verifier: &'a CodeVerifier,
}

impl AuthorizationRequest<'_> {
    /// The address to open.
    #[must_use]
    pub fn url(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id)
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("state", self.state.expose())
            .append_pair("code_challenge", &self.code_verifier.challenge())
            .append_pair("code_challenge_method", "S256")
            .finish();
        format!("{}?{query}", self.endpoint)
    }
}

/// What the provider sent the browser back with.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthorizationResponse {
    /// The person agreed (RFC 6749 section 4.1.2).
    Granted {
        /// The one-time code.
        code: AuthorizationCode,
        /// Our state.
        state: State,
    },
    /// The person or the provider did not (RFC 6749 section 4.1.2.1).
    Refused {
        /// The error code, if it is one that RFC 6749 knows the characters of.
        error: String,
        /// Our state.
        state: State,
    },
}

/// The callback's query is no authorization response. It is never echoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidAuthorizationResponse {
    /// Both `code` and `error`, or neither of them.
    Ambiguous,
    /// No `state`.
    StateMissing,
    /// `code`, `state` or `error` twice (RFC 6749 section 3.1), empty or too long.
    Parameter,
}

impl AuthorizationResponse {
    /// The most bytes of a `code`, `state` or `error`.
    const MAX_VALUE_BYTES: usize = 4_096;

    /// Reads the query of the callback. Parameters that RFC 6749 does not name are ignored, as its
    /// section 4.1.2 asks; an access token is one of them.
    ///
    /// # Errors
    /// [`InvalidAuthorizationResponse`] says what is wrong with it.
    pub fn parse(query: &str) -> Result<Self, InvalidAuthorizationResponse> {
        let (mut code, mut state, mut error) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "code" => &mut code,
                "state" => &mut state,
                "error" => &mut error,
                _ => continue,
            };
            let fits = (1..=Self::MAX_VALUE_BYTES).contains(&value.len());
            if !fits || slot.replace(value.into_owned()).is_some() {
                return Err(InvalidAuthorizationResponse::Parameter);
            }
        }
        let state = State::new(state.ok_or(InvalidAuthorizationResponse::StateMissing)?);
        match (code, error) {
            (Some(code), None) => Ok(Self::Granted {
                code: AuthorizationCode::new(code),
                state,
            }),
            (None, Some(error)) => Ok(Self::Refused { error, state }),
            (Some(_), Some(_)) | (None, None) => Err(InvalidAuthorizationResponse::Ambiguous),
        }
    }
}

impl fmt::Display for InvalidAuthorizationResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ambiguous => "expected either code or error, but found both or neither",
            Self::StateMissing => "expected a state, but found none",
            Self::Parameter => {
                "expected each parameter once, but found one twice, empty or too long"
            }
        })
    }
}

impl std::error::Error for InvalidAuthorizationResponse {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_has_each_parameter_once_and_asks_for_a_code() {
        let url = AuthorizationRequest {
            endpoint: "https://bitbucket.org/site/oauth2/authorize",
            client_id: "id&x=1",
            redirect_uri: "https://tools.example.com/_bitgate/callback",
            state: &State::new("s"),
            code_verifier: &CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        }
        .url();
        assert_eq!(
            url,
            "https://bitbucket.org/site/oauth2/authorize?response_type=code&client_id=id%26x%3D1\
             &redirect_uri=https%3A%2F%2Ftools.example.com%2F_bitgate%2Fcallback&state=s\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
        );
    }

    #[test]
    fn responses_are_read_and_defects_refused() {
        use InvalidAuthorizationResponse::{Ambiguous, Parameter, StateMissing};
        let granted = |code: &str| AuthorizationResponse::Granted {
            code: AuthorizationCode::new(code),
            state: State::new("s"),
        };
        let refused = AuthorizationResponse::Refused {
            error: "access_denied".to_owned(),
            state: State::new("s"),
        };
        let table = [
            ("code=c&state=s", Ok(granted("c"))),
            (
                "state=s&code=x%26client_id%3Devil",
                Ok(granted("x&client_id=evil")),
            ),
            ("code=c&state=s&access_token=t&scope=a", Ok(granted("c"))),
            (
                "error=access_denied&error_description=No+way&state=s",
                Ok(refused),
            ),
            ("", Err(StateMissing)),
            ("code=c", Err(StateMissing)),
            ("state=s", Err(Ambiguous)),
            ("code=c&error=e&state=s", Err(Ambiguous)),
            ("code=a&code=b&state=s", Err(Parameter)),
            ("code=a&state=s&state=s", Err(Parameter)),
            ("code=a&state=", Err(Parameter)),
            ("code=&state=s", Err(Parameter)),
            ("state", Err(Parameter)),
        ];
        for (query, expected) in table {
            assert_eq!(AuthorizationResponse::parse(query), expected, "{query}");
        }
    }
}
