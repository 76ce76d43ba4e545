//! The end of a login: the authorization response, the tokens, the person, the session.
//!
//! ```text
//! callback ──▶ token endpoint ──▶ /2.0/user ──▶ /2.0/user/emails ──▶ session
//! ```
//! The login cookie is taken away on every way out: a state works once.

use std::rc::Rc;

use crate::bitbucket::{
    Account, Granted, InvalidAnswer, emails_call, read_emails, read_user, token_call, user_call,
};
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Pending, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, HeaderValue, Reply, Request, Response, SetCookie};
use crate::identity::Identity;
use crate::oauth::{AuthorizationCode, AuthorizationResponse, State, TokenRequest};
use crate::rights::Priority;
use crate::session::{COOKIE_PREFIX, Issued, NotIssued, PendingLogin, PendingLogins, Returns};
use crate::time::UnixTime;

/// A login that waits for Bitbucket.
#[derive(Debug)]
pub(super) struct Exchange {
    request: Request,
    login: PendingLogin,
    awaiting: Awaiting,
}

/// What it waits for, with what is known by then.
#[derive(Debug)]
enum Awaiting {
    /// Asked for at this moment, from which the token's life is counted.
    Token(UnixTime),
    User(Granted),
    Emails(Granted, Account),
}

impl Gate {
    /// `/_bitgate/callback`. GET alone: a HEAD would use up the code.
    pub(super) fn on_callback(self: &Rc<Self>, request: Request, host: &mut Host<'_>) -> Step {
        if request.method != "GET" {
            let refusal = Refusal::new(Reason::MethodNotAllowed).with_allow("GET");
            return refusal.into_step(&request, None);
        }
        let response = AuthorizationResponse::parse(request.target.query().unwrap_or(""));
        let (code, state) = match response {
            Ok(AuthorizationResponse::Granted { code, state }) => (Ok(code), state),
            Ok(AuthorizationResponse::Refused { error, state }) => (Err(error), state),
            Err(error) => {
                let refusal = Refusal::new(Reason::InvalidCallback).with_detail(error.to_string());
                return refusal.with_retry("/").into_step(&request, None);
            }
        };
        let pending = PendingLogins::new(self.sessions.ring(), host.now);
        let login = pending.find(&Cookies::read(&request.headers), &state);
        let Some(login) = login else {
            return self.on_foreign_callback(&request, &state, host);
        };
        if login.is_over(host.now) {
            let refusal = Refusal::new(Reason::LoginExpired);
            return self.refuse_login(refusal, &request, &login, host);
        }
        match code {
            Ok(code) => self.exchange(request, login, &code, host.now),
            Err(error) => {
                let refusal = refused_by_provider(&error);
                self.refuse_login(refusal, &request, &login, host)
            }
        }
    }

    /// A callback that no login of this browser waits for. Somebody who has a session anyway, as
    /// after the back button, is not bothered with an error.
    fn on_foreign_callback(&self, request: &Request, state: &State, host: &mut Host<'_>) -> Step {
        let cookies = Cookies::read(&request.headers);
        let removal = PendingLogins::new(self.sessions.ring(), host.now).remove(&cookies, state);
        let removals: Vec<SetCookie> = removal.into_iter().collect();
        if self.session(&cookies, host).is_err() {
            let mut refusal = Refusal::new(Reason::StateMismatch)
                .with_retry("/")
                .with_cookies(removals);
            if !cookies.contains_prefix(COOKIE_PREFIX) {
                let hint = "Your browser sent no cookie of this site. If you have just come from Bitbucket, \
                            cookies are blocked: allow them for this site.";
                refusal = refusal.with_hint(hint.to_owned());
            }
            return refusal.into_step(request, None);
        }
        let start = HeaderValue::try_from(format!("{}/", self.config.public.origin));
        let Ok(location) = start else {
            return Refusal::new(Reason::StateMismatch).into_step(request, None);
        };
        let event = Event::new(EventKind::Redirected).of(request);
        Step::Respond(Response::found(location).with_cookies(&removals), event)
    }

    fn exchange(
        self: &Rc<Self>,
        request: Request,
        login: PendingLogin,
        code: &AuthorizationCode,
        now: UnixTime,
    ) -> Step {
        let token_request = TokenRequest::AuthorizationCode {
            code,
            redirect_uri: &self.redirect_uri(),
            code_verifier: &login.code_verifier,
        };
        let bitbucket = &self.config.bitbucket;
        let call = token_call(&bitbucket.web, &bitbucket.client, &token_request);
        let exchange = Box::new(Exchange {
            request,
            login,
            awaiting: Awaiting::Token(now),
        });
        Step::Call(
            call,
            Pending {
                gate: Rc::clone(self),
                exchange,
            },
        )
    }

    fn refuse_login(
        &self,
        refusal: Refusal,
        request: &Request,
        login: &PendingLogin,
        host: &Host<'_>,
    ) -> Step {
        let pending = PendingLogins::new(self.sessions.ring(), host.now);
        let removal = pending.remove(&Cookies::read(&request.headers), &login.state);
        refusal
            .with_retry(&login.return_to)
            .with_cookies(removal.into_iter().collect())
            .into_step(request, None)
    }

    /// Counts a call to the API. A refusal if the budget has none left, not even for a sign-in.
    fn no_call_left(&self, host: &mut Host<'_>) -> Option<Refusal> {
        let taken = self.budget.take(Priority::SignIn, host.now, host.shared);
        taken.err().map(|spent| Refusal::new(Reason::from(spent)))
    }

