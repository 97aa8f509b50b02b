//! Marks connections that must not be used again.
//!
//! The pools hand out no handle on one connection, so distrust is by age: after an event that makes connections doubtful, every
//! connection that is older than the event is closed instead of used or kept, and a new one is opened in its place. A new
//! connection asks for the server's address anew. That is what a failover needs (the demoted server goes on answering,
//! and refuses to write), and what a transaction needs whose end is not known.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sea_orm::{DbErr, RuntimeErr};
use tokio::sync::watch;

use crate::store::db::error::is_read_only;

/// Shared by all connections of a store, those outside of its pools included.
#[derive(Clone, Default)]
pub(in crate::store) struct Distrust(Arc<watch::Sender<Option<Instant>>>);

impl Distrust {
    /// Distrusts every connection that is open now.
    pub(in crate::store) fn declare(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    /// Distrusts the open connections if one of them failed in a way that it does not recover from, or that the others of
    /// the same server share.
    pub(in crate::store) fn judge(&self, failure: &DbErr) {
        if condemns(failure) {
            self.declare();
        }
    }

    /// Whether a connection of this age is distrusted.
    pub(in crate::store) fn covers(&self, age: Duration) -> bool {
        let made = Instant::now().checked_sub(age);
        self.0.borrow().is_some_and(|at| made.is_none_or(|made| made < at))
    }

    /// Changes when distrust is declared.
    pub(in crate::store) fn watch(&self) -> watch::Receiver<Option<Instant>> {
        self.0.subscribe()
    }
}

/// Whether the server is read-only, or the driver no longer knows what the connection will answer next: it stops in the middle
/// of what it sends when a value cannot be encoded.
fn condemns(failure: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) = failure else {
        return false;
    };
    matches!(source.as_ref(), sqlx::Error::Encode(_) | sqlx::Error::Protocol(_)) || is_read_only(failure)
}
