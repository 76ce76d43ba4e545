//! Asking Bitbucket about rights: who may ask at this time, and what becomes of the answer.

use std::fmt;
use std::rc::Rc;

use crate::gate::facts::Need;
use crate::gate::job::{Job, Progress};
use crate::gate::{Event, EventKind, Gate, Reason};
use crate::host::Host;
use crate::http::{Call, Reply};
use crate::identity::Identity;
use crate::oauth::AccessToken;
use crate::rights::{
    Asker, Asking, Budget, Collected, Failure, Lease, Priority, Question, Refused, Spent,
};
use crate::session::SignedIn;
use crate::time::Seconds;

/// How much longer than the call a lease lives: for the way there and back.
const MARGIN: Seconds = Seconds(3);

/// A question on its way, page by page. Requests of the same person on other workers wait for it.
pub struct Lookup {
    gate: Rc<Gate>,
    lease: Lease,
    collected: Collected,
    account_id: String,
    /// Whose token it is, in a word that does not tell the session.
    session: String,
    token: AccessToken,
    call: Call,
}

/// What came of the wish to ask.
#[derive(Debug)]
pub(super) enum Asked {
    /// The answer is there.
    Answered,
    /// This has to be done.
    Job(Job),
    /// Somebody else is at it.
    Leased,
    /// Not now.
    Refused(Reason),
    /// The token of the session is not accepted any more.
    Token,
}

impl Gate {
    /// Asks what `need` says, if it can be asked now.
    pub(super) fn ask(
        self: &Rc<Self>,
        need: &Need,
        priority: Priority,
        signed_in: &SignedIn,
        host: &mut Host<'_>,
    ) -> Asked {
        let account_id = &signed_in.session.identity.account_id;
        let session = signed_in.sign_out_place(&self.signed_out).name();
        let token = &signed_in.grant.access_token;
        self.ask_as(need, priority, (account_id, session, token), host)
    }

    fn ask_as(
        self: &Rc<Self>,
        need: &Need,
        priority: Priority,
        (account_id, session, token): (&str, &str, &AccessToken),
        host: &mut Host<'_>,
    ) -> Asked {
        let Need { question, asked_at } = need;
        let (now, shared) = (host.now, &*host.shared);
        let rights = &self.rights;
        let looked = rights.look(question, account_id, session, *asked_at, now, shared);
        let spot = match looked {
            Asking::Answered => return Asked::Answered,
            Asking::Leased => return Asked::Leased,
            Asking::Refused(Refused::Token) => return Asked::Token,
            Asking::Refused(Refused::Full | Refused::LacksScope | Refused::Unavailable) => {
                return Asked::Refused(Reason::RightsUnavailable);
            }
            Asking::Free(spot) => spot,
        };
        let (asker, token, budget) = self.credential_for(question, token);
        if !self.api_circuit.allows(host.now, host.shared) {
            return Asked::Refused(Reason::RightsUnavailable);
        }
        if let Err(spent) = budget.take(priority, host.now, host.shared) {
            return Asked::Refused(Reason::from(spent));
        }
        let Some(lease) = self.rights.lease(spot, self.lookup_span(), host) else {
            return Asked::Leased;
        };
        let collected = Collected::new(question.clone(), asker, account_id);
        let call = collected.call(&self.config.bitbucket.api, &token);
        Asked::Job(Job::Lookup(Box::new(Lookup {
            gate: Rc::clone(self),
            lease,
            collected,
            account_id: account_id.to_owned(),
            session: session.to_owned(),
            token,
            call,
        })))
    }

