//! `/_bitgate/grant?rd=`: where a browser brings a grant that an instance does not know, such as one that
//! has just started. The cookies that hold it travel to our endpoints alone.
//!
//! ```text
//! GET /page ──▶ 307 /_bitgate/grant?rd=/page ──▶ 307 /page, with the grant in its cookies once more
//! ```
//! The second answer lets the grant travel to whichever instance is asked next, so that no browser is sent
//! around between two of them. 307 keeps method and body (RFC 9110 section 15.4.8), and both are of
//! this site.

use crate::gate::client::{Asker, Client};
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, PREFIX, Reason, Step, may_be_ours};
use crate::host::Host;
use crate::http::{Cookies, HeaderValue, Request, Response, SetCookie};
use crate::policy::Rule;
use crate::session::{Absence, SecondSignIn};

/// The longest target that is sent along: encoded it has up to three times as many bytes.
const LONGEST_TARGET: usize = 5_000;

impl Gate {
    /// Sends whoever can follow to bring the grant of the session, or that of a further `consumer`.
    pub(super) fn send_for_grant(
        &self,
        request: &Request,
        named: Option<(usize, &Rule)>,
        consumer: Option<&str>,
    ) -> Step {
        let follows = match Asker::from(request).client {
            Client::Navigation | Client::GrpcWeb | Client::GrpcWebText => true,
            // No browser follows in the place of a handshake.
            Client::Program => !request.headers.contains("upgrade"),
            Client::Git | Client::GitLfs | Client::Grpc => false,
        };
        let target = request.target.as_str();
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("rd", target);
        if let Some(consumer) = consumer {
            query.append_pair("consumer", consumer);
        }
        let path = format!("{PREFIX}/grant?{}", query.finish());
        let event = Event {
            rule: named.map(|(index, rule)| rule.label(index)),
            ..self.redirected(request)
        };
        let sent = self.temporary_redirect(&path, &[], event);
        match sent.filter(|_| follows && target.len() <= LONGEST_TARGET) {
            Some(step) => step,
            None => Refusal::new(Reason::GrantElsewhere)
                .with_retry(target)
                .into_step(request, named),
        }
    }

    /// Takes a grant over from its cookies, and sends the browser back.
    pub(super) fn on_grant(&self, request: &Request, host: &mut Host<'_>) -> Step {
        let (target, name) = match self.asked_for(request) {
            Ok(asked) => asked,
            Err(detail) => {
                let refusal = Refusal::new(Reason::BadRequest).with_detail(detail);
                return refusal.into_step(request, None);
            }
        };
        let rd = match may_be_ours(&target) {
            true => "/",
            false => target.as_str(),
        };
        let named = name.as_deref().and_then(|name| self.consumers.named(name));
        let consumer = named.unwrap_or(&self.consumers.main);
        let cookies = Cookies::read(&request.headers);
        let signed_in = match self.session(&cookies, host) {
            Ok(signed_in) => Some(signed_in),
            Err(Absence::Away) => None,
            Err(absence) => {
                let why = (Reason::from(absence), None);
                return self.ask_to_sign_in(request, &cookies, rd, why, host);
            }
        };
        let brought = self.sessions.bring(&consumer.cookies, &cookies, host);
        let sent = brought.and_then(|(session, set)| {
            let event = Event {
                account_id: Some(session.identity.account_id),
                ..self.redirected(request)
            };
            self.temporary_redirect(rd, &set, event)
        });
        if let Some(step) = sent {
            return step;
        }
        let why = match (signed_in, name) {
            (Some(signed_in), Some(consumer)) => {
                let session_id = signed_in.session.id.clone();
                let second = SecondSignIn {
                    consumer,
                    session_id,
                };
                (Reason::NoGrant, Some(second))
            }
            (_, _) => (Reason::NoSession, None),
        };
        self.ask_to_sign_in(request, &cookies, rd, why, host)
    }

    fn redirected(&self, request: &Request) -> Event {
        Event {
            reason: Some(Reason::GrantElsewhere),
            ..Event::new(EventKind::Redirected).of(request)
        }
    }

    /// `None` if the path is no header value.
    fn temporary_redirect(&self, path: &str, set: &[SetCookie], event: Event) -> Option<Step> {
        let url = format!("{}{path}", self.config.public.origin);
        let location = HeaderValue::try_from(url).ok()?;
        let code = HeaderValue::fixed(Reason::GrantElsewhere.code());
        let response = Response::temporary_redirect(location)
            .with("x-bitgate-reason", code)
            .with_cookies(set);
        Some(Step::Respond(response, event))
    }
}
