//! Decides how fast to send, as a pure value: a token bucket whose rate adapts to the server, and a gate that the
//! server can close.
//!
//! It holds no clock and never sleeps; the caller passes the time. The rate halves when the server pushes back or
//! answers half as fast. It grows with time, back to the configured ceiling within [`SECONDS_TO_WHOLE_RATE`].
//! Push-backs of requests that were in flight together count once: all were sent at the same rate, which was too high.
//!
//! A server that refuses one request after the other does not need a lower rate, it is down. The gate then holds
//! requests back, for as long as `Retry-After` says or for a random time of seconds that grows. When the gate opens,
//! the rate is half of the ceiling at once.
//!
//! The sweep also needs a token of its own bucket, which fills at its share of the rate.

use std::time::Duration;

use tokio::time::Instant;

use super::Priority;
use super::latency::Latency;
use crate::model::Listing;

/// The lowest rate, in requests per second; the ceiling if that is lower still.
const MIN_RATE: f64 = 0.2;
/// The rate grows by the ceiling in this many seconds.
const SECONDS_TO_WHOLE_RATE: f64 = 50.0;
/// After this many clean answers since the last push-back, a server that pushes back is overloaded and not down.
const ANSWERS_OF_A_SERVER_THAT_IS_THERE: u32 = 10;
/// The longest wait after the first push-back without `Retry-After`; it doubles with each further one …
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(4);
/// Longest wait for a token while the rate grows: tokens then come sooner than the present rate predicts.
const GROWING_WAIT: Duration = Duration::from_millis(200);
/// Longest wait for a token that is computed; the caller asks again after it.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);
/// A whole millisecond, because timers are no finer and a wait rounded to zero would spin.
pub(super) const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// What an answer said about the pace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::lumo) enum Feedback {
    /// The server kept up.
    Clean,
    /// 429 or 503.
    Throttled {
        retry_after: Option<Duration>,
        /// How much of the backoff to wait, random from 0 to 1: bridges that were pushed back together must not return
        /// together.
        jitter: f64,
    },
    /// Says nothing about the rate: no answer, or an error of the server itself.
    Unclear,
}

/// The current rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Requests per second at present: the ceiling, or less after the server pushed back or became slow.
    pub rate: f64,
    /// Requests per second as configured.
    pub ceiling: f64,
    /// How long no request will be sent, because the server asked for that or pushed back without a `Retry-After`.
    pub wait: Duration,
}

#[derive(Debug)]
pub(super) struct Throttle {
    ceiling: f64,
    rate: f64,
    tokens: f64,
    /// None where the sweep may use the whole rate.
    budget: Option<Budget>,
    /// The time up to which the tokens are computed. It lies in the future while the gate is closed.
    counted_to: Instant,
    slowed_at: Option<Instant>,
    /// Clean answers since the server last pushed back.
    clean: u32,
    /// How often the server has pushed back since it last answered for some time.
    strikes: u32,
    latency: Latency,
}

