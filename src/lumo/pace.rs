//! Limits all requests of a client: how many are in flight, how many are sent a second, and none while Lumo asks for a
//! pause.
//!
//! [`turns`] makes the decisions; this module does the waiting. There are two queues, one for the sweep and one for
//! everything else. Each is served first come, first served.

mod latency;
mod throttle;
mod turns;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Line, Notify};
use tokio::time::Instant;

pub(super) use self::throttle::Feedback;
pub use self::throttle::Speed;
use self::turns::{Turns, Wait};
use crate::model::Listing;

/// The purpose of a request. It decides which request goes first when not all can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Priority {
    /// New rows of a listing, and requests that a person or a merchant's system waits for.
    Fresh,
    /// Rows that have probably changed; ranks equal to [`Priority::Fresh`].
    Recent,
    /// The sweep's re-read of everything, in the background: within its budget, and behind the other two.
    Sweep,
}

impl Priority {
    const fn is_sweep(self) -> bool {
        matches!(self, Self::Sweep)
    }
}

#[derive(Debug)]
pub(super) struct Pace {
    turns: Mutex<Turns>,
    /// Held by the first request of the queue.
    sweeps: Line<()>,
    others: Line<()>,
    /// Notified when something has changed that the first request of a queue may be waiting for.
    changed: Notify,
}

/// Permission to send one request; held until its answer is read.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    pace: &'a Pace,
    priority: Priority,
    asked_at: Instant,
}

/// A request in a queue.
struct Waiting<'a> {
    pace: &'a Pace,
    priority: Priority,
}

impl Pace {
    /// Allows `ceiling` requests a second and `concurrency` at a time. The sweep has no budget of its own yet.
    pub(super) fn new(ceiling: f64, concurrency: usize) -> Self {
        Self {
            turns: Mutex::new(Turns::new(ceiling, concurrency, Instant::now())),
            sweeps: Line::new(()),
            others: Line::new(()),
            changed: Notify::new(),
        }
    }

    /// Gives the sweep `share` of the rate, above 0 and up to 1.
    pub(super) fn set_sweep_budget(&self, share: f64) {
        self.change(|turns| turns.set_sweep_budget(share, Instant::now()));
    }

    /// Waits until one more request may be sent. Cancel safe: a cancelled wait takes no token and no slot.
    pub(super) async fn enter(&self, priority: Priority) -> Permit<'_> {
        let _waiting = Waiting::new(self, priority);
        let _head = if priority.is_sweep() { self.sweeps.lock().await } else { self.others.lock().await };
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registers before the check, so that no notification between check and wait is missed.
            changed.as_mut().enable();
            let now = Instant::now();
            let admitted = self.turns().admit(priority, now);
            match admitted {
                Ok(()) => return Permit { pace: self, priority, asked_at: now },
                Err(Wait::Change) => changed.await,
                Err(Wait::At(time)) => drop(tokio::time::timeout_at(time, changed).await),
            }
        }
    }

    /// The current rate.
    pub(super) fn speed(&self) -> Speed {
        self.turns().speed(Instant::now())
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Turns)) {
        change(&mut self.turns());
        self.changed.notify_waiters();
    }
}

impl<'a> Waiting<'a> {
    fn new(pace: &'a Pace, priority: Priority) -> Self {
        pace.change(|turns| turns.join(priority));
        Self { pace, priority }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pace.change(|turns| turns.leave(self.priority));
    }
}

impl Permit<'_> {
    /// Restarts the request's clock: the request had to wait for something else than the rate limit.
    pub(super) fn begin(&mut self) {
        self.asked_at = Instant::now();
    }

    /// Ends the request and reports what its answer said about the rate. `listing` is the listing that was read, if
    /// any.
    pub(super) fn settle(self, listing: Option<Listing>, feedback: Feedback) {
        self.pace.turns().learn(self.priority, listing, feedback, self.asked_at, Instant::now());
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.pace.change(|turns| turns.end(self.priority));
    }
}

#[cfg(test)]
mod tests;
