//! Asking Bitbucket about rights: who may ask at this time, and what becomes of the answer.

use std::fmt;
use std::rc::Rc;

use crate::bitbucket::{Credential, InvalidAnswer};
use crate::gate::actor::{self, Actor, Payer};
use crate::gate::bot::NoToken;
use crate::gate::facts::Need;
use crate::gate::job::{Job, Progress};
use crate::gate::{Event, EventKind, Gate, Reason};
use crate::host::Host;
use crate::http::{Call, Reply};
use crate::identity::Identity;
use crate::rights::{
    Asker, Asking, Budget, Collected, Failure, Lease, Priority, Question, Refused, Spent,
};
use crate::sorted::sorted;
use crate::time::Seconds;

/// How much longer than the call a lease lives: for the way there and back.
const MARGIN: Seconds = Seconds(3);

/// A question on its way, page by page. Requests of the same person on other workers wait for it.
pub struct Lookup {
    gate: Rc<Gate>,
    lease: Lease,
    collected: Collected,
    /// Whom it is about: an account, or a name for a token.
    about: String,
    /// A word for the credential that does not tell it.
    word: String,
    credential: Credential,
    payer: Payer,
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
    /// The credential lacks a scope for it.
    LacksScope,
    /// The credential is not accepted any more.
    Token,
}

impl Gate {
    /// Asks what `need` says, if it can be asked now.
    pub(super) fn ask(
        self: &Rc<Self>,
        need: &Need,
        priority: Priority,
        actor: Actor<'_>,
        host: &mut Host<'_>,
    ) -> Asked {
        let asking = match self.asker(&need.question) {
            Some(_) => Some(actor::Asking::by_bot()),
            None => actor.asking(self),
        };
        match asking {
            Some(asking) => self.ask_as(need, priority, actor.about(), asking, host),
            None => Asked::Refused(Reason::RightsUnavailable),
        }
    }

    /// [`Gate::ask`] about somebody who is no actor yet.
    pub(super) fn ask_as(
        self: &Rc<Self>,
        need: &Need,
        priority: Priority,
        about: &str,
        asking: actor::Asking,
        host: &mut Host<'_>,
    ) -> Asked {
        let actor::Asking {
            payer,
            credential,
            word,
        } = asking;
        let Need { question, asked_at } = need;
        let (now, shared) = (host.now, &*host.shared);
        let rights = &self.rights;
        let looked = rights.look(question, about, &word, *asked_at, now, shared);
        let spot = match looked {
            Asking::Answered => return Asked::Answered,
            Asking::Leased => return Asked::Leased,
            Asking::Refused(Refused::Token) => return Asked::Token,
            Asking::Refused(Refused::LacksScope) => return Asked::LacksScope,
            Asking::Refused(Refused::Full | Refused::Unavailable) => {
                return Asked::Refused(Reason::RightsUnavailable);
            }
            Asking::Free(spot) => spot,
        };
        let (asker, credential) = match self.asker(question) {
            None => (Asker::Person, credential),
            Some(place) => match self.bot_token(place, host) {
                Ok(grant) => (Asker::Bot, grant.access_token.clone().into()),
                Err(NoToken::Later(Some(job))) => return Asked::Job(job),
                Err(NoToken::Later(None)) => return Asked::Leased,
                Err(NoToken::Unavailable) => return Asked::Refused(Reason::BotUnavailable),
            },
        };
        let budget = self.budget_for(question, payer);
        if !self.api_circuit.allows(host.now, host.shared) {
            return Asked::Refused(Reason::RightsUnavailable);
        }
        if let Err(spent) = budget.take(priority, host.now, host.shared) {
            self.api_circuit.uncalled(host.shared);
            return Asked::Refused(Reason::from(spent));
        }
        let Some(lease) = self.rights.lease(spot, self.lookup_span(), host) else {
            self.api_circuit.uncalled(host.shared);
            return Asked::Leased;
        };
        let collected = Collected::new(question.clone(), asker, about);
        let call = collected.call(&self.config.bitbucket.api, &credential);
        Asked::Job(Job::Lookup(Box::new(Lookup {
            gate: Rc::clone(self),
            lease,
            collected,
            about: about.to_owned(),
            word,
            credential,
            payer,
            call,
        })))
    }

    /// The bot that asks a question; `None` for whoever it is about.
    fn asker(&self, question: &Question) -> Option<usize> {
        match question {
            Question::Groups(_) => self.config.access.groups.source.as_ref().map(|it| it.bot),
            Question::Called(..) | Question::Directory(_) | Question::Repositories(_) => {
                self.config.access.bot
            }
            Question::Account
            | Question::Projects(..)
            | Question::Reach(_)
            | Question::Role(_)
            | Question::Visible(..)
            | Question::Workspaces => None,
        }
    }

    /// Whose budget it costs.
    fn budget_for(&self, question: &Question, payer: Payer) -> &Budget {
        let bot = self.asker(question).and_then(|place| self.bots.get(place));
        match (bot, payer) {
            (Some(bot), _) => &bot.budget,
            (None, Payer::Site) => &self.consumers.main.budget,
            (None, Payer::Callers) => &self.callers.budget,
            (None, Payer::Unknown) => &self.callers.unknown_budget,
        }
    }

