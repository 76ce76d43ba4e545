//! The section `callers`: Bitbucket's own tokens, brought along by programs and by git.

use crate::config::reader::{Node, Reader};
use crate::policy::Name;

/// Calls an hour for callers that nobody knows yet.
const UNKNOWN_BUDGET: u32 = 100;

/// Which of Bitbucket's tokens are taken from callers.
#[derive(Clone, Debug)]
pub struct Callers {
    /// Access tokens of repositories, projects and workspaces.
    pub access_tokens: bool,
    /// API tokens of people, with their e-mail address.
    pub api_tokens: bool,
    /// Access tokens of OAuth, from any application.
    pub oauth_tokens: bool,
    /// The workspace that access tokens must belong to: there with `access_tokens`.
    pub workspace: Option<Name>,
    /// Calls an hour about callers that are known.
    pub api_budget: u32,
    /// Calls an hour about callers that nobody knows yet, so that made-up tokens use up no more.
    pub unknown_budget: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Access,
    Api,
    OAuth,
}

const KINDS: [(&str, Kind); 3] = [
    ("access_tokens", Kind::Access),
    ("api_tokens", Kind::Api),
    ("oauth_tokens", Kind::OAuth),
];

impl Reader<'_> {
    /// The section itself.
    pub(super) fn callers(&self, node: &Node<'_>) -> Option<Callers> {
        let section = self.object(node, &["bitbucket"])?;
        let known = ["accept", "workspace", "api_budget", "unknown_budget"];
        let section = self
            .required(&section, "bitbucket")
            .and_then(|node| self.object(&node, &known))?;
        let accept = self.required(&section, "accept")?;
        let items = self.list(&accept)?;
        let kinds: Option<Vec<Kind>> = items.iter().map(|item| self.word(item, &KINDS)).collect();
        let workspace = match section.member("workspace") {
            Some(node) => self.workspace_name(&node).map(Some),
            None => Some(None),
        };
        let api_budget = self.api_budget(&section);
        let unknown_budget = self.budget(&section, "unknown_budget", UNKNOWN_BUDGET);
        let has = |kind| kinds.as_ref().is_some_and(|kinds| kinds.contains(&kind));
        if has(Kind::Access) && section.member("workspace").is_none() {
            let expected = "expected the workspace that access tokens must belong to";
            self.wrong(&section.path_of("workspace"), expected, "none");
        }
        if has(Kind::OAuth) {
            let message = "a token that any other application got from its user lets that \
                           application in here as the user";
            self.warn(&accept.path(), message);
        }
        Some(Callers {
            access_tokens: has(Kind::Access),
            api_tokens: has(Kind::Api),
            oauth_tokens: has(Kind::OAuth),
            workspace: workspace?,
            api_budget: api_budget?,
            unknown_budget: unknown_budget?,
        })
    }
}
