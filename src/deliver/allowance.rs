//! How many requests an endpoint may be sent now, where its rate is limited: a token bucket of one second.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens grow with time up to a second's worth, at least one.
#[derive(Debug)]
pub(super) struct Allowance {
    per_second: Option<f64>,
    tokens: f64,
    at: Option<Instant>,
}

impl Allowance {
    /// `None` is no limit.
    pub(super) fn new(per_second: Option<f64>) -> Self {
        Self { per_second, tokens: per_second.map_or(0.0, |rate| rate.max(1.0)), at: None }
    }

    /// How many requests may go now.
    pub(super) fn available(&mut self, now: Instant) -> usize {
        let Some(rate) = self.per_second else { return usize::MAX };
        self.refill(rate, now);
        let mut whole = 0;
        while whole < 10_000 && f64::from(whole + 1) <= self.tokens {
            whole += 1;
        }
        usize::try_from(whole).unwrap_or(0)
    }

    /// How long until one may go; none if one may go now.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let rate = self.per_second?;
        self.refill(rate, now);
        (self.tokens < 1.0).then(|| Duration::from_secs_f64(((1.0 - self.tokens) / rate).min(60.0)))
    }

    /// Takes note of requests that go.
    pub(super) fn spend(&mut self, requests: usize, now: Instant) {
        if let Some(rate) = self.per_second {
            self.refill(rate, now);
            self.tokens -= u32::try_from(requests).map_or(f64::MAX, f64::from);
        }
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
    fn no_limit_is_no_limit() {
        let mut allowance = Allowance::new(None);
        let now = Instant::now();
        assert_eq!(allowance.available(now), usize::MAX);
        assert_eq!(allowance.wait(now), None);
    }

    #[test]
    fn a_rate_lets_a_burst_pass_and_then_one_at_a_time() {
        let start = Instant::now();
        let mut allowance = Allowance::new(Some(10.0));
        assert_eq!(allowance.available(start), 10);
        allowance.spend(10, start);
        assert_eq!(allowance.wait(start), Some(Duration::from_millis(100)));
        assert_eq!(allowance.available(start + Duration::from_millis(250)), 2);
        assert_eq!(allowance.available(start + Duration::from_secs(60)), 10);
    }

    #[test]
    fn a_rate_below_one_a_second_still_lets_one_pass() {
        let start = Instant::now();
        let mut allowance = Allowance::new(Some(0.5));
        assert_eq!(allowance.available(start), 1);
        allowance.spend(1, start);
        assert_eq!(allowance.wait(start), Some(Duration::from_secs(2)));
        assert_eq!(allowance.wait(start + Duration::from_secs(2)), None);
    }
}
