//! An allocator that always takes the same instructions, and counts.
//!
//! What that of the C library takes depends on its version and on all that was freed before. This one
//! goes through large pieces from front to back and takes nothing back.

#![expect(unsafe_code, reason = "an allocator is unsafe")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

#[global_allocator]
static ALLOCATOR: OneWay = OneWay;

const PIECE_BYTES: usize = 256 * 1_024 * 1_024;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static NEXT: AtomicPtr<u8> = AtomicPtr::new(null_mut());
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// How often memory was asked for, or more of it, since the start.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// For one thread.
struct OneWay;

// SAFETY: every block lies in a piece of the system's allocator that is never given back, and no byte
// is part of two blocks.
unsafe impl GlobalAlloc for OneWay {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.store(allocations() + 1, Ordering::Relaxed);
        let next = NEXT.load(Ordering::Relaxed);
        let padding = next.align_offset(layout.align());
        let taken = padding.saturating_add(layout.size());
        let left = LEFT.load(Ordering::Relaxed);
        if taken > left {
            return piece_with(layout);
        }
        LEFT.store(left - taken, Ordering::Relaxed);
        // SAFETY: so much is left of the piece.
        unsafe {
            NEXT.store(next.add(taken), Ordering::Relaxed);
            next.add(padding)
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

/// A block at the front of a new piece. What is left of the piece before is lost.
fn piece_with(layout: Layout) -> *mut u8 {
    let bytes = layout.size().max(PIECE_BYTES);
    let Ok(whole) = Layout::from_size_align(bytes, layout.align().max(4_096)) else {
        return null_mut();
    };
    // SAFETY: the size is not zero.
    let piece = unsafe { System.alloc(whole) };
    if !piece.is_null() {
        LEFT.store(bytes - layout.size(), Ordering::Relaxed);
        // SAFETY: the piece is as large at least.
        NEXT.store(unsafe { piece.add(layout.size()) }, Ordering::Relaxed);
    }
    piece
}
