//! Rules in their order.

use crate::policy::PathTemplate;

/// Who a rule lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Nobody: the path is closed.
    Nobody,
    /// Everybody, without a look at who they are.
    Public,
    /// Everybody with a session.
    SignedIn,
}

/// What the upstream gets to know about who acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inject {
    /// `Authorization: Bearer` with the person's token, and the identity headers.
    Bearer,
    /// The identity headers.
    #[default]
    Identity,
    /// Nothing.
    None,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For people: log lines name it.
    pub name: Option<String>,
    /// It matches if one of these does.
    pub paths: Vec<PathTemplate>,
    /// The methods it matches, compared exactly (RFC 9110 section 9.1); `None` for all.
    pub methods: Option<Vec<String>>,
    /// Who may.
    pub allow: Allow,
    /// What is passed on.
    pub inject: Inject,
}

impl Rule {
    fn matches(&self, method: &str, path: &str) -> bool {
        let method_matches = match &self.methods {
            None => true,
            Some(methods) => methods.iter().any(|listed| listed == method),
        };
        method_matches && self.paths.iter().any(|template| template.matches(path))
    }
}

/// All rules of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// In their order.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// The first rule for `method` on the normalised `path`, and its index.
    #[must_use]
    pub fn find(&self, method: &str, path: &str) -> Option<(usize, &Rule)> {
        self.rules
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.matches(method, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, methods: Option<&[&str]>) -> Rule {
        Rule {
            name: None,
            paths: vec![PathTemplate::parse(path).unwrap()],
            methods: methods.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            allow: Allow::SignedIn,
            inject: Inject::None,
        }
    }

    #[test]
    fn the_first_match_wins_and_no_match_is_none() {
        let policy = Policy {
            rules: vec![
                rule("/api/**", Some(&["GET", "HEAD"])),
                rule("/api/admin", None),
                rule("/api/{name}", Some(&["POST"])),
            ],
        };
        let index = |method, path| policy.find(method, path).map(|(index, _)| index);
        assert_eq!(index("GET", "/api/admin"), Some(0));
        assert_eq!(index("PUT", "/api/admin"), Some(1));
        assert_eq!(index("POST", "/api/x"), Some(2));
        assert_eq!(index("PUT", "/api/x"), None);
        // Methods are case-sensitive: "get" is another method.
        assert_eq!(index("get", "/api/x"), None);
        assert_eq!(index("GET", "/"), None);
    }
}