    /// As long as one call may take, there and back.
    pub(super) fn lookup_span(&self) -> Seconds {
        Seconds(self.config.bitbucket.api.timeout.0.saturating_add(MARGIN.0))
    }

    /// What the clock brings: bots get their tokens, and groups and the keys of issuers are read anew.
    /// Called every second or so, on every worker; one of them asks.
    pub fn on_tick(self: &Rc<Self>, host: &mut Host<'_>) -> Vec<Job> {
        let mut jobs = self.bot_jobs(host);
        jobs.extend(self.issuers.on_tick(host).into_iter().map(Job::Keys));
        jobs.extend(self.groups_job(host));
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
        match self.ask_as(&need, priority, "", actor::Asking::by_bot(), host) {
            Asked::Job(job) => Some(job),
            Asked::Refused(_) => {
                // Or each request would look into shared data, whether it is still so.
                self.rights.settle(&need.question, "", host.now);
                None
            }
            Asked::Answered | Asked::LacksScope | Asked::Leased | Asked::Token => None,
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
        (!names.is_empty()).then(|| sorted(names).join(","))
    }

    /// How many calls are left of each credential's hour, how the tokens of bots are, and how old the
    /// keys of issuers are: names and numbers of gauges.
    #[must_use]
    pub fn gauges(&self, host: &Host<'_>) -> Vec<(String, u64)> {
        let consumers = self.consumers.iter().map(|consumer| &consumer.budget);
        let callers = self.callers.budgets();
        let bots = self.bots.iter().map(|bot| &bot.budget);
        let mut gauges = Vec::new();
        for budget in consumers.chain(bots).chain(callers) {
            let left = budget.left(host.now, host.shared);
            let name = format!("bitgate_api_budget_left.credential.{}", budget.name());
            gauges.push((name, left.into()));
        }
        gauges.extend(self.bot_gauges(host));
        gauges.extend(self.issuers.gauges(host.now, host.shared));
        gauges.extend(self.kinds.gauges(host.now, host.shared));
        gauges
    }
}

impl Lookup {
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    pub(super) fn brings(&self) -> String {
        self.collected.question().key(&self.about)
    }

    pub(super) fn resume(mut self: Box<Self>, reply: Reply, host: &mut Host<'_>) -> Progress {
        let gate = Rc::clone(&self.gate);
        let api = &gate.config.bitbucket.api;
        match self.collected.take(reply, api, &self.credential) {
            Err(failure) => Progress::Done(self.fail(&failure, host)),
            Ok(None) => Progress::Done(self.publish(host)),
            Ok(Some(call)) => {
                let budget = gate.budget_for(self.collected.question(), self.payer);
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
        let question = self.collected.question().clone();
        let budget = gate.budget_for(&question, self.payer);
        budget.resume(host.now, host.shared);
        let Self {
            lease,
            collected,
            about,
            ..
        } = *self;
        let published = collected.finish().and_then(|answer| {
            let fits = gate.rights.answered(&lease, &answer, host.now, host.shared);
            fits.then_some(()).ok_or(Failure::TooMuch)
        });
        let failure = published.err();
        let bot = gate.asker(&question);
        if let Some(place) = bot {
            gate.kinds.bot_succeeded(place, host.now, host.shared);
        }
        let kind = match &failure {
            None => EventKind::LookedUp,
            Some(failure) => {
                gate.rights
                    .failed(&lease, failure, "", host.now, host.shared);
                EventKind::NotLookedUp
            }
        };
        Event {
            bot: bot.and_then(|place| gate.bot_name(place)),
            ..event(kind, &question, &about, failure.as_ref())
        }
    }

    fn fail(&self, failure: &Failure, host: &mut Host<'_>) -> Event {
        let gate = &self.gate;
        let budget = gate.budget_for(self.collected.question(), self.payer);
        if let Failure::RateLimited(after) = failure {
            budget.pause(*after, host.now, host.shared);
        }
        // Bitbucket answers, and does not accept the bot's token: that says nothing about other questions.
        let is_rejected = matches!(failure, Failure::Unavailable(InvalidAnswer::Denied(401)));
        let bot = gate.asker(self.collected.question());
        if let Some(place) = bot.filter(|_| is_rejected) {
            gate.bot_token_rejected(place, self.credential.token(), host);
        }
        match is_rejected || failure.is_answer() {
            true => gate.api_circuit.succeeded(host.shared),
            false => gate.api_circuit.failed(host.now, host.shared),
        }
        gate.rights
            .failed(&self.lease, failure, &self.word, host.now, host.shared);
        let question = self.collected.question();
        Event {
            bot: bot.and_then(|place| gate.bot_name(place)),
            ..event(EventKind::NotLookedUp, question, &self.about, Some(failure))
        }
    }
}

fn event(kind: EventKind, question: &Question, about: &str, failure: Option<&Failure>) -> Event {
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
        account_id: question.is_personal().then(|| about.to_owned()),
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
