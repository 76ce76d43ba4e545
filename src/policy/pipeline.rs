//! Which steps of which pipelines a rule lets through.

use crate::identity::PipelineStep;
use crate::policy::condition::Asked;
use crate::policy::{Denial, Facts, Name, Part, Truth};

/// What a step's token must say. At least one of workspace and repository is given; what is not
/// given may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// The workspace that it runs in.
    pub workspace: Option<Part<Name>>,
    /// The repository that it belongs to.
    pub repository: Option<Part<Name>>,
    /// The branch is one of these; a `*` at the end stands for any rest. Empty for any, or none.
    pub branches: Vec<String>,
    /// The deployment environment is one of these UUIDs. Empty for any, or none.
    pub deployment_environments: Vec<String>,
}

/// Whether git takes `name` for a branch, as far as characters go (git-check-ref-format). A token with
/// another one, such as `release/*` or `release/../main`, says nothing about branches.
#[must_use]
pub fn is_branch(name: &str) -> bool {
    let is_mark = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !name.is_empty() && !name.contains(is_mark) && !name.contains("..")
}

impl Pipeline {
    /// Whether the token of whoever acts says so. Somebody else than a pipeline does not say the
    /// opposite, either.
    pub(super) fn evaluate(&self, asked: Asked<'_>, facts: &dyn Facts) -> Truth {
        let Some(step) = facts.step() else {
            return Truth::Void(Denial::Principal);
        };
        let workspace = self.workspace.as_ref();
        let workspace = workspace.map(|part| asked.name(part, Name::workspace));
        let repository = self.repository.as_ref();
        let repository = repository.map(|part| asked.name(part, Name::repository));
        // Where the path has no name, no step is another one: not even if the rest does not hold.
        if workspace == Some(None) || repository == Some(None) {
            return Truth::Void(Denial::Pipeline);
        }
        let is_there = match workspace.flatten() {
            None => true,
            Some(Name::Uuid(uuid)) => uuid == step.workspace,
            Some(Name::Slug(slug)) => slug == step.workspace_slug,
        };
        let known = Truth::of(is_there && self.says(step), Denial::Pipeline);
        // Bitbucket is asked for a name only where the rest holds.
        match (known, repository.flatten()) {
            (Truth::Yes, Some(Name::Uuid(uuid))) => {
                Truth::of(uuid == step.repository, Denial::Pipeline)
            }
            (Truth::Yes, Some(Name::Slug(slug))) => facts.is_called(step, &slug),
            (known, _) => known,
        }
    }

    fn says(&self, step: &PipelineStep) -> bool {
        let branch = step.branch.as_deref();
        let is_on = |wanted: &String| match (wanted.strip_suffix('*'), branch) {
            (_, None) => false,
            (None, Some(branch)) => branch == wanted,
            (Some(start), Some(branch)) => branch.starts_with(start),
        };
        let environment = step.deployment_environment.as_ref();
        let is_for = |wanted: &String| environment == Some(wanted);
        (self.branches.is_empty() || self.branches.iter().any(is_on))
            && (self.deployment_environments.is_empty()
                || self.deployment_environments.iter().any(is_for))
    }
}
