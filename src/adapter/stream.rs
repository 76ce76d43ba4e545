//! One request, as its own callbacks and the root context see it: performs what the gate decides.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use log::{debug, info, warn};
use proxy_wasm::types::Action;

use crate::adapter::hostcalls;
use crate::adapter::jobs::Ticket;
use crate::adapter::local_response;
use crate::adapter::worker::Worker;
use crate::gate::{Event, Forward, Job, Level, Pending, ResponsePlan, Step, Waiting, unconfigured};
use crate::http::{Headers, Reply, Request};

/// A response that took longer brings no cookie: the person may have signed out since, or signed in
/// as somebody else, and an old cookie would take the place of the new one.
const STALE: Duration = Duration::from_secs(5);

/// Where the request is.
enum State {
    /// Nothing was decided yet.
    Idle,
    /// A call is on its way.
    Calling { token: u32, pending: Pending },
    /// It waits for a job that somebody else has, or one of its own.
    Waiting(Box<Waiting>),
    /// It went upstream.
    Forwarded {
        response: ResponsePlan,
        ticket: Option<Ticket>,
        /// When, where the response may bring cookies.
        at: Option<Duration>,
    },
    /// We answered it.
    Answered,
}

pub(super) struct Stream {
    context_id: u32,
    worker: Rc<Worker>,
    state: RefCell<State>,
}

impl Stream {
    pub(super) fn new(context_id: u32, worker: Rc<Worker>) -> Rc<Self> {
        Rc::new(Self {
            context_id,
            worker,
            state: RefCell::new(State::Idle),
        })
    }

    pub(super) fn context_id(&self) -> u32 {
        self.context_id
    }

    pub(super) fn on_request(self: &Rc<Self>, headers: Headers) -> Action {
        let received = Request::read(headers);
        let step = match self.worker.gate() {
            None => unconfigured(received),
            Some(gate) => self
                .worker
                .with_host(|host| gate.on_request(received, host)),
        };
        self.perform(step)
    }

    pub(super) fn on_reply(self: &Rc<Self>, token: u32, headers: usize, body_size: usize) {
        // The state is taken, so that a reply can be used once.
        match self.state.replace(State::Idle) {
            State::Calling {
                token: expected,
                pending,
            } if expected == token => {
                let reply = hostcalls::reply(headers, body_size);
                let step = self.worker.with_host(|host| pending.resume(reply, host));
                if self.perform(step) == Action::Continue {
                    hostcalls::resume_request();
                }
            }
            other @ (State::Idle
            | State::Calling { .. }
            | State::Waiting(_)
            | State::Forwarded { .. }
            | State::Answered) => {
                self.state.replace(other);
            }
        }
    }

    /// In the context of this stream: looks again whether the request can go on.
    pub(super) fn look_again(self: &Rc<Self>) {
        match self.state.replace(State::Idle) {
            State::Waiting(waiting) => {
                let step = self.worker.with_host(|host| waiting.resume(host));
                if self.perform(step) == Action::Continue {
                    hostcalls::resume_request();
                }
            }
            other @ (State::Idle
            | State::Calling { .. }
            | State::Forwarded { .. }
            | State::Answered) => {
                self.state.replace(other);
            }
        }
    }

    /// Whether it waits for what a job brings.
    pub(super) fn wants(&self, what: &str) -> bool {
        match &*self.state.borrow() {
            State::Waiting(waiting) => waiting.wants(what),
            State::Idle | State::Calling { .. } | State::Forwarded { .. } | State::Answered => {
                false
            }
        }
    }

    pub(super) fn on_trailers(&self) {
        if let Some(gate) = self.worker.gate() {
            hostcalls::strip_trailers(|name| gate.manages(name));
        }
    }

