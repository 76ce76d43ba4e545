//! What Bitgate is tested and tried with, in the place of what is not ours.
//!
//! [`bitbucket`] is Bitbucket Cloud as it is since its OAuth overhaul of May 2026, as a pure
//! function of time and request, and as strict as the original: a test server that accepts what
//! Bitbucket no longer accepts keeps tests green while every login fails. [`upstream`] records what
//! a service behind Bitgate receives, and shows it to people. [`server`] serves either of them,
//! [`git`] adds repositories to Bitbucket as a server, and [`client`] sends requests as they are.

pub mod bitbucket;
mod body;
pub mod client;
pub mod git;
mod html;
pub mod server;
pub mod upstream;

/// A request with its whole body.
pub type Request = http::Request<Vec<u8>>;

/// A response with its whole body.
pub type Response = http::Response<Vec<u8>>;

/// A response of `content_type`. Every name and value is one of ours.
fn response(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
    let mut response = http::Response::new(body.into());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert("content-type", value);
    }
    response
}

fn json(status: u16, document: &serde_json::Value) -> Response {
    response(status, "application/json", document.to_string())
}

fn header<'r>(request: &'r Request, name: &str) -> Option<&'r str> {
    let mut values = request.headers().get_all(name).iter();
    let value = values.next()?.to_str().ok();
    if values.next().is_some() { None } else { value }
}
