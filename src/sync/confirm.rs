//! Confirms by a second answer that a row is gone, or has gone back to an earlier state, before an event is published.

pub(in crate::sync) mod ask;
pub(in crate::sync) mod recently_seen;
pub mod recheck;
pub mod removals;
pub(in crate::sync) mod suspect;

use chrono::{DateTime, Utc};

use crate::sync::scan::bitmap::Bitmap;
use recheck::Recheck;

/// What a round knows of rows that seem to be gone, besides the memory.
#[derive(Debug)]
pub(in crate::sync) struct Absences {
    /// Whether removals were suspended when the round began.
    was_suspended: bool,
    /// The first of the two readings that precede accepting removals.
    reading: Option<Reading>,
    /// When removals were accepted in this round.
    accepted_at: Option<DateTime<Utc>>,
    /// Wallets that are in neither list. The rounds over all wallets decide whether they are gone.
    unlisted: Vec<Recheck>,
}

/// The rows that a full scan has seen.
#[derive(Debug)]
struct Reading {
    seen: Bitmap,
    /// The last row number when it began. Of later rows it does not say whether it has seen them.
    known_until: i64,
}

impl Reading {
    /// Whether the row was not listed.
    fn lacks(&self, row_no: i64) -> bool {
        row_no <= self.known_until && !self.seen.contains(row_no)
    }
}

impl Absences {
    pub(in crate::sync) fn new(was_suspended: bool) -> Self {
        Self { was_suspended, reading: None, accepted_at: None, unlisted: Vec::new() }
    }

    /// Notes of a row that the reading has not seen that it is listed all the same.
    fn note_listed(&mut self, row_no: i64) {
        if let Some(reading) = &mut self.reading {
            reading.seen.insert(row_no);
        }
    }

    /// Whether removals were accepted in this round.
    pub(in crate::sync) fn are_accepted(&self) -> bool {
        self.accepted_at.is_some()
    }
}
