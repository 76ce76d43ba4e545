//! Counters of events by kind and reason, which Envoy adds up over all workers, and gauges.

use std::cell::RefCell;
use std::collections::HashMap;

use proxy_wasm::hostcalls as host;
use proxy_wasm::types::MetricType;

use crate::gate::{Event, EventKind, Reason, SessionCookie};

/// Sessions that a worker did not find in its memory. Nothing is logged for them, so they are no events.
const OPENED: &str = "bitgate_sessions_opened_total";

/// The host's ids by name. A name that is defined twice gets two ids, so each is defined once.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    ids: RefCell<HashMap<String, u32>>,
}

impl Metrics {
    /// Defines every counter, so that each is there with 0 before the first event: an alert on an
    /// increase sees the first one too.
    pub(super) fn define_all(&self) {
        for kind in EventKind::ALL {
            if *kind != EventKind::Refused {
                self.counter(Event::metric_of(*kind, None));
            }
        }
        for reason in Reason::ALL {
            self.counter(Event::metric_of(EventKind::Refused, Some(*reason)));
        }
        self.counter(SessionCookie::Unreadable.metric().to_owned());
        self.counter(OPENED.to_owned());
    }

    /// Counts an event.
    pub(super) fn count(&self, event: &Event) {
        let cookie = event
            .session_cookie
            .map(|cookie| cookie.metric().to_owned());
        let credential = event.credential_metric();
        let bot = event.bot_metric();
        let more = cookie.into_iter().chain(credential).chain(bot);
        for name in [event.metric()].into_iter().chain(more) {
            self.add(name, 1);
        }
    }

    /// Counts sessions that were opened.
    pub(super) fn count_opened(&self, opened: u64) {
        if opened > 0 {
            self.add(OPENED.to_owned(), i64::try_from(opened).unwrap_or(i64::MAX));
        }
    }

    fn add(&self, name: String, more: i64) {
        if let Some(id) = self.counter(name) {
            // A counter that the host does not know any more is no reason to refuse a request.
            let _ = host::increment_metric(id, more);
        }
    }

    /// Sets a gauge.
    pub(super) fn set(&self, name: String, value: u64) {
        if let Some(id) = self.id(MetricType::Gauge, name) {
            let _ = host::record_metric(id, value);
        }
    }

    fn counter(&self, name: String) -> Option<u32> {
        self.id(MetricType::Counter, name)
    }

    fn id(&self, kind: MetricType, name: String) -> Option<u32> {
        if let Some(id) = self.ids.borrow().get(&name) {
            return Some(*id);
        }
        let id = host::define_metric(kind, &name).ok()?;
        self.ids.borrow_mut().insert(name, id);
        Some(id)
    }
}
