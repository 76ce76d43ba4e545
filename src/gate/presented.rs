//! What a request shows in `Authorization`, and whether it is meant for us.
//!
//! Only what the configuration claims is: a JWT of one of the `issuers`, and those of Bitbucket's own
//! tokens that `callers` accepts. A credential of ours decides alone: a bad one never falls back to the
//! cookie. Any other is somebody else's business.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::bitbucket::Credential;
use crate::config::Callers;
use crate::gate::{Gate, Reason};
use crate::host::Host;
use crate::http::Headers;
use crate::issuers::Judged;
use crate::oauth::AccessToken;

/// The most bytes of a credential; Envoy takes 60 KB of headers in all.
const MAX_BYTES: usize = 16_384;

/// The beginnings of Bitbucket's tokens that may be relied on.
const ACCESS_TOKEN: &str = "ATCT";
const API_TOKEN: &str = "ATAT";
const APP_PASSWORD: &str = "ATBB";

impl TokenKind {
    pub(super) const ALL: [Self; 3] = [Self::Access, Self::Api, Self::OAuth];

    /// The word for logs and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Api => "api_token",
            Self::OAuth => "oauth_token",
        }
    }
}

/// What a request shows.
#[derive(Debug)]
pub(super) enum Presented {
    /// Meant for us, and no good.
    Bad(Reason),
    /// It failed so often that nobody looks at it for a while.
    Failing(Reason),
    /// A JWT that names one of the issuers, and what it is worth.
    Jwt(Scheme, Judged),
    /// Nothing.
    Nothing,
    /// Something that is not meant for us.
    Others(Scheme),
    /// One of Bitbucket's own tokens, of this kind.
    Token(Scheme, TokenKind, Credential),
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RFC 7617. Browsers send it by themselves, as they do cookies.
    Basic,
    /// RFC 6750.
    Bearer,
    /// Any other.
    Other,
}

/// The kinds of Bitbucket's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Of a repository, a project or a workspace.
    Access,
    /// Of a person.
    Api,
    /// Of a person or a bot, by way of an application.
    OAuth,
}

impl Gate {
    /// What the request shows.
    pub(super) fn presented(&self, headers: &Headers, host: &mut Host<'_>) -> Presented {
        let callers = self.config.callers.as_ref();
        if callers.is_none() && self.issuers.is_empty() {
            return Presented::Nothing;
        }
        let mut values = headers.all("authorization");
        let Some(value) = values.next() else {
            return Presented::Nothing;
        };
        // Two credentials: nobody knows which one counts.
        if values.next().is_some() || value.len() > MAX_BYTES {
            return Presented::Bad(Reason::InvalidToken);
        }
        if let Some(reason) = self.failing.refused(value, host.now) {
            return Presented::Failing(reason);
        }
        // Whoever reads it behind us may be as tolerant. Reading it so costs ten times as much.
        let text = match std::str::from_utf8(value) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(value),
        };
        let text = text.trim();
        let (scheme, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            self.bearer(rest.trim_start(), callers, host)
        } else if scheme.eq_ignore_ascii_case("basic") {
            self.basic(rest.trim_start(), callers, host)
        } else {
            Presented::Others(Scheme::Other)
        }
    }

    fn bearer(&self, token: &str, callers: Option<&Callers>, host: &mut Host<'_>) -> Presented {
        if !is_token(token) {
            return Presented::Bad(Reason::InvalidToken);
        }
        let judged = self.issuers.judge(token, host);
        if !matches!(judged, Judged::NotOurs) {
            return Presented::Jwt(Scheme::Bearer, judged);
        }
        // Bitbucket's API takes it together with an address only.
        if token.starts_with(API_TOKEN) && callers.is_some_and(|callers| callers.api_tokens) {
            return Presented::Bad(Reason::ApiTokenAlone);
        }
        speaks_for_itself(Scheme::Bearer, token, callers)
    }

    fn basic(&self, pair: &str, callers: Option<&Callers>, host: &mut Host<'_>) -> Presented {
        let others = Presented::Others(Scheme::Basic);
        let Ok(decoded) = STANDARD.decode(pair) else {
            return others;
        };
        let decoded = Zeroizing::new(decoded);
        let text = std::str::from_utf8(&decoded).ok();
        let Some((user, password)) = text.and_then(|text| text.split_once(':')) else {
            return others;
        };
        if password.is_empty() && user == "x-token-auth" {
            return Presented::Bad(Reason::InvalidToken);
        }
        if !is_token(password) {
            return others;
        }
        // A step of a pipeline brings its token so, since git knows no other way.
        let judged = self.issuers.judge(password, host);
        if !matches!(judged, Judged::NotOurs) {
            return Presented::Jwt(Scheme::Basic, judged);
        }
        if password.starts_with(API_TOKEN) && callers.is_some_and(|callers| callers.api_tokens) {
            return match is_address(user) && has_length(password) {
                true => Presented::Token(
                    Scheme::Basic,
                    TokenKind::Api,
                    Credential::ApiToken {
                        email: user.to_owned(),
                        token: AccessToken::new(password),
                    },
                ),
                // Only git knows whose it is by another name.
                false => Presented::Bad(Reason::ApiTokenAlone),
            };
        }
        match user == "x-token-auth" || password.starts_with("AT") {
            true => speaks_for_itself(Scheme::Basic, password, callers),
            false => others,
        }
    }
}

/// A token that Bitbucket knows without a name beside it.
fn speaks_for_itself(scheme: Scheme, token: &str, callers: Option<&Callers>) -> Presented {
    let Some(callers) = callers else {
        return Presented::Others(scheme);
    };
    if token.starts_with(APP_PASSWORD) {
        return Presented::Bad(Reason::AppPasswordRemoved);
    }
    let kind = if token.starts_with(ACCESS_TOKEN) {
        callers.access_tokens.then_some(TokenKind::Access)
    } else if token.starts_with(API_TOKEN) {
        None
    } else {
        callers.oauth_tokens.then_some(TokenKind::OAuth)
    };
    match kind {
        None => Presented::Others(scheme),
        Some(_) if !has_length(token) => Presented::Bad(Reason::InvalidToken),
        Some(kind) => Presented::Token(scheme, kind, AccessToken::new(token).into()),
    }
}

/// `b64token` of RFC 6750 section 2.1.
fn is_token(text: &str) -> bool {
    let is_mark = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    !text.is_empty() && text.bytes().all(is_mark)
}

/// No token of Bitbucket's is shorter or longer: those of OAuth have some 2,600 characters, since 2026.
fn has_length(token: &str) -> bool {
    (20..=8_192).contains(&token.len())
}

/// An e-mail address, as far as it matters: it goes into a header and into a key.
fn is_address(user: &str) -> bool {
    user.len() <= 254 && user.contains('@') && user.bytes().all(|b| b.is_ascii_graphic())
}