    /// Who asks a question, and whose budget it costs.
    fn credential_for(
        &self,
        question: &Question,
        token: &AccessToken,
    ) -> (Asker, AccessToken, &Budget) {
        let bot = match question {
            Question::Groups(_) => self.config.access.groups.source.as_ref().map(|it| &it.bot),
            Question::Directory(_) | Question::Repositories(_) => self.config.access.bot.as_ref(),
            Question::Projects(..) | Question::Role(_) | Question::Workspaces => None,
        };
        match bot.and_then(|bot| {
            Some((
                bot,
                self.budgets.iter().find(|(name, _)| *name == bot.name)?,
            ))
        }) {
            Some((bot, (_, budget))) => (Asker::Bot, bot.token.clone(), budget),
            None => (Asker::Person, token.clone(), &self.consumers.main.budget),
        }
    }

    /// As long as one call may take, there and back.
    pub(super) fn lookup_span(&self) -> Seconds {
        Seconds(self.config.bitbucket.api.timeout.0.saturating_add(MARGIN.0))
    }

    /// What the clock brings: groups and the keys of issuers are read anew. Called every second or
    /// so, on every worker; one of them asks.
    pub fn on_tick(self: &Rc<Self>, host: &mut Host<'_>) -> Vec<Job> {
        let mut jobs: Vec<Job> = self.groups_job(host).into_iter().collect();
        jobs.extend(self.issuers.on_tick(host).into_iter().map(Job::Keys));
        jobs
    }

    fn groups_job(self: &Rc<Self>, host: &mut Host<'_>) -> Option<Job> {
        let source = self.config.access.groups.source.as_ref()?;
        let question = Question::Groups(source.workspace.as_str().to_owned());
        let known = self.rights.find(&question, "", host.now, host.shared);
        let asked_at = known.as_ref().map(|known| known.asked_at);
        if known.is_some_and(|known| known.is_settled) {
            return None;
        }
        let priority = asked_at.map_or(Priority::New, |asked_at| Priority::Refresh {
            overdue_percent: self.rights.terms().overdue_percent(asked_at, host.now),
        });
        let need = Need { question, asked_at };
        match self.ask_as(&need, priority, ("", "", &source.bot.token), host) {
            Asked::Job(job) => Some(job),
            Asked::Refused(_) => {
                // Or each request would look into shared data, whether it is still so.
                self.rights.settle(&need.question, "", host.now);
                None
            }
            Asked::Answered | Asked::Leased | Asked::Token => None,
        }
    }

    /// The groups that the workspace's list has for an account. `None` if it is not known.
    pub(super) fn groups_of(&self, account_id: &str, host: &Host<'_>) -> Option<String> {
        let source = self.config.access.groups.source.as_ref()?;
        let question = Question::Groups(source.workspace.as_str().to_owned());
        let known = self.rights.find(&question, "", host.now, host.shared)?;
        let row = known.answer.row(account_id);
        Some(row.map(|row| row.value.clone()).unwrap_or_default())
    }

    /// All groups of a person, for a header; `None` if there are none, or if they are not known.
    pub(super) fn groups_for(&self, identity: &Identity, host: &Host<'_>) -> Option<String> {
        let account_id = &identity.account_id;
        let groups = &self.config.access.groups;
        let has = |ids: &[String]| ids.binary_search(account_id).is_ok();
        let fixed = groups.members.iter().filter(|(_, ids)| has(ids));
        let mut names: Vec<&str> = fixed.map(|(name, _)| name.as_str()).collect();
        let listed = self.groups_of(account_id, host).unwrap_or_default();
        let is_new = |name: &&str| !name.is_empty() && groups.members(name).is_none();
        names.extend(listed.split(',').filter(is_new));
        names.sort_unstable();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// How many calls are left of each credential's hour, and how old the keys of issuers are: names
    /// and numbers of gauges.
    #[must_use]
    pub fn gauges(&self, host: &Host<'_>) -> Vec<(String, u64)> {
        let consumers = self.consumers.iter().map(|consumer| &consumer.budget);
        let bots = self.budgets.iter().map(|(_, budget)| budget);
        let gauge = |budget: &Budget| {
            let left = budget.left(host.now, host.shared);
            let name = budget.name();
            (
                format!("bitgate_api_budget_left.credential.{name}"),
                left.into(),
            )
        };
        let mut gauges: Vec<_> = consumers.chain(bots).map(gauge).collect();
        gauges.extend(self.issuers.gauges(host.now, host.shared));
        gauges
    }
}

impl Lookup {
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn brings(&self) -> String {
        self.collected.question().key(&self.account_id)
    }

