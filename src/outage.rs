//! What the log says of something that is tried again and again: one line as it begins to fail, one a minute while it goes on
//! failing, and one when it is over. Pure: the caller gives the time, and writes the lines.
//!
//! What has failed for as long as the hold-off, 20 seconds, is over with the first success, and the next failure is another
//! outage. What has failed for a shorter time, or beside attempts that succeed, is over once nothing has failed for as long:
//! so what fails every few seconds is no pair of lines each time. Callbacks have a hold-off of a minute, since each is tried
//! at times of its own, and so has the clock of Lumo's servers, of which any may answer.

mod retried;

use std::time::{Duration, Instant};

pub use retried::Retried;

/// Between two summaries.
const EVERY: Duration = Duration::from_secs(60);
/// How long nothing must have failed until a short outage is over. It is longer than a transaction may take before it fails,
/// with the pause after it, so that what fails again and again beside others that succeed is one outage.
const HOLD_OFF: Duration = Duration::from_secs(20);
/// The same for many things of which one that succeeds says little of the others.
const HOLD_OFF_OF_MANY: Duration = Duration::from_secs(60);

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
        /// Since the first attempt that failed began.
        lasted: Duration,
    },
    /// It is over: nothing has failed for the hold-off, or everything had failed for as long and this attempt did not.
    Over {
        /// All failures.
        failures: u64,
        /// From the beginning of the first attempt that failed to the first success after the last failure.
        lasted: Duration,
    },
}

/// Whether something fails at present.
#[derive(Debug)]
pub struct Outage {
    hold_off: Duration,
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: Instant,
    /// Since when no attempt has succeeded, up to the last failure.
    unbroken_since: Instant,
    /// The first success since the last failure.
    repaired_at: Option<Instant>,
    failures: u64,
    /// When the last line was written.
    said_at: Instant,
    recent_failures: u64,
    recent_attempts: u64,
}

impl Default for Outage {
    fn default() -> Self {
        Self { hold_off: HOLD_OFF, failing: None }
    }
}

impl Outage {
    /// Of many things that fail independently, as callbacks do: that one succeeds says little of the others.
    #[must_use]
    pub fn of_many() -> Self {
        Self { hold_off: HOLD_OFF_OF_MANY, failing: None }
    }

    /// An attempt failed. An outage whose end nobody has [asked](Self::look) for is over, and this is another one.
    pub fn failed(&mut self, now: Instant) -> News {
        self.failed_since(now, now)
    }

    /// The same of an attempt that began then, and may have waited for long. An outage begins when its first attempt does.
    pub fn failed_since(&mut self, began: Instant, now: Instant) -> News {
        let hold_off = self.hold_off;
        let Some(failing) = self.failing.as_mut().filter(|failing| !failing.is_over(hold_off, now)) else {
            self.failing = Some(Failing {
                since: began,
                last: now,
                unbroken_since: began,
                repaired_at: None,
                failures: 1,
                said_at: now,
                recent_failures: 0,
                recent_attempts: 0,
            });
            return News::Begun;
        };
        if failing.repaired_at.take().is_some() {
            failing.unbroken_since = now;
        }
        failing.last = now;
        failing.failures += 1;
        failing.recent_failures += 1;
        failing.recent_attempts += 1;
        failing.summary(now)
    }

    /// An attempt succeeded.
    pub fn succeeded(&mut self, now: Instant) -> News {
        let Some(failing) = &mut self.failing else { return News::Nothing };
        failing.recent_attempts += 1;
        let is_first = failing.repaired_at.is_none();
        failing.repaired_at.get_or_insert(now);
        if is_first && now.saturating_duration_since(failing.unbroken_since) >= self.hold_off {
            return self.end();
        }
        self.look(now)
    }

    /// Time has passed. To be called now and then, so that the end is said although nothing is tried any more.
    pub fn look(&mut self, now: Instant) -> News {
        let is_over = self.failing.as_ref().is_some_and(|failing| failing.is_over(self.hold_off, now));
        if is_over { self.end() } else { News::Nothing }
    }

    /// What is in no line yet, as if it were to be summed up now; nothing if nothing failed since the last line.
    #[must_use]
    pub fn unsaid(&self, now: Instant) -> News {
        match &self.failing {
            Some(Failing { recent_failures: failures @ 1.., recent_attempts: attempts, since, .. }) => {
                News::Goes { failures: *failures, attempts: *attempts, lasted: now.saturating_duration_since(*since) }
            }
            _ => News::Nothing,
        }
    }

    fn end(&mut self) -> News {
        let Some(Failing { since, last, repaired_at, failures, .. }) = self.failing.take() else {
            return News::Nothing;
        };
        News::Over { failures, lasted: repaired_at.unwrap_or(last).saturating_duration_since(since) }
    }

    /// Failures so far, if the last attempt failed.
    #[must_use]
    pub fn failures(&self) -> Option<u64> {
        self.failing.as_ref().filter(|failing| failing.repaired_at.is_none()).map(|failing| failing.failures)
    }
}

