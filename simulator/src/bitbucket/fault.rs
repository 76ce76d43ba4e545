//! Bad days of Bitbucket.

use crate::{Response, response};

/// The next `times` requests for `path` get `response`.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The path exactly, or the kind of paths, such as `/2.0/workspaces/{workspace}`.
    pub path: String,
    /// How often.
    pub times: usize,
    /// What they get.
    pub response: FaultResponse,
}

/// A bad answer, or none.
#[derive(Clone, Debug)]
pub enum FaultResponse {
    /// No answer at all: the server keeps the connection open and silent.
    Hang,
    /// Anything.
    Raw {
        /// The status code.
        status: u16,
        /// Header fields.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The server closes the connection instead of answering.
    Reset,
    /// The right answer, so many milliseconds late.
    Slow(u64),
    /// This status, with the body that Bitbucket has for it.
    Status(u16),
}

/// Marks a response, as an extension, for the server: what happens on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Send it after so many milliseconds.
    Delay(u64),
    /// Never send it, and keep the connection.
    Hang,
    /// Never send it, and close the connection.
    Reset,
}

impl Wire {
    fn on(self, mut answer: Response) -> Response {
        answer.extensions_mut().insert(self);
        answer
    }
}

/// The first fault for one of `paths`, which is used up by one.
pub(super) fn take(faults: &mut Vec<Fault>, paths: [&str; 2]) -> Option<FaultResponse> {
    let at = faults
        .iter()
        .position(|fault| paths.contains(&fault.path.as_str()) && fault.times > 0)?;
    let fault = faults.get_mut(at)?;
    fault.times -= 1;
    let taken = fault.response.clone();
    faults.retain(|fault| fault.times > 0);
    Some(taken)
}

/// What it looks like when somebody asks too much.
pub(super) fn too_many(retry_after: Option<u64>) -> Response {
    let body = "Rate limit for this resource has been exceeded";
    let mut answer = response(429, "text/plain", body);
    let headers = answer.headers_mut();
    let no_cache = http::HeaderValue::from_static("no-cache, no-store");
    headers.insert("cache-control", no_cache);
    if let Some(seconds) = retry_after {
        headers.insert("retry-after", seconds.into());
    }
    answer
}

/// What it does to the right answer, which is only made if it is wanted.
pub(super) fn apply(fault: FaultResponse, right: impl FnOnce() -> Response) -> Response {
    match fault {
        FaultResponse::Hang => Wire::Hang.on(response(504, "text/plain", "")),
        FaultResponse::Reset => Wire::Reset.on(response(503, "text/plain", "")),
        FaultResponse::Slow(milliseconds) => Wire::Delay(milliseconds).on(right()),
        FaultResponse::Raw {
            status,
            headers,
            body,
        } => {
            let mut answer = response(status, "", body);
            answer.headers_mut().remove("content-type");
            for (name, value) in headers {
                if let Ok(value) = value.parse() {
                    answer.headers_mut().append(name, value);
                }
            }
            answer
        }
        // Captured without a Retry-After.
        FaultResponse::Status(429) => too_many(None),
        FaultResponse::Status(status) => response(status, "text/html", "<h1>Error</h1>"),
    }
}
