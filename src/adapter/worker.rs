//! What all requests of one worker share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::adapter::hostcalls;
use crate::adapter::jobs::Jobs;
use crate::adapter::metrics::Metrics;
use crate::adapter::stream::log;
use crate::gate::{Event, Gate};
use crate::host::Host;

/// One configuration on one worker. Empty until one was accepted: every request is refused then.
#[derive(Default)]
pub(super) struct Worker {
    gate: RefCell<Option<Rc<Gate>>>,
    jobs: RefCell<Option<Rc<Jobs>>>,
    metrics: Metrics,
    /// The second of the last tick.
    ticked_at: Cell<u64>,
}

impl Worker {
    pub(super) fn open(&self, gate: Option<Rc<Gate>>, jobs: Option<Rc<Jobs>>) {
        self.gate.replace(gate);
        self.jobs.replace(jobs);
        self.metrics.define_all();
    }

    pub(super) fn gate(&self) -> Option<Rc<Gate>> {
        self.gate.borrow().clone()
    }

    pub(super) fn jobs(&self) -> Option<Rc<Jobs>> {
        self.jobs.borrow().clone()
    }

    /// Asks the core something, with the time of this event.
    pub(super) fn with_host<T>(&self, ask: impl FnOnce(&mut Host<'_>) -> T) -> T {
        let (mut random, mut shared) = (hostcalls::OsRandom, hostcalls::WorkerShared);
        let now = hostcalls::now();
        #[cfg(feature = "test-hooks")]
        let now = now.plus(clock::offset());
        ask(&mut Host {
            now,
            random: &mut random,
            shared: &mut shared,
            signatures: &hostcalls::EnvoySignatures,
        })
    }

    /// In the root context, every tenth of a second: what the core does by the clock, once a second.
    pub(super) fn tick(&self, jobs: &Jobs) {
        let (Some(gate), second) = (self.gate(), hostcalls::uptime().as_secs()) else {
            return;
        };
        if self.ticked_at.replace(second) == second {
            return;
        }
        for job in self.with_host(|host| gate.on_tick(host)) {
            jobs.begin(jobs.ticket(), job, self);
        }
        self.metrics.count_opened(gate.take_opened());
        for (name, value) in self.with_host(|host| gate.gauges(host)) {
            self.metrics.set(name, value);
        }
    }

    /// Logs and counts.
    pub(super) fn note(&self, event: &Event) {
        log(event);
        self.metrics.count(event);
    }
}

/// Tests move the time on, for requests and renewals alike, and on all threads: one that serves no request
/// asks for keys and tokens by the clock as well.
#[cfg(feature = "test-hooks")]
pub(super) mod clock {
    use crate::adapter::hostcalls::WorkerShared;
    use crate::host::SharedData;
    use crate::time::Seconds;

    const KEY: &str = "bitgate.test.clock";

    /// Seconds, as a test wrote them.
    pub(in crate::adapter) fn set(offset: &str) {
        WorkerShared.write(KEY, offset.as_bytes(), None);
    }

    pub(super) fn offset() -> Seconds {
        let (text, _) = WorkerShared.read(KEY).unwrap_or_default();
        let text = std::str::from_utf8(&text).ok();
        Seconds(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }
}
