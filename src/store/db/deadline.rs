//! Gives statements on SQLite a time limit, which SQLite itself does not have.
//!
//! SQLite's progress handler checks a deadline every few thousand steps of a statement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Shared by the store and the one write connection.
#[derive(Clone, Debug)]
pub(in crate::store) struct Deadline {
    start: Instant,
    /// In milliseconds from the start; the highest number means no limit.
    at: Arc<AtomicU64>,
}

/// Removes the limit when it is dropped.
pub(in crate::store) struct Limited<'a>(&'a Deadline);

impl Deadline {
    pub(in crate::store) fn none() -> Self {
        Self { start: Instant::now(), at: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Limits the statements that are run from now on, until the guard is dropped.
    pub(in crate::store) fn limit(&self, time: Duration) -> Limited<'_> {
        let at = u64::try_from((self.start.elapsed() + time).as_millis()).unwrap_or(u64::MAX);
        self.at.store(at, Ordering::Relaxed);
        Limited(self)
    }

    pub(in crate::store) fn has_passed(&self) -> bool {
        let at = self.at.load(Ordering::Relaxed);
        at != u64::MAX && self.start.elapsed().as_millis() >= u128::from(at)
    }
}

impl Drop for Limited<'_> {
    fn drop(&mut self) {
        self.0.at.store(u64::MAX, Ordering::Relaxed);
    }
}
