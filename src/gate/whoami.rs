//! `/_bitgate/session`: who am I, and for how long?

use std::rc::Rc;

use crate::gate::access::Patience;
use crate::gate::caller::Caller;
use crate::gate::protected::Protected;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, Request, Response};
use crate::identity::Principal;
use crate::json::object;
use crate::time::UnixTime;

impl Gate {
    /// Tells a page of the site who is signed in. A question moves no idle timeout, or a page that
    /// asks every minute would keep a session alive that nobody uses.
    pub(super) fn on_session(
        self: &Rc<Self>,
        request: Request,
        waited_until: Option<UnixTime>,
        host: &mut Host<'_>,
    ) -> Step {
        if !matches!(&*request.method, "GET" | "HEAD") {
            let refusal = Refusal::new(Reason::MethodNotAllowed).with_allow("GET, HEAD");
            return refusal.into_step(&request, None);
        }
        let patience = Patience::of(waited_until, host.now);
        match self.caller_of(&request, None, patience, host) {
            None => self.whose_session(&request, host),
            Some(Ok(caller)) => whose_credential(&request, &caller, host),
            Some(Err(Protected::Decided(step))) => step,
            Some(Err(Protected::Waits(wait))) => self.wait(request, wait, waited_until, host),
        }
    }

    fn whose_session(&self, request: &Request, host: &mut Host<'_>) -> Step {
        let cookies = Cookies::read(&request.headers);
        let signed_in = match self.session(&cookies, host) {
            Ok(signed_in) => signed_in,
            Err(absence) => {
                let reason = Reason::from(absence);
                let refusal = Refusal::new(reason).with_login_url(self.login_url("/", None));
                return refusal.into_step(request, None);
            }
        };
        let identity = &signed_in.session.identity;
        let ends_at = self.sessions.ends_at(&signed_in);
        let consumers = self.consumers_with_grant(&signed_in, &cookies, host);
        let document = object(vec![
            ("principal", Principal::Person.as_str().into()),
            ("account_id", identity.account_id.as_str().into()),
            ("email", identity.email.as_deref().into()),
            ("nickname", identity.nickname.as_deref().into()),
            ("signed_in_at", signed_in.session.issued_at.0.into()),
            ("ends_at", ends_at.0.into()),
            ("consumers", consumers.into()),
            ("seconds_left", ends_at.since(host.now).0.into()),
        ]);
        let event = Event {
            account_id: Some(identity.account_id.clone()),
            ..Event::new(EventKind::Asked).of(request)
        };
        // So that a script can get ready for what cannot be redirected, such as a WebSocket.
        let mut learnt = Vec::new();
        for consumer in self.consumers.iter() {
            let names = &consumer.cookies;
            learnt.extend(self.sessions.learn(&signed_in, names, &cookies, host));
        }
        let response = Response::json(200, &document).with_cookies(&learnt);
        Step::Respond(response, event)
    }
}

/// Tells a program whom its credential makes it.
fn whose_credential(request: &Request, caller: &Caller, host: &Host<'_>) -> Step {
    let account = caller.identity.as_ref();
    let account_id = account.map(|identity| identity.account_id.as_str());
    let (issuer, subject) = caller.issuer().unzip();
    let step = caller.step();
    let left = issuer.map(|_| caller.ends_at.since(host.now).0);
    let document = object(vec![
        ("principal", caller.principal.as_str().into()),
        ("account_id", account_id.into()),
        ("issuer", issuer.into()),
        ("subject", subject.into()),
        (
            "repository_uuid",
            step.map(|step| step.repository.as_str()).into(),
        ),
        (
            "branch",
            step.and_then(|step| step.branch.as_deref()).into(),
        ),
        ("seconds_left", left.into()),
    ]);
    let event = Event {
        caller: Some(caller.label()),
        ..Event::new(EventKind::Asked).of(request)
    };
    Step::Respond(Response::json(200, &document), event)
}
