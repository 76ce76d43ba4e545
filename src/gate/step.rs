//! What the adapter is told to do.

use std::rc::Rc;

use crate::gate::callback::Exchange;
use crate::gate::{Event, Forward, Gate, Renewal, Waiting};
use crate::host::Host;
use crate::http::{Call, Reply, Response};

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
    /// Let the request wait; first start this renewal, if there is one. Resume when a renewal has
    /// ended, here or on another worker.
    Wait(Option<Box<Renewal>>, Box<Waiting>),
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
