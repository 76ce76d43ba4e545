//! The host's header maps, each read in one piece.
//!
//! The SDK makes a string of each name and each value, which costs as much as the call itself, and stops the VM
//! on a status that it does not expect.

use std::ptr::null_mut;

use proxy_wasm::types::{MapType, Status};

use crate::http::Headers;

#[link(wasm_import_module = "env")]
#[expect(
    unsafe_code,
    reason = "the host's function, which the SDK exposes with copies only"
)]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(
        map_type: MapType,
        return_map_data: *mut *mut u8,
        return_map_size: *mut usize,
    ) -> Status;
}

/// All fields of a map in one call: three single reads cost more, and see the first of two `Cookie` lines
/// only. Empty if there is no such map now; a request without `:method` is refused.
pub(super) fn read(map: MapType) -> Headers {
    let (mut data, mut size) = (null_mut(), 0);
    #[expect(
        unsafe_code,
        reason = "the host writes where the two live variables are"
    )]
    // SAFETY: both pointers are valid for writes for the whole call, and nobody else has them.
    let status = unsafe { proxy_get_header_map_pairs(map, &raw mut data, &raw mut size) };
    if !matches!(status, Status::Ok) || data.is_null() {
        return Headers::default();
    }
    #[expect(
        unsafe_code,
        reason = "what the host gives was allocated for it by this module, and is this module's to free"
    )]
    // SAFETY: the host takes the memory from `proxy_on_memory_allocate`, which is the SDK's and hands out a boxed
    // slice of bytes of just that size from the global allocator; it fills it, and keeps no pointer to it.
    let bytes = unsafe { Vec::from_raw_parts(data, size, size) };
    Headers::deserialize(bytes).unwrap_or_default()
}
