//! Checks the upstream's clock before its time decides what is news.
//!
//! A load balancer without NTP, a cache in front of the API and a wrong `Date` header look alike: a time at which the
//! page cannot have been served. In that case our own time is used.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use crate::outage::{News, Outage};

/// How far the upstream's clock may differ from ours.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(5);

/// How far in the future a row may have been created: time zones, and a late clock of our own, can account for this
/// much.
pub(in crate::sync) const MAX_FUTURE: TimeDelta = TimeDelta::days(1);

/// What is known about the upstream's clock. It warns once when the clock goes wrong, and logs once that it is right
/// again: one of several servers may have a wrong clock, and each answer comes from another one.
#[derive(Debug)]
pub(in crate::sync) struct UpstreamClock {
    wrong: Mutex<Outage>,
}

impl Default for UpstreamClock {
    fn default() -> Self {
        // Any of many servers may answer.
        Self { wrong: Mutex::new(Outage::of_many()) }
    }
}

impl UpstreamClock {
    /// The time at which a page was served, if it is plausible for a page that was requested after `read_at` and
    /// arrived at `now`.
    pub(in crate::sync) fn believed(
        &self,
        served_at: Option<DateTime<Utc>>,
        read_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let served_at = served_at?;
        let is_wrong = !is_plausible(served_at, read_at, now);
        match self.note(is_wrong, Instant::now()) {
            News::Begun => tracing::warn!(
                %served_at,
                %now,
                "Lumo's clock (its `Date` header) and this machine's are more than 5 minutes apart; this machine's is used"
            ),
            News::Over { .. } => tracing::info!("Lumo's clock and this machine's agree again"),
            News::Goes { .. } | News::Nothing => {}
        }
        (!is_wrong).then_some(served_at)
    }

    fn note(&self, is_wrong: bool, now: Instant) -> News {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if is_wrong { wrong.failed(now) } else { wrong.succeeded(now) }
    }
}

fn is_plausible(served_at: DateTime<Utc>, read_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    // A request may wait for its turn after `read_at`, so there is a span and no single time to compare with.
    (read_at - MAX_SKEW..=now + MAX_SKEW).contains(&served_at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::fixture::noon;

    #[test]
    fn a_clock_minutes_off_is_not_believed() {
        let clock = UpstreamClock::default();
        let (read_at, now) = (noon(), noon() + TimeDelta::minutes(10));
        let seconds = TimeDelta::seconds;
        for (served_at, is_believed) in [
            (read_at, true),
            (now, true),
            (read_at - seconds(300), true),
            (read_at - seconds(301), false),
            (now + seconds(300), true),
            (now + seconds(301), false),
            (DateTime::UNIX_EPOCH, false),
            ("2100-01-01T00:00:00Z".parse().unwrap(), false),
            ("9999-12-31T23:59:59Z".parse().unwrap(), false),
        ] {
            let expected = is_believed.then_some(served_at);
            assert_eq!(clock.believed(Some(served_at), read_at, now), expected, "{served_at}");
        }
        assert_eq!(clock.believed(None, read_at, now), None);
    }

    #[test]
    fn one_of_two_servers_with_a_wrong_clock_is_one_line() {
        let (clock, start) = (UpstreamClock::default(), Instant::now());
        let at = |second| start + Duration::from_secs(second);
        let said =
            |second: &u64| matches!(clock.note(second.is_multiple_of(2), at(*second)), News::Begun | News::Over { .. });
        assert_eq!((0..600).filter(said).collect::<Vec<_>>(), [0]);
        assert!(matches!(clock.note(false, at(658)), News::Over { .. }));
    }
}
