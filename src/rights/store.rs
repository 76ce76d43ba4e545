//! What is known, what has to be asked, and who does.

use std::cell::RefCell;
use std::rc::Rc;

use crate::host::{Host, SharedData};
use crate::rights::cache::{Cache, Entry};
use crate::rights::record::{Lease, Records, Spot};
use crate::rights::{Answer, Failure, Question};
use crate::time::{Seconds, UnixTime};

/// How long an old answer is used before a worker looks again whether it can be renewed.
const SETTLED: Seconds = Seconds(10);

/// After a worker has asked ahead, or could not, how long it waits before it looks again.
const TRIED: Seconds = Seconds(10);

/// How old answers may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// An older one is asked anew before it is used.
    pub max_age: Seconds,
    /// An older one is of no use, even if Bitbucket cannot be asked.
    pub grace: Seconds,
}

impl Terms {
    /// How much of the way from `max_age` to `grace` an answer of `asked_at` has gone, in percent.
    #[must_use]
    pub fn overdue_percent(self, asked_at: UnixTime, now: UnixTime) -> u64 {
        let over = now.since(asked_at.plus(self.max_age)).0;
        let way = self.grace.0.saturating_sub(self.max_age.0);
        over.saturating_mul(100).checked_div(way).unwrap_or(100)
    }
}

/// An answer that may be used.
#[derive(Clone, Debug)]
pub struct Known {
    /// The answer.
    pub answer: Rc<Answer>,
    /// When the question was asked.
    pub asked_at: UnixTime,
    /// Whether it need not be asked anew now.
    pub is_settled: bool,
    /// Whether nobody has just tried to ask it before it is too old.
    pub may_ask_ahead: bool,
}

/// Whether a question can be asked now.
#[derive(Debug)]
pub enum Asking {
    /// Somebody was faster: the answer is there.
    Answered,
    /// Here the lease can be taken.
    Free(Spot),
    /// Somebody is asking.
    Leased,
    /// It is not to be tried at this time.
    Refused(Refused),
}

/// Why a question is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// All slots that it could have are needed by others.
    Full,
    /// The token lacks a scope.
    LacksScope,
    /// Bitbucket does not accept the token of this session any more.
    Token,
    /// Bitbucket could not be asked a moment ago.
    Unavailable,
}

/// The rights of one site.
#[derive(Debug)]
pub struct Rights {
    records: Records,
    terms: Terms,
    cache: RefCell<Cache>,
}

impl Rights {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(site: &str, terms: Terms) -> Self {
        Self {
            records: Records::new(site),
            terms,
            cache: RefCell::new(Cache::new()),
        }
    }

    /// How old answers may be.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// The answer that may be used at `now`: a fresh one, or one within `grace`.
    pub fn find(
        &self,
        question: &Question,
        account_id: &str,
        now: UnixTime,
        shared: &dyn SharedData,
    ) -> Option<Known> {
        let account_id = about(question, account_id);
        let mut cache = self.cache.borrow_mut();
        if let Some(entry) = cache.find(question, account_id)
            && let Some(known) = self.known(entry, now).filter(|known| known.is_settled)
        {
            return Some(known);
        }
        let record = self
            .records
            .find(&question.key(account_id), now, shared)?
            .into_record();
        if let Some(entry) = cache.find(question, account_id)
            && entry.asked_at >= record.asked_at
        {
            return self.known(entry, now);
        }
        let answer = Rc::new(Answer::read(&record.answer)?);
        let entry = Entry::new(question.clone(), answer, record.asked_at);
        let known = self.known(&entry, now);
        cache.keep(account_id, entry);
        known
    }

    fn known(&self, entry: &Entry, now: UnixTime) -> Option<Known> {
        let Entry {
            answer,
            asked_at,
            settled_until,
            tried_until,
            ..
        } = entry;
        let is_fresh = now < asked_at.plus(self.terms.max_age);
        (now < asked_at.plus(self.terms.grace)).then(|| Known {
            answer: Rc::clone(answer),
            asked_at: *asked_at,
            is_settled: is_fresh || now < *settled_until,
            may_ask_ahead: now >= *tried_until,
        })
    }

    /// Whether the question can be asked at `now`, with the token of the session called `session`, by
    /// somebody who has the answer of `known_at`, or none.
    pub fn look(
        &self,
        question: &Question,
        account_id: &str,
        session: &str,
        known_at: Option<UnixTime>,
        now: UnixTime,
        shared: &dyn SharedData,
    ) -> Asking {
        let account_id = about(question, account_id);
        let Some(spot) = self.records.find(&question.key(account_id), now, shared) else {
            return Asking::Refused(Refused::Full);
        };
        let record = spot.record();
        let is_fresh = now < record.asked_at.plus(self.terms.max_age);
        if !record.answer.is_empty() && is_fresh && Some(record.asked_at) > known_at {
            return Asking::Answered;
        }
        if record.is_leased(now) {
            return Asking::Leased;
        }
        match record
            .failure(now)
            .and_then(|word| Failure::refused(word, session))
        {
            Some(refused) => Asking::Refused(refused),
            None => Asking::Free(spot),
        }
    }

    /// Takes the lease for `span`. `None` if somebody was faster, or without random bytes.
    pub fn lease(&self, spot: Spot, span: Seconds, host: &mut Host<'_>) -> Option<Lease> {
        Records::lease(spot, span, self.terms.grace, host)
    }

    /// Keeps the lease for another `span`: the list has a further page.
    pub fn extend(&self, lease: &Lease, span: Seconds, now: UnixTime, shared: &mut dyn SharedData) {
        Records::extend(lease, span, now, shared);
    }

    /// Publishes an answer for every request on every worker. `false` if it is too large.
    pub fn answered(
        &self,
        lease: &Lease,
        answer: &Answer,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) -> bool {
        Records::answered(lease, answer.write(), self.terms.grace, now, shared)
    }

    /// Publishes that there was none, and for how long nobody tries again.
    pub fn failed(
        &self,
        lease: &Lease,
        failure: &Failure,
        session: &str,
        now: UnixTime,
        shared: &mut dyn SharedData,
    ) {
        let (word, pause) = failure.word(session);
        Records::failed(lease, &word, now.plus(pause), now, shared);
    }

    /// An old answer is used, since it cannot be renewed now: not every request tries again.
    pub fn settle(&self, question: &Question, account_id: &str, now: UnixTime) {
        let account_id = about(question, account_id);
        if let Some(entry) = self.cache.borrow_mut().find(question, account_id) {
            entry.settled_until = now.plus(SETTLED);
        }
    }

    /// Somebody has just asked ahead, or could not: the next one waits a little.
    pub fn tried(&self, question: &Question, account_id: &str, now: UnixTime) {
        let account_id = about(question, account_id);
        if let Some(entry) = self.cache.borrow_mut().find(question, account_id) {
            entry.tried_until = now.plus(TRIED);
        }
    }

    /// There is a newer answer in shared data: it is read the next time.
    pub fn forget(&self, question: &Question, account_id: &str) {
        let account_id = about(question, account_id);
        self.cache.borrow_mut().forget(question, account_id);
    }
}

/// Whom the answer is about.
fn about<'a>(question: &Question, account_id: &'a str) -> &'a str {
    if question.is_personal() {
        account_id
    } else {
        ""
    }
}
