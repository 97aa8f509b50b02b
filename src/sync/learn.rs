//! Learns about a list over time: its order, what its `total` counts, where missing rows are, and the server's clock.
//!
//! The result is remembered from one round to the next.

pub(in crate::sync) mod find;
pub mod gap;
pub mod locate;
pub(in crate::sync) mod memory;
pub mod order;
pub mod shrinkage;
pub(in crate::sync) mod skew;
