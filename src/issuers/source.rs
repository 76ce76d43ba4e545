//! The keys of one issuer, as one worker knows them.

use std::cell::RefCell;
use std::rc::Rc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac_sha256::Hash;

use crate::host::{Host, SharedData};
use crate::http::Call;
use crate::issuers::fetch::KeyFetch;
use crate::issuers::state::{Asking, State};
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

/// Keys behind a call. The document lies in shared data as it came, behind its generation; every
/// worker reads it once.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) call: Call,
    pub(super) label: String,
    pub(super) state_key: String,
    pub(super) document_key: String,
    known: RefCell<Option<Known>>,
}

impl Source {
    /// What another issuer, address or site left in shared data is not ours.
    pub(super) fn new(site: &str, issuer: &str, label: String, call: Call) -> Self {
        let Call {
            cluster,
            scheme,
            authority,
            path,
            ..
        } = &call;
        let name = format!("{site} {issuer} {cluster} {scheme}://{authority}{path}");
        let name = URL_SAFE_NO_PAD.encode(Hash::hash(name.as_bytes()));
        Self {
            label,
            state_key: format!("bitgate.issuer.{name}"),
            document_key: format!("bitgate.issuer.{name}.keys"),
            known: RefCell::default(),
            call,
        }
    }

    /// What this worker knows, without asking anybody.
    pub(super) fn known(&self) -> Option<Known> {
        self.known.borrow().clone()
    }

    /// Takes over what another worker has fetched. `true` if there is something new.
    pub(super) fn take_over(&self, shared: &dyn SharedData) -> bool {
        let (state, _) = State::read(&self.state_key, shared);
        let generation = self.known().map_or(0, |known| known.generation);
        if state.generation == generation {
            return false;
        }
        let Some((generation, document)) = self.document(shared) else {
            return false;
        };
        let Ok(keys) = KeySet::parse(&document) else {
            return false;
        };
        let keys = Rc::new(keys);
        self.known.replace(Some(Known { generation, keys }));
        true
    }

    /// The document in shared data, and its generation.
    pub(super) fn document(&self, shared: &dyn SharedData) -> Option<(u64, Vec<u8>)> {
        let (bytes, _) = shared.read(&self.document_key)?;
        let at = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, rest) = bytes.split_at_checked(at)?;
        let generation = std::str::from_utf8(head).ok()?.parse().ok()?;
        Some((generation, rest.get(1..)?.to_vec()))
    }

    /// Asks for keys if `look` finds it right.
    pub(super) fn ask(
        self: &Rc<Self>,
        look: impl Fn(&State) -> Asking,
        host: &mut Host<'_>,
    ) -> Result<KeyFetch, Asking> {
        let (state, version) = State::read(&self.state_key, host.shared);
        match look(&state) {
            Asking::Free => {}
            other @ (Asking::Leased | Asking::Failing | Asking::Fresh) => return Err(other),
        }
        let span = Seconds(self.call.timeout.0.saturating_add(MARGIN.0));
        let place = (self.state_key.as_str(), version);
        match state.lease(place, span, host.now, host.shared) {
            true => Ok(KeyFetch::new(Rc::clone(self))),
            false => Err(Asking::Leased),
        }
    }
}
