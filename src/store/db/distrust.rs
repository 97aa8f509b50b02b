//! Marks all open connections as unusable after an event that makes them doubtful, such as a failover.
//!
//! The pools give no access to a single connection, so distrust goes by age: after an event that makes connections
//! doubtful, every connection that is older than the event is closed when it would be used or kept, and a new one is
//! opened in its place. A new connection resolves the server's name again. A failover needs that, because the demoted
//! server still answers and refuses to write. So does a transaction whose result is not known. The first write that
//! succeeds after a failover is such an event too: a connection that was opened meanwhile may be one to the demoted
//! server, where it would read old rows, or hold a lock that nobody sees. A right that is lacking may have been given
//! since: only a new session of MySQL and MariaDB has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sea_orm::{DbErr, RuntimeErr};
use tokio::sync::watch;

use crate::store::db::error::{is_read_only, lacks_right_of_session};

/// How often sessions are opened anew because a right is lacking, while statements are refused all the time.
const RIGHTS_EVERY: Duration = Duration::from_secs(30);

/// Shared by all connections of a store, including those outside of its pools.
#[derive(Clone, Default)]
pub(in crate::store) struct Distrust(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Older connections than this are distrusted.
    since: watch::Sender<Option<Instant>>,
    /// Whether the server that answered last was read-only.
    is_read_only: AtomicBool,
}

impl Distrust {
    /// Distrusts every connection that is open now.
    pub(in crate::store) fn declare(&self) {
        self.0.since.send_replace(Some(Instant::now()));
    }

    /// Distrusts the open connections if one of them failed in a way that it cannot recover from, or that other
    /// connections to the same server share.
    pub(in crate::store) fn judge(&self, failure: &DbErr) {
        if is_read_only(failure) {
            self.0.is_read_only.store(true, Ordering::Relaxed);
            self.declare();
        } else if is_out_of_step(failure) || (lacks_right_of_session(failure) && self.is_quiet()) {
            self.declare();
        }
    }

    /// Whether distrust was not declared of late. The session of the process lock is among those that are closed.
    fn is_quiet(&self) -> bool {
        self.0.since.borrow().is_none_or(|at| at.elapsed() >= RIGHTS_EVERY)
    }

    /// Notes that something was written. If writes were refused before, the connections that are open now are
    /// distrusted.
    pub(in crate::store) fn wrote(&self) {
        if self.0.is_read_only.load(Ordering::Relaxed) && self.0.is_read_only.swap(false, Ordering::Relaxed) {
            self.declare();
        }
    }

    /// Whether a connection of this age is distrusted.
    pub(in crate::store) fn covers(&self, age: Duration) -> bool {
        let made = Instant::now().checked_sub(age);
        self.0.since.borrow().is_some_and(|at| made.is_none_or(|made| made < at))
    }

    /// Changes when distrust is declared.
    pub(in crate::store) fn watch(&self) -> watch::Receiver<Option<Instant>> {
        self.0.since.subscribe()
    }
}

/// Whether the driver no longer knows what the connection will answer next: if a value cannot be encoded, the driver
/// stops in the middle of a message.
fn is_out_of_step(failure: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source))) = failure else {
        return false;
    };
    matches!(source.as_ref(), sqlx::Error::Encode(_) | sqlx::Error::Protocol(_))
}
