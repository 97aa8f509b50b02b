//! Limits an endpoint's concurrent requests (AIMD) and its requests per second (token bucket).
//!
//! Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Within this time the limit is cut only once: requests that were in flight together fail for the same reason.
const ONE_TROUBLE: Duration = Duration::from_secs(1);

/// Adaptive concurrency: the limit is halved after a timeout, and raised by one after each success.
#[derive(Clone, Debug)]
pub(super) struct Concurrency {
    max: usize,
    limit: usize,
    cut_at: Option<Instant>,
}

impl Concurrency {
    pub(super) fn new(max: usize) -> Self {
        Self { max: max.max(1), limit: max.max(1), cut_at: None }
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// Halves the limit after a timeout, whether the request timed out here or behind a gateway (502, 504).
    pub(super) fn strained(&mut self, now: Instant) {
        if self.cut_at.is_none_or(|at| now.saturating_duration_since(at) >= ONE_TROUBLE) {
            self.limit = (self.limit / 2).max(1);
            self.cut_at = Some(now);
        }
    }

    pub(super) fn eased(&mut self) {
        self.limit = (self.limit + 1).min(self.max);
    }

    /// Restarts with one request, so that an endpoint that recovers is not overloaded.
    pub(super) fn begin_anew(&mut self) {
        self.limit = 1;
    }
}

/// A token bucket of one second; at least one token.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    per_second: Option<f64>,
    tokens: f64,
    at: Option<Instant>,
}

impl TokenBucket {
    /// `None` is no limit.
    pub(super) fn new(per_second: Option<f64>) -> Self {
        Self { per_second, tokens: per_second.map_or(0.0, |rate| rate.max(1.0)), at: None }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let Some(rate) = self.per_second else { return true };
        self.refill(rate, now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// Returns a token that was not used.
    pub(super) fn give_back(&mut self) {
        self.tokens += 1.0;
    }

    /// How long until the next token; none if there is one now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let rate = self.per_second?;
        self.refill(rate, now);
        (self.tokens < 1.0).then(|| Duration::from_secs_f64(((1.0 - self.tokens) / rate).min(60.0)))
    }

    fn refill(&mut self, rate: f64, now: Instant) {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.tokens = (self.tokens + passed.as_secs_f64() * rate).min(rate.max(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_halves_it_once_and_successes_restore_it() {
        let mut concurrency = Concurrency::new(8);
        let start = Instant::now();
        concurrency.strained(start);
        concurrency.strained(start + Duration::from_millis(500));
        assert_eq!(concurrency.limit(), 4);
        concurrency.strained(start + Duration::from_secs(1));
        assert_eq!(concurrency.limit(), 2);
        for expected in [3, 4, 5, 6, 7, 8, 8] {
            concurrency.eased();
            assert_eq!(concurrency.limit(), expected);
        }
    }

    #[test]
    fn one_attempt_is_always_allowed() {
        let mut concurrency = Concurrency::new(0);
        assert_eq!(concurrency.limit(), 1);
        concurrency.strained(Instant::now());
        assert_eq!(concurrency.limit(), 1);
        concurrency.begin_anew();
        assert_eq!(concurrency.limit(), 1);
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut bucket = TokenBucket::new(None);
        let now = Instant::now();
        assert!((0..10_000).all(|_| bucket.take(now)));
        assert_eq!(bucket.wait(now), None);
    }

    #[test]
    fn a_rate_lets_a_burst_pass_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(Some(10.0));
        let mut taken = |now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(start), 10);
        assert_eq!(taken(start + Duration::from_millis(250)), 2);
        assert_eq!(taken(start + Duration::from_secs(60)), 10);
        assert_eq!(bucket.wait(start + Duration::from_secs(60)), Some(Duration::from_millis(100)));
    }

    #[test]
    fn a_rate_below_one_a_second_still_lets_one_pass() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(Some(0.5));
        assert!(bucket.take(start));
        assert_eq!(bucket.wait(start), Some(Duration::from_secs(2)));
        assert!(bucket.take(start + Duration::from_secs(2)));
    }
}
