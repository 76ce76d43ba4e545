//! Keys of issuers: fetched by nobody's request, for all workers.

use crate::config::Problem;
use crate::gate::{Event, EventKind, Gate, Progress};
use crate::host::Host;
use crate::http::Reply;
use crate::issuers::{Change, KeyFetch};
use crate::jose::can_verify;

impl Gate {
    /// Refuses issuers on a host that cannot verify what they sign.
    ///
    /// # Errors
    /// The [`Problem`] to report.
    pub fn check_signatures(&self, host: &Host<'_>) -> Result<(), Problem> {
        if self.issuers.is_empty() || can_verify(host.signatures) {
            return Ok(());
        }
        let expected = "expected none on a host without the function verify_signature";
        Err(Problem {
            path: "issuers".to_owned(),
            message: format!("{expected}, but found some"),
        })
    }
}

/// Publishes the keys, or that there are no newer ones.
pub(super) fn resume(fetch: KeyFetch, reply: Reply, host: &mut Host<'_>) -> Progress {
    let fetched = fetch.finish(reply, host);
    let (kind, detail) = match &fetched.result {
        Ok(Change::New) => (EventKind::KeysChanged, "other keys".to_owned()),
        Ok(Change::Same) => (EventKind::KeysFetched, "the same keys".to_owned()),
        Err(failure) => (EventKind::KeysNotFetched, failure.to_string()),
    };
    Progress::Done(Event {
        detail: Some(format!("{}: {detail}", fetched.issuer)),
        ..Event::new(kind)
    })
}
