//! Calls whose answer must not be lost, made by the root context for streams.
//!
//! A stream that dispatches a call itself loses the answer when its client hangs up. So it leaves
//! a job here and wakes its own worker's queue; the root context dispatches, owns the answer, and
//! lets go of the responses that wait for it. What comes next stands on this: renewal of tokens.
//! Until then only the module for tests has it.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use proxy_wasm::hostcalls as host;
use proxy_wasm::types::MapType;

use crate::adapter::hostcalls;
use crate::host::Random;
use crate::http::{Call, HeaderValue, Reply};
use crate::time::{Seconds, UnixTime};

/// How long a response waits for its job.
const PATIENCE: Seconds = Seconds(2);

/// How often late responses are looked for.
const TICK: Duration = Duration::from_millis(250);

/// Jobs that a worker takes on at once; further ones are not made.
const MAX_JOBS: usize = 1_000;

/// Names a job of this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

enum Progress {
    Queued,
    Finished(&'static str),
}

#[derive(Default)]
struct Table {
    next: u64,
    queued: VecDeque<(Ticket, Call)>,
    dispatched: HashMap<u32, Ticket>,
    progress: HashMap<Ticket, Progress>,
    waiting: Vec<Waiter>,
    finished: u64,
}

struct Waiter {
    context_id: u32,
    ticket: Ticket,
    until: UnixTime,
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

    /// Takes on a job, written as `cluster path`. The call stays in this VM: the queue carries no
    /// more than a wake-up, so no secret lies in shared memory.
    pub(super) fn submit(&self, job: &str) -> Option<Ticket> {
        let (cluster, path) = job.split_once(' ')?;
        let call = Call {
            cluster: cluster.to_owned(),
            method: "GET",
            scheme: "http",
            authority: "job.test".to_owned(),
            path: path.to_owned(),
            headers: vec![("x-bitgate-job", HeaderValue::fixed("1"))],
            body: Vec::new(),
            timeout: Seconds(10),
        };
        let mut table = self.table.borrow_mut();
        if table.progress.len() >= MAX_JOBS {
            return None;
        }
        table.next = table.next.wrapping_add(1);
        let ticket = Ticket(table.next);
        table.queued.push_back((ticket, call));
        table.progress.insert(ticket, Progress::Queued);
        drop(table);
        host::enqueue_shared_queue(self.queue, Some(b"1")).ok()?;
        Some(ticket)
    }

    /// In the root context: makes the calls of all queued jobs.
    pub(super) fn dispatch(&self, queue: u32) {
        while let Ok(Some(_)) = host::dequeue_shared_queue(queue) {}
        loop {
            // Not held over the call: a failing one finishes its job.
            let next = self.table.borrow_mut().queued.pop_front();
            let Some((ticket, call)) = next else { return };
            match hostcalls::dispatch(&call) {
                Some(token) => {
                    self.table.borrow_mut().dispatched.insert(token, ticket);
                }
                None => self.complete(ticket, &Reply::Unreachable),
            }
        }
    }

    /// In the root context: a call came back.
    pub(super) fn finish(&self, token: u32, reply: Reply) {
        let ticket = self.table.borrow_mut().dispatched.remove(&token);
        if let Some(ticket) = ticket {
            self.complete(ticket, &reply);
        }
    }

    fn complete(&self, ticket: Ticket, reply: &Reply) {
        let outcome = match reply {
            Reply::Answer { .. } => "answered",
            Reply::TimedOut | Reply::TooLarge | Reply::Unreachable => "failed",
        };
        let mut table = self.table.borrow_mut();
        table.finished = table.finished.wrapping_add(1);
        // A job whose stream is gone leaves nothing behind.
        if let Some(progress) = table.progress.get_mut(&ticket) {
            *progress = Progress::Finished(outcome);
        }
        let (ready, waiting) = table
            .waiting
            .drain(..)
            .partition(|waiter| waiter.ticket == ticket);
        table.waiting = waiting;
        drop(table);
        self.release(ready, outcome);
    }

    /// In the root context: nobody waits longer than [`PATIENCE`]. The job goes on.
    pub(super) fn release_late(&self) {
        let now = hostcalls::now();
        let mut table = self.table.borrow_mut();
        let (late, waiting) = table
            .waiting
            .drain(..)
            .partition(|waiter| now >= waiter.until);
        table.waiting = waiting;
        drop(table);
        self.release(late, "late");
    }

    fn release(&self, waiters: Vec<Waiter>, outcome: &str) {
        for waiter in waiters {
            if host::set_effective_context(waiter.context_id).is_ok() {
                self.mark(outcome);
                let _ = host::resume_http_response();
            }
        }
        // The next call of this callback belongs to the root context again.
        let _ = host::set_effective_context(self.root_id);
    }

    /// Whether the response of stream `context_id` must wait for the job. If not, it is marked
    /// with how the job went.
    pub(super) fn wait(&self, ticket: Ticket, context_id: u32) -> bool {
        let mut table = self.table.borrow_mut();
        if let Some(Progress::Finished(outcome)) = table.progress.get(&ticket) {
            let outcome = *outcome;
            table.progress.remove(&ticket);
            drop(table);
            self.mark(outcome);
            return false;
        }
        let until = hostcalls::now().plus(PATIENCE);
        table.waiting.push(Waiter {
            context_id,
            ticket,
            until,
        });
        true
    }

    /// The stream is gone, and nobody may resume it. Its job goes on.
    pub(super) fn forget(&self, ticket: Ticket) {
        let mut table = self.table.borrow_mut();
        table.waiting.retain(|waiter| waiter.ticket != ticket);
        table.progress.remove(&ticket);
    }

    fn mark(&self, outcome: &str) {
        const MAP: MapType = MapType::HttpResponseHeaders;
        let finished = self.table.borrow().finished.to_string();
        let _ = host::set_map_value_bytes(MAP, "x-bitgate-test-job", Some(outcome.as_bytes()));
        let _ = host::set_map_value_bytes(
            MAP,
            "x-bitgate-test-jobs-finished",
            Some(finished.as_bytes()),
        );
    }
}
