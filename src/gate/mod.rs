//! The flow: what happens to a request. Read [`Gate::on_request`] first.

mod callback;
mod client;
mod event;
mod forward;
mod intent;
mod login;
mod logout;
mod page;
mod reason;
mod refusal;
mod status;
mod step;
mod whoami;

pub use event::{Event, EventKind, Level};
pub use forward::{Audience, Forward, ResponsePlan};
pub use reason::Reason;
pub use step::{Pending, Step};

use std::rc::Rc;

use crate::config::Config;
use crate::gate::client::RequestId;
use crate::gate::intent::is_intended;
use crate::gate::refusal::Refusal;
use crate::host::Host;
use crate::http::{Cookies, Malformed, Request, RequestTarget, TargetError, Unreadable};
use crate::policy::{Allow, Found, Rule};
use crate::session::{Absence, KeyRing, SessionStore};

/// TRACE sends back the request as the service got it, with the injected token in it; CONNECT
/// asks for a tunnel.
const NEVER: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// Everything below it is ours and never reaches the upstream.
const PREFIX: &str = "/_bitgate";

/// The answer where no configuration was accepted: nothing can be judged, so nothing passes.
pub fn unconfigured(received: Result<Request, Unreadable>) -> Step {
    let refusal = Refusal::new(Reason::Unconfigured);
    match &received {
        Ok(request) => refusal.into_step(request, None),
        Err(request) => refusal.into_step(request, None),
    }
}

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
        received: Result<Request, Unreadable>,
        host: &mut Host<'_>,
    ) -> Step {
        let request = match received {
            Ok(request) => request,
            Err(request) => {
                return Refusal::malformed(request.malformed).into_step(&request, None);
            }
        };
        if NEVER.contains(&request.method.as_str()) {
            return self.refuse(&request, None, Reason::MethodNotSupported);
        }
        if may_be_ours(&request.target) {
            return self.on_endpoint(request, host);
        }
        let (index, rule) = match self.config.policy.find(&request.method, &request.target) {
            Found::Rule(index, rule) => (index, rule),
            Found::Nothing => return self.refuse(&request, None, Reason::NoRule),
            Found::Ambiguous(error) => {
                let refusal = Refusal::malformed(Malformed::Target(error));
                return refusal.into_step(&request, None);
            }
        };
        match rule.allow {
            // `/assets/{name}/logo` would let `/assets/secret%23/logo` through (CVE-2026-41059).
            Allow::Public if request.target.has_encoded_delimiter() => {
                Refusal::malformed(Malformed::Target(TargetError::EncodedDelimiter))
                    .into_step(&request, Some((index, rule)))
            }
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
            Ok(_) if !is_intended(request, &self.config.public.origin, &rule.origins) => {
                self.refuse(request, Some((index, rule)), Reason::CrossSite)
            }
            Ok(signed_in) => {
                let slid = self.sessions.slide(&signed_in, host.now, host.random);
                let forward = self.forward(request, &cookies);
                let id = RequestId::of(&request.headers);
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
        if let Some(error) = request.target.ambiguity() {
            return Refusal::malformed(Malformed::Target(error)).into_step(&request, None);
        }
        let endpoint = request.target.path().strip_prefix(PREFIX);
        if endpoint == Some("/status") {
            return self.on_status(&request, host);
        }
        if !self.config.public.is_authority(&request.authority) {
            return self.refuse(&request, None, Reason::WrongHost);
        }
        // RFC 8470 section 5.1: early data can be replayed, and a callback or a sign-out changes
        // something.
        if request.headers.contains("early-data") {
            return self.refuse(&request, None, Reason::TooEarly);
        }
        match endpoint {
            Some("/callback") => self.on_callback(request, host),
            Some("/login") => self.on_login(&request, host),
            Some("/logout") => self.on_logout(&request, host),
            Some("/session") => self.on_session(&request, host),
            Some(_) | None => self.refuse(&request, None, Reason::NotFound),
        }
    }

    fn refuse(&self, request: &Request, rule: Option<(usize, &Rule)>, reason: Reason) -> Step {
        Refusal::new(reason).into_step(request, rule)
    }
}

/// Whether the target is below our prefix, in any reading of it.
fn may_be_ours(target: &RequestTarget) -> bool {
    let is_ours = |path: &str| {
        path.strip_prefix(PREFIX)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match target.ambiguity() {
        None => is_ours(target.path()),
        Some(_) => target.readings().iter().any(|path| is_ours(path)),
    }
}
