//! A rule's conditions, each with what is known and what comes of it.

use bitgate::bitbucket::Scopes;
use bitgate::identity::PipelineStep;
use bitgate::json::Json;
use bitgate::policy::{Allow, Asked, Condition, Denial, Facts, Name, Origin, Part, Truth};

use crate::explain::facts::{Described, repository};
use crate::exposure::flow;
use crate::node::Node;

/// One condition of a rule.
#[derive(Debug)]
pub(super) struct Line {
    /// How many conditions it stands in.
    pub(super) depth: usize,
    /// As it was written.
    pub(super) text: String,
    /// What is known; nothing about conditions that combine others.
    pub(super) value: Option<String>,
    /// What comes of it.
    pub(super) truth: Truth,
}

/// The lines of a rule, the whole condition first. `written` is its `allow`.
pub(super) fn lines(
    allow: &Allow,
    written: Option<&Node<'_>>,
    asked: Asked<'_>,
    described: Option<&Described<'_>>,
) -> Vec<Line> {
    let word = |text: &str, truth| {
        vec![Line {
            depth: 0,
            text: text.to_owned(),
            value: None,
            truth,
        }]
    };
    match (allow, described) {
        (Allow::Public, _) => word("public", Truth::Yes),
        (Allow::Nobody, _) => word("nobody", Truth::No(Denial::Nobody)),
        // Nobody who is not signed in is looked at.
        (Allow::SignedIn | Allow::When(_), None) => {
            word("signed_in", Truth::No(Denial::NotAllowed))
        }
        (Allow::SignedIn, Some(_)) => word("signed_in", Truth::Yes),
        (Allow::When(condition), Some(described)) => {
            let mut trace = Trace {
                asked,
                described,
                lines: Vec::new(),
            };
            trace.add(condition, written.cloned(), 0);
            trace.lines
        }
    }
}

struct Trace<'t> {
    asked: Asked<'t>,
    described: &'t Described<'t>,
    lines: Vec<Line>,
}

