//! Calls whose answers must not be lost, made by the root context for streams: renewals and lookups.
//!
//! A stream that dispatches a call itself loses the answer when its client hangs up, and with it a
//! refresh token that works once. So it leaves a job here and wakes its own worker's queue; the
//! root context dispatches, owns the answer, publishes it, and lets go of what waits for it.
//! Requests that wait for another worker's renewal are looked at every now and then.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls as host;

use crate::adapter::hostcalls;
use crate::adapter::stream::Stream;
use crate::adapter::worker::Worker;
use crate::gate::{Job, Progress};
use crate::host::Random;
use crate::http::Reply;

/// How long a response waits for its renewal.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often what waits is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Jobs that a worker takes on at once; further ones are not made.
const MAX_JOBS: usize = 1_000;

/// Requests that wait on a worker at once; further ones are answered.
const MAX_WAITING: usize = 4_000;

/// Names a job of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

#[derive(Default)]
struct Table {
    next: u64,
    queued: VecDeque<(Ticket, Job)>,
    /// By the host's tokens, in no order.
    dispatched: Vec<(u32, Ticket, Job)>,
    responses: Vec<HeldResponse>,
    requests: Vec<Rc<Stream>>,
}

struct HeldResponse {
    stream: Rc<Stream>,
    ticket: Ticket,
    until: Duration,
}

/// The jobs of one worker.
pub(super) struct Jobs {
    root_id: u32,
    queue: u32,
    table: RefCell<Table>,
}

impl Jobs {
    /// Registers a queue that only this worker has: of a name that several threads register, the
    /// last one gets all. `None` without random bytes for the name.
    pub(super) fn register(root_id: u32) -> Option<Rc<Self>> {
        let mut suffix = [0_u8; 16];
        hostcalls::OsRandom.fill(&mut suffix).ok()?;
        let name: String = suffix.iter().map(|byte| format!("{byte:02x}")).collect();
        let queue = host::register_shared_queue(&format!("bitgate-jobs-{name}")).ok()?;
        host::set_tick_period(TICK).ok()?;
        Some(Rc::new(Self {
            root_id,
            queue,
            table: RefCell::default(),
        }))
    }

    /// Takes on a job. It stays in this VM: the queue carries no more than a wake-up, so no
    /// secret lies in shared memory.
    pub(super) fn submit(&self, job: Job) -> Option<Ticket> {
        let table = self.table.borrow();
        if table.queued.len().saturating_add(table.dispatched.len()) >= MAX_JOBS {
            return None;
        }
        drop(table);
        let ticket = self.ticket();
        let mut table = self.table.borrow_mut();
        table.queued.push_back((ticket, job));
        drop(table);
        host::enqueue_shared_queue(self.queue, Some(b"1")).ok()?;
        Some(ticket)
    }

    /// In the root context: makes the calls of all queued jobs.
    pub(super) fn dispatch(&self, queue: u32, worker: &Worker) {
        while let Ok(Some(_)) = host::dequeue_shared_queue(queue) {}
        loop {
            // Not held over the call: a failing one finishes its job.
            let next = self.table.borrow_mut().queued.pop_front();
            let Some((ticket, job)) = next else {
                return;
            };
            self.begin(ticket, job, worker);
        }
    }

    /// In the root context: makes the job's call, and those that follow where none can be made.
    pub(super) fn begin(&self, ticket: Ticket, mut job: Job, worker: &Worker) {
        loop {
            if let Some(token) = hostcalls::dispatch(job.call()) {
                let mut table = self.table.borrow_mut();
                table.dispatched.push((token, ticket, job));
                return;
            }
            match self.go_on(ticket, job, Reply::Unreachable, worker) {
                Some(next) => job = next,
                None => return,
            }
        }
    }

    /// In the root context: a call came back.
    pub(super) fn finish(&self, token: u32, reply: Reply, worker: &Worker) {
        let mut table = self.table.borrow_mut();
        let at = table
            .dispatched
            .iter()
            .position(|(sent, ..)| *sent == token);
        let found = at.map(|at| table.dispatched.swap_remove(at));
        drop(table);
        if let Some((_, ticket, job)) = found
            && let Some(job) = self.go_on(ticket, job, reply, worker)
        {
            self.begin(ticket, job, worker);
        }
    }

