//! Bad days of Bitbucket.

use crate::{Response, response};

/// The next `times` requests for `path` get `response`.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The path, exactly.
    pub path: String,
    /// How often.
    pub times: usize,
    /// What they get.
    pub response: FaultResponse,
}

/// A bad answer.
#[derive(Clone, Debug)]
pub enum FaultResponse {
    /// No answer at all: the server keeps the connection open and silent.
    Hang,
    /// Anything.
    Raw {
        /// The status code.
        status: u16,
        /// The media type.
        content_type: String,
        /// The body.
        body: Vec<u8>,
    },
    /// This status, with the body that Bitbucket has for it.
    Status(u16),
}

/// Marks a response, as an extension, that a server must never send.
#[derive(Clone, Copy, Debug)]
pub struct Hang;

/// The answer of the first fault for `path`, which is used up by one.
pub(super) fn take(faults: &mut Vec<Fault>, path: &str) -> Option<Response> {
    let at = faults
        .iter()
        .position(|fault| fault.path == path && fault.times > 0)?;
    let fault = faults.get_mut(at)?;
    fault.times -= 1;
    let answer = match &fault.response {
        FaultResponse::Hang => {
            let mut answer = response(504, "text/plain", "");
            answer.extensions_mut().insert(Hang);
            answer
        }
        FaultResponse::Raw {
            status,
            content_type,
            body,
        } => response(*status, content_type, body.clone()),
        // Captured without a Retry-After.
        FaultResponse::Status(429) => response(
            429,
            "text/plain",
            "Rate limit for this resource has been exceeded",
        ),
        FaultResponse::Status(status) => response(*status, "text/html", "<h1>Error</h1>"),
    };
    faults.retain(|fault| fault.times > 0);
    Some(answer)
}
