//! Keeps all requests of a client within what Lumo wants: so many in flight, so many a second, none while it asks for
//! peace.
//!
//! The decisions are made by [`turns`]; this is the waiting around them. There are two lines, one of the sweep and one
//! of everything else, and each is served in the order in which requests came to it.

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

/// What a request is for, which decides who goes first where not all can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Priority {
    /// What is new in a listing, and what a person or a merchant's system waits for.
    Fresh,
    /// What is likely to have changed; it has the same rights as [`Priority::Fresh`].
    Recent,
    /// Everything once more, in the background: within its budget, and behind the other two.
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
    /// Whoever is first in its line holds it.
    sweeps: Line<()>,
    others: Line<()>,
    /// Something has changed that those at the head of the lines may have been waiting for.
    changed: Notify,
}

/// Leave to send one request; held until its answer is read.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    pace: &'a Pace,
    priority: Priority,
    asked_at: Instant,
}

/// A request in line.
struct Waiting<'a> {
    pace: &'a Pace,
    priority: Priority,
}

impl Pace {
    /// `ceiling` requests a second, `concurrency` at a time; no budget for the sweep but these.
    pub(super) fn new(ceiling: f64, concurrency: usize) -> Self {
        Self {
            turns: Mutex::new(Turns::new(ceiling, concurrency, Instant::now())),
            sweeps: Line::new(()),
            others: Line::new(()),
            changed: Notify::new(),
        }
    }

    /// Leaves the sweep `share` of the rate, above 0 and up to 1.
    pub(super) fn set_sweep_budget(&self, share: f64) {
        self.change(|turns| turns.set_sweep_budget(share, Instant::now()));
    }

    /// Waits until one more request may be sent. Cancel safe: a wait that is given up takes nothing.
    pub(super) async fn enter(&self, priority: Priority) -> Permit<'_> {
        let _waiting = Waiting::new(self, priority);
        let _head = if priority.is_sweep() { self.sweeps.lock().await } else { self.others.lock().await };
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on, so that nothing is missed between the look and the wait.
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

    /// How fast requests may go.
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
    /// The request goes out only now: it had to wait for something else than its turn.
    pub(super) fn begin(&mut self) {
        self.asked_at = Instant::now();
    }

    /// Ends the request with what its answer said about the pace; `listing` is what was read, if anything was.
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
