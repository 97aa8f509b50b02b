//! Holds what the engine remembers of a listing from one round to the next.
//!
//! That is its ends, its order, how its `total` compares with the table, and which rows are to be read again.
//!
//! It is stored with the watermarks of the round that learned it, as one JSON text that only the engine reads. What
//! cannot be read (an older or a newer version wrote it) is forgotten: all of it can be learned again.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::store::Progress;
use crate::sync::confirm::recheck::Rechecks;
use crate::sync::confirm::removals::Removals;
use crate::sync::learn::gap::Gap;
use crate::sync::learn::order::Evidence;
use crate::sync::learn::shrinkage::Shrinkage;
use crate::sync::tail::ends::Anchors;

/// How long what was learned about the server is believed.
const SERVER_WAYS_VALID_FOR: TimeDelta = TimeDelta::days(1);

/// Why a row may be missing that only a full scan can find. No round is complete until one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sync) enum Urgent {
    /// `total` counted more rows than were found.
    Surplus,
    /// A wallet is blocked that no full scan has read since. If the plain list leaves it out, `total` hides a missing
    /// row.
    Blocked,
    /// The order of the list changed while it was read.
    Disorder,
}

impl fmt::Display for Urgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Surplus => "`total` counted more rows than were found; a sweep looks for them",
            Self::Blocked => {
                "a new wallet is blocked, and until the list is read whole it is not known whether `total` counts it; a \
                 sweep reads the list"
            }
            Self::Disorder => {
                "the order of the list changed while it was read, and `total` is not the number of rows that are stored; a \
                 sweep reads the list again"
            }
        })
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::sync) struct Memory {
    /// How many rounds there were.
    pub(in crate::sync) rounds: u64,
    /// The number of the last round that read where no rows are expected.
    pub(in crate::sync) looked_behind: u64,
    /// The page that was proved to be the whole list, if it is one page long.
    pub(in crate::sync) only_page: Option<u64>,
    /// The offset of the page whose turn is next, in a list of a few pages.
    pub(in crate::sync) next_page: u64,
    /// In what order the listing is.
    pub(in crate::sync) order: Evidence,
    pub(in crate::sync) head: Anchors,
    pub(in crate::sync) tail: Anchors,
    /// How many rows the listing had when it was last read to its end.
    pub(in crate::sync) length: u64,
    /// How many rows a page from the middle of the list has.
    pub(in crate::sync) page: Option<u32>,
    /// When the configured page size was last requested although the server had refused or cut it.
    pub(in crate::sync) probed_at: Option<DateTime<Utc>>,
    pub(in crate::sync) gap: Gap,
    /// Whether many rows seem to have left.
    pub(in crate::sync) shrinkage: Shrinkage,
    /// How many rows were stored as listed at the last comparison.
    pub(in crate::sync) listed: Option<i64>,
    /// The last row number that the full scan which set the gap could know of.
    pub(in crate::sync) counted_until: i64,
    pub(in crate::sync) rechecks: Rechecks,
    /// Why the next sweep must start at once, if it must.
    pub(in crate::sync) urgent: Option<Urgent>,
    /// The gap that was searched for in vain when the sweep became urgent. Nobody searches again until it rises.
    pub(in crate::sync) unexplained: Option<i64>,
    /// The gap that even a sweep which began after it was known could not explain. Until it rises, the next sweep waits
    /// for the schedule.
    pub(in crate::sync) swept_in_vain: Option<i64>,
    /// Since when the server is known not to filter by status; deposits only.
    pub(in crate::sync) unfiltered_since: Option<DateTime<Utc>>,
    pub(in crate::sync) day_read_at: Option<DateTime<Utc>>,
    pub(in crate::sync) week_read_at: Option<DateTime<Utc>>,
    /// Rows that left the list and wait to be confirmed as gone.
    pub(in crate::sync) removals: Removals,
    /// When removals were last accepted, as far as this process knows.
    pub(in crate::sync) accepted_at: Option<DateTime<Utc>>,
}

impl Memory {
    pub(in crate::sync) fn of(progress: &Progress) -> Self {
        let text = progress.memory.as_deref();
        text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    pub(in crate::sync) fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// Whether a surplus of this size was searched for already.
    pub(in crate::sync) fn was_looked_for(&self, gap: Option<i64>) -> bool {
        self.unexplained.zip(gap).is_some_and(|(unexplained, gap)| gap <= unexplained)
    }

    /// Whether the next sweep must not wait for its time, as the gap stands.
    pub(in crate::sync) fn sweeps_at_once(&self, gap: Option<i64>) -> bool {
        self.urgent.is_some() && self.swept_in_vain.is_none_or(|vain| gap.unwrap_or(UNTOLD) > vain)
    }

    /// Notes a full scan and the gap that it left. It was in vain if it began after a surplus was known, explained
    /// nothing and found nothing.
    pub(in crate::sync) fn note_scan(&mut self, began_knowing: bool, has_found: bool, gap: Option<i64>) {
        if self.urgent.is_none() {
            (self.unexplained, self.swept_in_vain) = (None, None);
        } else if began_knowing && !has_found {
            self.swept_in_vain = Some(gap.unwrap_or(UNTOLD));
        }
    }

    /// Whether it is time to request the configured page size again.
    pub(in crate::sync) fn probe_due(&self, now: DateTime<Utc>) -> bool {
        is_past(self.probed_at, SERVER_WAYS_VALID_FOR, now)
    }

    /// Whether the server may filter by status.
    pub(in crate::sync) fn filters(&self, now: DateTime<Utc>) -> bool {
        is_past(self.unfiltered_since, SERVER_WAYS_VALID_FOR, now)
    }
}

/// In place of a gap while the server tells no `total`: any that it tells later is worth a sweep.
const UNTOLD: i64 = i64::MIN;

/// Whether it never was, or that long ago. A time in the future is a clock that was set back, and counts as long ago.
pub(in crate::sync) fn is_past(at: Option<DateTime<Utc>>, span: TimeDelta, now: DateTime<Utc>) -> bool {
    at.is_none_or(|at| now < at || now - at >= span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_that_was_told_no_total_is_repeated_once_one_is_told() {
        let mut memory = Memory { urgent: Some(Urgent::Surplus), ..Memory::default() };
        memory.note_scan(true, false, None);
        assert!(!memory.sweeps_at_once(None), "it would be told as little");
        // Rows that left the list are held back, so there are fewer than are stored.
        assert!(memory.sweeps_at_once(Some(-500)));
        memory.note_scan(true, false, Some(-500));
        assert!(!memory.sweeps_at_once(Some(-500)) && !memory.sweeps_at_once(None));
        assert!(memory.sweeps_at_once(Some(-499)), "the gap has risen");
    }
}
