//! What the log says of something that is tried again and again: one line as it begins to fail, one a minute while it goes on
//! failing, and one when it is over. Pure: the caller gives the time, and writes the lines.

use std::time::{Duration, Instant};

/// Between two summaries; and so long without a failure, it is over.
const EVERY: Duration = Duration::from_secs(60);

/// What there is to say of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that was not said already.
    Nothing,
    /// The first failure.
    Begun,
    /// It still fails.
    Goes {
        /// Failures since the last line.
        failures: u64,
        /// Attempts since the last line.
        attempts: u64,
        /// Since the first failure.
        lasted: Duration,
    },
    /// Nothing has failed for a minute.
    Over {
        /// All failures.
        failures: u64,
        /// From the first failure to the last.
        lasted: Duration,
    },
}

/// Whether something fails at present.
#[derive(Debug, Default)]
pub struct Outage(Option<Failing>);

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    failures: u64,
    /// Since the last line.
    said_at: Instant,
    recent_failures: u64,
    recent_attempts: u64,
}

impl Outage {
    /// An attempt failed.
    pub fn failed(&mut self, now: Instant) -> News {
        let Some(failing) = &mut self.0 else {
            let (failures, recent_failures, recent_attempts) = (1, 0, 0);
            self.0 = Some(Failing { since: now, last: now, failures, said_at: now, recent_failures, recent_attempts });
            return News::Begun;
        };
        failing.last = now;
        failing.failures += 1;
        failing.recent_failures += 1;
        failing.recent_attempts += 1;
        failing.summary(now)
    }

    /// An attempt succeeded.
    pub fn succeeded(&mut self, now: Instant) -> News {
        let Some(failing) = &mut self.0 else { return News::Nothing };
        if now.saturating_duration_since(failing.last) >= EVERY {
            let over = News::Over { failures: failing.failures, lasted: failing.last - failing.since };
            self.0 = None;
            return over;
        }
        failing.recent_attempts += 1;
        if failing.recent_failures == 0 { News::Nothing } else { failing.summary(now) }
    }

    /// Failures so far, if it fails.
    #[must_use]
    pub fn failures(&self) -> Option<u64> {
        self.0.as_ref().map(|failing| failing.failures)
    }
}

impl Failing {
    fn summary(&mut self, now: Instant) -> News {
        if now.saturating_duration_since(self.said_at) < EVERY {
            return News::Nothing;
        }
        self.said_at = now;
        News::Goes {
            failures: std::mem::take(&mut self.recent_failures),
            attempts: std::mem::take(&mut self.recent_attempts),
            lasted: now.saturating_duration_since(self.since),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn one_failure_in_ten_is_a_line_as_it_begins_and_one_a_minute() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let mut lines = Vec::new();
        for second in 0..600 {
            let now = start + seconds(second);
            let news = if second % 10 == 3 { outage.failed(now) } else { outage.succeeded(now) };
            if news != News::Nothing {
                lines.push((second, news));
            }
        }
        let goes = |lasted| News::Goes { failures: 6, attempts: 60, lasted: seconds(lasted) };
        assert_eq!(lines[0], (3, News::Begun));
        assert_eq!(lines[1..], (1..=9).map(|minute| (3 + 60 * minute, goes(60 * minute))).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_that_stays_alone_is_over_after_a_quiet_minute() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        assert_eq!(outage.succeeded(start), News::Nothing);
        assert_eq!(outage.failed(start), News::Begun);
        assert_eq!(outage.succeeded(start + seconds(59)), News::Nothing);
        assert_eq!(outage.failures(), Some(1));
        assert_eq!(outage.succeeded(start + seconds(60)), News::Over { failures: 1, lasted: seconds(0) });
        assert_eq!(outage.succeeded(start + seconds(61)), News::Nothing);
        assert_eq!(outage.failures(), None);
        assert_eq!(outage.failed(start + seconds(62)), News::Begun);
    }

    #[test]
    fn what_always_fails_is_a_line_a_minute() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let said = (0..780).filter(|second| outage.failed(start + seconds(*second)) != News::Nothing).count();
        assert_eq!(said, 13, "as it begins, and once for each full minute");
        let last = seconds(779);
        assert_eq!(outage.succeeded(start + last + seconds(60)), News::Over { failures: 780, lasted: last });
    }
}
