//! How fast to ask, as a value: a token bucket whose rate yields to the server, and a gate that the server can close.
//!
//! It holds no clock and never sleeps; every method is told the time. The rate halves when the server pushes back or
//! answers half as fast, and grows by small steps after clean answers, up to the configured ceiling. Several requests
//! that were under way together and are pushed back together count once: they all went out at the same, too high rate.
//!
//! The sweep needs a token of its own bucket as well, which fills at its share of the rate.

use std::time::Duration;

use tokio::time::Instant;

use super::Lane;
use super::latency::Latency;
use crate::model::Listing;

/// The rate never falls below this (or below the ceiling, if that is lower still), per second.
const FLOOR: f64 = 0.2;
/// What is added to the rate at a time, per second.
const STEP: f64 = 0.5;
/// How many clean answers in a row a step takes.
const CLEAN_ANSWERS: u32 = 20;
/// Longest wait for a token that is computed; the caller asks again afterwards.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// A whole millisecond more than nothing, because timers are no finer and rounding must not spin.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// What an answer said about the pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lumo) enum Feedback {
    /// The server kept up.
    Clean,
    /// 429 or 503, with the time it asks for.
    Throttled(Option<Duration>),
    /// Nothing can be concluded: no answer, or an error of the server's own.
    Unclear,
}

#[derive(Debug)]
pub(super) struct Throttle {
    ceiling: f64,
    rate: f64,
    tokens: f64,
    /// Absent where the sweep may take whatever there is.
    budget: Option<Budget>,
    /// The time up to which the tokens are computed; lies in the future while the gate is closed.
    counted_to: Instant,
    slowed_at: Option<Instant>,
    clean: u32,
    latency: Latency,
}

/// The sweep's own bucket.
#[derive(Debug)]
struct Budget {
    /// Of the rate; above 0, below 1.
    share: f64,
    tokens: f64,
}

impl Throttle {
    pub(super) fn new(ceiling: f64, now: Instant) -> Self {
        Self {
            ceiling,
            rate: ceiling,
            tokens: burst(ceiling),
            budget: None,
            counted_to: now,
            slowed_at: None,
            clean: 0,
            latency: Latency::default(),
        }
    }

    /// Leaves the sweep `share` of the rate; all of it is no bucket of its own.
    pub(super) fn set_sweep_budget(&mut self, share: f64, now: Instant) {
        self.refill(now);
        self.budget = (share < 1.0).then(|| Budget { share, tokens: burst(self.rate * share) });
    }

    /// Requests per second at present.
    pub(super) const fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether there is a token.
    pub(super) fn has_one(&mut self, now: Instant) -> bool {
        self.refill(now);
        now >= self.counted_to && self.tokens >= 1.0
    }

    /// Takes a token, or says when to ask again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.refill(now);
        self.await_gate(now)?;
        await_tokens(1.0 - self.tokens, self.rate, now)?;
        self.tokens -= 1.0;
        Ok(())
    }

    /// Takes a token of each bucket, or says when to ask again. With `reserve` only where one is left for others, as
    /// far as the bucket can hold more than one.
    pub(super) fn take_for_sweep(&mut self, reserve: bool, now: Instant) -> Result<(), Instant> {
        self.refill(now);
        self.await_gate(now)?;
        let needed = if reserve { burst(self.rate).min(2.0) } else { 1.0 };
        let shared = await_tokens(needed - self.tokens, self.rate, now);
        let own = self.budget.as_ref().map_or(Ok(()), |own| await_tokens(1.0 - own.tokens, own.share * self.rate, now));
        match (shared, own) {
            (Ok(()), Ok(())) => {}
            (Err(one), Err(other)) => return Err(one.max(other)),
            (Err(wait), Ok(())) | (Ok(()), Err(wait)) => return Err(wait),
        }
        self.tokens -= 1.0;
        if let Some(own) = &mut self.budget {
            own.tokens -= 1.0;
        }
        Ok(())
    }

    /// When the sweep's own bucket holds as much as may be saved up; that may be past, and is where it has none.
    pub(super) fn sweep_full_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        let Some(own) = &self.budget else { return now };
        let rate = own.share * self.rate;
        await_tokens(burst(rate) - own.tokens, rate, now.max(self.counted_to)).err().unwrap_or(now)
    }

    /// Learns from the answer to a request that went out at `asked_at`; `listing` is what was read, if anything was:
    /// how long a write takes says nothing.
    pub(super) fn learn(
        &mut self,
        lane: Lane,
        listing: Option<Listing>,
        feedback: Feedback,
        asked_at: Instant,
        now: Instant,
    ) {
        // What was earned so far was earned at the old rate.
        self.refill(now);
        // Of what went out at an older rate nothing more is concluded.
        let at_this_rate = self.slowed_at.is_none_or(|slowed_at| asked_at >= slowed_at);
        match feedback {
            Feedback::Unclear => self.clean = 0,
            Feedback::Clean => {
                let took = now.saturating_duration_since(asked_at);
                if at_this_rate && listing.is_some_and(|listing| self.latency.doubled(lane, listing, took)) {
                    return self.slow_down(now);
                }
                self.clean += 1;
                if self.clean >= CLEAN_ANSWERS {
                    self.clean = 0;
                    self.rate = (self.rate + STEP).min(self.ceiling);
                }
            }
            Feedback::Throttled(wait) => {
                self.clean = 0;
                if at_this_rate {
                    self.slow_down(now);
                }
                // One request may go when the gate opens; what was saved up is forfeited.
                self.tokens = self.tokens.min(1.0);
                let opens_at = now.checked_add(wait.unwrap_or(Duration::ZERO)).unwrap_or(now);
                self.counted_to = self.counted_to.max(opens_at);
            }
        }
    }

    fn slow_down(&mut self, now: Instant) {
        self.clean = 0;
        self.rate = (self.rate / 2.0).max(FLOOR.min(self.ceiling));
        self.slowed_at = Some(now);
        self.latency.settle();
    }

    /// Counts what was earned up to now; nothing while the gate is closed.
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.counted_to).as_secs_f64();
        self.tokens = (self.tokens + seconds * self.rate).min(burst(self.rate));
        if let Some(own) = &mut self.budget {
            let rate = own.share * self.rate;
            // A whole one more than it is due for, so that nothing is lost while it waits for its turn.
            own.tokens = (own.tokens + seconds * rate).min(burst(rate) + 1.0);
        }
        self.counted_to = self.counted_to.max(now);
    }

    fn await_gate(&self, now: Instant) -> Result<(), Instant> {
        if now < self.counted_to { Err(self.counted_to) } else { Ok(()) }
    }
}

/// When `missing` tokens will have come, unless none is missing.
fn await_tokens(missing: f64, rate: f64, now: Instant) -> Result<(), Instant> {
    if missing <= 0.0 {
        return Ok(());
    }
    let wait = Duration::try_from_secs_f64(missing / rate).unwrap_or(LONGEST_WAIT);
    Err(now + wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

/// What may be saved up for a burst: a second's worth, but always a whole token.
const fn burst(rate: f64) -> f64 {
    rate.max(1.0)
}

#[cfg(test)]
mod tests;
