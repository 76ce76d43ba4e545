//! Which resource a path is.

/// A resource of either host. `{workspace}` and `{repository}` are slugs or UUIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bitbucket) enum Route {
    Authorize,
    Emails,
    Groups(String),
    OidcDiscovery(String),
    OidcKeys(String),
    Permissions(String),
    Removed,
    Repositories(String),
    Repository(String, String),
    RepositoryPermissions(String),
    RepositoryPermissionsOn(String, String),
    Token,
    Unknown,
    User,
    UserPermission(String),
    UserRepositoryPermissions(String),
    UserWorkspaces,
    Workspace(String),
}

impl Route {
    /// Reads a path as it was sent. A segment is decoded once.
    pub(in crate::bitbucket) fn read(path: &str) -> Self {
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Option<Vec<String>> = path.split('/').skip(1).map(decode).collect();
        let segments = segments.unwrap_or_default();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let text = |text: &str| text.to_owned();
        match segments.as_slice() {
            ["site", "oauth2", "authorize"] => Self::Authorize,
            ["site", "oauth2", "access_token"] => Self::Token,
            // Removed in April 2026 (CHANGE-2770).
            ["2.0", "workspaces" | "repositories"]
            | ["2.0", "user", "permissions", "workspaces" | "repositories"] => Self::Removed,
            ["2.0", "user"] => Self::User,
            ["2.0", "user", "emails"] => Self::Emails,
            ["2.0", "user", "workspaces"] => Self::UserWorkspaces,
            ["2.0", "user", "workspaces", workspace, "permission"] => {
                Self::UserPermission(text(workspace))
            }
            [
                "2.0",
                "user",
                "workspaces",
                workspace,
                "permissions",
                "repositories",
            ] => Self::UserRepositoryPermissions(text(workspace)),
            ["2.0", "workspaces", workspace] => Self::Workspace(text(workspace)),
            ["2.0", "workspaces", workspace, "permissions"] => Self::Permissions(text(workspace)),
            [
                "2.0",
                "workspaces",
                workspace,
                "permissions",
                "repositories",
            ] => Self::RepositoryPermissions(text(workspace)),
            [
                "2.0",
                "workspaces",
                workspace,
                "permissions",
                "repositories",
                repository,
            ] => Self::RepositoryPermissionsOn(text(workspace), text(repository)),
            [
                "2.0",
                "workspaces",
                workspace,
                "pipelines-config",
                "identity",
                "oidc",
                rest @ ..,
            ] => match rest {
                [".well-known", "openid-configuration"] => Self::OidcDiscovery(text(workspace)),
                ["keys.json"] => Self::OidcKeys(text(workspace)),
                _ => Self::Unknown,
            },
            ["2.0", "repositories", workspace] => Self::Repositories(text(workspace)),
            ["2.0", "repositories", workspace, repository] => {
                Self::Repository(text(workspace), text(repository))
            }
            ["1.0", "groups", workspace] => Self::Groups(text(workspace)),
            _ => Self::Unknown,
        }
    }

    /// The path with names in the place of values.
    pub(in crate::bitbucket) fn kind(&self) -> &'static str {
        match self {
            Self::Authorize => "/site/oauth2/authorize",
            Self::Emails => "/2.0/user/emails",
            Self::Groups(_) => "/1.0/groups/{workspace}",
            Self::OidcDiscovery(_) => {
                "/2.0/workspaces/{workspace}/pipelines-config/identity/oidc/.well-known/openid-configuration"
            }
            Self::OidcKeys(_) => {
                "/2.0/workspaces/{workspace}/pipelines-config/identity/oidc/keys.json"
            }
            Self::Permissions(_) => "/2.0/workspaces/{workspace}/permissions",
            Self::Removed => "removed",
            Self::Repositories(_) => "/2.0/repositories/{workspace}",
            Self::Repository(..) => "/2.0/repositories/{workspace}/{repository}",
            Self::RepositoryPermissions(_) => {
                "/2.0/workspaces/{workspace}/permissions/repositories"
            }
            Self::RepositoryPermissionsOn(..) => {
                "/2.0/workspaces/{workspace}/permissions/repositories/{repository}"
            }
            Self::Token => "/site/oauth2/access_token",
            Self::Unknown => "unknown",
            Self::User => "/2.0/user",
            Self::UserPermission(_) => "/2.0/user/workspaces/{workspace}/permission",
            Self::UserRepositoryPermissions(_) => {
                "/2.0/user/workspaces/{workspace}/permissions/repositories"
            }
            Self::UserWorkspaces => "/2.0/user/workspaces",
            Self::Workspace(_) => "/2.0/workspaces/{workspace}",
        }
    }
}

/// RFC 3986 section 2.1; `None` if it is no text.
pub(in crate::bitbucket) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_once() {
        let uuid = "{77aa0000-1111-4222-8333-444455556666}".to_owned();
        let encoded = "/2.0/workspaces/%7B77aa0000-1111-4222-8333-444455556666%7d";
        assert_eq!(Route::read(encoded), Route::Workspace(uuid));
        let twice = Route::read("/2.0/workspaces/%257Bx%257D/");
        assert_eq!(twice, Route::Workspace("%7Bx%7D".to_owned()));
        // A slash in a name is a part of the name.
        let slash = Route::read("/2.0/repositories/a%2Fb");
        assert_eq!(slash, Route::Repositories("a/b".to_owned()));
        for path in [
            "/2.0/workspaces/%7",
            "/2.0/workspaces/%zz",
            "/2.0/workspaces/%ff",
            "/2.0//user",
            "/2.0/user//",
            "/3.0/user",
            "",
            "/",
        ] {
            assert_eq!(Route::read(path), Route::Unknown, "{path}");
        }
        assert_eq!(Route::read("/2.0/user/"), Route::User);
    }
}
