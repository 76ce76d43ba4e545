//! The flow: what happens to a request. Read [`Gate::on_request`] first.

mod access;
mod actor;
mod bot;
mod bot_answered;
mod bot_fetch;
mod callback;
mod caller;
mod calling;
mod client;
mod consumer;
mod event;
mod facts;
mod failing;
mod forward;
mod grant;
mod identity_token;
mod intent;
mod job;
mod keys;
mod kinds;
mod login;
mod logout;
mod lookup;
mod page;
mod presented;
mod protected;
mod reason;
mod refusal;
mod renewal;
mod second;
mod shadow;
mod stale;
mod status;
mod step;
mod waiting;
mod whoami;
mod workspace;

pub use bot_fetch::BotFetch;
pub use event::{Event, EventKind, Level, SessionCookie};
pub use forward::{Audience, Forward, ResponsePlan};
pub use job::{Job, Progress};
pub use lookup::Lookup;
pub use reason::Reason;
pub use renewal::{Renewal, Watch};
pub use step::{Pending, Step};
pub use waiting::Waiting;

use std::cell::RefCell;
use std::rc::Rc;

use crate::config::{Config, Problem};
use crate::gate::access::Patience;
use crate::gate::bot::Bots;
use crate::gate::caller::CallerBudgets;
use crate::gate::consumer::Consumers;
use crate::gate::failing::Failing;
use crate::gate::kinds::Kinds;
use crate::gate::protected::Protected;
use crate::gate::refusal::Refusal;
use crate::gate::shadow::Trial;
use crate::host::Host;
use crate::http::{Cookies, Malformed, NEVER, Request, RequestTarget, TargetError, Unreadable};
use crate::issuers::Issuers;
use crate::policy::{Allow, Found, Rule, Shadow};
use crate::rights::{Pins, Rights};
use crate::session::{
    Absence, Circuit, IdentityTokens, KeyRing, SessionStore, SignedIn, SignedOut,
};
use crate::time::UnixTime;

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
    consumers: Consumers,
    signed_out: SignedOut,
    /// For renewals.
    circuit: Circuit,
    identity_tokens: RefCell<IdentityTokens>,
    issuers: Issuers,
    /// For lookups.
    api_circuit: Circuit,
    rights: Rights,
    pins: Pins,
    callers: CallerBudgets,
    failing: Failing,
    kinds: Kinds,
    bots: Bots,
}

impl Gate {
    /// Opens the gate. `None` if the configuration has no session key, which its reader refuses.
    #[must_use]
    pub fn new(config: Config) -> Option<Rc<Self>> {
        let ring = KeyRing::new(&config.public.origin, &config.keys)?;
        let client_id = &config.bitbucket.client.id;
        let sessions = SessionStore::new(ring, client_id, config.lifetimes)
            .with_revocations(config.revocations.clone());
        let signed_out = SignedOut::new(&config.public.origin);
        let consumers = Consumers::new(&config, sessions.main());
        let origin = config.public.origin.as_str();
        let access = &config.access;
        let (workspaces, repositories) = (access.workspaces.clone(), access.repositories.clone());
        let circuit = Circuit::new(origin);
        Some(Rc::new(Self {
            api_circuit: Circuit::new(&format!("{origin} api")),
            rights: Rights::new(origin, access.terms),
            pins: Pins::new(origin, workspaces, repositories),
            callers: CallerBudgets::new(&config),
            failing: Failing::new(),
            kinds: Kinds::new(&config),
            bots: Bots::new(&config, sessions.ring()),
            issuers: Issuers::new(origin, sessions.ring().token_secret(), &config.issuers),
            config,
            sessions,
            consumers,
            signed_out,
            circuit,
            identity_tokens: RefCell::default(),
        }))
    }

