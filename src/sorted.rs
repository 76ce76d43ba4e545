//! Sorting, without the 3 KB that `slice::sort_unstable` adds to the module.

use std::collections::BinaryHeap;

/// The texts in order, repeated ones included. A heap sorts them, in `n log n` at worst.
pub(crate) fn sorted(texts: Vec<&str>) -> Vec<&str> {
    BinaryHeap::from(texts).into_sorted_vec()
}
