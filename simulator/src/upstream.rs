//! A service behind Bitgate: it records what it receives, and shows it to a person.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::html::{escape, page};
use crate::{Request, Response, json, response};

/// The most requests that are kept.
const MAX_REQUESTS: usize = 1_000;

/// A request as it was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its header fields in order, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Received {
    /// The value of a header that is there once and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        if values.next().is_some() {
            None
        } else {
            std::str::from_utf8(value).ok()
        }
    }

    fn to_json(&self) -> Value {
        let headers: Vec<Value> = self
            .headers
            .iter()
            .map(|(name, value)| json!([name, String::from_utf8_lossy(value)]))
            .collect();
        let body_bytes = self.body.len();
        json!({"method": self.method, "target": self.target, "headers": headers, "body_bytes": body_bytes})
    }
}

/// The recorder.
#[derive(Debug, Default)]
pub struct Upstream {
    requests: VecDeque<Received>,
    count: usize,
    /// Added to every answer: what a service of your choice says.
    pub response_headers: Vec<(&'static str, String)>,
    /// Whether it refuses every credential, with 401.
    pub refuses: bool,
}

impl Upstream {
    /// Records a request and answers it: a page for people, JSON for programs.
    pub fn handle(&mut self, request: &Request) -> Response {
        match (request.method().as_str(), request.uri().path()) {
            ("GET", "/_recorder/requests") => {
                let all: Vec<Value> = self.requests.iter().map(Received::to_json).collect();
                return json(200, &all.into());
            }
            ("PUT", "/_recorder/refuses") => {
                self.refuses = request.body().as_slice() == b"true";
                return json(200, &json!({}));
            }
            ("DELETE", "/_recorder/requests") => {
                self.requests.clear();
                return json(200, &json!({}));
            }
            _ => {}
        }
        let received = Received {
            method: request.method().to_string(),
            target: request
                .uri()
                .path_and_query()
                .map_or("/", |target| target.as_str())
                .to_owned(),
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
                .collect(),
            body: request.body().clone(),
        };
        let wants_page = received
            .header("accept")
            .is_some_and(|accept| accept.contains("text/html"));
        let mut answer = match wants_page {
            true => response(200, "text/html; charset=utf-8", demo_page(&received)),
            false => json(200, &received.to_json()),
        };
        if self.refuses && received.header("authorization").is_some() {
            *answer.status_mut() = http::StatusCode::UNAUTHORIZED;
        }
        for (name, value) in &self.response_headers {
            if let Ok(value) = value.parse() {
                answer.headers_mut().append(*name, value);
            }
        }
        if self.requests.len() >= MAX_REQUESTS {
            self.requests.pop_front();
        }
        self.requests.push_back(received);
        self.count += 1;
        answer
    }

    /// How many requests came in all.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The newest request.
    #[must_use]
    pub fn last_request(&self) -> Option<&Received> {
        self.requests.back()
    }

    /// The newest requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> &VecDeque<Received> {
        &self.requests
    }
}

fn demo_page(received: &Received) -> String {
    let fact = |label: &str, name: &str| {
        let value = received.header(name);
        let shown = value.map_or("<small>not sent</small>".to_owned(), escape);
        format!("<tr><th scope=\"row\">{label}</th><td>{shown}</td></tr>\n")
    };
    let bearer = received
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "));
    let token = match bearer {
        None => "<p>No bearer token was sent with this request.</p>".to_owned(),
        Some(token) => format!(
            "<p>The person's Bitbucket token, {} characters:</p><code class=\"box\" id=\"bearer\">{}</code>",
            token.len(),
            escape(token)
        ),
    };
    let rows: String = received
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value);
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"value\"><div>{}</div></td></tr>\n",
                escape(name),
                escape(&value)
            )
        })
        .collect();
    let body = format!(
        "<p>This page is the service behind Bitgate. It knows nothing about sign-in; it shows what it received \
         for <code>{} {}</code>.</p>\n<h2>Who</h2>\n<table id=\"identity\">\n{}{}{}</table>\n<h2>Credential</h2>\n{token}\n\
         <h2>Try</h2>\n<p><a href=\"/\">/</a> with the token · <a href=\"/identity\">/identity</a> identity only · \
         <a href=\"/public/hello\">/public/hello</a> for everybody · <a href=\"/nobody\">/nobody</a> for nobody</p>\n\
         <h2>All header fields</h2>\n<table>\n{rows}</table>",
        escape(&received.method),
        escape(&received.target),
        fact("Account", "x-forwarded-user"),
        fact("E-mail", "x-forwarded-email"),
        fact("Principal", "x-bitgate-principal"),
    );
    page("What the service receives", &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_get_a_page_and_programs_json() {
        let mut upstream = Upstream::default();
        let request = http::Request::get("/a?b=c")
            .header("accept", "text/html")
            .header("authorization", "Bearer <t>")
            .header("x-forwarded-user", "id")
            .body(Vec::new())
            .unwrap();
        let page = String::from_utf8(upstream.handle(&request).into_body()).unwrap();
        assert!(
            page.contains("&lt;t&gt;") && !page.contains("<t>"),
            "{page}"
        );
        let program = http::Request::get("/a").body(Vec::new()).unwrap();
        let document: Value = serde_json::from_slice(upstream.handle(&program).body()).unwrap();
        assert_eq!(document["target"], "/a");
        assert_eq!(upstream.requests().len(), 2);
    }

    #[test]
    fn the_record_is_bounded() {
        let mut upstream = Upstream::default();
        let request = http::Request::get("/").body(Vec::new()).unwrap();
        for _ in 0..MAX_REQUESTS + 10 {
            upstream.handle(&request);
        }
        assert_eq!(upstream.requests().len(), MAX_REQUESTS);
    }
}
