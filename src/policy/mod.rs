//! Who may do what: rules over method and normalised path. First match wins; no match is refused.

mod condition;
mod facts;
mod git;
mod index;
mod name;
mod pipeline;
mod rule;
mod template;
mod truth;

pub use condition::{
    Asked, Condition, Denial, Needed, Origin, Part, Permission, Role, is_project_key,
};
pub use facts::Facts;
pub use git::GitUse;
pub use name::{Name, NameError};
pub use pipeline::Pipeline;
pub use rule::{Allow, Found, IdentityToken, Inject, Policy, Rule, Shadow, Tail, TokenForm};
pub use template::{PathTemplate, TemplateError};
pub use truth::Truth;