    pub(super) fn on_response(self: &Rc<Self>) -> Action {
        // It also runs for answers of our own, which are complete.
        let state = self.state.borrow();
        let State::Forwarded {
            response,
            ticket,
            at,
        } = &*state
        else {
            return Action::Continue;
        };
        if let (Some(place), Some(gate)) = (response.bot, self.worker.gate())
            && let Some(status) = hostcalls::response_status()
            && let Some(event) = self
                .worker
                .with_host(|host| gate.bot_answered(place, status, host))
        {
            self.worker.note(&event);
        }
        if at.is_some_and(|at| hostcalls::uptime().saturating_sub(at) > STALE) {
            hostcalls::edit_response(&response.without_cookies());
            return Action::Continue;
        }
        hostcalls::edit_response(response);
        if response.watch.is_none() {
            return Action::Continue;
        }
        let ticket = *ticket;
        drop(state);
        if self.bring_what_was_renewed() {
            return Action::Continue;
        }
        match (ticket, self.worker.jobs()) {
            (Some(ticket), Some(jobs)) if jobs.hold_response(ticket, self) => Action::Pause,
            (Some(_) | None, _) => Action::Continue,
        }
    }

    /// In the context of this stream: adds the cookies of the renewal that it watches to its
    /// response. `false` if that is not over.
    pub(super) fn bring_what_was_renewed(&self) -> bool {
        let state = self.state.borrow();
        let State::Forwarded { response, .. } = &*state else {
            return true;
        };
        let (Some(watch), Some(gate)) = (&response.watch, self.worker.gate()) else {
            return true;
        };
        let cookies = self.worker.with_host(|host| gate.late_cookies(watch, host));
        hostcalls::add_cookies(cookies.as_deref().unwrap_or_default());
        cookies.is_some()
    }

    /// Performs steps until the request goes on, is answered, or waits.
    fn perform(self: &Rc<Self>, mut step: Step) -> Action {
        loop {
            match step {
                Step::Call(call, pending) => match hostcalls::dispatch(&call) {
                    Some(token) => {
                        self.state.replace(State::Calling { token, pending });
                        return Action::Pause;
                    }
                    // No such cluster, or no healthy host in it.
                    None => {
                        let reply = Reply::Unreachable;
                        step = self.worker.with_host(|host| pending.resume(reply, host));
                    }
                },
                Step::Forward(forward) => return self.forward(forward),
                Step::Respond(response, event) => {
                    self.state.replace(State::Answered);
                    self.worker.note(&event);
                    let code = event.reason.map_or("redirect", |reason| reason.code());
                    local_response::send(&response, &format!("bitgate_{code}"));
                    return Action::Pause;
                }
                Step::Noted(events, next) => {
                    events.iter().for_each(|event| self.worker.note(event));
                    step = *next;
                }
                Step::Wait(job, waiting) => {
                    let held = self.worker.jobs().is_some_and(|jobs| {
                        let started = job.is_none_or(|job| jobs.submit(job).is_some());
                        started && jobs.hold_request(self)
                    });
                    if held {
                        self.state.replace(State::Waiting(waiting));
                        return Action::Pause;
                    }
                    step = waiting.give_up();
                }
            }
        }
    }

    fn forward(&self, forward: Forward) -> Action {
        let Forward {
            remove,
            set,
            response,
            renewal,
            ahead,
        } = forward;
        hostcalls::edit_request(&remove, &set);
        let jobs = self.worker.jobs();
        if let Some((jobs, job)) = jobs.as_ref().zip(ahead) {
            jobs.submit(job);
        }
        let ticket = jobs
            .zip(renewal)
            .and_then(|(jobs, renewal)| jobs.submit(Job::Renewal(renewal)));
        let at = response.may_bring_cookies().then(hostcalls::uptime);
        self.state.replace(State::Forwarded {
            response,
            ticket,
            at,
        });
        Action::Continue
    }

    /// The stream is gone, and nobody may resume it. Its jobs go on.
    pub(super) fn on_gone(&self) {
        if let Some(jobs) = self.worker.jobs() {
            jobs.forget(self.context_id);
        }
    }
}

pub(super) fn log(event: &Event) {
    match event.level() {
        Level::Debug => debug!("{event}"),
        Level::Info => info!("{event}"),
        Level::Warn => warn!("{event}"),
    }
}
