//! Who may do what: rules over method and normalised path. First match wins; no match is refused.

mod rule;
mod template;

pub use rule::{Allow, Found, IdentityToken, Inject, Policy, Rule, Tail};
pub use template::{PathTemplate, TemplateError};
