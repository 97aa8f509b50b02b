//! Moves each endpoint's position along the log, and keeps a row for each delivery that waits, has failed, or was
//! changed or queued by a command.
//!
//! **The invariant.** Every event that an endpoint wants, with a `seq` up to its position, is delivered, or has a row
//! in `lumo_exceptions`, or lies in a range that says why not.
//!
//! The endpoint's row in `lumo_positions` is a turnstile: every transaction that changes any delivery of the endpoint
//! first raises `revision` in that row, and locks the row until the commit. One process leads an endpoint. It writes
//! group commits that build on the revision it knows. Commands set the state of the rows that they name and leave the
//! rest to the leader.

mod ack;
mod backfill;
mod command;
mod commit;
mod due;
mod future;
mod lane;
mod leader;
mod position;
mod refresh;
pub mod replay;
pub mod retry;
mod sink;
pub mod skip;
mod skip_all;
mod target;

pub use ack::Acknowledged;
pub use backfill::{Backfilled, history_types, reached};
pub use commit::{
    Amend, Attempted, Committed, EndpointNote, Fate, GroupCommit, Item, KnownRow, StateTransition, Written,
};
pub use due::{Due, DueRow};
pub use future::{Corrected, LongestWaits};
pub use refresh::Refreshed;
pub use sink::{Failure, SinkRun};

use super::Tx;

/// The operations on deliveries within a transaction.
pub(in crate::store) struct Delivery<'a> {
    tx: &'a Tx,
}

impl Tx {
    pub(in crate::store) fn delivery(&self) -> Delivery<'_> {
        Delivery { tx: self }
    }
}