    /// Refuses a configuration that goes back to keys from before the one that seals, which would
    /// end every session since. What was seen lies in shared data, so a restart forgets it.
    ///
    /// # Errors
    /// The [`Problem`] to report.
    pub fn take_over_keys(&self, host: &mut Host<'_>) -> Result<(), Problem> {
        let ring = self.sessions.ring();
        let (since, kid) = ring.newest(host.now);
        let key = format!("bitgate.keys.{}", self.config.public.origin);
        let seen = host.shared.read(&key);
        let seen = seen.as_ref().and_then(|(bytes, _)| {
            let (since, kid) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
            Some((UnixTime(since.parse().ok()?), kid))
        });
        if let Some((seen_since, seen_kid)) = seen
            && seen_since > since
            && !ring.has(seen_kid)
        {
            let expected =
                format!("expected the key \"{seen_kid}\", which seals already, or a newer one");
            return Err(Problem {
                path: "session.keys".to_owned(),
                message: format!("{expected}, but found older ones only"),
            });
        }
        if seen.is_none_or(|(seen_since, _)| since > seen_since) {
            let value = format!("{} {kid}", since.0);
            host.shared.write(&key, value.as_bytes(), None);
        }
        Ok(())
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
        self.judge(request, None, host)
    }

    /// Judges a request that can be read; `waited_until` if it has waited before.
    fn judge(
        self: &Rc<Self>,
        request: Request,
        waited_until: Option<UnixTime>,
        host: &mut Host<'_>,
    ) -> Step {
        if NEVER.contains(&&*request.method) {
            return self.refuse(&request, None, Reason::MethodNotSupported);
        }
        if may_be_ours(&request.target) {
            return self.on_endpoint(request, waited_until, host);
        }
        let (mut start, mut noted) = (0, Vec::new());
        let policy = &self.config.policy;
        loop {
            let found = policy.find_from(start, &request.method, &request.target);
            if let Found::Rule(index, rule) = found
                && rule.shadow == Shadow::Logs
            {
                let patience = Patience::of(waited_until, host.now);
                match self.try_out((index, rule), &request, patience, host) {
                    Trial::Event(event) => noted.push(event),
                    Trial::Waits(wait) => return self.wait(request, wait, waited_until, host),
                }
                start = index.saturating_add(1);
                continue;
            }
            let step = self.act_on(found, request, waited_until, host);
            return step.noting(noted);
        }
    }

    /// Does what the rule says that decides.
    fn act_on(
        self: &Rc<Self>,
        found: Found<'_>,
        request: Request,
        waited_until: Option<UnixTime>,
        host: &mut Host<'_>,
    ) -> Step {
        let (index, rule) = match found {
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
            Allow::SignedIn | Allow::When(_) => {
                let patience = Patience::of(waited_until, host.now);
                match self.on_protected(&request, (index, rule), patience, host) {
                    Protected::Decided(step) => step,
                    Protected::Waits(wait) => self.wait(request, wait, waited_until, host),
                }
            }
        }
    }

    fn on_endpoint(
        self: &Rc<Self>,
        request: Request,
        waited_until: Option<UnixTime>,
        host: &mut Host<'_>,
    ) -> Step {
        if let Some(error) = request.target.ambiguity() {
            return Refusal::malformed(Malformed::Target(error)).into_step(&request, None);
        }
        let endpoint = request.target.path().strip_prefix(PREFIX);
        if endpoint == Some("/status") {
            return self.on_status(&request, host);
        }
        if endpoint == Some("/keys") {
            return self.on_keys(&request);
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
            Some("/grant") => self.on_grant(&request, host),
            Some("/login") => self.on_login(&request, host),
            Some("/logout") => self.on_logout(&request, host),
            Some("/session") => self.on_session(request, waited_until, host),
            Some(_) | None => self.refuse(&request, None, Reason::NotFound),
        }
    }

    /// The live session that the cookies carry, and that was not signed out here.
    fn session(&self, cookies: &Cookies<'_>, host: &Host<'_>) -> Result<Rc<SignedIn>, Absence> {
        let signed_in = match self.sessions.open(cookies, host.now, host.shared) {
            Ok(signed_in) => signed_in,
            Err(Absence::Away) => {
                let session = self.sessions.alone(cookies).ok_or(Absence::Missing)?;
                let place = self.signed_out.place(&session.id);
                return Err(match SignedOut::has(&place, host.now, host.shared) {
                    true => Absence::Revoked,
                    false => Absence::Away,
                });
            }
            Err(absence) => return Err(absence),
        };
        let place = signed_in.sign_out_place(&self.signed_out);
        match SignedOut::has(place, host.now, host.shared) {
            true => Err(Absence::Revoked),
            false => Ok(signed_in),
        }
    }

    /// How many sessions were opened since this was asked last: see [`SessionStore::take_opened`].
    pub fn take_opened(&self) -> u64 {
        self.sessions.take_opened()
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
