//! What is known about somebody with a session, from Bitbucket's answers that are at hand.
//!
//! What is not known, or too old, is noted as a need: the gate asks for it, and decides anew.

use std::cell::RefCell;
use std::rc::Rc;

use crate::bitbucket::Scopes;
use crate::gate::Gate;
use crate::gate::actor::Actor;
use crate::gate::workspace::{Found, Membership, Shown, is_named};
use crate::host::Host;
use crate::identity::{PipelineStep, Principal};
use crate::policy::{Denial, Facts, Name, Origin, Permission, Role, Truth};
use crate::rights::{Answer, Known, Pin, Question, Row};
use crate::session::SignedIn;
use crate::time::UnixTime;

/// How answers count that are older than `max_age`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// As answers.
    Counts,
    /// As unknown.
    IsUnknown,
}

/// What a token may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenScopes<'a> {
    /// There is none yet.
    NoToken,
    /// These, as Bitbucket named them when it gave the token.
    Said(&'a str),
    /// Nobody said.
    Unsaid,
}

impl<'a> TokenScopes<'a> {
    /// Those of the grant.
    pub(super) fn of(signed_in: &'a SignedIn) -> Self {
        match &signed_in.grant.scopes {
            Some(text) => Self::Said(text),
            None => Self::Unsaid,
        }
    }
}

/// Something that has to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) question: Question,
    /// When it was asked last, if the answer may still be used.
    pub(super) asked_at: Option<UnixTime>,
}

/// The facts for one evaluation.
pub(super) struct ActorFacts<'a, 'h> {
    pub(super) gate: &'a Gate,
    pub(super) actor: Actor<'a>,
    pub(super) old: Old,
    pub(super) host: RefCell<&'a mut Host<'h>>,
    /// In the order in which they came up.
    pub(super) needs: RefCell<Vec<Need>>,
    /// An answer that was used and will soon be too old.
    pub(super) aging: RefCell<Option<Need>>,
}

impl ActorFacts<'_, '_> {
    /// The answer to a question; `None` if it has to be asked.
    pub(super) fn answer(&self, question: Question) -> Option<Rc<Answer>> {
        let host = self.host.borrow();
        let rights = &self.gate.rights;
        let known = rights.find(&question, self.actor.about(), host.now, host.shared);
        let Some(known) = known else {
            self.needs.borrow_mut().push(Need {
                question,
                asked_at: None,
            });
            return None;
        };
        if known.is_settled {
            if self.is_aging(&known, host.now) {
                self.aging.borrow_mut().get_or_insert(Need {
                    question,
                    asked_at: Some(known.asked_at),
                });
            }
            return Some(known.answer);
        }
        self.needs.borrow_mut().push(Need {
            question,
            asked_at: Some(known.asked_at),
        });
        match self.old {
            Old::Counts => Some(known.answer),
            Old::IsUnknown => None,
        }
    }

    /// Whether an answer is in the last fifth of its time, and may be asked for ahead.
    pub(super) fn is_aging(&self, known: &Known, now: UnixTime) -> bool {
        let max_age = self.gate.rights.terms().max_age;
        let soon = known.asked_at.plus(max_age).minus(max_age.part(5));
        now >= soon && known.may_ask_ahead
    }

    /// What says which repositories of a workspace they have the permission on.
    fn repositories_of(&self, uuid: &str, permission: Permission) -> Question {
        match self.actor.identity() {
            Some(_) => Question::Repositories(uuid.to_owned()),
            // An access token sees what it may, and has no account that Bitbucket could be asked about.
            None => Question::Visible(uuid.to_owned(), permission),
        }
    }

    /// Whether the repository of a step has this slug now. The configuration may say so; if not, the bot
    /// asks Bitbucket by UUID, so that made-up names cost nothing.
    fn is_called_now(&self, step: &PipelineStep, slug: &str) -> Truth {
        let access = &self.gate.config.access;
        let path = format!("{}/{slug}", step.workspace_slug);
        if let Some((_, uuid)) = access.repositories.iter().find(|(known, _)| *known == path) {
            return Truth::of(*uuid == step.repository, Denial::Pipeline);
        }
        if access.bot.is_none() {
            return Truth::Void(Denial::Pipeline);
        }
        let question = Question::Called(step.workspace.clone(), step.repository.clone());
        match self.answer(question) {
            None => Truth::Unknown,
            Some(answer) => Truth::of(answer.row(slug).is_some(), Denial::Pipeline),
        }
    }

    /// Whether a repository's slug is known to belong to another one than `held`, which has it in this
    /// answer: to one that is called otherwise now, if nobody has it.
    fn has_moved(&self, owner: &str, answer: &Answer, slug: &str, held: Option<&str>) -> bool {
        let host = self.host.borrow();
        let place = (owner, answer.slug.as_deref());
        let Some(known) = self.gate.pins.repository(place, slug, host.shared) else {
            return false;
        };
        match held {
            Some(uuid) => uuid != known,
            None => {
                let mut rows = answer.rows().iter().filter_map(Row::repository);
                rows.any(|(_, uuid)| uuid == known)
            }
        }
    }
}

impl Facts for ActorFacts<'_, '_> {
    fn account_id(&self) -> Option<&str> {
        Some(&self.actor.identity()?.account_id)
    }

    fn email(&self) -> Option<&str> {
        self.actor.identity()?.email.as_deref()
    }

    fn principal(&self) -> Principal {
        self.actor.principal()
    }

