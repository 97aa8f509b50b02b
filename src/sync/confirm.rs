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
    /// The rows on the first of the two readings that precede accepting removals.
    met: Option<Bitmap>,
    /// When removals were accepted in this round.
    accepted_at: Option<DateTime<Utc>>,
    /// Wallets that are in neither list. The rounds over all wallets decide whether they are gone.
    unlisted: Vec<Recheck>,
}

impl Absences {
    pub(in crate::sync) fn new(was_suspended: bool) -> Self {
        Self { was_suspended, met: None, accepted_at: None, unlisted: Vec::new() }
    }

    /// Whether removals were accepted in this round.
    pub(in crate::sync) fn are_accepted(&self) -> bool {
        self.accepted_at.is_some()
    }
}
