//! Whether somebody may do what they ask for.
//!
//! The condition is evaluated with what is known. What decides and is not known, or too old, is
//! asked, one question at a time; what cannot be asked is used as it is within `grace`.

use std::cell::RefCell;
use std::rc::Rc;

use crate::gate::actor::Actor;
use crate::gate::facts::{ActorFacts, Need, Old};
use crate::gate::job::Job;
use crate::gate::lookup::Asked;
use crate::gate::{Gate, Reason};
use crate::host::Host;
use crate::http::Request;
use crate::identity::Principal;
use crate::policy::{self, Allow, Condition, Denial, Rule, Truth};
use crate::rights::{Priority, Question};

/// No condition has so many questions that this is not enough; it ends a loop that would be a defect.
const MAX_ROUNDS: usize = 64;

/// How many times faster an answer that denies grows old, where calls are short.
const DENIED: u64 = 3;

/// Whether a request that waited may wait on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Left,
    Over,
}

/// What becomes of the request.
#[derive(Debug)]
pub(super) enum Decision {
    /// It may. An answer that is nearly too old is to be asked anew meanwhile.
    Allowed(Option<Need>),
    /// It may not.
    Denied(Reason),
    /// It waits for the answer to this question, after this job was begun.
    Later(Option<Job>, String),
    /// The session or the credential is over: Bitbucket does not accept its token any more.
    Over,
    /// Nobody can say.
    Unavailable(Reason),
}

impl Gate {
    /// Decides about a request of somebody.
    pub(super) fn decide(
        self: &Rc<Self>,
        rule: &Rule,
        request: &Request,
        actor: Actor<'_>,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Decision {
        let condition = match &rule.allow {
            Allow::Public => return Decision::Allowed(None),
            Allow::SignedIn if actor.principal() == Principal::Person => {
                return Decision::Allowed(None);
            }
            Allow::SignedIn => return Decision::Denied(Reason::WrongPrincipal),
            Allow::Nobody => return Decision::Denied(Reason::Forbidden),
            Allow::When(condition) => condition,
        };
        let Some(asked) = rule.asked(&request.method, request.target.path()) else {
            return Decision::Denied(Reason::NotAllowed);
        };
        let mut unavailable = None;
        let mut given_up: Vec<Question> = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let seen = self.evaluate(condition, asked, actor, Old::IsUnknown, host);
            let (truth, needs, aging) = seen;
            match truth {
                Truth::Yes => return Decision::Allowed(aging),
                Truth::No(denial) | Truth::Void(denial) => {
                    return Decision::Denied(Reason::from(denial));
                }
                Truth::Unknown => {}
            }
            let is_open = |need: &Need| !given_up.contains(&need.question);
            let Some(need) = needs.into_iter().find(is_open) else {
                return Decision::Unavailable(unavailable.unwrap_or(Reason::RightsUnavailable));
            };
            let priority = self.priority(&need, condition, asked, actor, host);
            let about = actor.about();
            let asked_now = match patience {
                Patience::Left => self.ask(&need, priority, actor, host),
                Patience::Over => Asked::Refused(Reason::RightsUnavailable),
            };
            let refused = match asked_now {
                Asked::Answered => continue,
                Asked::Token => return Decision::Over,
                Asked::LacksScope => Reason::RightsUnavailable,
                Asked::Job(job) => {
                    // Of a bot that asks, the token comes first.
                    let wants = job.brings();
                    return Decision::Later(Some(job), wants);
                }
                Asked::Leased => return Decision::Later(None, need.question.key(about)),
                Asked::Refused(reason) => reason,
            };
            match need.asked_at {
                Some(_) => self.rights.settle(&need.question, about, host.now),
                None => given_up.push(need.question),
            }
            unavailable.get_or_insert(refused);
        }
        Decision::Unavailable(Reason::RightsUnavailable)
    }

    fn evaluate(
        &self,
        condition: &Condition,
        asked: policy::Asked<'_>,
        actor: Actor<'_>,
        old: Old,
        host: &mut Host<'_>,
    ) -> (Truth, Vec<Need>, Option<Need>) {
        let facts = ActorFacts {
            gate: self,
            actor,
            old,
            host: RefCell::new(host),
            needs: RefCell::default(),
            aging: RefCell::default(),
        };
        let truth = condition.evaluate(asked, &facts);
        (truth, facts.needs.into_inner(), facts.aging.into_inner())
    }

    /// An old answer can wait, if it must: one that allows for longer than one that denies, which may be
    /// out of date. But who tries the same door all day does not use the budget of the others.
    fn priority(
        &self,
        need: &Need,
        condition: &Condition,
        asked: policy::Asked<'_>,
        actor: Actor<'_>,
        host: &mut Host<'_>,
    ) -> Priority {
        let Some(asked_at) = need.asked_at.filter(|_| need.question.is_personal()) else {
            return Priority::New;
        };
        let (truth, _, _) = self.evaluate(condition, asked, actor, Old::Counts, host);
        let overdue_percent = self.rights.terms().overdue_percent(asked_at, host.now);
        Priority::Refresh {
            overdue_percent: match truth {
                Truth::Yes | Truth::Unknown => overdue_percent,
                Truth::No(_) | Truth::Void(_) => overdue_percent.saturating_mul(DENIED),
            },
        }
    }

    /// Asks before the answer is too old, so that nobody waits; only while there is plenty of budget.
    /// The job has the lease, so it must be begun.
    pub(super) fn ask_ahead(
        self: &Rc<Self>,
        need: &Need,
        actor: Actor<'_>,
        host: &mut Host<'_>,
    ) -> Option<Job> {
        // What is asked once for all spares many calls.
        let priority = match need.question.is_personal() {
            true => Priority::Refresh { overdue_percent: 0 },
            false => Priority::New,
        };
        let asked = self.ask(need, priority, actor, host);
        let about = actor.about();
        // Not every request that uses the answer looks into shared data from now on.
        match &asked {
            Asked::Answered => self.rights.forget(&need.question, about),
            Asked::Job(_)
            | Asked::LacksScope
            | Asked::Leased
            | Asked::Refused(_)
            | Asked::Token => {
                self.rights.tried(&need.question, about, host.now);
            }
        }
        match asked {
            Asked::Job(job) => Some(job),
            Asked::Answered
            | Asked::LacksScope
            | Asked::Leased
            | Asked::Refused(_)
            | Asked::Token => None,
        }
    }
}

impl From<Denial> for Reason {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Account => Self::AccountNotListed,
            Denial::EmailDomain => Self::EmailNotAllowed,
            Denial::Group => Self::NotInGroup,
            Denial::Nobody => Self::Forbidden,
            Denial::NotAllowed => Self::NotAllowed,
            Denial::Permission => Self::InsufficientPermission,
            Denial::Pipeline => Self::PipelineNotAllowed,
            Denial::Principal => Self::WrongPrincipal,
            Denial::Reused => Self::SlugReused,
            Denial::Scope => Self::InsufficientScope,
            Denial::Workspace => Self::NotAMember,
        }
    }
}
