//! What is learned of a list by watching it: in what order it is, what its `total` counts, where a missing row must be, what time it
//! is there.
//!
//! It is remembered from one round to the next.

pub(in crate::sync) mod find;
pub mod gap;
pub mod locate;
pub(in crate::sync) mod memory;
pub mod order;
pub(in crate::sync) mod skew;
