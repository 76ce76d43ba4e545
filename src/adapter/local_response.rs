//! Answers of our own, with response code details for the access log.
//!
//! The SDK's call has no room for the details, and they are the cheapest trail there is:
//! `%RESPONSE_CODE_DETAILS%` says `bitgate_no_session`.

use proxy_wasm::types::Status;

use crate::http::{HeaderValue, Response};

/// Not a gRPC status: Envoy derives one from the status code where the request is gRPC.
const NO_GRPC_STATUS: i32 = -1;

#[link(wasm_import_module = "env")]
#[expect(
    unsafe_code,
    reason = "the host's function, which the SDK does not expose with details"
)]
unsafe extern "C" {
    fn proxy_send_local_response(
        status_code: u32,
        details_data: *const u8,
        details_size: usize,
        body_data: *const u8,
        body_size: usize,
        headers_data: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> Status;
}

/// Answers the request. `details` is one word.
pub(super) fn send(response: &Response, details: &str) {
    let headers = serialize(&response.headers);
    let body = &response.body;
    #[expect(
        unsafe_code,
        reason = "every pointer is that of a live slice with its length, and the host only reads"
    )]
    // The host has no error to report here that anybody could act on: a stream that is gone.
    let _ = unsafe {
        proxy_send_local_response(
            u32::from(response.status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            NO_GRPC_STATUS,
        )
    };
}

/// The ABI's map: the number of pairs, the sizes of each name and value, then each of them with a
/// NUL behind it; numbers are 32 bits, little-endian.
fn serialize(headers: &[(&'static str, HeaderValue)]) -> Vec<u8> {
    let size = |length: usize| u32::try_from(length).unwrap_or(0).to_le_bytes();
    let mut bytes = size(headers.len()).to_vec();
    for (name, value) in headers {
        bytes.extend(size(name.len()));
        bytes.extend(size(value.as_str().len()));
    }
    for (name, value) in headers {
        for text in [name, value.as_str()] {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}