impl Trace<'_> {
    fn add(&mut self, condition: &Condition, written: Option<Node<'_>>, depth: usize) {
        let combined = match condition {
            Condition::AllOf(parts) => Some(("all_of", parts.as_slice())),
            Condition::AnyOf(parts) => Some(("any_of", parts.as_slice())),
            Condition::Not(part) => Some(("not", std::slice::from_ref(&**part))),
            Condition::Account(_)
            | Condition::EmailDomain(_)
            | Condition::Group(_)
            | Condition::Issuer { .. }
            | Condition::Nobody
            | Condition::Pipeline(_)
            | Condition::Principal(_)
            | Condition::Project { .. }
            | Condition::Repository { .. }
            | Condition::Scope(_)
            | Condition::SignedIn
            | Condition::Workspace { .. } => None,
        };
        let text = match (combined, &written) {
            (Some((word, _)), _) => word.to_owned(),
            (None, Some(written)) => leaf(written.json),
            (None, None) => String::new(),
        };
        self.lines.push(Line {
            depth,
            text,
            value: self.value(condition),
            truth: condition.evaluate(self.asked, self.described),
        });
        let Some((word, parts)) = combined else {
            return;
        };
        // `not` has one condition, the others have lists, in the order of the parts.
        let inner = written.and_then(|written| written.get(word));
        let items = match &inner {
            Some(inner) if inner.json.as_array().is_some() => inner.items(),
            Some(inner) => vec![inner.clone()],
            None => Vec::new(),
        };
        let mut items = items.into_iter();
        for part in parts {
            self.add(part, items.next(), depth.saturating_add(1));
        }
    }

    /// What is known that the condition looks at.
    fn value(&self, condition: &Condition) -> Option<String> {
        let person = self.described.person;
        let account = person.account_id.as_deref().unwrap_or("no account");
        match condition {
            Condition::AllOf(_)
            | Condition::AnyOf(_)
            | Condition::Nobody
            | Condition::Not(_)
            | Condition::SignedIn => None,
            Condition::Account(_) => Some(account.to_owned()),
            Condition::EmailDomain(_) => {
                let email = person.email.clone();
                Some(email.unwrap_or_else(|| "no confirmed address".to_owned()))
            }
            Condition::Group(name) => Some(match self.described.lists_accounts(name) {
                true => account.to_owned(),
                false if person.groups.is_empty() => "in no group".to_owned(),
                false => format!("in {}", person.groups.join(", ")),
            }),
            Condition::Issuer { .. } => Some(match self.described.issuer() {
                None => "no token of an issuer".to_owned(),
                Some((issuer, None)) => issuer.to_owned(),
                Some((issuer, Some(subject))) => format!("{issuer} {subject}"),
            }),
            Condition::Pipeline(_) => Some(match self.described.step() {
                None => "no pipeline".to_owned(),
                Some(step) => pipeline(step),
            }),
            Condition::Principal(_) => Some(person.principal.as_str().to_owned()),
            Condition::Scope(scopes) => {
                let wanted = Scopes::new(scopes.clone());
                let missing = self.described.scopes.missing(&wanted);
                Some(match missing.as_slice() {
                    [] => "the token has it".to_owned(),
                    missing => format!("the token lacks {}", missing.join(", ")),
                })
            }
            Condition::Workspace { workspace, .. } => {
                let Some(name) = self.asked.name(workspace, Name::workspace) else {
                    return Some("no name of a workspace in the path".to_owned());
                };
                let found = self.described.workspace(&name, origin(workspace));
                let role = found.ok().flatten().and_then(|found| found.role);
                let role = role.map_or("no role", |role| role.as_str());
                Some(format!("{name}: {role}"))
            }
            Condition::Repository {
                workspace,
                repository: part,
                ..
            } => {
                let owner = self.asked.name(workspace, Name::workspace);
                let name = self.asked.name(part, Name::repository);
                let Some((owner, name)) = owner.zip(name) else {
                    return Some("no name of a repository in the path".to_owned());
                };
                let holder = self.described.workspace(&owner, origin(workspace));
                let found = holder.ok().flatten();
                let found = found.and_then(|holder| repository(holder, &name));
                let held = found.map_or("no permission", |found| found.permission.as_str());
                Some(format!("{owner}/{name}: {held}"))
            }
            Condition::Project { workspace, key, .. } => {
                let owner = self.asked.name(workspace, Name::workspace);
                let Some((owner, key)) = owner.zip(self.asked.text(key)) else {
                    return Some("no name of a project in the path".to_owned());
                };
                let holder = self.described.workspace(&owner, origin(workspace));
                let held = holder.ok().flatten().and_then(|holder| {
                    let all = holder.repositories.iter();
                    let theirs = all.filter(|one| one.project.as_deref() == Some(key));
                    theirs.map(|one| one.permission).max()
                });
                let held = held.map_or("no permission", |held| held.as_str());
                Some(format!("{owner}/{key}: {held}"))
            }
        }
    }
}

/// What a step's token says, in a few words.
fn pipeline(step: &PipelineStep) -> String {
    let mut text = format!("repository {}", step.repository);
    if let Some(branch) = &step.branch {
        text.push_str(&format!(", branch {branch}"));
    }
    if let Some(environment) = &step.deployment_environment {
        text.push_str(&format!(", environment {environment}"));
    }
    text
}

fn origin<T>(part: &Part<T>) -> Origin {
    match part {
        Part::Capture(_) => Origin::Path,
        Part::Literal(_) => Origin::Rule,
    }
}

/// A condition as it was written, without the braces around it.
fn leaf(written: &Json) -> String {
    let text = flow(written);
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    match written {
        Json::Object(_) => inner.unwrap_or(&text).to_owned(),
        Json::Array(_) | Json::Bool(_) | Json::Null | Json::Number(_) | Json::String(_) => text,
    }
}
