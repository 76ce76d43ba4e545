//! One plugin configuration on one worker.

use std::rc::Rc;

use log::{error, info, warn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use crate::adapter::filter::Filter;
use crate::adapter::hostcalls;
use crate::adapter::metrics::Metrics;
use crate::config::Config;
use crate::gate::Gate;

#[cfg(feature = "test-hooks")]
use crate::adapter::jobs::Jobs;

/// Holds the gate that all requests of this worker share.
pub(super) struct Root {
    /// `None` until a configuration was accepted: every request is refused then.
    gate: Option<Rc<Gate>>,
    metrics: Rc<Metrics>,
    #[cfg(feature = "test-hooks")]
    id: u32,
    #[cfg(feature = "test-hooks")]
    jobs: Option<Rc<Jobs>>,
}

impl Root {
    #[cfg_attr(
        not(feature = "test-hooks"),
        expect(
            unused_variables,
            reason = "only a root that owns calls needs its own id"
        )
    )]
    pub(super) fn new(id: u32) -> Self {
        Self {
            gate: None,
            metrics: Rc::default(),
            #[cfg(feature = "test-hooks")]
            id,
            #[cfg(feature = "test-hooks")]
            jobs: None,
        }
    }
}

impl Context for Root {
    #[cfg(feature = "test-hooks")]
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        if let Some(jobs) = &self.jobs {
            jobs.finish(token, hostcalls::reply(headers, body_size));
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
            config.policy.rules.len(),
            config.public.origin
        );
        self.gate = Gate::new(config);
        self.metrics.define_all();
        #[cfg(feature = "test-hooks")]
        {
            self.jobs = Jobs::register(self.id);
        }
        self.gate.is_some()
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        let filter = Filter::new(context_id, self.gate.clone(), Rc::clone(&self.metrics));
        #[cfg(feature = "test-hooks")]
        let filter = filter.with_jobs(self.jobs.clone());
        Some(Box::new(filter))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    #[cfg(feature = "test-hooks")]
    fn on_queue_ready(&mut self, queue: u32) {
        if let Some(jobs) = &self.jobs {
            jobs.dispatch(queue);
        }
    }

    #[cfg(feature = "test-hooks")]
    fn on_tick(&mut self) {
        if let Some(jobs) = &self.jobs {
            jobs.release_late();
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
