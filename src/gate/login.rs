//! The beginning of a login.

use crate::bitbucket::AUTHORIZE_PATH;
use crate::gate::client::{Asker, Client};
use crate::gate::event::SessionCookie;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, PREFIX, Reason, Step, may_be_ours};
use crate::host::Host;
use crate::http::{Cookies, HeaderValue, Request, RequestTarget, Response};
use crate::oauth::{AuthorizationRequest, CodeVerifier, State};
use crate::session::{PendingLogin, PendingLogins, Returns, SESSION_COOKIE};

impl Gate {
    /// The registered redirect URI.
    pub(super) fn redirect_uri(&self) -> String {
        format!("{}{PREFIX}/callback", self.config.public.origin)
    }

    /// The address that signs a browser in and then opens `rd`.
    pub(super) fn login_url(&self, rd: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("rd", rd)
            .finish();
        format!("{}{PREFIX}/login?{query}", self.config.public.origin)
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
        let mut step = self.ask_to_sign_in(request, cookies, reason, host);
        if let Step::Respond(_, event) = &mut step
            && reason == Reason::NoSession
            && cookies.contains(SESSION_COOKIE)
        {
            event.session_cookie = Some(SessionCookie::Unreadable);
        }
        step
    }

    fn ask_to_sign_in(
        &self,
        request: &Request,
        cookies: &Cookies<'_>,
        reason: Reason,
        host: &mut Host<'_>,
    ) -> Step {
        let return_to = return_to(&request.target);
        if Asker::from(request).client == Client::Navigation {
            let returns = Returns::read(self.sessions.ring(), cookies);
            if returns.are_a_loop() {
                return looped(request, cookies, return_to);
            }
            return self.begin_login(request, cookies, return_to, Some(reason), host);
        }
        // Nobody can come back to what was not a page; the site's start is.
        let rd = if request.method == "GET" {
            return_to
        } else {
            "/"
        };
        Refusal::new(reason)
            .with_login_url(self.login_url(rd))
            .into_step(request, None)
    }

    /// `/_bitgate/login?rd=`: signs in although there may be a session.
    pub(super) fn on_login(&self, request: &Request, host: &mut Host<'_>) -> Step {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            let refusal = Refusal::new(Reason::MethodNotAllowed).with_allow("GET, HEAD");
            return refusal.into_step(request, None);
        }
        let mut given = form_urlencoded::parse(request.target.query().unwrap_or("").as_bytes())
            .filter(|(name, _)| name == "rd")
            .map(|(_, value)| value);
        let target = match (given.next(), given.next()) {
            (None, _) => RequestTarget::parse(b"/"),
            // Only a path on the own origin can be read as a target.
            (Some(rd), None) => RequestTarget::parse(rd.as_bytes()),
            (Some(_), Some(_)) => {
                let detail = "expected rd once, but found it twice".to_owned();
                return Refusal::new(Reason::BadRequest)
                    .with_detail(detail)
                    .into_step(request, None);
            }
        };
        let target = match target {
            Ok(target) => target,
            Err(error) => {
                let refusal = Refusal::new(Reason::BadRequest).with_detail(format!("rd: {error}"));
                return refusal.into_step(request, None);
            }
        };
        let cookies = Cookies::read(&request.headers);
        if Asker::from(request).client != Client::Navigation {
            return Refusal::new(Reason::NoSession).into_step(request, None);
        }
        self.begin_login(request, &cookies, return_to(&target), None, host)
    }

    fn begin_login(
        &self,
        request: &Request,
        cookies: &Cookies<'_>,
        return_to: &str,
        reason: Option<Reason>,
        host: &mut Host<'_>,
    ) -> Step {
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
        };
        let pending = PendingLogins::new(self.sessions.ring(), host.now);
        let Ok(set) = pending.add(cookies, &login, host.random) else {
            return no_randomness();
        };
        let url = AuthorizationRequest {
            endpoint: &format!("{}{AUTHORIZE_PATH}", self.config.bitbucket.web.origin()),
            client_id: &self.config.bitbucket.client.id,
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
            ..Event::new(EventKind::LoginStarted).of(request)
        };
        Step::Respond(response, event)
    }
}

/// Signing in worked several times, and each time the browser came back without a session.
fn looped(request: &Request, cookies: &Cookies<'_>, return_to: &str) -> Step {
    let hint = match cookies.contains(SESSION_COOKIE) {
        true => {
            "The browser sends the session, but it cannot be read here. The people who run this site need \
             to check that all its instances have the same session keys and the right time."
        }
        false => {
            "The browser does not send the session back. Cookies may be blocked, or something between \
             you and this site drops large ones."
        }
    };
    Refusal::new(Reason::LoginLoop)
        .with_hint(hint.to_owned())
        .with_retry(return_to)
        .with_cookies(vec![Returns::removal()])
        .into_step(request, None)
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
