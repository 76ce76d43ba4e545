//! The flow: what happens to a request. Read [`Gate::on_request`] first.

mod callback;
mod client;
mod event;
mod forward;
mod login;
mod page;
mod reason;
mod refusal;
mod step;
mod whoami;

pub use event::{Event, EventKind, Level};
pub use forward::Forward;
pub use reason::Reason;
pub use step::{Pending, Step};

use std::rc::Rc;

use crate::config::Config;
use crate::gate::client::RequestId;
use crate::gate::refusal::Refusal;
use crate::host::Host;
use crate::http::{Cookies, Malformed, Request};
use crate::policy::{Allow, Rule};
use crate::session::{Absence, KeyRing, SessionStore};

/// Everything below it is ours and never reaches the upstream.
const PREFIX: &str = "/_bitgate";

/// One site with its rules and its sessions. Each worker has its own.
#[derive(Debug)]
pub struct Gate {
    config: Config,
    sessions: SessionStore,
}

impl Gate {
    /// Opens the gate. `None` if the configuration has no session key, which its reader refuses.
    #[must_use]
    pub fn new(config: Config) -> Option<Rc<Self>> {
        let ring = KeyRing::new(&config.public.origin, &config.keys)?;
        let sessions = SessionStore::new(ring, &config.bitbucket.client.id, config.lifetimes);
        Some(Rc::new(Self { config, sessions }))
    }

    /// Judges a request.
    pub fn on_request(
        self: &Rc<Self>,
        received: Result<Request, Malformed>,
        host: &mut Host<'_>,
    ) -> Step {
        let request = match received {
            Ok(request) => request,
            Err(error) => return Refusal::malformed(error).into_step(None, None),
        };
        let path = request.target.path();
        let is_ours = path
            .strip_prefix(PREFIX)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_ours {
            return self.on_endpoint(request, host);
        }
        let Some((index, rule)) = self.config.policy.find(&request.method, path) else {
            return self.refuse(&request, None, Reason::NoRule);
        };
        match rule.allow {
            Allow::Public => {
                Step::Forward(self.forward(&request, &Cookies::read(&request.headers)))
            }
            Allow::Nobody => self.refuse(&request, Some((index, rule)), Reason::Forbidden),
            Allow::SignedIn => self.on_protected(&request, (index, rule), host),
        }
    }

    fn on_protected(
        &self,
        request: &Request,
        (index, rule): (usize, &Rule),
        host: &mut Host<'_>,
    ) -> Step {
        if !self.config.public.is_authority(&request.authority) {
            return self.refuse(request, Some((index, rule)), Reason::WrongHost);
        }
        let cookies = Cookies::read(&request.headers);
        match self.sessions.open(&cookies, host.now) {
            Ok(signed_in) => {
                let slid = self.sessions.slide(&signed_in, host.now, host.random);
                let forward = self.forward(request, &cookies);
                let id = RequestId::of(request);
                Step::Forward(forward.for_person(&self.config, rule.inject, &signed_in, id, slid))
            }
            Err(absence) => {
                let reason = match absence {
                    Absence::Expired => Reason::SessionExpired,
                    Absence::Missing => Reason::NoSession,
                };
                self.challenge(request, &cookies, reason, host)
            }
        }
    }

    fn on_endpoint(self: &Rc<Self>, request: Request, host: &mut Host<'_>) -> Step {
        if !self.config.public.is_authority(&request.authority) {
            return self.refuse(&request, None, Reason::WrongHost);
        }
        match request.target.path().strip_prefix(PREFIX) {
            Some("/callback") => self.on_callback(request, host),
            Some("/login") => self.on_login(&request, host),
            Some("/session") => self.on_session(&request, host),
            Some(_) | None => self.refuse(&request, None, Reason::NotFound),
        }
    }

    fn refuse(&self, request: &Request, rule: Option<(usize, &Rule)>, reason: Reason) -> Step {
        Refusal::new(reason).into_step(Some(request), rule)
    }
}