    fn issuer(&self) -> Option<(&str, Option<&str>)> {
        let (issuer, subject) = self.actor.issuer()?;
        Some((issuer, Some(subject)))
    }

    fn step(&self) -> Option<&PipelineStep> {
        self.actor.step()
    }

    fn is_called(&self, step: &PipelineStep, slug: &str) -> Truth {
        self.is_called_now(step, slug)
    }

    fn scope(&self, scope: &str) -> Truth {
        match self.actor.scopes() {
            TokenScopes::Said(text) => Truth::of(Scopes::parse(text).allow(scope), Denial::Scope),
            TokenScopes::Unsaid if !self.actor.can_be_asked_about() => {
                Truth::Void(Denial::Principal)
            }
            TokenScopes::Unsaid => Truth::Void(Denial::Scope),
            TokenScopes::NoToken => Truth::Unknown,
        }
    }

    fn group(&self, name: &str) -> Truth {
        let Some(account_id) = self.account_id() else {
            return Truth::Void(Denial::Principal);
        };
        let groups = &self.gate.config.access.groups;
        if let Some(members) = groups.members(name) {
            let is_one = members.iter().any(|id| id == account_id);
            return Truth::of(is_one, Denial::Group);
        }
        // Read on a timer, so it is no need of this request.
        let host = self.host.borrow();
        match self.gate.groups_of(account_id, &host) {
            Some(theirs) => Truth::of(theirs.split(',').any(|group| group == name), Denial::Group),
            None => Truth::Unknown,
        }
    }

    fn role(&self, workspace: &Name, origin: Origin, role: Role) -> Truth {
        if !self.actor.can_be_asked_about() {
            return Truth::Void(Denial::Principal);
        }
        let shown = |uuid: &str| match self.member(uuid) {
            Membership::Is(_, slug) => Shown::As(slug),
            Membership::None => Shown::Not,
            Membership::Unknown => Shown::Unknown,
        };
        let uuid = match self.workspace(workspace, origin, shown) {
            Found::Uuid(uuid) => uuid,
            Found::Not(truth) => return truth,
        };
        match self.member(&uuid) {
            Membership::Is(theirs, slug) => match is_named(workspace, slug.as_deref()) {
                true => Truth::of(theirs >= Some(role), Denial::Workspace),
                false => Truth::Void(Denial::Reused),
            },
            Membership::None => Truth::No(Denial::Workspace),
            Membership::Unknown => Truth::Unknown,
        }
    }

    fn repository(
        &self,
        workspace: &Name,
        origin: Origin,
        repository: &Name,
        permission: Permission,
    ) -> Truth {
        if !self.actor.can_be_asked_about() {
            return Truth::Void(Denial::Principal);
        }
        let shown = |uuid: &str| self.shown(self.repositories_of(uuid, permission));
        let uuid = match self.workspace(workspace, origin, shown) {
            Found::Uuid(uuid) => uuid,
            Found::Not(Truth::No(_)) => return Truth::No(Denial::Permission),
            Found::Not(truth) => return truth,
        };
        let Some(answer) = self.answer(self.repositories_of(&uuid, permission)) else {
            return Truth::Unknown;
        };
        if answer.rows().is_empty() {
            return Truth::No(Denial::Permission);
        }
        let workspace_slug = answer.slug.as_deref();
        if !is_named(workspace, workspace_slug) {
            return Truth::Void(Denial::Reused);
        }
        let slug = match repository {
            Name::Slug(slug) => slug,
            Name::Uuid(wanted) => {
                let mut rows = answer.rows().iter().filter_map(Row::repository);
                let holds = rows.any(|(held, uuid)| uuid == wanted && held >= permission);
                return Truth::of(holds, Denial::Permission);
            }
        };
        let row = answer.row(slug);
        let found = row.and_then(|row| Some((row, row.repository()?)));
        let Some((row, (_, theirs))) = found.filter(|(_, (held, _))| *held >= permission) else {
            let theirs = found.map(|(_, (_, uuid))| uuid);
            return match self.has_moved(&uuid, &answer, slug, theirs) {
                true => Truth::Void(Denial::Reused),
                false => Truth::No(Denial::Permission),
            };
        };
        let mut host = self.host.borrow_mut();
        let pins = &self.gate.pins;
        match pins.pin_repository((&uuid, workspace_slug), row, theirs, host.shared) {
            Pin::Same => Truth::Yes,
            Pin::Other => Truth::Void(Denial::Reused),
            Pin::Full => Truth::Unknown,
        }
    }

    fn project(
        &self,
        workspace: &Name,
        origin: Origin,
        key: &str,
        permission: Permission,
    ) -> Truth {
        if !self.actor.can_be_asked_about() {
            return Truth::Void(Denial::Principal);
        }
        let shown = |uuid: &str| self.shown(Question::Projects(uuid.to_owned(), permission));
        let uuid = match self.workspace(workspace, origin, shown) {
            Found::Uuid(uuid) => uuid,
            Found::Not(Truth::No(_)) => return Truth::No(Denial::Permission),
            Found::Not(truth) => return truth,
        };
        let Some(answer) = self.answer(Question::Projects(uuid, permission)) else {
            return Truth::Unknown;
        };
        match answer.rows().is_empty() || is_named(workspace, answer.slug.as_deref()) {
            true => Truth::of(answer.row(key).is_some(), Denial::Permission),
            false => Truth::Void(Denial::Reused),
        }
    }
}
