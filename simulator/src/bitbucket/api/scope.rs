//! Which scopes a resource needs, and what they imply.

use super::refusal::Refusal;
use super::route::Route;

/// The scopes that a resource needs, all of them. That of `…/permissions/repositories` is not
/// documented: both are the stricter reading.
pub(super) fn required(route: &Route) -> &'static [&'static str] {
    match route {
        Route::Emails => &["email"],
        Route::Groups(_)
        | Route::Permissions(_)
        | Route::User
        | Route::UserPermission(_)
        | Route::UserWorkspaces
        | Route::Workspace(_) => &["account"],
        Route::Repositories(_) | Route::Repository(..) => &["repository"],
        Route::RepositoryPermissions(_)
        | Route::RepositoryPermissionsOn(..)
        | Route::UserRepositoryPermissions(_) => &["account", "repository"],
        Route::Authorize
        | Route::OidcDiscovery(_)
        | Route::OidcKeys(_)
        | Route::Removed
        | Route::Token
        | Route::Unknown => &[],
    }
}

/// The scopes of an API token that a resource needs, all of them: these imply nothing. Which ones
/// the less used resources need is not documented.
fn required_of_api_token(route: &Route) -> &'static [&'static str] {
    match route {
        Route::User | Route::Emails => &["read:user:bitbucket"],
        Route::UserPermission(_) | Route::UserWorkspaces => {
            &["read:user:bitbucket", "read:workspace:bitbucket"]
        }
        Route::UserRepositoryPermissions(_) => &[
            "read:repository:bitbucket",
            "read:user:bitbucket",
            "read:workspace:bitbucket",
        ],
        Route::Workspace(_) => &["read:workspace:bitbucket"],
        Route::Repositories(_) | Route::Repository(..) => &["read:repository:bitbucket"],
        Route::Groups(_) | Route::Permissions(_) => &["admin:workspace:bitbucket"],
        Route::RepositoryPermissions(_) | Route::RepositoryPermissionsOn(..) => {
            &["admin:workspace:bitbucket", "read:repository:bitbucket"]
        }
        Route::Authorize
        | Route::OidcDiscovery(_)
        | Route::OidcKeys(_)
        | Route::Removed
        | Route::Token
        | Route::Unknown => &[],
    }
}

/// As [`check`], for API tokens.
pub(super) fn check_api_token(route: &Route, granted: &[String]) -> Result<(), Refusal> {
    let required = required_of_api_token(route);
    let is_held = |wanted: &&str| granted.iter().any(|held| held == wanted);
    missing_unless(required.iter().all(is_held), required, granted)
}

/// Errors bodies name what was granted as it was granted, without what that implies.
pub(super) fn check(required: &[&str], granted: &[String]) -> Result<(), Refusal> {
    let is_held = |wanted: &&str| granted.iter().any(|held| implies(held, wanted));
    missing_unless(required.iter().all(is_held), required, granted)
}

fn missing_unless(is_held: bool, required: &[&str], granted: &[String]) -> Result<(), Refusal> {
    if is_held {
        return Ok(());
    }
    Err(Refusal::LacksScopes {
        required: required.iter().map(|scope| (*scope).to_owned()).collect(),
        granted: granted.to_vec(),
    })
}

/// Whether who holds one scope has what another one is for. `repository:admin` and
/// `project:admin` imply nothing.
pub(in crate::bitbucket) fn implies(held: &str, wanted: &str) -> bool {
    held == wanted || implied_by(held).iter().any(|next| implies(next, wanted))
}

fn implied_by(scope: &str) -> &'static [&'static str] {
    match scope {
        "account" => &["email"],
        "account:write" => &["account"],
        "issue:write" => &["issue"],
        "pipeline:write" => &["pipeline"],
        "project" | "pullrequest" | "repository:write" => &["repository"],
        "pullrequest:write" => &["pullrequest", "repository:write"],
        "runner:write" => &["runner"],
        "snippet:write" => &["snippet"],
        "team:write" => &["team"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implications_run_one_way_and_all_the_way() {
        for (held, wanted) in [
            ("account", "email"),
            ("account:write", "email"),
            ("repository:write", "repository"),
            ("pullrequest", "repository"),
            ("pullrequest:write", "repository:write"),
            ("pullrequest:write", "repository"),
            ("project", "repository"),
        ] {
            assert!(implies(held, wanted), "{held} {wanted}");
            assert!(!implies(wanted, held), "{wanted} {held}");
        }
        for held in [
            "repository:admin",
            "repository:delete",
            "project:admin",
            "webhook",
            "team",
            "pipeline:variable",
        ] {
            for wanted in [
                "repository",
                "repository:write",
                "account",
                "email",
                "pipeline",
            ] {
                assert!(!implies(held, wanted), "{held} {wanted}");
            }
        }
    }
}
