//! `/_bitgate/logout`: the end that a person chooses.

use crate::gate::client::{Asker, Client};
use crate::gate::intent::is_intended;
use crate::gate::page::{Action, Page};
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, PREFIX, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, HeaderValue, Request, Response};
use crate::json::object;
use crate::session::Absence;

impl Gate {
    /// POST signs out, and nothing else does: an image on a page of somebody else is a GET. GET
    /// asks, or says that it is done; it never starts a login, and its address is the same for
    /// everybody, so no parameter can lead elsewhere.
    pub(super) fn on_logout(&self, request: &Request, host: &mut Host<'_>) -> Step {
        match &*request.method {
            "GET" | "HEAD" => self.before_or_after_logout(request, host),
            "POST" if !is_intended(request, &self.config.public.origin, &[]) => {
                Refusal::new(Reason::CrossSite).into_step(request, None)
            }
            "POST" => self.log_out(request, host),
            _ => Refusal::new(Reason::MethodNotAllowed)
                .with_allow("GET, HEAD, POST")
                .into_step(request, None),
        }
    }

    fn log_out(&self, request: &Request, host: &mut Host<'_>) -> Step {
        let url = format!("{}{PREFIX}/logout", self.config.public.origin);
        let Ok(location) = HeaderValue::try_from(url) else {
            return Refusal::new(Reason::BadRequest).into_step(request, None);
        };
        let cookies = Cookies::read(&request.headers);
        let session = match self.session(&cookies, host) {
            Ok(signed_in) => Some(signed_in.session.clone()),
            Err(Absence::Away) => self.sessions.alone(&cookies),
            Err(_) => None,
        };
        if let Some(session) = &session {
            self.signed_out
                .remember(&session.id, session.expires_at, host.now, host.shared);
            for consumer in self.consumers.iter() {
                consumer.cookies.forget(&session.id, host.shared);
            }
        }
        // What the browser kept of pages that needed a session goes with it.
        let response = Response::see_other(location)
            .with("clear-site-data", HeaderValue::fixed("\"cache\""))
            .with_cookies(&self.sessions.removals(&cookies));
        let event = Event {
            session: session.as_ref().map(|session| session.id.clone()),
            account_id: session.map(|session| session.identity.account_id),
            ..Event::new(EventKind::SignedOut).of(request)
        };
        Step::Respond(response, event)
    }

    fn before_or_after_logout(&self, request: &Request, host: &Host<'_>) -> Step {
        let asker = Asker::from(request);
        let is_signed_in = self.session(&Cookies::read(&request.headers), host).is_ok();
        let response = match asker.client {
            Client::Navigation => {
                let (title, text, action) = match is_signed_in {
                    true => (
                        "Sign out?",
                        "You are signed in to this site with Bitbucket.",
                        Action::SignOut,
                    ),
                    false => (
                        "You are signed out",
                        "You may still be signed in at Bitbucket: then signing in here again asks no question. \
                         On a computer of somebody else, sign out there too.",
                        Action::SignIn,
                    ),
                };
                Page {
                    title,
                    text,
                    hint: None,
                    action: Some(action),
                    reason: None,
                    request_id: None,
                }
                .into_response(200)
                // Without a referrer browsers send "null" as the origin of the form.
                .with_referrer_policy(HeaderValue::fixed("same-origin"))
            }
            Client::Git
            | Client::GitLfs
            | Client::Grpc
            | Client::GrpcWeb
            | Client::GrpcWebText
            | Client::Program => {
                Response::json(200, &object(vec![("signed_in", is_signed_in.into())]))
            }
        };
        Step::Respond(response, Event::new(EventKind::Asked).of(request))
    }
}
