//! Calls whose answers must not be lost with the request that made them, since others wait for them.

use crate::gate::lookup::Lookup;
use crate::gate::{BotFetch, Event, Renewal, keys};
use crate::host::Host;
use crate::http::{Call, Reply};
use crate::issuers::KeyFetch;

/// Something to be asked on behalf of nobody's request.
#[derive(Debug)]
pub enum Job {
    /// A token of a bot.
    Bot(Box<BotFetch>),
    /// The keys of an issuer.
    Keys(KeyFetch),
    /// Rights or groups.
    Lookup(Box<Lookup>),
    /// The next pair of tokens.
    Renewal(Box<Renewal>),
}

/// What becomes of a job when a reply has come.
#[derive(Debug)]
pub enum Progress {
    /// It has a further call to make.
    Again(Job),
    /// It is done, and what it found is published.
    Done(Event),
}

impl Job {
    /// The call to make.
    #[must_use]
    pub fn call(&self) -> &Call {
        match self {
            Self::Bot(fetch) => fetch.call(),
            Self::Keys(fetch) => fetch.call(),
            Self::Lookup(lookup) => lookup.call(),
            Self::Renewal(renewal) => renewal.call(),
        }
    }

    /// What requests wait for that it brings: the same word as theirs.
    #[must_use]
    pub fn brings(&self) -> String {
        match self {
            Self::Bot(fetch) => fetch.brings(),
            Self::Keys(fetch) => fetch.brings(),
            Self::Lookup(lookup) => lookup.brings(),
            Self::Renewal(renewal) => renewal.brings(),
        }
    }

    /// Goes on with the reply.
    pub fn resume(self, reply: Reply, host: &mut Host<'_>) -> Progress {
        match self {
            Self::Bot(fetch) => Progress::Done(fetch.finish(reply, host)),
            Self::Keys(fetch) => keys::resume(fetch, reply, host),
            Self::Lookup(lookup) => lookup.resume(reply, host),
            Self::Renewal(renewal) => Progress::Done(renewal.finish(reply, host)),
        }
    }
}
