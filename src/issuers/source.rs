//! An issuer and its keys, as one worker knows them.

use std::cell::RefCell;
use std::rc::Rc;

use crate::host::{Host, SharedData};
use crate::http::Call;
use crate::issuers::fetch::KeyFetch;
use crate::issuers::state::{Asking, Sought, State};
use crate::issuers::{Issuer, Keys};
use crate::jose::KeySet;
use crate::time::Seconds;

/// How much longer than the call a lease lives: for the way there and back.
const MARGIN: Seconds = Seconds(3);

/// Keys, and which they are.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// 0 for those of the configuration.
    pub(super) generation: u64,
    pub(super) keys: Rc<KeySet>,
}

/// Where keys come from. A document that was fetched lies in shared data as it came, behind its
/// generation; every worker reads it once.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) issuer: Rc<Issuer>,
    /// The key of the state in shared data; what requests wait for is called so as well.
    pub(super) key: String,
    known: RefCell<Option<Known>>,
}

impl Source {
    /// What another issuer, address or site left in shared data is not ours.
    pub(super) fn new(site: &str, issuer: &Rc<Issuer>) -> Self {
        let (address, known) = match &issuer.keys {
            Keys::Inline(keys) => {
                let (generation, keys) = (0, Rc::clone(keys));
                (String::new(), Some(Known { generation, keys }))
            }
            Keys::Remote(call) => {
                let Call {
                    cluster,
                    scheme,
                    authority,
                    path,
                    ..
                } = &**call;
                (format!("{cluster} {scheme}://{authority}{path}"), None)
            }
        };
        Self {
            issuer: Rc::clone(issuer),
            key: format!("bitgate.issuer.{site} {} {address}", issuer.issuer),
            known: RefCell::new(known),
        }
    }

    /// How to fetch keys, if they are not in the configuration.
    pub(super) fn call(&self) -> Option<&Rc<Call>> {
        match &self.issuer.keys {
            Keys::Inline(_) => None,
            Keys::Remote(call) => Some(call),
        }
    }

    /// What this worker knows, without asking anybody.
    pub(super) fn known(&self) -> Option<Known> {
        self.known.borrow().clone()
    }

    /// Takes over what another worker has fetched. `None` if there is nothing new.
    pub(super) fn take_over(&self, shared: &dyn SharedData) -> Option<Known> {
        let (state, _) = State::read(&self.key, shared);
        let generation = self.known.borrow().as_ref().map_or(0, |it| it.generation);
        if state.generation == generation {
            return None;
        }
        let (generation, document) = self.document(shared)?;
        let keys = Rc::new(KeySet::parse(&document).ok()?);
        let known = Known { generation, keys };
        self.known.replace(Some(known.clone()));
        Some(known)
    }

    /// The document in shared data, and its generation.
    pub(super) fn document(&self, shared: &dyn SharedData) -> Option<(u64, Vec<u8>)> {
        let (bytes, _) = shared.read(&self.document_key())?;
        let (generation, document) = bytes.split_first_chunk()?;
        Some((u64::from_be_bytes(*generation), document.to_vec()))
    }

    pub(super) fn document_key(&self) -> String {
        format!("{}.keys", self.key)
    }

    /// Asks for keys if it is time to.
    pub(super) fn ask(
        self: &Rc<Self>,
        sought: Sought,
        host: &mut Host<'_>,
    ) -> Result<KeyFetch, Asking> {
        let call = self.call().ok_or(Asking::Fresh)?;
        let (state, version) = State::read(&self.key, host.shared);
        let asking = state.look_for(sought, host.now);
        if asking != Asking::Free {
            return Err(asking);
        }
        let span = Seconds(call.timeout.0.saturating_add(MARGIN.0));
        let leased = state.leased(sought, span, host.now);
        match leased.write(&self.key, version, host.shared) {
            true => Ok(KeyFetch::new(Rc::clone(self), Rc::clone(call))),
            false => Err(Asking::Leased),
        }
    }
}
