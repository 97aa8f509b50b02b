//! Limits the memory for answers that are in flight: the larger the pages, the fewer are read in parallel.
//!
//! A request reserves room before it is sent, as much as the last pages of its listing took. A page that turns out
//! larger reserves more if there is room. Otherwise the request is given up and sent again with a larger reservation. A
//! single answer is always let through, so no request waits for ever.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Bytes of all answers that are being read and parsed.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// An answer is in memory twice while it is parsed: as a whole, and as the texts of its items.
const COPIES: usize = 2;

#[derive(Debug)]
pub(super) struct Budget {
    held: Mutex<usize>,
    freed: Notify,
}

/// The expected size of one kind of answer, learned from earlier answers.
#[derive(Debug)]
pub(super) struct Estimate(AtomicUsize);

/// Room for one answer; dropping it frees the room.
#[derive(Debug)]
pub(super) struct Room<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { held: Mutex::new(0), freed: Notify::new() }
    }

    /// Waits for room for an answer of this size. Cancel safe: a cancelled wait reserves nothing.
    pub(super) async fn enter(&self, bytes: usize) -> Room<'_> {
        let bytes = bytes.saturating_mul(COPIES);
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Registers before the check, so that no notification between check and wait is missed.
            freed.as_mut().enable();
            if self.take(0, bytes) {
                return Room { budget: self, bytes };
            }
            freed.await;
        }
    }

    /// Reserves `more` bytes for a holder of `own` bytes, unless other answers leave no room.
    fn take(&self, own: usize, more: usize) -> bool {
        let mut held = self.held();
        let is_alone = *held == own;
        let fits = is_alone || held.saturating_add(more) <= MAX_BYTES;
        if fits {
            *held = held.saturating_add(more);
        }
        fits
    }

    fn held(&self) -> MutexGuard<'_, usize> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room<'_> {
    /// Reserves room for an answer that has grown to this size; false if there is none.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_mul(COPIES).saturating_sub(self.bytes);
        let fits = more == 0 || self.budget.take(self.bytes, more);
        if fits {
            self.bytes += more;
        }
        fits
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut held = self.budget.held();
        *held = held.saturating_sub(self.bytes);
        drop(held);
        self.budget.freed.notify_waiters();
    }
}

impl Estimate {
    /// Before the first answer the largest size is expected.
    pub(super) const fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Learns from an answer of this many bytes, or one that has this many by now. A larger size counts at once, a
    /// smaller one gradually.
    pub(super) fn learn(&self, bytes: usize) {
        let known = self.get();
        self.0.store(if bytes > known { bytes } else { known - (known - bytes) / 2 }, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MIB: usize = 1024 * 1024;

    async fn enters(budget: &Budget, bytes: usize) -> bool {
        tokio::time::timeout(Duration::from_millis(10), budget.enter(bytes)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_held_than_allowed_but_for_one_alone() {
        let budget = Budget::new();
        let first = budget.enter(16 * MIB).await;
        let second = budget.enter(16 * MIB).await;
        assert!(!enters(&budget, 1).await);
        drop(first);
        assert!(enters(&budget, 16 * MIB).await);
        assert!(!enters(&budget, 17 * MIB).await);
        drop(second);
        let alone = budget.enter(100 * MIB).await;
        assert!(!enters(&budget, 1).await);
        drop(alone);
        assert!(enters(&budget, 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_grows_as_far_as_others_leave_room() {
        let budget = Budget::new();
        let mut first = budget.enter(0).await;
        let mut second = budget.enter(0).await;
        assert!(first.grow(16 * MIB) && second.grow(16 * MIB));
        assert!(!first.grow(16 * MIB + 1));
        drop(second);
        assert!(first.grow(100 * MIB));
    }

    #[test]
    fn an_estimate_rises_at_once_and_falls_by_and_by() {
        let estimate = Estimate::new(16);
        for (bytes, expected) in [(0, 8), (0, 4), (20, 20), (20, 20), (10, 15)] {
            estimate.learn(bytes);
            assert_eq!(estimate.get(), expected);
        }
    }
}
