//! Every call to the host. Only forms that take and give bytes: the others stop the VM on a header
//! value that is not UTF-8. A failure of the host is an absent value, and the core decides.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use proxy_wasm::hostcalls as host;
use proxy_wasm::types::{BufferType, MapType};

use crate::adapter::header_map;
use crate::gate::{Audience, ResponsePlan};
use crate::host::{
    CannotVerify, NoRandomness, Random, SharedData, SignatureAlgorithm, Signatures, Version,
};
use crate::http::{Call, Reply, SetCookie, SetFields};
use crate::time::{Seconds, UnixTime};

/// Envoy's router adds it to what an upstream answered, and not to what it made up itself.
const FROM_UPSTREAM: &str = "x-envoy-upstream-service-time";

pub(super) fn plugin_configuration(size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    host::get_buffer(BufferType::PluginConfiguration, 0, size)
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// Takes away request trailers whose names `is_ours` says are: an upstream may read them as header
/// fields.
pub(super) fn strip_trailers(is_ours: impl Fn(&[u8]) -> bool) {
    const MAP: MapType = MapType::HttpRequestTrailers;
    let fields = header_map::read(MAP);
    for (name, _) in fields.iter().filter(|(name, _)| is_ours(name)) {
        let _ = host::remove_map_value(MAP, &String::from_utf8_lossy(name));
    }
}

pub(super) fn edit_request(remove: &[Cow<'_, str>], set: &SetFields) {
    const MAP: MapType = MapType::HttpRequestHeaders;
    for name in remove {
        let _ = host::remove_map_value(MAP, name);
    }
    for (name, value) in set.iter() {
        let _ = host::set_map_value_bytes(MAP, name, Some(value));
    }
}

/// Edits the upstream's response. Most have neither of the two headers: a look at each that is not
/// there costs less than reading all.
pub(super) fn edit_response(plan: &ResponsePlan) {
    const MAP: MapType = MapType::HttpResponseHeaders;
    let is_set = |name| matches!(host::get_map_value_bytes(MAP, name), Ok(Some(_)));
    if is_set("set-cookie") {
        strip_our_cookies();
    }
    add_set_cookies(&plan.cookies);
    let looks = plan.cookies.is_empty() && plan.audience == Audience::OnePerson;
    if let Some(value) = plan.cache_control(looks && is_set("cache-control")) {
        let _ = host::set_map_value_bytes(MAP, "cache-control", Some(value.as_bytes()));
    }
}

/// The status that the upstream answered with.
pub(super) fn response_status() -> Option<u16> {
    const MAP: MapType = MapType::HttpResponseHeaders;
    let value = host::get_map_value_bytes(MAP, ":status").ok()??;
    std::str::from_utf8(&value).ok()?.parse().ok()
}

/// Adds cookies to the upstream's response, which nobody may store then.
pub(super) fn add_cookies(cookies: &[SetCookie]) {
    const MAP: MapType = MapType::HttpResponseHeaders;
    if !cookies.is_empty() {
        add_set_cookies(cookies);
        let _ = host::set_map_value_bytes(MAP, "cache-control", Some(b"private, no-store"));
    }
}

fn add_set_cookies(cookies: &[SetCookie]) {
    const MAP: MapType = MapType::HttpResponseHeaders;
    if !cookies.is_empty() {
        // What is said to one kind of cache alone would win (RFC 9213 section 2.2).
        for name in ["cdn-cache-control", "surrogate-control"] {
            let _ = host::remove_map_value(MAP, name);
        }
    }
    for value in cookies.iter().filter_map(SetCookie::header_value) {
        let _ = host::add_map_value_bytes(MAP, "set-cookie", value.as_str().as_bytes());
    }
}

/// Takes away the cookies of ours that the upstream sets, and keeps the others as they are.
fn strip_our_cookies() {
    const MAP: MapType = MapType::HttpResponseHeaders;
    let fields = header_map::read(MAP);
    let all: Vec<&[u8]> = fields.all("set-cookie").collect();
    let passes = |line: &&&[u8]| ResponsePlan::lets_through(line);
    if all.iter().all(|line| passes(&line)) {
        return;
    }
    let _ = host::remove_map_value(MAP, "set-cookie");
    for line in all.iter().filter(passes) {
        let _ = host::add_map_value_bytes(MAP, "set-cookie", line);
    }
}

pub(super) fn resume_request() {
    let _ = host::resume_http_request();
}

pub(super) fn now() -> UnixTime {
    let now = host::get_current_time().ok();
    let since = now.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    UnixTime(since.unwrap_or_default().as_secs())
}

/// The clock for waiting, which no test moves: only differences of it mean something.
pub(super) fn uptime() -> Duration {
    let now = host::get_current_time().ok();
    let since = now.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.unwrap_or_default()
}

/// Starts a call. `None` if there is no such cluster or no healthy host in it.
pub(super) fn dispatch(call: &Call) -> Option<u32> {
    let mut headers = vec![
        (":method", call.method),
        (":scheme", call.scheme),
        (":authority", call.authority.as_str()),
        (":path", call.path.as_str()),
    ];
    headers.extend(
        call.headers
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    let body = Some(call.body.as_slice()).filter(|body| !body.is_empty());
    let timeout = Duration::from_secs(call.timeout.0);
    host::dispatch_http_call(&call.cluster, headers, body, Vec::new(), timeout).ok()
}

/// What came back. A timeout, a refused connection and a bad certificate look like answers: Envoy
/// makes them up with status 504 or 503.
pub(super) fn reply(header_count: usize, body_size: usize) -> Reply {
    // No headers at all: the body was larger than Envoy's limit for it.
    if header_count == 0 || body_size > Reply::MAX_BODY_BYTES {
        return Reply::TooLarge;
    }
    let headers = header_map::read(MapType::HttpCallResponseHeaders);
    let status = headers.single(":status").and_then(|text| text.parse().ok());
    let status: u16 = match (status, headers.contains(FROM_UPSTREAM)) {
        (None | Some(503), false) => return Reply::Unreachable,
        (Some(504), false) => return Reply::TimedOut,
        (None, true) => return Reply::Unreachable,
        (Some(status), _) => status,
    };
    let body = match body_size {
        0 => Vec::new(),
        size => {
            let buffer = host::get_buffer(BufferType::HttpCallResponseBody, 0, size);
            buffer.ok().flatten().unwrap_or_default()
        }
    };
    let media_type = headers
        .single("content-type")
        .and_then(|text| text.split(';').next());
    let media_type = media_type.unwrap_or_default().trim().to_ascii_lowercase();
    let retry_after = headers.single("retry-after").and_then(Seconds::parse);
    Reply::Answer {
        status,
        media_type,
        body,
        retry_after,
    }
}

/// The host's random bytes, through WASI.
#[derive(Debug)]
pub(super) struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}

/// The data that all workers of this VM id share.
#[derive(Debug)]
pub(super) struct WorkerShared;

impl SharedData for WorkerShared {
    fn read(&self, key: &str) -> Option<(Vec<u8>, Version)> {
        match host::get_shared_data(key) {
            Ok((Some(value), Some(version))) => Some((value, version)),
            // Emptied, which is not the same as never set.
            Ok((None, Some(version))) => Some((Vec::new(), version)),
            Ok((_, None)) | Err(_) => None,
        }
    }

    fn write(&mut self, key: &str, value: &[u8], expected: Option<Version>) -> bool {
        host::set_shared_data(key, Some(value), expected).is_ok()
    }
}

/// Envoy's foreign function `verify_signature`. It takes and gives protobuf messages.
#[derive(Debug)]
pub(super) struct EnvoySignatures;

impl Signatures for EnvoySignatures {
    fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, CannotVerify> {
        // The key says whether it is RSA or ECDSA.
        let hash = match algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 | SignatureAlgorithm::RsaSha256 => "sha256",
            SignatureAlgorithm::EcdsaP384Sha384 | SignatureAlgorithm::RsaSha384 => "sha384",
            SignatureAlgorithm::RsaSha512 => "sha512",
        };
        // VerifySignatureArguments: hash_function = 1, public_key = 2, signature = 3, text = 4.
        let mut arguments = Vec::new();
        for (tag, field) in [
            (0x0a, hash.as_bytes()),
            (0x12, key),
            (0x1a, signature),
            (0x22, message),
        ] {
            arguments.push(tag);
            put_length(field.len(), &mut arguments);
            arguments.extend_from_slice(field);
        }
        let answer = host::call_foreign_function("verify_signature", Some(&arguments));
        // VerifySignatureResult: result = 1, error = 2. What is good has no error, and what is bad says
        // so in the error alone, since false is left out.
        match answer.ok().flatten().as_deref() {
            Some([0x08, 0x01]) => Ok(true),
            Some([0x12, ..]) => Ok(false),
            Some(_) | None => Err(CannotVerify),
        }
    }
}

/// A length as protobuf writes it: seven bits in a byte, the lowest first.
fn put_length(mut length: usize, bytes: &mut Vec<u8>) {
    while length >= 0x80 {
        bytes.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7_u32;
    }
    bytes.push(length.to_le_bytes()[0]);
}
