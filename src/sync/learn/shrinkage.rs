//! Notices from a falling `total` that many rows seem to have left a list.
//!
//! Only a full scan shows which rows are gone, and none is marked as missing before. But a list that lost most of its
//! rows must not be reported as healthy until the next scan is due. So this is reported, and a scan begins at once.
//! Pure: it works on counts.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::memory::Memory;
use crate::store::Progress;

/// The fewest rows that are many, …
const MANY_ROWS: i64 = 20;
/// … and they are one in this number of the rows that are stored as listed, or more.
const MANY_DIVISOR: i64 = 20;
/// In how many consecutive rounds they must seem to have left.
const ROUNDS: u8 = 2;
/// The least time between two full scans for this reason. A `total` that is untrue now and then must not cause more.
const SCANS_APART: TimeDelta = TimeDelta::hours(1);

/// What was counted at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The rows that are stored as listed.
    pub listed: i64,
    /// How many more rows `total` counts.
    pub gap: i64,
    /// How many of the stored rows were absent from the last full scan, and are not marked as missing yet.
    pub absent: u64,
}

impl Counted {
    fn total(self) -> i64 {
        self.listed.saturating_add(self.gap)
    }
}

/// Rows that seem to have left a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shrunk {
    pub rows: u64,
    /// How many rows the server counts.
    pub total: i64,
    /// How many are stored as listed.
    pub listed: i64,
    /// Whether a full scan looks for them now, or is about to.
    pub is_sought: bool,
}

/// What the counts of the rounds say, compared with what the last full scan has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shrinkage {
    proved: Option<Counted>,
    /// The largest `total` since the last full scan. A `total` that never falls, as it is capped, tells of nothing that left.
    highest: i64,
    /// How many rows seem to have left, by the last round.
    rows: u64,
    /// In how many consecutive rounds they seemed to.
    rounds: u8,
    /// When [`ROUNDS`] rounds had shown it.
    since: Option<DateTime<Utc>>,
    /// When the last full scan ended that began after that.
    scanned_at: Option<DateTime<Utc>>,
}

impl Shrinkage {
    /// Compares the counts of a round; none if there is no `total`, or it cannot be trusted.
    pub fn note_round(&mut self, counted: Option<Counted>, now: DateTime<Utc>) {
        self.highest = self.highest.max(counted.map_or(0, Counted::total));
        self.rows = counted.map_or(0, |counted| self.gone(counted));
        self.rounds = if self.rows > 0 { self.rounds.saturating_add(1) } else { 0 };
        self.since = (self.rounds >= ROUNDS).then(|| self.since.unwrap_or(now));
    }

    /// Notes the end of a full scan. If it proved the list, `proof` has the gap that it explains.
    pub fn note_scan(&mut self, started_at: DateTime<Utc>, proof: Option<Counted>, now: DateTime<Utc>) {
        if self.since.is_some_and(|since| since <= started_at) {
            self.scanned_at = Some(now);
        }
        let Some(proof) = proof else { return };
        // What leaves after a scan that found rows to be gone has left at another moment.
        let before = self.proved.map_or(0, |before| before.absent);
        let has_found = proof.absent.saturating_sub(before) >= MANY_ROWS.unsigned_abs();
        let scanned_at = self.scanned_at.filter(|_| !has_found);
        *self = Self { proved: Some(proof), highest: proof.total(), scanned_at, ..Self::default() };
    }

    /// How many rows seem to have left, if they are many and several rounds have shown it.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.since.map(|_| self.rows)
    }

    /// Whether a full scan must not wait for its time.
    #[must_use]
    pub fn wants_scan(&self, now: DateTime<Utc>) -> bool {
        // A clock that was set back must not make for a longer wait.
        self.since.is_some() && self.scanned_at.is_none_or(|at| now < at || now - at >= SCANS_APART)
    }

    /// How many rows seem to have left; 0 if they are not many.
    fn gone(&self, counted: Counted) -> u64 {
        let Some(proved) = self.proved else { return 0 };
        // Rows that the scan missed and that were marked since do not count as listed any more.
        let marked = i64::try_from(proved.absent.saturating_sub(counted.absent)).unwrap_or(i64::MAX);
        let rows = proved.gap.saturating_add(marked).saturating_sub(counted.gap);
        let certain = rows.min(self.highest.saturating_sub(counted.total()));
        let are_many = certain >= MANY_ROWS && certain.saturating_mul(MANY_DIVISOR) >= counted.listed;
        if are_many { rows.unsigned_abs() } else { 0 }
    }
}

/// The rows that seem to have left a listing, as its rounds have left it.
#[must_use]
pub fn shrunk(progress: &Progress, now: DateTime<Utc>) -> Option<Shrunk> {
    let (total, gap) = progress.last_total.zip(progress.gap)?;
    let shrinkage = Memory::of(progress).shrinkage;
    let rows = shrinkage.rows()?;
    Some(Shrunk { rows, total, listed: total.saturating_sub(gap), is_sought: shrinkage.wants_scan(now) })
}

#[cfg(test)]
mod tests;
