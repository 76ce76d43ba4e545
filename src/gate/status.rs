//! `/_bitgate/status`: for probes, and for whoever is on call.

use serde_json::json;

use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, Request, Response};
use crate::policy::Allow;

impl Gate {
    /// Ready, on any host: a probe knows the machine's address only. More only for a person whom
    /// `status.allow` lets in, on the site's own host.
    pub(super) fn on_status(&self, request: &Request, host: &Host<'_>) -> Step {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            let refusal = Refusal::new(Reason::MethodNotAllowed).with_allow("GET, HEAD");
            return refusal.into_step(request, None);
        }
        let mut document = json!({"status": "ready"});
        if self.may_see_details(request, host)
            && let Some(members) = document.as_object_mut()
        {
            members.insert("details".to_owned(), self.details());
        }
        let event = Event::new(EventKind::Asked).of(request);
        Step::Respond(Response::json(200, &document), event)
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
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "public_url": config.public.origin,
            "client_id": config.bitbucket.client.id,
            "consumers": config.consumers.iter().map(|consumer| consumer.name.as_str()).collect::<Vec<_>>(),
            "web": config.bitbucket.web.origin(),
            "api": config.bitbucket.api.origin(),
            "session_keys": config.keys.iter().map(|key| key.kid()).collect::<Vec<_>>(),
            "max_age_seconds": config.lifetimes.max_age.0,
            "idle_timeout_seconds": config.lifetimes.idle_timeout.0,
            "rules": rules.map(|(index, rule)| rule.label(index)).collect::<Vec<_>>(),
        })
    }
}
