//! One request: performs what the gate decides.

use std::rc::Rc;

use log::{debug, info, warn};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::adapter::hostcalls;
use crate::adapter::local_response;
use crate::adapter::metrics::Metrics;
use crate::gate::{Event, Forward, Gate, Level, Pending, ResponsePlan, Step, unconfigured};
use crate::host::Host;
use crate::http::{Reply, Request};
use crate::time::UnixTime;

#[cfg(feature = "test-hooks")]
use crate::adapter::jobs::{Jobs, Ticket};

/// Where the request is.
enum State {
    /// Nothing was decided yet.
    Idle,
    /// A call is on its way.
    Waiting { token: u32, pending: Pending },
    /// It went upstream.
    Forwarded { response: ResponsePlan },
    /// We answered it.
    Answered,
}

pub(super) struct Filter {
    gate: Option<Rc<Gate>>,
    metrics: Rc<Metrics>,
    state: State,
    #[cfg(feature = "test-hooks")]
    hooks: Hooks,
}

impl Filter {
    #[cfg_attr(
        not(feature = "test-hooks"),
        expect(unused_variables, reason = "only a stream that waits needs its own id")
    )]
    pub(super) fn new(context_id: u32, gate: Option<Rc<Gate>>, metrics: Rc<Metrics>) -> Self {
        Self {
            gate,
            metrics,
            state: State::Idle,
            #[cfg(feature = "test-hooks")]
            hooks: Hooks {
                context_id,
                clock_offset: 0,
                jobs: None,
                ticket: None,
            },
        }
    }

    /// Performs steps until the request goes on, is answered, or waits.
    fn perform(&mut self, mut step: Step) -> Action {
        loop {
            match step {
                Step::Call(call, pending) => match hostcalls::dispatch(&call) {
                    Some(token) => {
                        self.state = State::Waiting { token, pending };
                        return Action::Pause;
                    }
                    // No such cluster, or no healthy host in it.
                    None => step = self.resume(pending, Reply::Unreachable),
                },
                Step::Forward(Forward {
                    remove,
                    set,
                    response,
                }) => {
                    hostcalls::edit_request(&remove, &set);
                    self.state = State::Forwarded { response };
                    return Action::Continue;
                }
                Step::Respond(response, event) => {
                    self.state = State::Answered;
                    log_event(&event);
                    self.metrics.count(&event);
                    let code = event.reason.map_or("redirect", |reason| reason.code());
                    local_response::send(&response, &format!("bitgate_{code}"));
                    return Action::Pause;
                }
            }
        }
    }

    fn resume(&self, pending: Pending, reply: Reply) -> Step {
        let (mut random, mut shared) = (hostcalls::OsRandom, hostcalls::WorkerShared);
        pending.resume(
            reply,
            &mut Host {
                now: self.now(),
                random: &mut random,
                shared: &mut shared,
            },
        )
    }

    fn now(&self) -> UnixTime {
        let now = hostcalls::now();
        #[cfg(feature = "test-hooks")]
        let now = now.plus(crate::time::Seconds(self.hooks.clock_offset));
        now
    }
}

impl Context for Filter {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        // The state is taken, so that a reply can be used once.
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Waiting {
                token: expected,
                pending,
            } if expected == token => {
                let step = self.resume(pending, hostcalls::reply(headers, body_size));
                if self.perform(step) == Action::Continue {
                    hostcalls::resume_request();
                }
            }
            other @ (State::Idle
            | State::Waiting { .. }
            | State::Forwarded { .. }
            | State::Answered) => self.state = other,
        }
    }

    #[cfg(feature = "test-hooks")]
    fn on_done(&mut self) -> bool {
        // Not later: an answer in the same turn of the event loop would find a stream that is
        // gone, and the SDK would stop the VM.
        if let (Some(jobs), Some(ticket)) = (&self.hooks.jobs, self.hooks.ticket) {
            jobs.forget(ticket);
        }
        true
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let fields = hostcalls::request_fields();
        let Some(gate) = self.gate.clone() else {
            return self.perform(unconfigured(Request::read(fields)));
        };
        #[cfg(feature = "test-hooks")]
        self.hooks.read(&fields);
        let (mut random, mut shared) = (hostcalls::OsRandom, hostcalls::WorkerShared);
        let mut host = Host {
            now: self.now(),
            random: &mut random,
            shared: &mut shared,
        };
        let step = gate.on_request(Request::read(fields), &mut host);
        self.perform(step)
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        // It also runs for answers of our own, which are complete.
        let State::Forwarded { response } = &self.state else {
            return Action::Continue;
        };
        hostcalls::edit_response(response);
        #[cfg(feature = "test-hooks")]
        if self.hooks.waits() {
            return Action::Pause;
        }
        Action::Continue
    }
}

fn log_event(event: &Event) {
    match event.level() {
        Level::Debug => debug!("{event}"),
        Level::Info => info!("{event}"),
        Level::Warn => warn!("{event}"),
    }
}

/// What tests may do to a request of the second module; the released one has none of it.
#[cfg(feature = "test-hooks")]
struct Hooks {
    context_id: u32,
    clock_offset: u64,
    jobs: Option<Rc<Jobs>>,
    ticket: Option<Ticket>,
}

#[cfg(feature = "test-hooks")]
impl Hooks {
    fn read(&mut self, fields: &[(String, Vec<u8>)]) {
        let headers = crate::http::Headers::new(fields.to_vec());
        if let Some(offset) = headers.single("x-bitgate-test-clock") {
            self.clock_offset = offset.parse().unwrap_or(0);
        }
        if let (Some(jobs), Some(job)) = (&self.jobs, headers.single("x-bitgate-test-job")) {
            self.ticket = jobs.submit(job);
        }
    }

    fn waits(&self) -> bool {
        match (&self.jobs, self.ticket) {
            (Some(jobs), Some(ticket)) => jobs.wait(ticket, self.context_id),
            (_, None) | (None, _) => false,
        }
    }
}

#[cfg(feature = "test-hooks")]
impl Filter {
    pub(super) fn with_jobs(mut self, jobs: Option<Rc<Jobs>>) -> Self {
        self.hooks.jobs = jobs;
        self
    }
}
