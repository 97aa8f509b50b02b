//! What a round reads of a long list: the ends where rows join, and what is likely to have changed.
//!
//! Between the rounds, the deposits of watched users.

pub mod ends;
pub(in crate::sync) mod few;
pub(in crate::sync) mod further;
pub(in crate::sync) mod news;
pub(in crate::sync) mod recent;
pub mod watch;
