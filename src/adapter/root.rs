//! One plugin configuration on one worker.

use std::rc::Rc;

use log::{error, info, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::adapter::filter::Filter;
use crate::adapter::hostcalls;
use crate::adapter::jobs::Jobs;
use crate::adapter::worker::Worker;
use crate::config::Config;
use crate::gate::Gate;

/// Owns the worker's renewals, and makes the contexts of its requests.
pub(super) struct Root {
    id: u32,
    worker: Rc<Worker>,
}

impl Root {
    pub(super) fn new(id: u32) -> Self {
        Self {
            id,
            worker: Rc::default(),
        }
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        if let Some(jobs) = self.worker.jobs() {
            jobs.finish(token, hostcalls::reply(headers, body_size), &self.worker);
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let text = hostcalls::plugin_configuration(size);
        let config = match Config::parse(&text, &environment) {
            Ok(config) => config,
            Err(problems) => {
                for problem in problems {
                    error!("{problem}");
                }
                return false;
            }
        };
        for warning in &config.warnings {
            warn!("{warning}");
        }
        info!(
            "{} rules for {}",
            config.policy.rules().len(),
            config.public.origin
        );
        let (gate, jobs) = (Gate::new(config), Jobs::register(self.id));
        if let Some(gate) = &gate
            && let Err(problem) = self.worker.with_host(|host| {
                gate.check_signatures(host)?;
                gate.take_over_keys(host)
            })
        {
            error!("{problem}");
            return false;
        }
        let is_complete = gate.is_some() && jobs.is_some();
        self.worker.open(gate, jobs);
        is_complete
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Filter::new(context_id, Rc::clone(&self.worker))))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn on_queue_ready(&mut self, queue: u32) {
        if let Some(jobs) = self.worker.jobs() {
            jobs.dispatch(queue, &self.worker);
        }
    }

    fn on_tick(&mut self) {
        if let Some(jobs) = self.worker.jobs() {
            jobs.tick();
            self.worker.tick(&jobs);
        }
    }
}

/// What Envoy handed over with `vm_config.environment_variables`.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
