//! The callbacks of one request.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::adapter::header_map;
use crate::adapter::stream::Stream;
use crate::adapter::worker::Worker;

pub(super) struct Filter {
    stream: Rc<Stream>,
    #[cfg(feature = "test-hooks")]
    worker: Rc<Worker>,
}

impl Filter {
    pub(super) fn new(context_id: u32, worker: Rc<Worker>) -> Self {
        Self {
            #[cfg(feature = "test-hooks")]
            worker: Rc::clone(&worker),
            stream: Stream::new(context_id, worker),
        }
    }
}

impl Context for Filter {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_size: usize, _: usize) {
        self.stream.on_reply(token, headers, body_size);
    }
}

impl Drop for Filter {
    /// Envoy deletes a stream in the same call in which it says that it is done, so one call for both is enough.
    fn drop(&mut self) {
        // Not later: an answer in the same turn of the event loop would find a stream that is
        // gone, and the SDK would stop the VM.
        self.stream.on_gone();
    }
}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let headers = header_map::read(MapType::HttpRequestHeaders);
        #[cfg(feature = "test-hooks")]
        if hooks::read(&headers, &self.worker) {
            return Action::Pause;
        }
        self.stream.on_request(headers)
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        self.stream.on_trailers();
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        self.stream.on_response()
    }
}

/// What tests may do with the second module; the released one has none of it.
#[cfg(feature = "test-hooks")]
mod hooks {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::Worker;
    use crate::adapter::local_response;
    use crate::adapter::worker::clock;
    use crate::host::{SignatureAlgorithm, Signatures};
    use crate::http::{HeaderValue, Headers, Response};
    use crate::jose::{Jws, KeySet, Unverified};

    /// Whether the request is answered.
    pub(super) fn read(headers: &Headers, worker: &Worker) -> bool {
        if let Some(offset) = headers.single("x-bitgate-test-clock") {
            clock::set(offset);
        }
        if headers.contains("x-bitgate-test-trap") {
            // The VM of this worker is gone, with all that it had in memory.
            std::process::abort();
        }
        if let Some(number) = headers.single("x-bitgate-test-panic") {
            let number = number.parse::<u8>();
            #[expect(clippy::panic, reason = "what the test asks for")]
            number.map_or_else(|error| panic!("for a test: {error}"), drop);
        }
        let bytes = |name| URL_SAFE_NO_PAD.decode(headers.single(name)?).ok();
        let Some((token, keys)) = bytes("x-bitgate-test-token").zip(bytes("x-bitgate-test-keys"))
        else {
            return false;
        };
        let word = worker.with_host(|host| verdict(&token, &keys, host.signatures));
        let mut response = Response::new(200);
        let verdict = ("x-bitgate-test-verdict", HeaderValue::fixed(word));
        response.headers.push(verdict);
        local_response::send(&response, "bitgate_test");
        true
    }

    /// What this host finds about a token's signature.
    fn verdict(token: &[u8], keys: &[u8], signatures: &dyn Signatures) -> &'static str {
        let names = SignatureAlgorithm::names().iter();
        let accepted: Vec<_> = names.map(|(_, algorithm)| *algorithm).collect();
        let Ok(keys) = KeySet::parse(keys) else {
            return "no_key";
        };
        let parsed = std::str::from_utf8(token).map(Jws::parse);
        let jws = match parsed {
            Ok(Ok(jws)) => jws,
            Ok(Err(why)) => return why.word(),
            Err(_) => return "malformed",
        };
        match keys.verify(&jws, &accepted, signatures) {
            Ok(()) => "good",
            Err(Unverified::Invalid(why)) => why.word(),
            Err(Unverified::CannotVerify) => "cannot_verify",
        }
    }
}
