//! Requests that wait for somebody else's answer.

use std::rc::Rc;

use crate::gate::access::Patience;
use crate::gate::job::Job;
use crate::gate::refusal::Refusal;
use crate::gate::{Gate, Reason, Step};
use crate::host::Host;
use crate::http::Request;
use crate::time::UnixTime;

/// A request that waits: its token has ended and somebody renews it, or somebody asks what it may.
#[derive(Debug)]
pub struct Waiting {
    gate: Rc<Gate>,
    request: Request,
    until: UnixTime,
    wants: String,
    /// The answer if it waits in vain.
    reason: Reason,
}

/// What a request waits for.
#[derive(Debug)]
pub(super) struct Wait {
    /// What begins it, if nobody else has.
    pub(super) job: Option<Job>,
    /// The same word as that of the job that brings it.
    pub(super) wants: String,
    /// The answer if it waits in vain.
    pub(super) reason: Reason,
}

impl Gate {
    /// Lets a request wait, as long as a call may take.
    pub(super) fn wait(
        self: &Rc<Self>,
        request: Request,
        wait: Wait,
        until: Option<UnixTime>,
        host: &Host<'_>,
    ) -> Step {
        let Wait { job, wants, reason } = wait;
        let until = until.unwrap_or(host.now.plus(self.patience().max(self.lookup_span())));
        let waiting = Box::new(Waiting {
            gate: Rc::clone(self),
            request,
            until,
            wants,
            reason,
        });
        Step::Wait(job, waiting)
    }

    /// The answer for somebody who may be allowed, while nobody can say.
    pub(super) fn unknown(&self, request: &Request, reason: Reason) -> Step {
        Refusal::new(reason)
            .with_retry(request.target.as_str())
            .into_step(request, None)
    }
}

impl Waiting {
    /// Looks again: the request goes on, is answered, or waits on.
    pub fn resume(self, host: &mut Host<'_>) -> Step {
        self.gate.judge(self.request, Some(self.until), host)
    }

    /// Whether a job that brings `what` is what it waits for.
    #[must_use]
    pub fn wants(&self, what: &str) -> bool {
        self.wants == what
    }

    /// The answer for a request that is one too many.
    pub fn give_up(self) -> Step {
        self.gate.unknown(&self.request, self.reason)
    }
}

impl Patience {
    /// Whether a request may wait on that has waited until now.
    pub(super) fn of(waits_until: Option<UnixTime>, now: UnixTime) -> Self {
        match waits_until.is_some_and(|until| now >= until) {
            true => Self::Over,
            false => Self::Left,
        }
    }
}
