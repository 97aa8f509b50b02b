//! Where the settler and an endpoint's dispatcher meet: what was claimed on the way, and how much is still to be settled.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::Claimed;

#[derive(Debug, Default)]
pub(super) struct Desk {
    /// None once the dispatcher has ended.
    inbox: Mutex<Inbox>,
    /// Whether what comes next in a lane may be claimed for this dispatcher without being asked.
    accepts: AtomicBool,
    /// Attempts that were made and are not settled.
    unsettled: AtomicUsize,
    /// Whether what was met cannot be written at present.
    stuck: AtomicBool,
    /// Whether there is enough to send for a while.
    plenty: AtomicBool,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inbox {
    claimed: Vec<Claimed>,
    closed: bool,
}

impl Desk {
    /// Puts down what was claimed. Gives it back if nobody will come for it.
    pub(super) fn put(&self, claimed: Claimed) -> Option<Claimed> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.closed {
            return Some(claimed);
        }
        inbox.claimed.push(claimed);
        None
    }

    pub(super) fn take(&self) -> Vec<Claimed> {
        std::mem::take(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner).claimed)
    }

    /// Takes what is left, and nothing more from now on.
    pub(super) fn close(&self) -> Vec<Claimed> {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        inbox.closed = true;
        std::mem::take(&mut inbox.claimed)
    }

    pub(super) fn set_accepts(&self, accepts: bool) {
        self.accepts.store(accepts, Ordering::Relaxed);
    }

    pub(super) fn set_plenty(&self, plenty: bool) {
        self.plenty.store(plenty, Ordering::Relaxed);
    }

    /// Whether the dispatcher has enough to send, and can wait for what is freed.
    pub(super) fn has_plenty(&self) -> bool {
        self.plenty.load(Ordering::Relaxed)
    }

    /// For how long to claim what comes next in a lane, if at all.
    pub(super) fn hand_over(&self, lease: Duration) -> Option<Duration> {
        self.accepts.load(Ordering::Relaxed).then_some(lease)
    }

    pub(super) fn attempt_made(&self) {
        self.unsettled.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn settled(&self, attempts: usize) {
        self.unsettled.fetch_sub(attempts, Ordering::AcqRel);
        self.changed.notify_one();
    }

    pub(super) fn set_stuck(&self) {
        self.stuck.store(true, Ordering::Relaxed);
    }

    /// Something could be written. What was met meanwhile comes first: its leases may have ended, and whoever looked for what
    /// is due would find it.
    pub(super) fn unstick(&self) {
        if self.is_settled() && self.stuck.swap(false, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Whether nothing is to be claimed or sent. What is sent while nothing can be settled is sent again when its lease ends.
    pub(super) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    /// Whether the tables say all that is known.
    pub(super) fn is_settled(&self) -> bool {
        self.unsettled.load(Ordering::Acquire) == 0
    }

    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}