    /// Gives the job back if it has a further call to make.
    fn go_on(&self, ticket: Ticket, job: Job, reply: Reply, worker: &Worker) -> Option<Job> {
        let brings = job.brings();
        match worker.with_host(|host| job.resume(reply, host)) {
            Progress::Again(job) => Some(job),
            Progress::Done(event) => {
                worker.note(&event);
                self.release_responses(&|held| held.ticket == ticket);
                self.look_at_requests(&|stream| stream.wants(&brings));
                None
            }
        }
    }

    /// Names a job that no stream has left here.
    pub(super) fn ticket(&self) -> Ticket {
        let mut table = self.table.borrow_mut();
        table.next = table.next.wrapping_add(1);
        Ticket(table.next)
    }

    /// In the root context: nobody waits for too long, and what another worker renewed is seen.
    /// The jobs go on.
    pub(super) fn tick(&self) {
        let is_idle = {
            let table = self.table.borrow();
            table.responses.is_empty() && table.requests.is_empty()
        };
        if is_idle {
            return;
        }
        let now = hostcalls::uptime();
        self.release_responses(&|held| now >= held.until);
        self.look_at_requests(&|_| true);
    }

    fn release_responses(&self, is_due: &dyn Fn(&HeldResponse) -> bool) {
        let mut table = self.table.borrow_mut();
        let (due, held) = table.responses.drain(..).partition(is_due);
        table.responses = held;
        drop(table);
        let due: Vec<HeldResponse> = due;
        self.in_context_of(due.into_iter().map(|held| held.stream), |stream| {
            stream.bring_what_was_renewed();
            let _ = host::resume_http_response();
        });
    }

    fn look_at_requests(&self, is_due: &dyn Fn(&Stream) -> bool) {
        let mut table = self.table.borrow_mut();
        // Those that wait on come back into the list.
        let (due, others) = table.requests.drain(..).partition(|stream| is_due(stream));
        table.requests = others;
        drop(table);
        let due: Vec<Rc<Stream>> = due;
        self.in_context_of(due.into_iter(), |stream| stream.look_again());
    }

    fn in_context_of(&self, streams: impl Iterator<Item = Rc<Stream>>, act: impl Fn(&Rc<Stream>)) {
        for stream in streams {
            if host::set_effective_context(stream.context_id()).is_ok() {
                act(&stream);
            }
        }
        // The next call of this callback belongs to the root context again.
        let _ = host::set_effective_context(self.root_id);
    }

    /// Holds the response of a stream until the job is done. `false` if it is.
    pub(super) fn hold_response(&self, ticket: Ticket, stream: &Rc<Stream>) -> bool {
        let mut table = self.table.borrow_mut();
        let is_queued = table.queued.iter().any(|(queued, _)| *queued == ticket);
        let is_dispatched = table.dispatched.iter().any(|(_, sent, _)| *sent == ticket);
        if !is_queued && !is_dispatched {
            return false;
        }
        table.responses.push(HeldResponse {
            stream: Rc::clone(stream),
            ticket,
            until: hostcalls::uptime().saturating_add(PATIENCE),
        });
        true
    }

    /// Holds a request. `false` if too many wait.
    pub(super) fn hold_request(&self, stream: &Rc<Stream>) -> bool {
        let mut table = self.table.borrow_mut();
        let has_room = table.requests.len() < MAX_WAITING;
        if has_room {
            table.requests.push(Rc::clone(stream));
        }
        has_room
    }

    /// The stream is gone, and nobody may resume it. Its jobs go on.
    pub(super) fn forget(&self, context_id: u32) {
        let mut table = self.table.borrow_mut();
        table
            .responses
            .retain(|held| held.stream.context_id() != context_id);
        table
            .requests
            .retain(|stream| stream.context_id() != context_id);
    }
}
