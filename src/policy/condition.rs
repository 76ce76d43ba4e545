//! Conditions over what is known about whoever acts.

use crate::identity::Principal;
use crate::policy::name::decoded;
use crate::policy::truth::Turned;
use crate::policy::{Facts, Name, PathTemplate, Pipeline, Truth};

/// What a person is in a workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Has a permission on some repository, and is no member.
    Collaborator,
    /// Belongs to it.
    Member,
    /// Administers it.
    Owner,
}

/// What a person may do with a repository; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// See and clone.
    Read,
    /// Push.
    Write,
    /// Change its settings.
    Admin,
}

impl Role {
    const WORDS: [(&str, Self); 3] = [
        ("collaborator", Self::Collaborator),
        ("member", Self::Member),
        ("owner", Self::Owner),
    ];

    /// The role of this name at Bitbucket.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, role)| *role)
    }

    /// Its name at Bitbucket.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, known)| *known == self);
        found.map_or("", |(word, _)| word)
    }
}

impl Permission {
    const WORDS: [(&str, Self); 3] = [
        ("admin", Self::Admin),
        ("read", Self::Read),
        ("write", Self::Write),
    ];

    /// The permission of this name at Bitbucket.
    #[must_use]
    pub fn read(word: &str) -> Option<Self> {
        let found = Self::WORDS.iter().find(|(known, _)| *known == word);
        found.map(|(_, permission)| *permission)
    }

    /// Its name at Bitbucket.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, known)| *known == self);
        found.map_or("", |(word, _)| word)
    }
}

/// The permission that a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// This one, or more.
    AtLeast(Permission),
    /// [`Permission::Read`] for GET, HEAD and OPTIONS, [`Permission::Write`] for all other methods.
    ByMethod,
}

impl Needed {
    /// The permission for a method.
    #[must_use]
    pub fn for_method(self, method: &str) -> Permission {
        match self {
            Self::AtLeast(permission) => permission,
            Self::ByMethod if matches!(method, "GET" | "HEAD" | "OPTIONS") => Permission::Read,
            Self::ByMethod => Permission::Write,
        }
    }
}

/// A part of a condition: written in the configuration, or taken from the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<T> {
    /// What the capture of this name has.
    Capture(String),
    /// Always this.
    Literal(T),
}

/// Who a rule lets through, apart from everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// One of these accounts.
    Account(Vec<String>),
    /// Each of these conditions.
    AllOf(Vec<Self>),
    /// One of these conditions.
    AnyOf(Vec<Self>),
    /// A confirmed primary address at one of these domains, in lower case.
    EmailDomain(Vec<String>),
    /// Belongs to the group.
    Group(String),
    /// Came with a token of this issuer.
    Issuer {
        /// `iss`, exactly.
        issuer: String,
        /// `sub` is one of these. Empty for any.
        subjects: Vec<String>,
    },
    /// Nobody.
    Nobody,
    /// Not that.
    Not(Box<Self>),
    /// Is a step of such a pipeline.
    Pipeline(Pipeline),
    /// Acts as this kind.
    Principal(Principal),
    /// Has the permission on at least one repository of a project.
    Project {
        /// The workspace of the project.
        workspace: Part<Name>,
        /// Its key, such as `WID`.
        key: Part<String>,
        /// The permission.
        permission: Needed,
    },
    /// Has the permission on a repository.
    Repository {
        /// The workspace of the repository.
        workspace: Part<Name>,
        /// The repository.
        repository: Part<Name>,
        /// The permission.
        permission: Needed,
    },
    /// The token has each of these scopes.
    Scope(Vec<String>),
    /// A person, who has an account.
    SignedIn,
    /// Belongs to a workspace.
    Workspace {
        /// The workspace.
        workspace: Part<Name>,
        /// At least this role.
        role: Role,
    },
}

/// Why a condition does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// None of the accounts.
    Account,
    /// No confirmed address at one of the domains.
    EmailDomain,
    /// Not in the group.
    Group,
    /// Nobody is let through.
    Nobody,
    /// Several conditions, or one that is turned around.
    NotAllowed,
    /// No step of such a pipeline, or no token of such an issuer.
    Pipeline,
    /// Not of this kind.
    Principal,
    /// Without the permission on the repository or the project.
    Permission,
    /// A slug that its workspace or repository does not have any more.
    Reused,
    /// The token lacks a scope.
    Scope,
    /// Not a member of the workspace, or without the role.
    Workspace,
}

impl Denial {
    /// Whether Bitbucket has to be asked to know it.
    pub(super) fn is_looked_up(self) -> bool {
        matches!(self, Self::Permission | Self::Reused | Self::Workspace)
    }
}

/// The request that a condition is about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    /// Its method.
    pub method: &'r str,
    /// Its normalised path.
    pub path: &'r str,
    /// The template that matches the path.
    pub template: &'r PathTemplate,
}

impl<'r> Asked<'r> {
    fn captured(self, name: &str) -> Option<&'r str> {
        self.template.capture(name, self.path)
    }

    /// The name in a part. `None` if the path has something else there.
    #[must_use]
    pub fn name<E>(self, part: &Part<Name>, read: fn(&str) -> Result<Name, E>) -> Option<Name> {
        match part {
            Part::Literal(name) => Some(name.clone()),
            Part::Capture(name) => read(&decoded(self.captured(name)?)).ok(),
        }
    }

    /// The text in a part.
    #[must_use]
    pub fn text<'t>(self, part: &'t Part<String>) -> Option<&'t str>
    where
        'r: 't,
    {
        match part {
            Part::Literal(text) => Some(text),
            Part::Capture(name) => self.captured(name),
        }
    }
}

