//! From a reason to an answer: a page for people, JSON for programs.

use crate::bitbucket::InvalidAnswer;
use crate::gate::client::{Asker, Client, GIT_LFS, RequestId};
use crate::gate::page::{Action, Page};
use crate::gate::{Event, EventKind, Reason, Step};
use crate::http::{GrpcWeb, HeaderValue, Malformed, Reply, Response, SetCookie};
use crate::json::object;
use crate::oauth::InvalidTokenResponse;
use crate::policy::Rule;

/// A refusal on its way to be an answer.
#[derive(Debug)]
pub(super) struct Refusal {
    reason: Reason,
    detail: Option<String>,
    /// Shown to the person: words of ours or of the configuration only.
    hint: Option<String>,
    /// Path and query on the own origin for trying again.
    retry: Option<String>,
    login_url: Option<String>,
    /// Whether another account might do.
    is_about_person: bool,
    /// The further consumer that it is about.
    consumer: Option<String>,
    allow: Option<&'static str>,
    cookies: Vec<SetCookie>,
}

impl Refusal {
    // Everywhere a refusal is made, its fields would be filled in one by one: 2 KB of the module.
    #[inline(never)]
    pub(super) fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            hint: None,
            retry: None,
            login_url: None,
            is_about_person: false,
            consumer: None,
            allow: None,
            cookies: Vec::new(),
        }
    }

    pub(super) fn malformed(error: Malformed) -> Self {
        Self::new(Reason::BadRequest).with_detail(error.to_string())
    }

    pub(super) fn no_token(error: &InvalidTokenResponse) -> Self {
        Self::new(Self::reason_of_no_token(error)).with_detail(format!("token endpoint: {error}"))
    }

    pub(super) fn reason_of_no_token(error: &InvalidTokenResponse) -> Reason {
        match error {
            InvalidTokenResponse::Refused(code) => match code.as_str() {
                // Bitbucket says the first where RFC 6749 section 5.2 says the second.
                "unauthorized_client" | "invalid_client" => Reason::ClientRefused,
                _ => Reason::CodeRefused,
            },
            InvalidTokenResponse::Malformed(_) => Reason::BitbucketInvalidAnswer,
            InvalidTokenResponse::Unavailable(status) => unavailable(*status),
            InvalidTokenResponse::NoAnswer(reply) => no_answer(reply),
        }
    }

    pub(super) fn no_identity(what: &str, error: &InvalidAnswer) -> Self {
        let reason = match error {
            InvalidAnswer::Denied(_) | InvalidAnswer::LacksScope(_) => Reason::AccountRefused,
            InvalidAnswer::Malformed(_) => Reason::BitbucketInvalidAnswer,
            InvalidAnswer::NotFound => unavailable(404),
            InvalidAnswer::RateLimited(_) => unavailable(429),
            InvalidAnswer::Unavailable(status) => unavailable(*status),
            InvalidAnswer::NoAnswer(reply) => no_answer(reply),
        };
        Self::new(reason).with_detail(format!("{what}: {error}"))
    }

    pub(super) fn with_detail(mut self, detail: String) -> Self {
        self.detail = Some(detail);
        self
    }

    pub(super) fn with_some_detail(mut self, detail: Option<String>) -> Self {
        self.detail = detail;
        self
    }

    pub(super) fn with_hint(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(super) fn with_retry(mut self, path: &str) -> Self {
        self.retry = Some(path.to_owned());
        self
    }

    pub(super) fn with_login_url(mut self, url: String) -> Self {
        self.login_url = Some(url);
        self
    }

    pub(super) fn with_consumer(mut self, name: Option<&str>) -> Self {
        self.consumer = name.map(str::to_owned);
        self
    }

    /// It is about who has the session: another account might do.
    pub(super) fn about_person(mut self) -> Self {
        self.is_about_person = true;
        self
    }

    pub(super) fn with_allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    pub(super) fn with_cookies(mut self, cookies: Vec<SetCookie>) -> Self {
        self.cookies = cookies;
        self
    }

    /// The answer, in the form that the client can read.
    pub(super) fn into_step<'a>(
        self,
        asker: impl Into<Asker<'a>>,
        rule: Option<(usize, &Rule)>,
    ) -> Step {
        let Asker { client, request_id } = asker.into();
        let reason = self.reason;
        let mut response = match client {
            Client::Navigation => self.page(request_id),
            Client::Git => Response::text(reason.status(), &self.message()),
            Client::GitLfs => self.lfs(request_id),
            Client::Grpc => Response::grpc(grpc_status(reason.status()), &self.message()),
            Client::GrpcWeb => Response::grpc_web(
                grpc_status(reason.status()),
                &self.message(),
                GrpcWeb::Binary,
            ),
            Client::GrpcWebText => {
                Response::grpc_web(grpc_status(reason.status()), &self.message(), GrpcWeb::Text)
            }
            Client::Program => self.json(request_id.as_ref()),
        };
        response = response.with("x-bitgate-reason", HeaderValue::fixed(reason.code()));
        if reason.status() == 401 {
            // RFC 9110 section 11.6.1: a 401 names a way to authenticate.
            let challenge = match client {
                Client::Git | Client::GitLfs => "Basic realm=\"bitgate\"",
                Client::Grpc
                | Client::GrpcWeb
                | Client::GrpcWebText
                | Client::Navigation
                | Client::Program
                    if reason.is_about_token() =>
                {
                    "Bearer realm=\"bitgate\", error=\"invalid_token\""
                }
                Client::Grpc
                | Client::GrpcWeb
                | Client::GrpcWebText
                | Client::Navigation
                | Client::Program => "Bearer realm=\"bitgate\"",
            };
            response = response.with("www-authenticate", HeaderValue::fixed(challenge));
        }
        if reason.status() == 503 {
            response = response.with("retry-after", HeaderValue::fixed("10"));
        }
        if let Some(methods) = self.allow {
            response = response.with("allow", HeaderValue::fixed(methods));
        }
        let event = Event {
            reason: Some(reason),
            detail: self.detail,
            rule: rule.map(|(index, rule)| rule.label(index)),
            consumer: self.consumer,
            request_id: request_id.map(|id| id.as_str().to_owned()),
            ..Event::new(EventKind::Refused)
        };
        Step::Respond(response.with_cookies(&self.cookies), event)
    }

    fn page(&self, request_id: Option<RequestId<'_>>) -> Response {
        Page {
            title: self.reason.title(),
            text: self.reason.text(),
            hint: self.hint.as_deref(),
            action: self.retry.as_deref().map(|path| {
                // Somebody who may not, or not with this account, may be somebody else as well.
                if self.is_about_person {
                    Action::TryAgainOrSignOut(path)
                } else {
                    Action::TryAgain(path)
                }
            }),
            reason: Some(self.reason),
            request_id,
        }
        .into_response(self.reason.status())
    }

    /// One line for people behind a program: git and gRPC show it.
    fn message(&self) -> String {
        let text = self.hint.as_deref().unwrap_or(self.reason.text());
        format!("{} ({}). {text}", self.reason.title(), self.reason)
    }

    /// "Response Errors" of the API of LFS: git-lfs shows the message.
    fn lfs(&self, id: Option<RequestId<'_>>) -> Response {
        let id = id.map(|id| id.as_str());
        let document = object(vec![
            ("message", self.message().into()),
            ("request_id", id.into()),
        ]);
        Response::json(self.reason.status(), &document).with_own("content-type", GIT_LFS)
    }

    fn json(&self, id: Option<&RequestId<'_>>) -> Response {
        let error = match self.reason.status() {
            400 | 404 | 405 | 425 | 501 => "invalid_request",
            401 => "unauthorized",
            403 => "forbidden",
            421 => "misdirected_request",
            _ => "unavailable",
        };
        let message = self.hint.as_deref().unwrap_or(self.reason.text());
        let mut members = vec![
            ("error", error.into()),
            ("reason", self.reason.code().into()),
            ("message", message.into()),
        ];
        if let Some(url) = &self.login_url {
            members.push(("login_url", url.as_str().into()));
        }
        if let Some(id) = id {
            members.push(("request_id", id.as_str().into()));
        }
        Response::json(self.reason.status(), &object(members))
    }
}

