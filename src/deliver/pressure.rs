//! How many attempts an endpoint may have at once: what is configured, less while it is slow, little after it was away.

use std::time::Duration;

use tokio::time::Instant;

/// Answers that were under way together tell of one trouble.
const ONE_TROUBLE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Pressure {
    most: usize,
    limit: usize,
    cut_at: Option<Instant>,
}

impl Pressure {
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), limit: most.max(1), cut_at: None }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A timeout, or a gateway that had one: half as many.
    pub(super) fn strained(&mut self, now: Instant) {
        if self.cut_at.is_none_or(|at| now.saturating_duration_since(at) >= ONE_TROUBLE) {
            self.limit = (self.limit / 2).max(1);
            self.cut_at = Some(now);
        }
    }

    /// Each success makes room for one more.
    pub(super) fn eased(&mut self) {
        self.limit = (self.limit + 1).min(self.most);
    }

    /// It was away; whoever comes back is not met by everybody at once.
    pub(super) fn begin_anew(&mut self) {
        self.limit = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_halves_it_once_and_successes_restore_it() {
        let mut pressure = Pressure::new(8);
        let start = Instant::now();
        pressure.strained(start);
        pressure.strained(start + Duration::from_millis(500));
        assert_eq!(pressure.limit(), 4);
        pressure.strained(start + Duration::from_secs(1));
        assert_eq!(pressure.limit(), 2);
        for expected in [3, 4, 5, 6, 7, 8, 8] {
            pressure.eased();
            assert_eq!(pressure.limit(), expected);
        }
    }

    #[test]
    fn one_attempt_is_always_allowed() {
        let mut pressure = Pressure::new(0);
        assert_eq!(pressure.limit(), 1);
        pressure.strained(Instant::now());
        assert_eq!(pressure.limit(), 1);
        pressure.begin_anew();
        assert_eq!(pressure.limit(), 1);
    }
}
