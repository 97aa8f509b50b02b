//! Reads a list from its first row to its last, page by page, and proves that none was missed.
//!
//! The findings of a full scan are evaluated at its end. A sweep is a full scan in slices.

pub mod bitmap;
pub(in crate::sync) mod conclude;
pub(in crate::sync) mod filtered;
pub(in crate::sync) mod full;
pub(in crate::sync) mod insert_hint;
pub(in crate::sync) mod reader;
pub(in crate::sync) mod sweep;
pub mod walk;
pub(in crate::sync) mod whole;