/// The status codes of gRPC (<https://grpc.github.io/grpc/core/md_doc_statuscodes.html>).
fn grpc_status(status: u16) -> u8 {
    match status {
        401 => 16,
        403 => 7,
        // UNIMPLEMENTED: no such method, or not here.
        404 | 405 | 501 => 12,
        // FAILED_PRECONDITION: another host, or too early.
        421 | 425 => 9,
        // INVALID_ARGUMENT.
        400..=499 => 3,
        _ => 14,
    }
}

fn unavailable(status: u16) -> Reason {
    match status {
        429 | 500..=599 => Reason::BitbucketUnavailable,
        _ => Reason::BitbucketInvalidAnswer,
    }
}

fn no_answer(reply: &Reply) -> Reason {
    match reply {
        Reply::TimedOut => Reason::BitbucketTimeout,
        Reply::Unreachable => Reason::BitbucketUnreachable,
        Reply::Answer { .. } | Reply::TooLarge => Reason::BitbucketInvalidAnswer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;

    fn asker(accept: &str) -> Request {
        let fields = [
            (":method", "GET"),
            (":authority", "a.test"),
            (":path", "/"),
            ("accept", accept),
            ("x-request-id", "id-1"),
        ];
        let fields = fields.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()));
        Request::read(fields.to_vec()).unwrap()
    }

    fn answer(reason: Reason, accept: &str) -> (Response, Event) {
        match Refusal::new(reason).into_step(&asker(accept), None) {
            Step::Respond(response, event) => (response, event),
            Step::Call(..) | Step::Forward(_) | Step::Noted(..) | Step::Wait(..) => {
                panic!("expected an answer")
            }
        }
    }

    /// Header, page, JSON, log line, metric and manual say the same word.
    #[test]
    fn a_reason_is_the_same_in_all_places() {
        let manual = include_str!("../../docs/reasons.md");
        let headings: Vec<&str> = manual
            .lines()
            .filter_map(|l| l.strip_prefix("## "))
            .collect();
        let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        let mut sorted = codes.clone();
        sorted.sort_unstable();
        assert_eq!(
            headings, sorted,
            "the headings of docs/reasons.md, in their order"
        );
        for reason in Reason::ALL {
            let code = reason.code();
            let (page, event) = answer(*reason, "text/html");
            let header = |response: &Response, name: &str| {
                let found = response.headers.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| value.as_str().to_owned())
            };
            assert_eq!(header(&page, "x-bitgate-reason").as_deref(), Some(code));
            let text = String::from_utf8(page.body).unwrap();
            assert!(
                text.contains(&format!("Reason: {code} · Request: id-1")),
                "{text}"
            );
            let line = event.to_string();
            assert!(line.contains(&format!("\"reason\":\"{code}\"")), "{line}");
            assert!(
                event
                    .metric()
                    .ends_with(&format!(".event.refused.reason.{code}"))
            );
            let section = manual.split(&format!("\n## {code}\n\n")).nth(1).unwrap();
            assert!(
                section.starts_with(&format!("{}", reason.status())),
                "{code}"
            );
            assert!(
                section.split("\n## ").next().unwrap().contains("*Who:*"),
                "{code}"
            );
            let (document, _) = answer(*reason, "*/*");
            assert_eq!(header(&document, "x-bitgate-reason").as_deref(), Some(code));
            let document: serde_json::Value = serde_json::from_slice(&document.body).unwrap();
            assert_eq!(document["reason"], code);
            assert_eq!(document["request_id"], "id-1");
        }
    }
}
