//! The beginning of a login.

use crate::bitbucket::AUTHORIZE_PATH;
use crate::gate::client::{Asker, Client};
use crate::gate::event::SessionCookie;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, PREFIX, Reason, Step, may_be_ours};
use crate::host::Host;
use crate::http::{Cookies, HeaderValue, Request, RequestTarget, Response};
use crate::oauth::{AuthorizationRequest, CodeVerifier, State};
use crate::session::{PendingLogin, PendingLogins, Returns, SESSION_COOKIE, SecondSignIn};

impl Gate {
    /// The registered redirect URI.
    pub(super) fn redirect_uri(&self) -> String {
        format!("{}{PREFIX}/callback", self.config.public.origin)
    }

    /// The address that signs a browser in, for `consumer` if that is not the main one, and then
    /// opens `rd`.
    pub(super) fn login_url(&self, rd: &str, consumer: Option<&str>) -> String {
        format!("{}{}", self.config.public.origin, login_path(rd, consumer))
    }

    /// Asks somebody without a session to sign in: a browser is sent to Bitbucket, and everybody
    /// else is told where a browser would have to go.
    pub(super) fn challenge(
        &self,
        request: &Request,
        cookies: &Cookies<'_>,
        reason: Reason,
        host: &mut Host<'_>,
    ) -> Step {
        let return_to = return_to(&request.target);
        let mut step = self.ask_to_sign_in(request, cookies, return_to, (reason, None), host);
        if let Step::Respond(_, event) = &mut step
            && reason == Reason::NoSession
            && cookies.contains(SESSION_COOKIE)
        {
            event.session_cookie = Some(SessionCookie::Unreadable);
        }
        step
    }

    /// The same for the grant of a further consumer.
    pub(super) fn ask_for_grant(
        &self,
        request: &Request,
        cookies: &Cookies<'_>,
        second: SecondSignIn,
        host: &mut Host<'_>,
    ) -> Step {
        let return_to = return_to(&request.target);
        let why = (Reason::NoGrant, Some(second));
        self.ask_to_sign_in(request, cookies, return_to, why, host)
    }

    pub(super) fn ask_to_sign_in(
        &self,
        request: &Request,
        cookies: &Cookies<'_>,
        return_to: &str,
        (reason, second): (Reason, Option<SecondSignIn>),
        host: &mut Host<'_>,
    ) -> Step {
        let consumer = second.as_ref().map(|second| second.consumer.as_str());
        let client = Asker::from(request).client;
        if client == Client::Navigation {
            let returns = Returns::read(self.sessions.ring(), cookies, consumer);
            if returns.are_a_loop() {
                let named = consumer.and_then(|name| self.consumers.named(name));
                let (what, cookie) = match named {
                    None => ("session", SESSION_COOKIE),
                    Some(named) => ("grant for this page", named.cookies.first()),
                };
                let refusal = looped(what, cookies.contains(cookie), return_to)
                    .with_consumer(consumer)
                    .with_cookies(vec![returns.removal()]);
                return refusal.into_step(request, None);
            }
            return self.begin_login(request, cookies, return_to, (Some(reason), second), host);
        }
        // Nobody can come back to what was not a page; the site's start is.
        let rd = if request.method == "GET" {
            return_to
        } else {
            "/"
        };
        let refusal = Refusal::new(reason)
            .with_consumer(consumer)
            .with_login_url(self.login_url(rd, consumer));
        // git shows neither the address nor a page.
        let takes_tokens = self
            .config
            .callers
            .as_ref()
            .is_some_and(|callers| callers.api_tokens);
        let refusal = match takes_tokens && matches!(client, Client::Git | Client::GitLfs) {
            true => refusal.with_hint(Reason::ApiTokenAlone.text().to_owned()),
            false => refusal,
        };
        refusal.into_step(request, None)
    }

    /// `/_bitgate/login?rd=`: signs in although there may be a session; with `consumer=`, for that
    /// one, which needs a session to add its grant to.
    pub(super) fn on_login(&self, request: &Request, host: &mut Host<'_>) -> Step {
        if !matches!(&*request.method, "GET" | "HEAD") {
            let refusal = Refusal::new(Reason::MethodNotAllowed).with_allow("GET, HEAD");
            return refusal.into_step(request, None);
        }
        let (target, consumer) = match self.asked_for(request) {
            Ok(asked) => asked,
            Err(detail) => {
                let refusal = Refusal::new(Reason::BadRequest).with_detail(detail);
                return refusal.into_step(request, None);
            }
        };
        let cookies = Cookies::read(&request.headers);
        if Asker::from(request).client != Client::Navigation {
            return Refusal::new(Reason::NoSession).into_step(request, None);
        }
        let rd = return_to(&target);
        let Some(consumer) = consumer else {
            return self.begin_login(request, &cookies, rd, (None, None), host);
        };
        match self.session(&cookies, host) {
            Ok(signed_in) => {
                let session_id = signed_in.session.id.clone();
                let second = Some(SecondSignIn {
                    consumer,
                    session_id,
                });
                self.begin_login(request, &cookies, rd, (None, second), host)
            }
            // First the one, and then back to here.
            Err(absence) => {
                let here = login_path(rd, Some(&consumer));
                let fits = here.len() <= PendingLogin::MAX_RETURN_BYTES;
                let return_to = if fits { here.as_str() } else { rd };
                let why = (Reason::from(absence), None);
                self.ask_to_sign_in(request, &cookies, return_to, why, host)
            }
        }
    }

