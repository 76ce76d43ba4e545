//! What the adapter is told to do.

use std::rc::Rc;

use crate::gate::callback::Exchange;
use crate::gate::{Event, Forward, Gate, Job, Waiting};
use crate::host::Host;
use crate::http::{Call, Reply, Response, SetCookie};

/// The next thing to do with a request.
#[must_use]
#[derive(Debug)]
pub enum Step {
    /// Make this call, and resume with what comes back. The request waits.
    Call(Call, Pending),
    /// Let the request go upstream, changed like this.
    Forward(Forward),
    /// Answer it.
    Respond(Response, Event),
    /// Log and count these, then go on with the step.
    Noted(Vec<Event>, Box<Step>),
    /// Let the request wait; first start this job, if there is one. Resume when a job has ended that
    /// brings what the request waits for, here or on another worker.
    Wait(Option<Job>, Box<Waiting>),
}

impl Step {
    /// With events from before it. A request that waits is judged anew, so they come again then.
    pub(super) fn noting(self, events: Vec<Event>) -> Self {
        match events.is_empty() || matches!(self, Self::Wait(..)) {
            true => self,
            false => Self::Noted(events, Box::new(self)),
        }
    }

    /// An answer that brings these cookies, too.
    pub(super) fn bringing(self, set: &[SetCookie]) -> Self {
        if let Self::Respond(response, event) = self {
            Self::Respond(response.with_cookies(set), event)
        } else {
            self
        }
    }

    /// An answer, with the account that it is about.
    pub(super) fn about(mut self, account_id: &str) -> Self {
        if let Self::Respond(_, event) = &mut self {
            event.account_id = Some(account_id.to_owned());
        }
        self
    }
}

/// A decision that waits for a reply. It is used once.
#[derive(Debug)]
pub struct Pending {
    pub(super) gate: Rc<Gate>,
    /// Boxed, so that a step is small.
    pub(super) exchange: Box<Exchange>,
}

impl Pending {
    /// Goes on with the reply.
    pub fn resume(self, reply: Reply, host: &mut Host<'_>) -> Step {
        self.exchange.resume(self.gate, reply, host)
    }
}
