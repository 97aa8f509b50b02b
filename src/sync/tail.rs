//! Reads what a round needs of a long list: the ends where rows join, and rows that have probably changed.
//!
//! Between the rounds, it reads the deposits of watched users.

pub mod ends;
pub(in crate::sync) mod extra_reads;
pub(in crate::sync) mod few;
pub(in crate::sync) mod new_deposits;
pub(in crate::sync) mod read_ends;
pub(in crate::sync) mod recent;
pub mod watch;
