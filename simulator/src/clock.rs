//! What time it is, and how the API writes it.
//!
//! A world normally runs on a clock of its own, so that one seed always makes the same rows, timestamps included. A
//! live world is stamped with the time of day. Both only ever move forward: two rows never share a creation time.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::Serializer;

/// Where the seeded history of a world on its own clock begins: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: i64 = 1_767_225_600;

/// The longest pause between two invented rows.
const LONGEST_STEP_MS: i64 = 20_000;

/// The time of day, to the millisecond.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::<Utc>::from(SystemTime::now()).trunc_subsecs(3)
}

/// RFC 3339 with exactly three decimals, as the API writes every date.
pub(crate) fn rfc3339(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn serialize<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(at))
}

pub(crate) fn serialize_some<S: Serializer>(at: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serialize(at, serializer),
        None => serializer.serialize_none(),
    }
}

/// Who decides how far a world's clock moves with each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// The random generator.
    Invented,
    /// The time of day.
    Live,
}

/// A world's clock: hands out strictly increasing times.
#[derive(Debug)]
pub(crate) struct Clock {
    pub(crate) pace: Pace,
    last: DateTime<Utc>,
}

impl Clock {
    pub(crate) fn new(pace: Pace) -> Self {
        let last = DateTime::from_timestamp(EPOCH_SECONDS, 0).unwrap_or_default();
        Self { pace, last }
    }

    /// The time of the next row.
    pub(crate) fn tick(&mut self, rng: &mut StdRng) -> DateTime<Utc> {
        let step = TimeDelta::milliseconds(rng.random_range(1..=LONGEST_STEP_MS));
        self.last = match self.pace {
            Pace::Invented => self.last + step,
            Pace::Live => now().max(self.last + TimeDelta::milliseconds(1)),
        };
        self.last
    }

    /// Makes room in a live world's past for `rows` invented ones, so that its history ends about now.
    pub(crate) fn leave_room_for(&mut self, rows: usize) {
        if self.pace == Pace::Live {
            let span = i64::try_from(rows).unwrap_or(i64::MAX).saturating_mul(LONGEST_STEP_MS);
            let start = now().checked_sub_signed(TimeDelta::milliseconds(span)).unwrap_or(self.last);
            self.last = self.last.max(start);
        }
    }
}