impl Failing {
    fn is_over(&self, hold_off: Duration, now: Instant) -> bool {
        self.repaired_at.is_some() && now.saturating_duration_since(self.last) >= hold_off
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
    fn a_failure_that_stays_alone_is_over_after_the_hold_off() {
        for (mut outage, hold_off) in [(Outage::default(), 20), (Outage::of_many(), 60)] {
            let start = Instant::now();
            assert_eq!(outage.succeeded(start), News::Nothing);
            assert_eq!(outage.failed(start), News::Begun);
            assert_eq!(outage.failures(), Some(1));
            assert_eq!(outage.succeeded(start + seconds(5)), News::Nothing);
            assert_eq!(outage.failures(), None, "it does not fail at present");
            assert_eq!(outage.succeeded(start + seconds(hold_off - 1)), News::Nothing);
            let over = News::Over { failures: 1, lasted: seconds(5) };
            assert_eq!(outage.succeeded(start + seconds(hold_off)), over);
            assert_eq!(outage.succeeded(start + seconds(hold_off + 1)), News::Nothing);
            assert_eq!(outage.failed(start + seconds(hold_off + 2)), News::Begun);
        }
    }

    #[test]
    fn each_of_two_outages_ends_with_its_first_success() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let mut said = Vec::new();
        for second in (0..160).step_by(4) {
            // Half a minute each, and as long between the two.
            let is_away = (32..64).contains(&second) || (96..128).contains(&second);
            let now = start + seconds(second);
            let news = if is_away { outage.failed(now) } else { outage.succeeded(now) };
            if news != News::Nothing {
                said.push((second, news));
            }
        }
        let over = News::Over { failures: 8, lasted: seconds(32) };
        assert_eq!(said, [(32, News::Begun), (64, over), (96, News::Begun), (128, over)]);
    }

    #[test]
    fn what_fails_beside_others_that_succeed_is_one_outage() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let mut said = Vec::new();
        for second in 0..56 {
            let now = start + seconds(second);
            let news = if second.is_multiple_of(16) { outage.failed(now) } else { outage.succeeded(now) };
            if news != News::Nothing {
                said.push((second, news));
            }
        }
        assert_eq!(said, [(0, News::Begun)]);
        assert_eq!(outage.look(start + seconds(67)), News::Nothing);
        assert_eq!(outage.look(start + seconds(68)), News::Over { failures: 4, lasted: seconds(49) });
    }

    #[test]
    fn what_is_tried_once_a_minute_and_failed_once_lasted_until_the_next_try() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        outage.failed(start);
        assert_eq!(outage.succeeded(start + seconds(60)), News::Over { failures: 1, lasted: seconds(60) });
    }

    #[test]
    fn what_is_in_no_line_yet_is_known() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let at = |second| start + seconds(second);
        assert_eq!(outage.unsaid(at(0)), News::Nothing);
        outage.failed(at(0));
        assert_eq!(outage.unsaid(at(1)), News::Nothing, "the line of its begin says it");
        outage.failed(at(2));
        outage.succeeded(at(3));
        assert_eq!(outage.unsaid(at(4)), News::Goes { failures: 1, attempts: 2, lasted: seconds(4) });
    }

    #[test]
    fn an_outage_begins_with_the_attempt_that_waited_first() {
        let (start, mut outage) = (Instant::now(), Outage::default());
        let at = |second| start + seconds(second);
        assert_eq!(outage.failed_since(at(0), at(10)), News::Begun);
        assert_eq!(outage.failed_since(at(11), at(21)), News::Nothing);
        assert_eq!(outage.succeeded(at(32)), News::Over { failures: 2, lasted: seconds(32) });
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
        outage.failed(start);
        assert_eq!(outage.succeeded(start + seconds(1)), News::Nothing);
        outage.failed(start + seconds(10));
        assert_eq!(outage.succeeded(start + seconds(11)), News::Nothing, "a failure is in no summary yet");
        assert_eq!(outage.succeeded(start + seconds(29)), News::Nothing);
        assert_eq!(outage.succeeded(start + seconds(30)), News::Over { failures: 2, lasted: seconds(11) });
    }

    #[test]
    fn an_end_is_said_although_nothing_is_tried_any_more_and_the_next_failure_is_another_outage() {
        let hour = seconds(3_600);
        for is_asked in [true, false] {
            let (start, mut outage) = (Instant::now(), Outage::default());
            outage.failed(start);
            outage.succeeded(start + seconds(1));
            assert_eq!(outage.look(start + seconds(19)), News::Nothing);
            if is_asked {
                assert_eq!(outage.look(start + seconds(20)), News::Over { failures: 1, lasted: seconds(1) });
            }
            assert_eq!(outage.failed(start + hour), News::Begun);
            let minute_later = News::Goes { failures: 1, attempts: 1, lasted: seconds(60) };
            assert_eq!(outage.failed(start + hour + seconds(60)), minute_later);
        }
    }
}
