//! Bitbucket's OAuth scopes and what each of them implies.
//!
//! Bitbucket does not expand them anywhere, so the reader must. Source: the page "Bitbucket Cloud
//! REST API scopes" of developer.atlassian.com.

use std::fmt;

/// What each scope brings along, one step.
const IMPLIED: [(&str, &[&str]); 12] = [
    ("account", &["email"]),
    ("account:write", &["account"]),
    ("issue:write", &["issue"]),
    ("pipeline:variable", &["pipeline:write"]),
    ("pipeline:write", &["pipeline"]),
    ("project", &["repository"]),
    ("pullrequest", &["repository"]),
    ("pullrequest:write", &["pullrequest", "repository:write"]),
    ("repository:write", &["repository"]),
    ("runner:write", &["runner"]),
    ("snippet:write", &["snippet"]),
    ("team:write", &["team"]),
];

/// A set of scopes, as they were named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl Scopes {
    /// Takes the names.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Reads the member of a token response: separated by spaces (RFC 6749 section 3.3), and by
    /// commas in old answers.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let names = text.split([' ', ',']).filter(|name| !name.is_empty());
        Self(names.map(str::to_owned).collect())
    }

    /// Whether `scope` is among them or implied by one of them.
    #[must_use]
    pub fn allow(&self, scope: &str) -> bool {
        self.0.iter().any(|name| implies(name, scope))
    }

    /// Those of `wanted` that these do not allow, in order.
    #[must_use]
    pub fn missing<'w>(&self, wanted: &'w Self) -> Vec<&'w str> {
        wanted
            .0
            .iter()
            .map(String::as_str)
            .filter(|scope| !self.allow(scope))
            .collect()
    }
}

/// The table has no cycle, and a test walks it.
fn implies(held: &str, wanted: &str) -> bool {
    held == wanted
        || IMPLIED
            .iter()
            .filter(|(name, _)| *name == held)
            .any(|(_, implied)| implied.iter().any(|next| implies(next, wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implications_are_followed_and_nothing_else_is() {
        let held = Scopes::parse("account pullrequest:write,repository:admin");
        for scope in [
            "account",
            "email",
            "pullrequest",
            "repository",
            "repository:write",
        ] {
            assert!(held.allow(scope), "{scope}");
        }
        for scope in ["account:write", "team", "", "repository:delete", "Account"] {
            assert!(!held.allow(scope), "{scope}");
        }
        // Admin is explicitly not read.
        assert!(!Scopes::parse("repository:admin").allow("repository"));
        let wanted = Scopes::parse("email team webhook");
        assert_eq!(held.missing(&wanted), ["team", "webhook"]);
    }

    #[test]
    fn the_table_ends_for_every_scope() {
        for (name, _) in IMPLIED {
            assert!(!implies(name, "no such scope"), "{name}");
        }
    }
}
