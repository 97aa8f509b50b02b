//! Schedules extra reads, about one a minute, which find changes that only the sweep would find otherwise.
//!
//! These are the end of a list where no rows are expected, a second page of a list that fits into one, and the deposits
//! in status `new` while none of them changes. Together they take at most one request a minute, so a minute in which
//! nothing happens costs little more than one request per round.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::Listing;
use crate::sync::{Syncer, lock};

/// The least number of rounds of a listing between two such reads.
pub(in crate::sync) const ROUNDS_BETWEEN: u64 = 8;
/// The least time between two such reads, of any kind.
const MIN_INTERVAL: TimeDelta = TimeDelta::minutes(1);
/// A read that was not requested again within this time delays no other.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::seconds(90);
/// A read that has waited this long is made in any case.
const MAX_WAIT: TimeDelta = TimeDelta::minutes(15);

/// A kind of extra read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::sync) enum ExtraRead {
    /// The end of the list where no rows are expected, or what follows the only page of a list.
    Behind(Listing),
    /// The deposits in status `new`.
    New,
}

/// Which extra read is next.
#[derive(Debug, Default)]
pub(in crate::sync) struct Turns {
    taken_at: Option<DateTime<Utc>>,
    /// The reads that wait: since when, and when each was last requested.
    waiting: HashMap<ExtraRead, (DateTime<Utc>, DateTime<Utc>)>,
}

impl Turns {
    /// Whether this read may be made now. If not, the next round requests it again.
    fn take(&mut self, read: ExtraRead, now: DateTime<Utc>) -> bool {
        // A clock that was set back must not make for a longer wait.
        self.waiting.retain(|_, (since, asked_at)| *since <= now && *asked_at <= now);
        let (since, asked_at) = self.waiting.entry(read).or_insert((now, now));
        *asked_at = now;
        let since = *since;
        let is_free = self.taken_at.is_none_or(|taken_at| now < taken_at || now - taken_at >= MIN_INTERVAL);
        let is_before =
            |(other, asked_at): &(DateTime<Utc>, DateTime<Utc>)| *other < since && now - *asked_at < FORGOTTEN_AFTER;
        let is_first = !self.waiting.values().any(is_before);
        let may = (is_free && is_first) || now - since >= MAX_WAIT;
        if may {
            self.waiting.remove(&read);
            self.taken_at = Some(now);
        }
        may
    }
}

impl<U> Syncer<U> {
    /// Whether a round may make this read now.
    pub(in crate::sync) fn may_read_extra(&self, read: ExtraRead) -> bool {
        lock(&self.turns).take(read, self.clock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READS: [ExtraRead; 4] = [
        ExtraRead::New,
        ExtraRead::Behind(Listing::Deposits),
        ExtraRead::Behind(Listing::Wallets),
        ExtraRead::Behind(Listing::Blocked),
    ];

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }

    #[test]
    fn there_is_one_read_a_minute_and_everybody_has_a_turn() {
        // The schedules as configured, each requesting its read as often as it can.
        let schedules = [(ExtraRead::New, 10), (READS[1], 10), (READS[2], 60), (READS[3], 30)];
        let (mut turns, mut taken) = (Turns::default(), Vec::new());
        for second in 0..3600 {
            for (read, every) in schedules {
                if second % every == 0 && turns.take(read, at(second)) {
                    taken.push((read, second));
                }
            }
        }
        assert!(taken.windows(2).all(|pair| pair[1].1 - pair[0].1 >= 60), "{taken:?}");
        for read in READS {
            let count = taken.iter().filter(|(taken, _)| *taken == read).count();
            assert!(count >= 12, "{count} reads of {read:?} in an hour: {taken:?}");
        }
    }

    #[test]
    fn who_is_not_there_keeps_nobody_waiting() {
        let mut turns = Turns::default();
        assert!(turns.take(ExtraRead::New, at(0)));
        // It does not come back.
        assert!(!turns.take(READS[2], at(1)));
        assert!(!turns.take(ExtraRead::New, at(70)), "it may come back yet");
        assert!(turns.take(ExtraRead::New, at(91)));
    }

    #[test]
    fn who_comes_rarely_is_not_turned_away_for_ever() {
        let (mut turns, mut reads) = (Turns::default(), 0);
        for second in 0..36_000 {
            if second % 10 == 0 {
                turns.take(ExtraRead::New, at(second));
            }
            reads += usize::from(second % 3_600 == 5 && turns.take(READS[2], at(second)));
        }
        assert!(reads >= 5, "{reads} reads in ten hours");
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut turns = Turns::default();
        assert!(turns.take(ExtraRead::New, at(100_000)));
        assert!(!turns.take(READS[1], at(100_001)));
        assert!(turns.take(READS[1], at(50)));
        assert!(turns.take(READS[1], at(110)));
    }
}