    /// The page to go to, `/` if none is named, and the consumer that is named in the query.
    pub(super) fn asked_for(
        &self,
        request: &Request,
    ) -> Result<(RequestTarget, Option<String>), String> {
        let rd = parameter(request, "rd")?;
        let consumer = parameter(request, "consumer")?;
        // Only a path on the own origin can be read as a target.
        let target = RequestTarget::parse(rd.as_deref().unwrap_or("/").as_bytes());
        let target = target.map_err(|error| format!("rd: {error}"))?;
        let is_unknown = |name: &str| self.consumers.named(name).is_none();
        match consumer.as_deref().is_some_and(is_unknown) {
            true => Err("expected the name of a consumer, but found another".to_owned()),
            false => Ok((target, consumer)),
        }
    }

    fn begin_login(
        &self,
        request: &Request,
        cookies: &Cookies<'_>,
        return_to: &str,
        (reason, second): (Option<Reason>, Option<SecondSignIn>),
        host: &mut Host<'_>,
    ) -> Step {
        let Some(consumer) = self.consumers.of(second.as_ref()) else {
            return Refusal::new(Reason::BadRequest).into_step(request, None);
        };
        let no_randomness = || Refusal::new(Reason::NoRandomness).into_step(request, None);
        let (Ok(state), Ok(code_verifier)) = (
            State::generate(host.random),
            CodeVerifier::generate(host.random),
        ) else {
            return no_randomness();
        };
        let login = PendingLogin {
            state,
            code_verifier,
            return_to: return_to.to_owned(),
            begun_at: host.now,
            second,
        };
        let pending = PendingLogins::new(self.sessions.ring(), host.now);
        let Ok(set) = pending.add(cookies, &login, host.random) else {
            return no_randomness();
        };
        let url = AuthorizationRequest {
            endpoint: &format!("{}{AUTHORIZE_PATH}", self.config.bitbucket.web.origin()),
            client_id: &consumer.client.id,
            redirect_uri: &self.redirect_uri(),
            state: &login.state,
            code_verifier: &login.code_verifier,
        }
        .url();
        // Every part is form-encoded or was checked, so it is a header value.
        let Ok(location) = HeaderValue::try_from(url) else {
            return no_randomness();
        };
        let mut response = Response::found(location).with_cookies(&set);
        if let Some(reason) = reason {
            response = response.with("x-bitgate-reason", HeaderValue::fixed(reason.code()));
        }
        let event = Event {
            reason,
            consumer: consumer.name().map(str::to_owned),
            ..Event::new(EventKind::LoginStarted).of(request)
        };
        Step::Respond(response, event)
    }
}

/// Path and query of [`Gate::login_url`].
fn login_path(rd: &str, consumer: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("rd", rd);
    if let Some(consumer) = consumer {
        query.append_pair("consumer", consumer);
    }
    format!("{PREFIX}/login?{}", query.finish())
}

/// A parameter of the query, which may be there once.
fn parameter(request: &Request, wanted: &str) -> Result<Option<String>, String> {
    let query = request.target.query().unwrap_or("");
    let mut given = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned());
    match (given.next(), given.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(format!("expected {wanted} once, but found it twice")),
    }
}

/// Signing in worked several times, and each time the browser came back without what it got, or
/// with something that cannot be read.
fn looped(what: &str, is_sent: bool, return_to: &str) -> Refusal {
    let hint = match is_sent {
        true => format!(
            "The browser sends the {what}, but it cannot be read here. The people who run this site need \
             to check that all its instances have the same session keys and the right time."
        ),
        false => format!(
            "The browser does not send the {what} back. Cookies may be blocked, or something between \
             you and this site drops large ones."
        ),
    };
    Refusal::new(Reason::LoginLoop)
        .with_hint(hint)
        .with_retry(return_to)
}

/// Where to go on after a login: the target itself, its path if that is too long to carry, and the
/// site's start for what is ours.
fn return_to(target: &RequestTarget) -> &str {
    let path_only = target.as_str().split('?').next().unwrap_or("/");
    let is_ours = may_be_ours(target);
    // In the sealed JSON a quote needs two bytes; no other character of a target does.
    let weight = |text: &str| text.len().saturating_add(text.matches('"').count());
    [target.as_str(), path_only]
        .into_iter()
        .find(|text| !is_ours && weight(text) <= PendingLogin::MAX_RETURN_BYTES)
        .unwrap_or("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_ours_is_not_returned_to() {
        let long = "x".repeat(PendingLogin::MAX_RETURN_BYTES);
        let table = [
            ("/a?b=c".to_owned(), "/a?b=c"),
            (format!("/a?{long}"), "/a"),
            (format!("/{long}"), "/"),
            (format!("/a?{}", "\"".repeat(1_500)), "/a"),
            ("/_bitgate/logout".to_owned(), "/"),
            ("/%5Fbitgate/logout".to_owned(), "/"),
            ("/_bitgate".to_owned(), "/"),
            ("/_bitgated".to_owned(), "/_bitgated"),
        ];
        for (raw, expected) in table {
            assert_eq!(
                return_to(&RequestTarget::parse(raw.as_bytes()).unwrap()),
                expected
            );
        }
    }
}
