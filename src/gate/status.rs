//! `/_bitgate/status`: for probes, and for whoever is on call.

use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, Request, Response};
use crate::json::object;
use crate::policy::Allow;
use crate::session::SessionKey;

impl Gate {
    /// Ready, on any host: a probe knows the machine's address only. More only for a person whom
    /// `status.allow` lets in, on the site's own host.
    pub(super) fn on_status(&self, request: &Request, host: &Host<'_>) -> Step {
        if !matches!(&*request.method, "GET" | "HEAD") {
            let refusal = Refusal::new(Reason::MethodNotAllowed).with_allow("GET, HEAD");
            return refusal.into_step(request, None);
        }
        let mut members = vec![("status", "ready".into())];
        if self.may_see_details(request, host) {
            members.push(("details", self.details()));
        }
        let event = Event::new(EventKind::Asked).of(request);
        Step::Respond(Response::json(200, &object(members)), event)
    }

    fn may_see_details(&self, request: &Request, host: &Host<'_>) -> bool {
        match self.config.status_allow {
            Allow::Nobody | Allow::Public | Allow::When(_) => false,
            Allow::SignedIn => {
                let cookies = Cookies::read(&request.headers);
                self.config.public.is_authority(&request.authority)
                    && self.session(&cookies, host).is_ok()
            }
        }
    }

    /// Nothing secret: what a person on call compares between two instances.
    fn details(&self) -> serde_json::Value {
        let config = &self.config;
        let rules = config.policy.rules().iter().enumerate();
        let consumers = config.consumers.iter();
        object(vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("public_url", config.public.origin.as_str().into()),
            ("client_id", config.bitbucket.client.id.as_str().into()),
            (
                "consumers",
                consumers.map(|consumer| consumer.name.as_str()).collect(),
            ),
            ("web", config.bitbucket.web.origin().into()),
            ("api", config.bitbucket.api.origin().into()),
            (
                "session_keys",
                config.keys.iter().map(SessionKey::kid).collect(),
            ),
            ("max_age_seconds", config.lifetimes.max_age.0.into()),
            (
                "idle_timeout_seconds",
                config.lifetimes.idle_timeout.0.into(),
            ),
            (
                "rules",
                rules.map(|(index, rule)| rule.label(index)).collect(),
            ),
        ])
    }
}
