//! Who acts, in words of no provider.

use serde::{Deserialize, Serialize};

/// A person as the provider knows them. `account_id` is the only key: it is never reassigned.
/// Nicknames are neither unique nor stable, and an e-mail address can move to somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's stable id of the account: 1 to 128 visible ASCII characters.
    #[serde(rename = "sub")]
    pub account_id: String,
    /// The primary e-mail address, if the provider confirmed it; visible ASCII, at most 254.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the person calls themselves, for display; at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
}

/// A step of a pipeline, as its token says. UUIDs have their braces and are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineStep {
    /// The UUID of the workspace.
    pub workspace: String,
    /// The workspace's slug, as the configuration has it.
    pub workspace_slug: String,
    /// The UUID of the repository.
    pub repository: String,
    /// The UUID of the pipeline's run.
    pub pipeline: Option<String>,
    /// The UUID of the step.
    pub step: Option<String>,
    /// The UUID of the environment that it deploys to, if it does.
    pub deployment_environment: Option<String>,
    /// The branch, if it runs for one. Whoever may push chooses it.
    pub branch: Option<String>,
}

/// The kind of whoever acts. Rules, headers and logs speak of principals only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A program with a credential of its own.
    Bot,
    /// Somebody who signed in.
    Person,
    /// A step of a pipeline.
    Pipeline,
}

impl Principal {
    /// The word for headers and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Person => "person",
            Self::Pipeline => "pipeline",
        }
    }
}
