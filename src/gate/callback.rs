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
use crate::gate::consumer::Consumer;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Pending, Reason, Step};
use crate::host::Host;
use crate::http::{Cookies, HeaderValue, Reply, Request, Response, SetCookie};
use crate::identity::Identity;
use crate::oauth::{AuthorizationCode, AuthorizationResponse, State, TokenRequest};
use crate::rights::Priority;
use crate::session::{COOKIE_PREFIX, Issued, PendingLogin, PendingLogins, Returns, SecondSignIn};
use crate::time::UnixTime;

/// A login that waits for Bitbucket.
#[derive(Debug)]
pub(super) struct Exchange {
    request: Request,
    login: PendingLogin,
    consumer: Rc<Consumer>,
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
        let code = match code {
            Ok(code) => code,
            Err(error) => {
                let refusal = refused_by_provider(&error, login.second.as_ref());
                return self.refuse_login(refusal, &request, &login, host);
            }
        };
        let cookies = Cookies::read(&request.headers);
        match self.consumer_of(&login, &cookies, host) {
            Some(consumer) => self.exchange(request, login, consumer, &code, host.now),
            None => self.onward(&request, &login, host),
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
        consumer: Rc<Consumer>,
        code: &AuthorizationCode,
        now: UnixTime,
    ) -> Step {
        let token_request = TokenRequest::AuthorizationCode {
            code,
            redirect_uri: &self.redirect_uri(),
            code_verifier: &login.code_verifier,
        };
        let web = &self.config.bitbucket.web;
        let call = token_call(web, &consumer.client, &token_request);
        let exchange = Box::new(Exchange {
            request,
            login,
            consumer,
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

    pub(super) fn refuse_login(
        &self,
        refusal: Refusal,
        request: &Request,
        login: &PendingLogin,
        host: &Host<'_>,
    ) -> Step {
        let pending = PendingLogins::new(self.sessions.ring(), host.now);
        let removal = pending.remove(&Cookies::read(&request.headers), &login.state);
        let second = login.second.as_ref();
        refusal
            .with_consumer(second.map(|second| second.consumer.as_str()))
            .with_retry(&login.return_to)
            .with_cookies(removal.into_iter().collect())
            .into_step(request, None)
    }

    /// Counts a call to the API. A refusal if the budget has none left for it.
    fn no_call_left(
        &self,
        consumer: &Consumer,
        priority: Priority,
        host: &mut Host<'_>,
    ) -> Option<Refusal> {
        let taken = consumer.budget.take(priority, host.now, host.shared);
        taken.err().map(|spent| Refusal::new(Reason::from(spent)))
    }

    fn no_identity(
        &self,
        what: &str,
        error: &InvalidAnswer,
        consumer: &Consumer,
        host: &mut Host<'_>,
    ) -> Refusal {
        if let InvalidAnswer::RateLimited(after) = error {
            consumer.budget.pause(*after, host.now, host.shared);
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
            .issue(identity, &granted.grant, &cookies, host);
        let Issued {
            session_id,
            cookies: set,
        } = match issued {
            Ok(issued) => issued,
            Err(error) => {
                let refusal = Refusal::new(Reason::from(error));
                return self.refuse_login(refusal, request, login, host);
            }
        };
        let event = Event {
            account_id: Some(account_id),
            session: Some(session_id),
            ..Event::new(EventKind::SignedIn).of(request)
        };
        self.arrive(request, login, set, event, host)
    }

    /// Sends a browser to the page that it wanted, with new cookies and without the login. It is
    /// counted, since what the browser got may not come back.
    pub(super) fn arrive(
        &self,
        request: &Request,
        login: &PendingLogin,
        mut set: Vec<SetCookie>,
        event: Event,
        host: &mut Host<'_>,
    ) -> Step {
        let cookies = Cookies::read(&request.headers);
        let ring = self.sessions.ring();
        set.extend(PendingLogins::new(ring, host.now).remove(&cookies, &login.state));
        let returns = Returns::read(ring, &cookies, event.consumer.as_deref());
        set.extend(returns.count(ring, host.now, host.random).ok());
        // The path was visible ASCII when it was sealed.
        let url = format!("{}{}", self.config.public.origin, login.return_to);
        let Ok(location) = HeaderValue::try_from(url) else {
            return self.refuse_login(Refusal::new(Reason::BadRequest), request, login, host);
        };
        Step::Respond(Response::found(location).with_cookies(&set), event)
    }
}

impl Exchange {
    pub(super) fn resume(self, gate: Rc<Gate>, reply: Reply, host: &mut Host<'_>) -> Step {
        let Self {
            request,
            login,
            consumer,
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
                if let Some(refusal) = missing_scopes(&consumer, &granted) {
                    return refuse(refusal, host);
                }
                if let Some(refusal) = gate.no_call_left(&consumer, Priority::SignIn, host) {
                    return refuse(refusal, host);
                }
                let call = user_call(&bitbucket.api, &granted.grant.access_token.clone().into());
                (call, Awaiting::User(granted))
            }
            Awaiting::User(granted) => {
                let account = match read_user(reply) {
                    Ok(account) => account,
                    Err(error) => {
                        return refuse(gate.no_identity("user", &error, &consumer, host), host);
                    }
                };
                if let Some(second) = &login.second {
                    let got = (&granted, &account);
                    let login = (&login, second);
                    return gate.complete_second(&request, login, &consumer, got, host);
                }
                if !granted
                    .scopes
                    .as_ref()
                    .unwrap_or(&bitbucket.scopes)
                    .allow("email")
                {
                    let identity = account.with_email(None);
                    return gate.complete(&request, &login, &granted, identity, host);
                }
                if let Some(refusal) = gate.no_call_left(&consumer, Priority::Further, host) {
                    return refuse(refusal, host);
                }
                let call = emails_call(&bitbucket.api, &granted.grant.access_token.clone().into());
                (call, Awaiting::Emails(granted, account))
            }
            Awaiting::Emails(granted, account) => {
                let email = match read_emails(reply) {
                    Ok(email) => email,
                    Err(error) => {
                        return refuse(
                            gate.no_identity("user/emails", &error, &consumer, host),
                            host,
                        );
                    }
                };
                let identity = account.with_email(email);
                return gate.complete(&request, &login, &granted, identity, host);
            }
        };
        let exchange = Box::new(Self {
            request,
            login,
            consumer,
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
fn missing_scopes(consumer: &Consumer, granted: &Granted) -> Option<Refusal> {
    let missing = granted.scopes.as_ref()?.missing(&consumer.scopes);
    if missing.is_empty() {
        return None;
    }
    let names = missing.join(", ");
    let detail = format!("expected the configured scopes, but found none of {names}");
    let which = match consumer.name() {
        None => "its OAuth consumer".to_owned(),
        Some(name) => format!("its OAuth consumer \"{name}\""),
    };
    let hint = format!("On {which} at Bitbucket this is not ticked: {names}.");
    Some(
        Refusal::new(Reason::MissingScope)
            .with_detail(detail)
            .with_hint(hint),
    )
}

/// The error of the authorization response (RFC 6749 section 4.1.2.1). A stranger can write
/// anything there, so only words that the RFC knows are told apart, and none is shown.
fn refused_by_provider(error: &str, second: Option<&SecondSignIn>) -> Refusal {
    match error {
        "access_denied" => match second {
            None => Refusal::new(Reason::AccessDenied),
            Some(_) => Refusal::new(Reason::AccessDenied).with_hint(
                "You are still signed in, but the page that you wanted needs this permission."
                    .to_owned(),
            ),
        },
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
