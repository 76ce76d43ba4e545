//! `/_bitgate/session`: who am I, and for how long?

use std::rc::Rc;

use serde_json::json;

use crate::gate::access::Patience;
use crate::gate::caller::Caller;
use crate::gate::protected::Protected;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, Request, Response};
use crate::identity::Principal;
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
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
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

    fn whose_session(&self, request: &Request, host: &Host<'_>) -> Step {
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
        let document = json!({
            "principal": Principal::Person.as_str(),
            "account_id": identity.account_id,
            "email": identity.email,
            "nickname": identity.nickname,
            "signed_in_at": signed_in.session.issued_at.0,
            "ends_at": ends_at.0,
            "consumers": self.consumers_with_grant(&signed_in, &cookies, host.now),
            "seconds_left": ends_at.since(host.now).0,
        });
        let event = Event {
            account_id: Some(identity.account_id.clone()),
            ..Event::new(EventKind::Asked).of(request)
        };
        Step::Respond(Response::json(200, &document), event)
    }
}

/// Tells a program whom its credential makes it.
fn whose_credential(request: &Request, caller: &Caller, host: &Host<'_>) -> Step {
    let account = caller.identity.as_ref();
    let issuer = caller.issuer();
    let step = caller.step();
    let document = json!({
        "principal": caller.principal.as_str(),
        "account_id": account.map(|identity| &identity.account_id),
        "issuer": issuer.map(|(issuer, _)| issuer),
        "subject": issuer.map(|(_, subject)| subject),
        "repository_uuid": step.map(|step| &step.repository),
        "branch": step.and_then(|step| step.branch.as_ref()),
        "seconds_left": issuer.map(|_| caller.ends_at.since(host.now).0),
    });
    let event = Event {
        caller: Some(caller.label()),
        ..Event::new(EventKind::Asked).of(request)
    };
    Step::Respond(Response::json(200, &document), event)
}