impl Condition {
    /// Whether it holds for `asked`, given `facts`.
    ///
    /// All parts are looked at, as far as they decide: what has to be asked is known by then.
    pub fn evaluate(&self, asked: Asked<'_>, facts: &dyn Facts) -> Truth {
        self.look(asked, facts, Turned::Not)
    }

    fn look(&self, asked: Asked<'_>, facts: &dyn Facts, turned: Turned) -> Truth {
        match self {
            Self::SignedIn => Truth::of(facts.principal() == Principal::Person, Denial::Principal),
            Self::Nobody => Truth::No(Denial::Nobody),
            // Who has no account is not somebody else, either.
            Self::Account(ids) => match facts.account_id() {
                None => Truth::Void(Denial::Principal),
                Some(account_id) => {
                    Truth::of(ids.iter().any(|id| id == account_id), Denial::Account)
                }
            },
            Self::Issuer { issuer, subjects } => match facts.issuer() {
                None => Truth::Void(Denial::Principal),
                Some((theirs, subject)) => {
                    let is_one = |wanted: &String| subject == Some(wanted);
                    let is_theirs =
                        issuer == theirs && (subjects.is_empty() || subjects.iter().any(is_one));
                    Truth::of(is_theirs, Denial::Pipeline)
                }
            },
            Self::Pipeline(wanted) => wanted.evaluate(asked, facts),
            Self::Principal(kind) => Truth::of(*kind == facts.principal(), Denial::Principal),
            Self::EmailDomain(domains) => match facts.email().and_then(domain_of) {
                // Nobody without an account has an address. Whose is not known may have one there.
                None if facts.account_id().is_none() => Truth::Void(Denial::Principal),
                None => Truth::Void(Denial::EmailDomain),
                Some(domain) => {
                    let is_one = domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain));
                    Truth::of(is_one, Denial::EmailDomain)
                }
            },
            Self::Scope(scopes) => scopes
                .iter()
                .map(|scope| facts.scope(scope))
                .fold(Truth::Yes, |all, part| all.and(part, turned)),
            Self::Group(name) => facts.group(name),
            Self::Workspace { workspace, role } => match asked.name(workspace, Name::workspace) {
                Some(name) => facts.role(&name, origin(workspace), *role),
                None => Truth::Void(Denial::Workspace),
            },
            Self::Repository {
                workspace,
                repository,
                permission,
            } => {
                let owner = asked.name(workspace, Name::workspace);
                let name = asked.name(repository, Name::repository);
                let Some((owner, name)) = owner.zip(name) else {
                    return Truth::Void(Denial::Permission);
                };
                let needed = permission.for_method(asked.method);
                facts.repository(&owner, origin(workspace), &name, needed)
            }
            Self::Project {
                workspace,
                key,
                permission,
            } => {
                let owner = asked.name(workspace, Name::workspace);
                let key = asked.text(key).filter(|key| is_project_key(key));
                let Some((owner, key)) = owner.zip(key) else {
                    return Truth::Void(Denial::Permission);
                };
                let needed = permission.for_method(asked.method);
                facts.project(&owner, origin(workspace), key, needed)
            }
            Self::AllOf(parts) => parts
                .iter()
                .map(|part| part.look(asked, facts, turned))
                .fold(Truth::Yes, |all, part| all.and(part, turned)),
            Self::AnyOf(parts) => parts
                .iter()
                .map(|part| part.look(asked, facts, turned))
                .reduce(Truth::or)
                .unwrap_or(Truth::No(Denial::NotAllowed)),
            Self::Not(part) => match part.look(asked, facts, turned.around()) {
                Truth::Yes => Truth::No(Denial::NotAllowed),
                Truth::No(_) => Truth::Yes,
                Truth::Unknown => Truth::Unknown,
                Truth::Void(denial) => Truth::Void(denial),
            },
        }
    }

    /// Every condition in it, itself first.
    pub fn parts(&self) -> Vec<&Self> {
        let inner = match self {
            Self::AllOf(parts) | Self::AnyOf(parts) => parts.as_slice(),
            Self::Not(part) => std::slice::from_ref(&**part),
            Self::Account(_)
            | Self::EmailDomain(_)
            | Self::Group(_)
            | Self::Issuer { .. }
            | Self::Nobody
            | Self::Pipeline(_)
            | Self::Principal(_)
            | Self::Project { .. }
            | Self::Repository { .. }
            | Self::Scope(_)
            | Self::SignedIn
            | Self::Workspace { .. } => &[],
        };
        let mut all = vec![self];
        for part in inner {
            all.append(&mut part.parts());
        }
        all
    }
}

/// Where a workspace's name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the path: anybody may write anything there.
    Path,
    /// From the configuration.
    Rule,
}

fn origin<T>(part: &Part<T>) -> Origin {
    match part {
        Part::Capture(_) => Origin::Path,
        Part::Literal(_) => Origin::Rule,
    }
}

/// What stands behind the one `@` of an address.
fn domain_of(email: &str) -> Option<&str> {
    let (_, domain) = email.split_once('@')?;
    (!domain.contains('@')).then_some(domain)
}

/// A project's key, as Bitbucket has it: a capital letter, then capital letters, digits and `_`.
#[must_use]
pub fn is_project_key(text: &str) -> bool {
    let is_mark = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.len() <= 128
        && text.bytes().all(is_mark)
}
