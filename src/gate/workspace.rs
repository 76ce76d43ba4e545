//! Which workspace a name means, and what the person is in it.

use crate::gate::facts::{ActorFacts, Need, Old};
use crate::policy::{Denial, Name, Origin, Role, Truth};
use crate::rights::{Known, Pin, Question};

/// What an answer about a workspace shows.
pub(super) enum Shown {
    /// Something, and the slug of the workspace if it has it.
    As(Option<String>),
    /// Nothing.
    Not,
    /// It has to be asked.
    Unknown,
}

/// What the person is in a workspace.
pub(super) enum Membership {
    /// This, in one with this slug.
    Is(Option<Role>, Option<String>),
    /// Nothing.
    None,
    /// It has to be asked.
    Unknown,
}

/// A workspace, as far as it concerns the person.
pub(super) enum Found {
    /// This UUID.
    Uuid(String),
    /// None.
    Not(Truth),
}

impl ActorFacts<'_, '_> {
    /// The UUID of a workspace. A slug must belong to the UUID that it always had; a name from the path must
    /// be one of the person's workspaces, so that made-up names cost no call each.
    ///
    /// `shown` tells under which slug the answer about a workspace shows it that is asked for next.
    pub(super) fn workspace(
        &self,
        name: &Name,
        origin: Origin,
        shown: impl Fn(&str) -> Shown,
    ) -> Found {
        // Where it shows the person that one, their list need not be asked for.
        if origin == Origin::Path
            && let Some(uuid) = self.gate.pins.configured_workspace(name)
        {
            match shown(uuid) {
                Shown::Unknown => return Found::Not(Truth::Unknown),
                Shown::As(slug) if is_named(name, slug.as_deref()) => {
                    return Found::Uuid(uuid.to_owned());
                }
                Shown::As(_) | Shown::Not => {}
            }
        }
        match (name, origin) {
            (Name::Uuid(uuid), Origin::Rule) => return Found::Uuid(uuid.clone()),
            (Name::Slug(slug), Origin::Rule) => {
                let host = self.host.borrow();
                if let Some(uuid) = self.gate.pins.workspace(slug, host.shared) {
                    return Found::Uuid(uuid);
                }
            }
            (_, Origin::Path) => {}
        }
        let Some(answer) = self.answer(self.workspaces()) else {
            return Found::Not(Truth::Unknown);
        };
        let row = match name {
            Name::Slug(slug) => answer.row(slug),
            Name::Uuid(uuid) => answer.rows().iter().find(|row| row.value == *uuid),
        };
        let Some(row) = row else {
            // It may have another slug now.
            let known = match name {
                Name::Slug(slug) => self.gate.pins.workspace(slug, self.host.borrow().shared),
                Name::Uuid(_) => None,
            };
            let is_theirs = |uuid: String| answer.rows().iter().any(|row| row.value == uuid);
            return Found::Not(match known.is_some_and(is_theirs) {
                true => Truth::Void(Denial::Reused),
                false => Truth::No(Denial::Workspace),
            });
        };
        let pin = match name {
            Name::Uuid(_) => Pin::Same,
            Name::Slug(_) => {
                let mut host = self.host.borrow_mut();
                self.gate.pins.pin_workspace(row, host.shared)
            }
        };
        match pin {
            Pin::Same => Found::Uuid(row.value.clone()),
            Pin::Other => Found::Not(Truth::Void(Denial::Reused)),
            Pin::Full => Found::Not(Truth::Unknown),
        }
    }

    /// What the list that a question asks for shows.
    pub(super) fn shown(&self, question: Question) -> Shown {
        match self.answer(question) {
            None => Shown::Unknown,
            Some(answer) if answer.rows().is_empty() => Shown::Not,
            Some(answer) => Shown::As(answer.slug.clone()),
        }
    }

    /// What says which workspaces they see.
    fn workspaces(&self) -> Question {
        let callers = self.gate.config.callers.as_ref();
        match (
            self.actor.identity(),
            callers.and_then(|it| it.workspace.as_ref()),
        ) {
            // It was asked when the access token was accepted.
            (None, Some(workspace)) => Question::Reach(workspace.as_str().to_owned()),
            (_, _) => Question::Workspaces,
        }
    }

    /// What the person is in a workspace.
    pub(super) fn member(&self, uuid: &str) -> Membership {
        if self.actor.identity().is_none() {
            return self.reached(uuid);
        }
        let (listed, need) = self.listed(uuid);
        if let Some(found) = listed {
            return found;
        }
        let Some(answer) = self.answer(Question::Role(uuid.to_owned())) else {
            self.needs.borrow_mut().extend(need);
            return Membership::Unknown;
        };
        match answer.rows().first() {
            None => Membership::None,
            Some(row) => Membership::Is(row.role(), Some(row.key.clone())),
        }
    }

    /// What an access token is: of a workspace, or of anything in it, which is not told apart. It may do
    /// no more there than somebody who has a permission on some repository.
    fn reached(&self, uuid: &str) -> Membership {
        match self.answer(self.workspaces()) {
            None => Membership::Unknown,
            Some(answer) => match answer.rows().iter().find(|row| row.value == uuid) {
                None => Membership::None,
                Some(row) => Membership::Is(Some(Role::Collaborator), Some(row.key.clone())),
            },
        }
    }

    /// What the bot's list of all members says, if it has the person, and what to ask for where it is not
    /// at hand. Nobody waits for its last page, and who is not in it may have fallen between two pages
    /// while it changed: they are asked about alone.
    fn listed(&self, uuid: &str) -> (Option<Membership>, Option<Need>) {
        if self.gate.config.access.bot.is_none() {
            return (None, None);
        }
        let (host, question) = (self.host.borrow(), Question::Directory(uuid.to_owned()));
        let known = self.gate.rights.find(&question, "", host.now, host.shared);
        let need = Need {
            question,
            asked_at: known.as_ref().map(|known| known.asked_at),
        };
        let is_late = |known: &Known| !known.is_settled || self.is_aging(known, host.now);
        if known.as_ref().is_none_or(is_late) {
            self.aging.borrow_mut().get_or_insert(need.clone());
        }
        match known.filter(|known| known.is_settled || self.old == Old::Counts) {
            None => (None, Some(need)),
            Some(known) => {
                let row = known.answer.row(self.actor.about());
                let found = row.map(|row| Membership::Is(row.role(), known.answer.slug.clone()));
                (found, None)
            }
        }
    }
}

/// Whether an answer about a workspace is about the one that the rule or the path names: a slug that
/// the workspace had before makes no sense any more.
pub(super) fn is_named(name: &Name, slug: Option<&str>) -> bool {
    match name {
        Name::Slug(name) => slug == Some(name),
        Name::Uuid(_) => true,
    }
}
