//! One row of the table: who sends what to which site, and what has to come of it.

use std::rc::Rc;

use bitgate_simulator::client::Protocol;

use crate::browser::HOST;
use crate::rows::SHORT;
use crate::site::{Filter, Plan};
use crate::stage::Stage;
use crate::support::Request;

/// What the service behind the site has to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    /// A bearer token of so many characters.
    Bearer(usize),
    /// The same, with the headers that say who it is.
    BearerAndIdentity(usize),
    /// The headers that say who it is, and no credential.
    Identity,
    /// A pipeline, and no credential.
    Pipeline,
    /// Anything.
    Whatever,
}

/// What is sent.
pub(crate) struct Traffic {
    pub(crate) plan: Plan,
    pub(crate) requests: Vec<Request>,
    pub(crate) status: u16,
    pub(crate) behind: Behind,
}

/// How traffic comes about; only for rows that were chosen.
pub(crate) type Prepare = Rc<dyn Fn(&mut Stage) -> Traffic>;

pub(crate) struct Row {
    pub(crate) name: String,
    /// What it means, for somebody who sees the table for the first time.
    pub(crate) text: String,
    pub(crate) protocol: Protocol,
    /// The row of Envoy's own filter that does the same job.
    pub(crate) native: Option<String>,
    pub(crate) prepare: Prepare,
}

impl Row {
    /// The same requests without a filter: what Envoy alone takes for them.
    pub(crate) fn without_filter(&self, name: &str, text: &str) -> Self {
        let prepare = Rc::clone(&self.prepare);
        Self {
            name: name.to_owned(),
            text: format!("no filter, {text}"),
            protocol: self.protocol,
            native: None,
            prepare: Rc::new(move |stage| Traffic {
                plan: Plan::of(Filter::None, SHORT),
                status: 200,
                behind: Behind::Whatever,
                ..prepare(stage)
            }),
        }
    }

    /// The row without any filter.
    pub(crate) fn bare(&self) -> &'static str {
        match self.protocol {
            Protocol::Http1 => "bare",
            Protocol::Http2 => "h2-bare",
        }
    }
}

/// What a script of a page asks for, without a credential.
pub(crate) fn get(path: &str) -> Request {
    let request = http::Request::get(path)
        .header("host", HOST)
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64) bench")
        .header("accept", "*/*")
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-dest", "empty")
        .header("sec-fetch-site", "same-origin");
    request.body(Vec::new()).unwrap()
}

pub(crate) fn with(mut request: Request, name: &'static str, value: &str) -> Request {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}
