//! What a condition may ask. Who answers decides where from: the provider's answers that are at
//! hand, or a file that describes somebody.

use crate::identity::{PipelineStep, Principal};
use crate::policy::{Name, Origin, Permission, Role, Truth};

/// What is known about whoever acts.
pub trait Facts {
    /// The provider's id of the account, if they have one.
    fn account_id(&self) -> Option<&str>;

    /// The primary and confirmed e-mail address.
    fn email(&self) -> Option<&str>;

    /// The kind.
    fn principal(&self) -> Principal;

    /// Who issued the token that they came with, and its subject.
    fn issuer(&self) -> Option<(&str, Option<&str>)>;

    /// The step of a pipeline that they are.
    fn step(&self) -> Option<&PipelineStep>;

    /// Whether the repository of the step has this slug now.
    fn is_called(&self, step: &PipelineStep, slug: &str) -> Truth;

    /// Whether the token has the scope, or one that implies it.
    fn scope(&self, scope: &str) -> Truth;

    /// Whether they belong to the group.
    fn group(&self, name: &str) -> Truth;

    /// Whether they have at least `role` in the workspace.
    fn role(&self, workspace: &Name, origin: Origin, role: Role) -> Truth;

    /// Whether they have at least `permission` on the repository.
    fn repository(
        &self,
        workspace: &Name,
        origin: Origin,
        repository: &Name,
        permission: Permission,
    ) -> Truth;

    /// Whether they have at least `permission` on one repository of the project.
    fn project(&self, workspace: &Name, origin: Origin, key: &str, permission: Permission)
    -> Truth;
}