    fn no_identity(&self, what: &str, error: &InvalidAnswer, host: &mut Host<'_>) -> Refusal {
        if let InvalidAnswer::RateLimited(after) = error {
            self.budget.pause(*after, host.now, host.shared);
        }
        Refusal::no_identity(what, error)
    }

    fn complete(
        &self,
        request: &Request,
        login: &PendingLogin,
        granted: &Granted,
        identity: Identity,
        host: &mut Host<'_>,
    ) -> Step {
        let cookies = Cookies::read(&request.headers);
        let account_id = identity.account_id.clone();
        let issued = self
            .sessions
            .issue(identity, &granted.grant, &cookies, host.now, host.random);
        let Issued {
            session_id,
            cookies: mut set,
        } = match issued {
            Ok(issued) => issued,
            Err(error) => {
                let reason = match error {
                    NotIssued::NoRandomness => Reason::NoRandomness,
                    NotIssued::TooLarge => Reason::TokensTooLarge,
                };
                return self.refuse_login(Refusal::new(reason), request, login, host);
            }
        };
        let ring = self.sessions.ring();
        set.extend(PendingLogins::new(ring, host.now).remove(&cookies, &login.state));
        let returns = Returns::read(ring, &cookies);
        set.extend(returns.count(ring, host.now, host.random).ok());
        // The path was visible ASCII when it was sealed.
        let url = format!("{}{}", self.config.public.origin, login.return_to);
        let Ok(location) = HeaderValue::try_from(url) else {
            return self.refuse_login(Refusal::new(Reason::BadRequest), request, login, host);
        };
        let event = Event {
            account_id: Some(account_id),
            session: Some(session_id),
            ..Event::new(EventKind::SignedIn).of(request)
        };
        Step::Respond(Response::found(location).with_cookies(&set), event)
    }
}

impl Exchange {
    pub(super) fn resume(self, gate: Rc<Gate>, reply: Reply, host: &mut Host<'_>) -> Step {
        let Self {
            request,
            login,
            awaiting,
        } = self;
        let bitbucket = &gate.config.bitbucket;
        let refuse =
            |refusal: Refusal, host: &Host<'_>| gate.refuse_login(refusal, &request, &login, host);
        let (call, awaiting) = match awaiting {
            Awaiting::Token(asked_at) => {
                let granted = match Granted::read(reply, asked_at) {
                    Ok(granted) => granted,
                    Err(error) => return refuse(Refusal::no_token(&error), host),
                };
                if let Some(refusal) = missing_scopes(&gate, &granted) {
                    return refuse(refusal, host);
                }
                if let Some(refusal) = gate.no_call_left(host) {
                    return refuse(refusal, host);
                }
                let call = user_call(&bitbucket.api, &granted.grant.access_token);
                (call, Awaiting::User(granted))
            }
            Awaiting::User(granted) => {
                let account = match read_user(reply) {
                    Ok(account) => account,
                    Err(error) => return refuse(gate.no_identity("user", &error, host), host),
                };
                if !granted
                    .scopes
                    .as_ref()
                    .unwrap_or(&bitbucket.scopes)
                    .allow("email")
                {
                    let identity = account.with_email(None);
                    return gate.complete(&request, &login, &granted, identity, host);
                }
                if let Some(refusal) = gate.no_call_left(host) {
                    return refuse(refusal, host);
                }
                let call = emails_call(&bitbucket.api, &granted.grant.access_token);
                (call, Awaiting::Emails(granted, account))
            }
            Awaiting::Emails(granted, account) => {
                let email = match read_emails(reply) {
                    Ok(email) => email,
                    Err(error) => {
                        return refuse(gate.no_identity("user/emails", &error, host), host);
                    }
                };
                let identity = account.with_email(email);
                return gate.complete(&request, &login, &granted, identity, host);
            }
        };
        let exchange = Box::new(Self {
            request,
            login,
            awaiting,
        });
        Step::Call(
            call,
            Pending {
                gate: Rc::clone(&gate),
                exchange,
            },
        )
    }
}

/// The token must be good for what the configuration says is ticked on the consumer.
fn missing_scopes(gate: &Gate, granted: &Granted) -> Option<Refusal> {
    let wanted = &gate.config.bitbucket.scopes;
    let missing = granted.scopes.as_ref()?.missing(wanted);
    if missing.is_empty() {
        return None;
    }
    let names = missing.join(", ");
    let detail = format!("expected the configured scopes, but found none of {names}");
    let hint = format!("On its OAuth consumer at Bitbucket this is not ticked: {names}.");
    Some(
        Refusal::new(Reason::MissingScope)
            .with_detail(detail)
            .with_hint(hint),
    )
}

/// The error of the authorization response (RFC 6749 section 4.1.2.1). A stranger can write
/// anything there, so only words that the RFC knows are told apart, and none is shown.
fn refused_by_provider(error: &str) -> Refusal {
    match error {
        "access_denied" => Refusal::new(Reason::AccessDenied),
        "server_error" | "temporarily_unavailable" => Refusal::new(Reason::BitbucketUnavailable),
        "invalid_request"
        | "invalid_scope"
        | "unauthorized_client"
        | "unsupported_response_type" => {
            Refusal::new(Reason::BitbucketRefused).with_detail(format!("error {error}"))
        }
        _ => Refusal::new(Reason::BitbucketRefused).with_detail("an unknown error".to_owned()),
    }
}
