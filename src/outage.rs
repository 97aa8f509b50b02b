//! What the log says of something that is tried again and again: one line as it begins to fail, one a minute while it goes on
//! failing, and one when it is over. Pure: the caller gives the time, and writes the lines.

mod retried;

use std::time::{Duration, Instant};

pub use retried::Retried;

/// Between two summaries; and so long without a failure, it is over.
const EVERY: Duration = Duration::from_secs(60);

/// What there is to say of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that was not said already.
    Nothing,
    /// The first failure.
    Begun,
    /// It still fails: this attempt did.
    Goes {
        /// Failures since the last line.
        failures: u64,
        /// Attempts since the last line.
        attempts: u64,
        /// Since the first failure.
        lasted: Duration,
    },
    /// It is over: nothing has failed for a minute, or everything had failed for a minute and this attempt did not.
    Over {
        /// All failures.
        failures: u64,
        /// From the first failure to the first success after the last one.
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
    /// The first success since the last failure.
    repaired_at: Option<Instant>,
    /// Whether no attempt has succeeded since the first failure.
    is_total: bool,
    failures: u64,
    /// When the last line was written.
    said_at: Instant,
    recent_failures: u64,
    recent_attempts: u64,
}

impl Outage {
    /// An attempt failed. An outage whose end nobody has [asked](Self::look) for is over, and this is another one.
    pub fn failed(&mut self, now: Instant) -> News {
        let Some(failing) = self.0.as_mut().filter(|failing| !failing.is_over(now)) else {
            self.0 = Some(Failing {
                since: now,
                last: now,
                repaired_at: None,
                is_total: true,
                failures: 1,
                said_at: now,
                recent_failures: 0,
                recent_attempts: 0,
            });
            return News::Begun;
        };
        failing.last = now;
        failing.repaired_at = None;
        failing.failures += 1;
        failing.recent_failures += 1;
        failing.recent_attempts += 1;
        failing.summary(now)
    }

    /// An attempt succeeded.
    pub fn succeeded(&mut self, now: Instant) -> News {
        let Some(failing) = &mut self.0 else { return News::Nothing };
        failing.recent_attempts += 1;
        failing.repaired_at.get_or_insert(now);
        let was_total = std::mem::replace(&mut failing.is_total, false);
        if was_total && now.saturating_duration_since(failing.since) >= EVERY {
            return self.end();
        }
        self.look(now)
    }

    /// Time has passed. To be called now and then, so that the end is said although nothing is tried any more.
    pub fn look(&mut self, now: Instant) -> News {
        if self.0.as_ref().is_some_and(|failing| failing.is_over(now)) { self.end() } else { News::Nothing }
    }

    fn end(&mut self) -> News {
        let Some(Failing { since, last, repaired_at, failures, .. }) = self.0.take() else { return News::Nothing };
        News::Over { failures, lasted: repaired_at.unwrap_or(last).saturating_duration_since(since) }
    }

    /// Failures so far, if the last attempt failed.
    #[must_use]
    pub fn failures(&self) -> Option<u64> {
        self.0.as_ref().filter(|failing| failing.repaired_at.is_none()).map(|failing| failing.failures)
    }
}

impl Failing {
    fn is_over(&self, now: Instant) -> bool {
        self.repaired_at.is_some() && now.saturating_duration_since(self.last) >= EVERY
    }

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
        assert_eq!(outage.failures(), Some(1));
        assert_eq!(outage.succeeded(start + seconds(5)), News::Nothing);
        assert_eq!(outage.failures(), None, "it does not fail at present");
        assert_eq!(outage.succeeded(start + seconds(59)), News::Nothing);
        assert_eq!(outage.succeeded(start + seconds(60)), News::Over { failures: 1, lasted: seconds(5) });
        assert_eq!(outage.succeeded(start + seconds(61)), News::Nothing);
        assert_eq!(outage.failed(start + seconds(62)), News::Begun);
    }

    #[test]
    fn what_is_tried_once_a_minute_and_failed_once_lasted_until_the_next_try() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        outage.failed(start);
        assert_eq!(outage.succeeded(start + seconds(60)), News::Over { failures: 1, lasted: seconds(60) });
    }

    #[test]
    fn what_always_fails_is_a_line_a_minute_and_over_with_the_first_success() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let said = (0..780).filter(|second| outage.failed(start + seconds(*second)) != News::Nothing).count();
        assert_eq!(said, 13, "as it begins, and once for each full minute");
        let repaired = seconds(781);
        assert_eq!(outage.look(start + seconds(780)), News::Nothing, "nothing shows that it is over");
        assert_eq!(outage.succeeded(start + repaired), News::Over { failures: 780, lasted: repaired });
        assert_eq!(outage.failed(start + seconds(782)), News::Begun);
    }

    #[test]
    fn a_success_never_says_that_something_fails() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        for second in [0, 20, 40] {
            outage.failed(start + seconds(second));
        }
        assert_eq!(outage.succeeded(start + seconds(50)), News::Nothing);
        assert_eq!(outage.succeeded(start + seconds(70)), News::Nothing, "two failures are in no summary yet");
        assert_eq!(outage.succeeded(start + seconds(100)), News::Over { failures: 3, lasted: seconds(50) });
    }

    #[test]
    fn an_end_is_said_although_nothing_is_tried_any_more_and_the_next_failure_is_another_outage() {
        let hour = seconds(3_600);
        for is_asked in [true, false] {
            let (start, mut outage) = (Instant::now(), Outage::default());
            outage.failed(start);
            outage.succeeded(start + seconds(1));
            assert_eq!(outage.look(start + seconds(59)), News::Nothing);
            if is_asked {
                assert_eq!(outage.look(start + seconds(60)), News::Over { failures: 1, lasted: seconds(1) });
            }
            assert_eq!(outage.failed(start + hour), News::Begun);
            let minute_later = News::Goes { failures: 1, attempts: 1, lasted: seconds(60) };
            assert_eq!(outage.failed(start + hour + seconds(60)), minute_later);
        }
    }
}
