//! How fast to ask, as a value: a token bucket whose rate yields to the server, and a gate that the server can close.
//!
//! It holds no clock and never sleeps; every method is told the time. The rate halves when the server pushes back and
//! grows by small steps after clean answers, up to the configured ceiling. Several requests that were under way
//! together and are pushed back together count once: they all went out at the same, too high rate.

use std::time::Duration;

use tokio::time::Instant;

/// The rate never falls below this (or below the ceiling, if that is lower still), per second.
const FLOOR: f64 = 0.2;
/// What is added to the rate at a time, per second.
const STEP: f64 = 0.5;
/// How many clean answers in a row a step takes.
const CLEAN_ANSWERS: u32 = 20;
/// Longest wait for a token that is computed; the caller asks again afterwards.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

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
    /// The time up to which `tokens` is computed; lies in the future while the gate is closed.
    counted_to: Instant,
    slowed_at: Option<Instant>,
    clean: u32,
}

impl Throttle {
    pub(super) fn new(ceiling: f64, now: Instant) -> Self {
        Self { ceiling, rate: ceiling, tokens: burst(ceiling), counted_to: now, slowed_at: None, clean: 0 }
    }

    /// Requests per second at present.
    pub(super) const fn rate(&self) -> f64 {
        self.rate
    }

    /// Takes a token, or says how long to wait before asking again.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        if now < self.counted_to {
            return Err(self.counted_to - now);
        }
        let earned = (now - self.counted_to).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + earned).min(burst(self.rate));
        self.counted_to = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        let wait = Duration::try_from_secs_f64((1.0 - self.tokens) / self.rate).unwrap_or(LONGEST_WAIT);
        // A whole millisecond more than nothing, because timers are no finer and rounding must not spin.
        Err(wait.clamp(Duration::from_millis(1), LONGEST_WAIT))
    }

    /// Learns from the answer to a request that went out at `asked_at`.
    pub(super) fn learn(&mut self, feedback: Feedback, asked_at: Instant, now: Instant) {
        match feedback {
            Feedback::Unclear => self.clean = 0,
            Feedback::Clean => {
                self.clean += 1;
                if self.clean >= CLEAN_ANSWERS {
                    self.clean = 0;
                    self.rate = (self.rate + STEP).min(self.ceiling);
                }
            }
            Feedback::Throttled(wait) => {
                self.clean = 0;
                if self.slowed_at.is_none_or(|slowed_at| asked_at >= slowed_at) {
                    self.rate = (self.rate / 2.0).max(FLOOR.min(self.ceiling));
                    self.slowed_at = Some(now);
                }
                // One request may go when the gate opens; what was saved up is forfeited.
                self.tokens = self.tokens.min(1.0);
                let opens_at = now.checked_add(wait.unwrap_or(Duration::ZERO)).unwrap_or(now);
                self.counted_to = self.counted_to.max(opens_at);
            }
        }
    }
}

/// What may be saved up for a burst: a second's worth, but always a whole token.
const fn burst(rate: f64) -> f64 {
    rate.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many requests go out at once.
    fn drain(throttle: &mut Throttle, now: Instant) -> usize {
        std::iter::repeat_with(|| throttle.take(now)).take_while(Result::is_ok).count()
    }

    fn slow_down(throttle: &mut Throttle, wait: Option<Duration>, now: Instant) {
        throttle.learn(Feedback::Throttled(wait), now, now);
    }

    #[test]
    fn a_second_s_worth_may_go_at_once_and_no_more() {
        let start = Instant::now();
        let mut throttle = Throttle::new(20.0, start);
        assert_eq!(drain(&mut throttle, start), 20);
        assert_eq!(throttle.take(start), Err(Duration::from_millis(50)));
        assert_eq!(drain(&mut throttle, start + SECOND / 2), 10);
        assert_eq!(drain(&mut throttle, start + 100 * SECOND), 20);
    }

    #[test]
    fn a_rate_below_one_a_second_still_lets_requests_through() {
        let start = Instant::now();
        let mut throttle = Throttle::new(5.0 / 3600.0, start);
        assert_eq!(drain(&mut throttle, start), 1);
        let wait = throttle.take(start).unwrap_err();
        assert!(wait > 719 * SECOND && wait < 721 * SECOND, "{wait:?}");
        slow_down(&mut throttle, None, start);
        assert!((throttle.rate() - 5.0 / 3600.0).abs() < 1e-9);
    }

    #[test]
    fn retry_after_closes_the_gate_and_reopens_it_for_one() {
        let start = Instant::now();
        let mut throttle = Throttle::new(20.0, start);
        slow_down(&mut throttle, Some(30 * SECOND), start);
        assert_eq!(throttle.take(start + SECOND), Err(29 * SECOND));
        // A shorter wait, asked for later, does not open it early.
        slow_down(&mut throttle, Some(SECOND), start + SECOND);
        assert_eq!(throttle.take(start + 10 * SECOND), Err(20 * SECOND));
        assert_eq!(drain(&mut throttle, start + 30 * SECOND), 1);
    }

    #[test]
    fn the_rate_halves_down_to_the_floor() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(20.0, now);
        for expected in [10.0, 5.0, 2.5, 1.25, 0.625, 0.3125, 0.2, 0.2] {
            now += SECOND;
            slow_down(&mut throttle, None, now);
            assert!((throttle.rate() - expected).abs() < 1e-9, "{} is not {expected}", throttle.rate());
        }
    }

    #[test]
    fn requests_that_went_out_together_halve_the_rate_once() {
        let start = Instant::now();
        let mut throttle = Throttle::new(20.0, start);
        for answered in 1..=4 {
            throttle.learn(Feedback::Throttled(None), start, start + answered * SECOND);
        }
        assert!((throttle.rate() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn twenty_clean_answers_in_a_row_add_a_step_up_to_the_ceiling() {
        let now = Instant::now();
        let mut throttle = Throttle::new(2.0, now);
        slow_down(&mut throttle, None, now);
        for feedback in [Feedback::Clean; 19].into_iter().chain([Feedback::Unclear]).chain([Feedback::Clean; 19]) {
            throttle.learn(feedback, now, now);
        }
        assert!((throttle.rate() - 1.0).abs() < 1e-9);
        throttle.learn(Feedback::Clean, now, now);
        assert!((throttle.rate() - 1.5).abs() < 1e-9);
        for _ in 0..100 {
            throttle.learn(Feedback::Clean, now, now);
        }
        assert!((throttle.rate() - 2.0).abs() < 1e-9);
    }
}
