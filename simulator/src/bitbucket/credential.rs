//! What a caller can show: OAuth tokens of people and consumers, access tokens, API tokens, and what
//! looks like one and is none.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use serde_json::Value;

/// What an access token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessTokenKind {
    /// A project: its key.
    Project(String),
    /// One repository: its UUID, with the braces.
    Repository(String),
    /// A whole workspace.
    Workspace,
}

/// A token of a workspace, a project or a repository (`ATCT…`): nobody's account, and no OAuth.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token itself.
    pub token: String,
    /// What it is for.
    pub kind: AccessTokenKind,
    /// The UUID of its workspace, with the braces.
    pub workspace: String,
    /// Its scopes. `account` is none that it can have.
    pub scopes: Vec<String>,
    /// Whether it may do what is for administrators of the workspace only.
    pub is_admin: bool,
    /// From when it is refused.
    pub expires_at: Option<u64>,
    /// Calls that it may make in an hour, where that is not `Settings::api_limit`: the limit
    /// grows with the seats of a workspace, for access tokens only.
    pub api_limit: Option<u64>,
}

/// A token of a person (`ATAT…`), with scopes such as `read:user:bitbucket`.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// The token itself.
    pub token: String,
    /// Whose it is.
    pub account_id: String,
    /// Its scopes. To write does not imply to read.
    pub scopes: Vec<String>,
    /// From when it is refused.
    pub expires_at: Option<u64>,
}

/// What a request was sent with, good or not: what it is by its shape, if it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CredentialKind {
    /// An access token of a repository, a project or a workspace.
    AccessToken,
    /// An API token of a person.
    ApiToken,
    /// An app password, of which there are none any more.
    AppPassword,
    /// An OAuth token of a consumer as itself.
    AppUser,
    /// Key and secret of a consumer.
    Consumer,
    /// What opens one object of LFS.
    Media,
    /// None.
    None,
    /// An OAuth token of a person.
    OAuth,
    /// The identity of a step of Pipelines, which is good for nothing here.
    StepToken,
    /// Something else.
    Unknown,
}

impl CredentialKind {
    /// The word of the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::ApiToken => "api_token",
            Self::AppPassword => "app_password",
            Self::AppUser => "app_user",
            Self::Consumer => "consumer",
            Self::Media => "media",
            Self::None => "none",
            Self::OAuth => "oauth",
            Self::StepToken => "step_token",
            Self::Unknown => "unknown",
        }
    }

    /// What a token looks like. Atlassian's prefixes may be relied on; OAuth tokens have none.
    pub(super) fn of(token: &str) -> Self {
        if token.starts_with("ATCT") {
            Self::AccessToken
        } else if token.starts_with("ATAT") {
            Self::ApiToken
        } else if token.starts_with("ATBB") {
            Self::AppPassword
        } else if is_step_token(token) {
            Self::StepToken
        } else {
            Self::Unknown
        }
    }
}

fn is_step_token(token: &str) -> bool {
    let claims = || {
        let payload = token.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        serde_json::from_slice::<Value>(&payload).ok()
    };
    let issuer = claims().and_then(|claims| Some(claims.get("iss")?.as_str()?.to_owned()));
    issuer.is_some_and(|issuer| issuer.ends_with("/pipelines-config/identity/oidc"))
}

/// An `Authorization` field as it was sent.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Authorization {
    Absent,
    Basic {
        user: String,
        password: String,
    },
    Bearer(String),
    /// Twice, or of another scheme, or malformed.
    Unreadable,
}

impl Authorization {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let mut fields = headers.get_all("authorization").iter();
        let field = match (fields.next(), fields.next()) {
            (None, _) => return Self::Absent,
            (Some(field), None) => field.to_str().unwrap_or_default(),
            (Some(_), Some(_)) => return Self::Unreadable,
        };
        if let Some(token) = field.strip_prefix("Bearer ") {
            return Self::Bearer(token.to_owned());
        }
        let pair = field.strip_prefix("Basic ").and_then(|encoded| {
            let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
            let (user, password) = pair.split_once(':')?;
            Some((user.to_owned(), password.to_owned()))
        });
        match pair {
            Some((user, password)) => Self::Basic { user, password },
            None => Self::Unreadable,
        }
    }

    /// What it looks like.
    pub(super) fn kind(&self) -> CredentialKind {
        match self {
            Self::Absent => CredentialKind::None,
            Self::Basic { password, .. } => CredentialKind::of(password),
            Self::Bearer(token) => CredentialKind::of(token),
            Self::Unreadable => CredentialKind::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_is_read_strictly() {
        let read = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append("authorization", field.parse().unwrap());
            }
            Authorization::read(&headers)
        };
        let basic = |user: &str, password: &str| Authorization::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        assert!(read(&[]) == Authorization::Absent);
        assert!(read(&["Bearer t"]) == Authorization::Bearer("t".to_owned()));
        assert!(read(&["Basic YTpiOmM="]) == basic("a", "b:c"));
        for fields in [
            &["Basic YTpi", "Basic YTpi"][..],
            &["Basic YQ=="],
            &["Basic !"],
            &["Digest x"],
            &["JWT x"],
            &[""],
        ] {
            assert!(read(fields) == Authorization::Unreadable, "{fields:?}");
        }
    }

    #[test]
    fn kinds_are_told_by_their_shape() {
        let claims = URL_SAFE_NO_PAD
            .encode(r#"{"iss":"https://b/2.0/workspaces/a/pipelines-config/identity/oidc"}"#);
        for (token, kind) in [
            ("ATCTT3x", CredentialKind::AccessToken),
            ("ATATT3x", CredentialKind::ApiToken),
            ("ATBBx", CredentialKind::AppPassword),
            (&format!("e30.{claims}.x"), CredentialKind::StepToken),
            ("e30.e30.x", CredentialKind::Unknown),
            ("", CredentialKind::Unknown),
        ] {
            assert_eq!(CredentialKind::of(token), kind, "{token}");
        }
    }
}
