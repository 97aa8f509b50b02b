//! Keeps the log: every event once, in the order of commit, and which endpoint wants which part of it.
//!
//! A transaction that appends locks the row `*` of `lumo_streams` until its commit. So `seq` has no gaps and is the
//! order of commit, and a reader that has read up to a number has missed nothing before it. Nothing is written per
//! endpoint: an endpoint has a position in the log ([`super::delivery`]), and ranges that say which types it wants
//! between which numbers.

mod append;
mod ranges;
mod read;
mod supersede;
mod tail;

pub use append::Appended;
pub use read::{LogEvent, Slice};

use super::Tx;
use crate::model::id::EndpointName;

/// Which of the endpoints that want its type receive an event.
#[derive(Clone, Copy, Debug)]
pub enum Audience<'a> {
    Everybody,
    /// Only endpoints that a replay or a backfill names.
    Nobody,
    /// All but the endpoint that it is about.
    AllBut(&'a EndpointName),
}

/// Audience of an event that only a replay or a backfill sends.
const NOBODY: &str = "nobody";

/// The operations on the log within a transaction.
pub(in crate::store) struct Log<'a> {
    tx: &'a Tx,
}

impl Tx {
    pub(in crate::store) fn log(&self) -> Log<'_> {
        Log { tx: self }
    }
}
