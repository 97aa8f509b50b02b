//! The last hours, most of which are kept as they were counted.
//!
//! An hour that is over seldom changes: a callback of it is tried again, a deposit comes late. So each time those are
//! counted in which much moves, and one of the others, the one that was counted the longest ago.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::store::activity::{HOUR, Hour};
use crate::store::{Error, Store};

/// So many hours there are.
const HOURS: i32 = 24;
/// Until so long after it began, an hour is counted each time: while it lasts, and while its last callbacks are under way.
const MOVES: TimeDelta = TimeDelta::hours(2);
/// What was counted so long ago is counted anew, however many hours that are: nobody has asked for a while.
const STALE: TimeDelta = TimeDelta::minutes(10);

struct Kept {
    hour: Hour,
    counted_at: DateTime<Utc>,
}

/// What is known of the last hours, by their beginning.
#[derive(Default)]
pub(super) struct Day(BTreeMap<DateTime<Utc>, Kept>);

impl Day {
    /// The last hours, the oldest first; the last one is not over yet.
    pub(super) async fn count(&mut self, store: &Store, now: DateTime<Utc>) -> Result<Vec<Hour>, Error> {
        for begins_at in self.due(now) {
            let hour = store.hour(begins_at).await?;
            self.0.insert(begins_at, Kept { hour, counted_at: now });
        }
        Ok(self.0.values().map(|kept| kept.hour.clone()).collect())
    }

    /// The beginnings of the hours to count now. What is not of the day any more is forgotten, and what a clock dates from
    /// later than now.
    fn due(&mut self, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let until = end_of_hour(now);
        let all: Vec<_> = (1..=HOURS).rev().map(|ago| until - HOUR * ago).collect();
        self.0.retain(|begins_at, kept| all.contains(begins_at) && kept.counted_at <= now);
        let is_good = |begins_at: DateTime<Utc>, kept: &Kept| {
            kept.counted_at >= begins_at + MOVES && now - kept.counted_at <= STALE
        };
        let (good, mut due): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|begins_at| self.0.get(begins_at).is_some_and(|kept| is_good(*begins_at, kept)));
        due.extend(good.into_iter().min_by_key(|begins_at| self.0.get(begins_at).map(|kept| kept.counted_at)));
        due
    }
}

/// When the hour ends that a time is in.
fn end_of_hour(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(HOUR).unwrap_or(time) + HOUR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u32, minute: u32) -> DateTime<Utc> {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 5, 4).unwrap();
        day.and_hms_opt(hour, minute, 0).unwrap().and_utc()
    }

    /// What is due then, as counted then.
    fn count(day: &mut Day, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
        let due = day.due(now);
        for &begins_at in &due {
            let hour =
                Hour { begins_at, deposits: 0, volume: None, deliveries: Vec::new(), latency: None, requests: 0 };
            day.0.insert(begins_at, Kept { hour, counted_at: now });
        }
        let known: Vec<_> = day.0.keys().copied().collect();
        assert_eq!(known, (1..=24).rev().map(|ago| end_of_hour(now) - HOUR * ago).collect::<Vec<_>>());
        due
    }

    #[test]
    fn each_time_the_last_hours_are_counted_and_one_of_the_others() {
        let mut day = Day::default();
        assert_eq!(count(&mut day, at(23, 10)).len(), 24, "none is known");
        assert_eq!(count(&mut day, at(23, 11)), [at(22, 0), at(23, 0), at(0, 0)]);
        assert_eq!(count(&mut day, at(23, 12)), [at(22, 0), at(23, 0), at(1, 0)]);
        // By now the first count of the others is ten minutes old, and more.
        let due = count(&mut day, at(23, 21));
        assert_eq!((due.len(), due.first(), due.last()), (23, Some(&at(2, 0)), Some(&at(0, 0))));
    }

    #[test]
    fn an_hour_that_is_over_is_counted_once_more() {
        let mut day = Day::default();
        count(&mut day, at(22, 59));
        let next = count(&mut day, at(23, 0));
        assert_eq!(next, [at(21, 0), at(22, 0), at(23, 0), at(0, 0)]);
        assert_eq!(count(&mut day, at(23, 1)), [at(22, 0), at(23, 0), at(1, 0)]);
    }

    #[test]
    fn what_a_clock_counted_that_was_put_back_is_counted_anew() {
        let mut day = Day::default();
        count(&mut day, at(23, 10));
        assert_eq!(count(&mut day, at(20, 10)).len(), 24);
    }
}
