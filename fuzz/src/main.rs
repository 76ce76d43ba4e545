//! The fuzzer: libFuzzer on the target that `BITGATE_FUZZ_TARGET` names.

#![no_main]

use std::sync::OnceLock;

use bitgate_fuzz::{TARGETS, Target};

#[expect(
    clippy::disallowed_methods,
    reason = "libFuzzer has the command line for itself"
)]
fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var("BITGATE_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("expected a target in BITGATE_FUZZ_TARGET: {name:?}"))
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| (chosen().run)(data));