/// The sweep's own bucket.
#[derive(Debug)]
struct Budget {
    /// Share of the rate; above 0, below 1.
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
            clean: ANSWERS_OF_A_SERVER_THAT_IS_THERE,
            strikes: 0,
            latency: Latency::default(),
        }
    }

    /// Gives the sweep `share` of the rate. A share of 1 needs no bucket.
    pub(super) fn set_sweep_budget(&mut self, share: f64, now: Instant) {
        self.refill(now);
        self.budget = (share < 1.0).then(|| Budget { share, tokens: burst(self.rate * share) });
    }

    /// How fast requests may go.
    pub(super) fn speed(&mut self, now: Instant) -> Speed {
        self.refill(now);
        Speed { rate: self.rate, ceiling: self.ceiling, wait: self.counted_to.saturating_duration_since(now) }
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
        self.await_tokens(1.0 - self.tokens, self.rate, now)?;
        self.tokens -= 1.0;
        Ok(())
    }

    /// Takes a token of each bucket, or says when to ask again. With `reserve` it leaves one token to others, provided
    /// the bucket can hold more than one.
    pub(super) fn take_for_sweep(&mut self, reserve: bool, now: Instant) -> Result<(), Instant> {
        self.refill(now);
        self.await_gate(now)?;
        let needed = if reserve { burst(self.rate).min(2.0) } else { 1.0 };
        let shared = self.await_tokens(needed - self.tokens, self.rate, now);
        let own = match &self.budget {
            Some(own) => self.await_tokens(1.0 - own.tokens, own.share * self.rate, now),
            None => Ok(()),
        };
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

    /// When the sweep's own bucket holds a full burst; `now` if it does already, or if there is no such bucket.
    pub(super) fn sweep_full_at(&mut self, now: Instant) -> Instant {
        self.refill(now);
        let Some(own) = &self.budget else { return now };
        let rate = own.share * self.rate;
        self.await_tokens(burst(rate) - own.tokens, rate, now.max(self.counted_to)).err().unwrap_or(now)
    }

    /// Learns from the answer to a request that was sent at `asked_at`. `listing` is the listing that was read, if any:
    /// the latency of a write says nothing.
    pub(super) fn learn(
        &mut self,
        priority: Priority,
        listing: Option<Listing>,
        feedback: Feedback,
        asked_at: Instant,
        now: Instant,
    ) {
        // Tokens up to now were earned at the old rate.
        self.refill(now);
        // A request that was sent at an older rate says nothing about this one.
        let at_this_rate = self.slowed_at.is_none_or(|slowed_at| asked_at >= slowed_at);
        match feedback {
            Feedback::Unclear => {}
            Feedback::Clean => {
                let took = now.saturating_duration_since(asked_at);
                if at_this_rate && listing.is_some_and(|listing| self.latency.doubled(priority, listing, took)) {
                    return self.slow_down(now);
                }
                self.clean = self.clean.saturating_add(1);
                if self.clean >= ANSWERS_OF_A_SERVER_THAT_IS_THERE {
                    self.strikes = 0;
                }
            }
            Feedback::Throttled { retry_after, jitter } => {
                if at_this_rate {
                    let is_away = self.clean < ANSWERS_OF_A_SERVER_THAT_IS_THERE;
                    self.slow_down(now);
                    if is_away {
                        self.rate = self.rate.max(self.ceiling / 2.0);
                    }
                    self.clean = 0;
                    self.strikes = self.strikes.saturating_add(1);
                }
                // One request may go when the gate opens; saved tokens are forfeited.
                self.tokens = self.tokens.min(1.0);
                let wait = retry_after.filter(|wait| !wait.is_zero()).unwrap_or_else(|| backoff(self.strikes, jitter));
                let opens_at = now.checked_add(wait).unwrap_or(now);
                self.counted_to = self.counted_to.max(opens_at);
            }
        }
    }

    fn slow_down(&mut self, now: Instant) {
        self.rate = (self.rate / 2.0).max(MIN_RATE.min(self.ceiling));
        self.slowed_at = Some(now);
        self.latency.settle();
    }

    /// Adds the tokens earned up to now; none while the gate is closed.
    fn refill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.counted_to).as_secs_f64();
        let earned = self.grow(seconds);
        self.tokens = (self.tokens + earned).min(burst(self.rate));
        if let Some(own) = &mut self.budget {
            // One whole token more than the burst, so that nothing is lost while the sweep waits for its turn.
            own.tokens = (own.tokens + own.share * earned).min(burst(own.share * self.rate) + 1.0);
        }
        self.counted_to = self.counted_to.max(now);
    }

    /// Lets the rate grow for this long, and returns the tokens earned meanwhile.
    fn grow(&mut self, seconds: f64) -> f64 {
        let per_second = self.ceiling / SECONDS_TO_WHOLE_RATE;
        let growing = ((self.ceiling - self.rate) / per_second).clamp(0.0, seconds);
        let before = self.rate;
        self.rate = (before + per_second * growing).min(self.ceiling);
        growing * f64::midpoint(before, self.rate) + (seconds - growing) * self.rate
    }

    fn await_gate(&self, now: Instant) -> Result<(), Instant> {
        if now < self.counted_to { Err(self.counted_to) } else { Ok(()) }
    }

    /// When to check whether `missing` tokens have been earned; none if none is missing.
    fn await_tokens(&self, missing: f64, rate: f64, now: Instant) -> Result<(), Instant> {
        if missing <= 0.0 {
            return Ok(());
        }
        let longest = if self.rate < self.ceiling { GROWING_WAIT } else { LONGEST_WAIT };
        let wait = Duration::try_from_secs_f64(missing / rate).unwrap_or(longest);
        Err(now + wait.clamp(SHORTEST_WAIT, longest))
    }
}

/// The backoff after a push-back without `Retry-After`.
fn backoff(strikes: u32, jitter: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(strikes.saturating_sub(1));
    FIRST_BACKOFF.saturating_mul(doubled).min(LONGEST_BACKOFF).mul_f64(jitter.clamp(0.0, 1.0))
}

/// The most tokens that may be saved for a burst: one second's worth, but at least one.
const fn burst(rate: f64) -> f64 {
    rate.max(1.0)
}

#[cfg(test)]
mod tests;