    pub(super) fn resume(mut self: Box<Self>, reply: Reply, host: &mut Host<'_>) -> Progress {
        let gate = Rc::clone(&self.gate);
        let api = &gate.config.bitbucket.api;
        match self.collected.take(reply, api, &self.token) {
            Err(failure) => Progress::Done(self.fail(&failure, host)),
            Ok(None) => Progress::Done(self.publish(host)),
            Ok(Some(call)) => {
                let (_, _, budget) = gate.credential_for(self.collected.question(), &self.token);
                if budget
                    .take(Priority::Further, host.now, host.shared)
                    .is_err()
                {
                    return Progress::Done(self.fail(&Failure::Budget, host));
                }
                let span = gate.lookup_span();
                gate.rights.extend(&self.lease, span, host.now, host.shared);
                self.call = call;
                Progress::Again(Job::Lookup(self))
            }
        }
    }

    fn publish(self: Box<Self>, host: &mut Host<'_>) -> Event {
        let gate = Rc::clone(&self.gate);
        gate.api_circuit.succeeded(host.shared);
        let (_, _, budget) = gate.credential_for(self.collected.question(), &self.token);
        budget.resume(host.now, host.shared);
        let (question, account_id) = (self.collected.question().clone(), self.account_id.clone());
        let Self {
            lease, collected, ..
        } = *self;
        let published = collected.finish().and_then(|answer| {
            let fits = gate.rights.answered(&lease, &answer, host.now, host.shared);
            fits.then_some(()).ok_or(Failure::TooMuch)
        });
        let failure = published.err();
        let kind = match &failure {
            None => EventKind::LookedUp,
            Some(failure) => {
                gate.rights
                    .failed(&lease, failure, "", host.now, host.shared);
                EventKind::NotLookedUp
            }
        };
        event(kind, &question, &account_id, failure.as_ref())
    }

    fn fail(&self, failure: &Failure, host: &mut Host<'_>) -> Event {
        let gate = &self.gate;
        let (_, _, budget) = gate.credential_for(self.collected.question(), &self.token);
        if let Failure::RateLimited(after) = failure {
            budget.pause(*after, host.now, host.shared);
        }
        match failure.is_about_this() {
            true => gate.api_circuit.succeeded(host.shared),
            false => gate.api_circuit.failed(host.now, host.shared),
        }
        gate.rights
            .failed(&self.lease, failure, &self.session, host.now, host.shared);
        event(
            EventKind::NotLookedUp,
            self.collected.question(),
            &self.account_id,
            Some(failure),
        )
    }
}

fn event(
    kind: EventKind,
    question: &Question,
    account_id: &str,
    failure: Option<&Failure>,
) -> Event {
    let reason = failure.map(|failure| match failure {
        Failure::Budget => Reason::ApiBudgetExhausted,
        Failure::RateLimited(_) => Reason::RateLimited,
        Failure::Token => Reason::GrantRefused,
        Failure::LacksScope(_) => Reason::MissingScope,
        Failure::TooMuch | Failure::Unavailable(_) => Reason::RightsUnavailable,
    });
    let detail = match failure {
        None => question.to_string(),
        Some(failure) => format!("{question}: {failure}"),
    };
    Event {
        reason,
        detail: Some(detail),
        account_id: question.is_personal().then(|| account_id.to_owned()),
        ..Event::new(kind)
    }
}

impl From<Spent> for Reason {
    fn from(spent: Spent) -> Self {
        match spent {
            Spent::Budget => Self::ApiBudgetExhausted,
            Spent::RateLimited => Self::RateLimited,
        }
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lookup({:?})", self.call)
    }
}
