//! A list read from its first row to its last: page by page, with proof that none was missed.
//!
//! What a full scan has found is judged at its end; a sweep is one in slices.

pub mod bitmap;
pub(in crate::sync) mod conclude;
pub(in crate::sync) mod full;
pub(in crate::sync) mod insert_hint;
pub(in crate::sync) mod reader;
pub(in crate::sync) mod sweep;
pub mod walk;
pub(in crate::sync) mod whole;
