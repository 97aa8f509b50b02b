//! Decides who may send the next request, as a pure value. It shares the slots in flight and the [`Throttle`]'s tokens
//! between two queues: the sweep, and everything else.
//!
//! The sweep comes second. It leaves one slot free and, while no other request waits, one token, so that the next other
//! request need not wait. It gives way to requests that wait. It keeps its budget all the same: once its own bucket is
//! full, further waiting would lose tokens, so it goes first, though never twice in a row.

use tokio::time::Instant;

use super::Priority;
use super::throttle::{Feedback, SHORTEST_WAIT, Speed, Throttle};
use crate::model::Listing;

#[derive(Debug)]
pub(super) struct Turns {
    throttle: Throttle,
    slots: usize,
    /// How many slots the sweep may have at a time.
    sweep_slots: usize,
    in_flight: usize,
    sweeps_in_flight: usize,
    waiting: usize,
    sweeps_waiting: usize,
    /// Whether the last request to go was the sweep's while others waited.
    sweep_went_first: bool,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Another request has to end, to be sent or to be cancelled.
    Change,
    /// A retry at this time, or after a change, may succeed.
    At(Instant),
}

impl Turns {
    pub(super) fn new(ceiling: f64, concurrency: usize, now: Instant) -> Self {
        let slots = concurrency.max(1);
        Self {
            throttle: Throttle::new(ceiling, now),
            slots,
            sweep_slots: (slots - 1).max(1),
            in_flight: 0,
            sweeps_in_flight: 0,
            waiting: 0,
            sweeps_waiting: 0,
            sweep_went_first: false,
        }
    }

    pub(super) fn set_sweep_budget(&mut self, share: f64, now: Instant) {
        self.throttle.set_sweep_budget(share, now);
    }

    /// The current rate.
    pub(super) fn speed(&mut self, now: Instant) -> Speed {
        self.throttle.speed(now)
    }

    /// A request joins the queue.
    pub(super) const fn join(&mut self, priority: Priority) {
        *self.line(priority) += 1;
    }

    /// A request that has joined leaves the queue.
    pub(super) const fn leave(&mut self, priority: Priority) {
        let line = self.line(priority);
        *line = line.saturating_sub(1);
    }

    /// Lets the first request of a queue go, or says what it waits for.
    pub(super) fn admit(&mut self, priority: Priority, now: Instant) -> Result<(), Wait> {
        let contended = self.waiting > 0;
        if priority.is_sweep() {
            self.admit_sweep(contended, now)?;
            self.sweeps_in_flight += 1;
            self.sweep_went_first = contended;
        } else {
            if self.in_flight >= self.slots {
                return Err(Wait::Change);
            }
            if self.sweeps_waiting > 0 && self.sweep_slot() && self.sweep_is_due(now) && self.throttle.has_one(now) {
                // The other queue is being checked at the same moment. The time is there so that progress does not rest
                // on it.
                return Err(Wait::At(now + SHORTEST_WAIT));
            }
            self.throttle.take(now).map_err(Wait::At)?;
            self.sweep_went_first = false;
        }
        self.in_flight += 1;
        Ok(())
    }

    fn admit_sweep(&mut self, contended: bool, now: Instant) -> Result<(), Wait> {
        if !self.sweep_slot() {
            return Err(Wait::Change);
        }
        if !contended {
            return self.throttle.take_for_sweep(true, now).map_err(Wait::At);
        }
        if self.sweep_went_first {
            return Err(Wait::Change);
        }
        if self.sweep_is_due(now) {
            return self.throttle.take_for_sweep(false, now).map_err(Wait::At);
        }
        Err(Wait::At(self.throttle.sweep_full_at(now)))
    }

    /// Whether the sweep may take one more slot.
    const fn sweep_slot(&self) -> bool {
        self.in_flight < self.slots && self.sweeps_in_flight < self.sweep_slots
    }

    /// Whether the sweep goes before the requests that wait.
    fn sweep_is_due(&mut self, now: Instant) -> bool {
        !self.sweep_went_first && self.throttle.sweep_full_at(now) <= now
    }

    /// Learns from the answer to a request that was sent at `asked_at`.
    pub(super) fn learn(
        &mut self,
        priority: Priority,
        listing: Option<Listing>,
        feedback: Feedback,
        asked_at: Instant,
        now: Instant,
    ) {
        self.throttle.learn(priority, listing, feedback, asked_at, now);
    }

    /// A request that was allowed to go has ended.
    pub(super) const fn end(&mut self, priority: Priority) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if priority.is_sweep() {
            self.sweeps_in_flight = self.sweeps_in_flight.saturating_sub(1);
        }
    }

    const fn line(&mut self, priority: Priority) -> &mut usize {
        if priority.is_sweep() { &mut self.sweeps_waiting } else { &mut self.waiting }
    }
}

#[cfg(test)]
mod tests;
