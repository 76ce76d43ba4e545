//! The second sign-in: a grant of a further consumer for a session that is there. Whoever agreed once
//! is sent to Bitbucket and back without a question.
//!
//! ```text
//! callback ──▶ token endpoint ──▶ /2.0/user ──▶ grant, if it is the same person
//! ```

use std::rc::Rc;

use crate::bitbucket::{Account, Granted};
use crate::gate::consumer::Consumer;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, Request};
use crate::session::{PendingLogin, Sealed, SecondSignIn, SignedIn};

impl Gate {
    /// The consumer that a login is for. `None` if it is not wanted any more: the session is gone
    /// that it would add to, or the consumer.
    pub(super) fn consumer_of(
        &self,
        login: &PendingLogin,
        cookies: &Cookies<'_>,
        host: &Host<'_>,
    ) -> Option<Rc<Consumer>> {
        if let Some(second) = &login.second {
            self.session_of(second, cookies, host)?;
        }
        self.consumers.of(login.second.as_ref()).cloned()
    }

    fn session_of(
        &self,
        second: &SecondSignIn,
        cookies: &Cookies<'_>,
        host: &Host<'_>,
    ) -> Option<Rc<SignedIn>> {
        let signed_in = self.session(cookies, host).ok()?;
        (signed_in.session.id == second.session_id).then_some(signed_in)
    }

    /// Nothing to add to any more. The page that was wanted asks for what it needs.
    pub(super) fn onward(
        &self,
        request: &Request,
        login: &PendingLogin,
        host: &mut Host<'_>,
    ) -> Step {
        let second = login.second.as_ref();
        let event = Event {
            consumer: second.map(|second| second.consumer.clone()),
            ..Event::new(EventKind::Redirected).of(request)
        };
        self.arrive(request, login, Vec::new(), event, host)
    }

    /// Adds the grant to the session, whose own cookies stay as they are.
    pub(super) fn complete_second(
        &self,
        request: &Request,
        (login, second): (&PendingLogin, &SecondSignIn),
        consumer: &Consumer,
        (granted, account): (&Granted, &Account),
        host: &mut Host<'_>,
    ) -> Step {
        let cookies = Cookies::read(&request.headers);
        let Some(signed_in) = self.session_of(second, &cookies, host) else {
            return self.onward(request, login, host);
        };
        let session = &signed_in.session;
        if account.account_id != session.identity.account_id {
            let detail = "expected the account of the session, but found another".to_owned();
            let refusal = Refusal::new(Reason::AccountMismatch)
                .with_detail(detail)
                .about_person();
            return self.refuse_login(refusal, request, login, host);
        }
        let (names, grant) = (&consumer.cookies, &granted.grant);
        let sealed = self
            .sessions
            .seal_grant(names, &session.id, grant, host.now, host.random);
        let sealed = match sealed {
            Ok(sealed) => sealed,
            Err(error) => {
                let refusal = Refusal::new(Reason::from(error));
                return self.refuse_login(refusal, request, login, host);
            }
        };
        let sealed = Sealed {
            session_id: &session.id,
            session_ends_at: session.expires_at,
            ends_at: grant.expires_at,
            text: &sealed,
        };
        names.keep(sealed, host.now, host.shared);
        let set = names.set(sealed, names.present(&cookies), host.now, host.shared);
        let event = Event {
            account_id: Some(session.identity.account_id.clone()),
            session: Some(session.id.clone()),
            consumer: Some(second.consumer.clone()),
            ..Event::new(EventKind::SignedIn).of(request)
        };
        self.arrive(request, login, set, event, host)
    }
}
