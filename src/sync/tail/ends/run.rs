//! The run of rows in which nothing is new, by which a pass over one end of a list knows that it has met what was read
//! before.
//!
//! A known row alone proves nothing: it may have been learned elsewhere, with unknown ones behind it. So a run must be in
//! one piece and hold enough of the rows that were at the end when the pass before completed, its anchors. A row that
//! joined since then with fewer than [`RUN_ROWS`] rows between it and the end has fewer anchors than that there: whatever of
//! them is gone by now, it cannot lie behind so many. Other rows count for nothing. Where fewer anchors are known, as the
//! list was shorter than that, a row may have joined behind them all, and the list is read whole.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::sync::scan::walk::Window;

/// How far from an end a row may join and be noticed, and how many anchors a run must hold.
pub const RUN_ROWS: usize = 24;
/// How many anchors are kept: enough for many of them to go or to change.
pub const MAX_ANCHORS: usize = 64;

/// The rows at one end of a list as a completed pass saw them, nearest to the end first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchors(Vec<u64>);

impl Anchors {
    /// Of the rows at the head, in the order of the list.
    #[must_use]
    pub fn from_head(ids: &[u64]) -> Self {
        Self::nearest(ids.iter())
    }

    /// Of the rows at the tail, in the order of the list.
    #[must_use]
    pub fn from_tail(ids: &[u64]) -> Self {
        Self::nearest(ids.iter().rev())
    }

    fn nearest<'a>(ids: impl Iterator<Item = &'a u64>) -> Self {
        let mut anchors = Vec::with_capacity(MAX_ANCHORS);
        for id in ids {
            if anchors.len() == MAX_ANCHORS {
                break;
            }
            if !anchors.contains(id) {
                anchors.push(*id);
            }
        }
        Self(anchors)
    }

    /// These, and behind them the older ones that lie further from the end: a pass need not read as many rows as are kept.
    #[must_use]
    pub fn before(mut self, older: &Self) -> Self {
        if let Some(last_shared) = older.0.iter().rposition(|id| self.0.contains(id)) {
            let room = MAX_ANCHORS.saturating_sub(self.0.len());
            self.0.extend(older.0.iter().skip(last_shared + 1).take(room));
        }
        self
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A row of a page, as it compares with what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: u64,
    /// Whether it was stored already, and just like this.
    pub unchanged: bool,
}

/// The run that the rows of a pass, read in the order of the list, are in.
#[derive(Debug)]
pub struct Run {
    anchors: Vec<u64>,
    seen: Window,
    /// How many anchors the run holds.
    held: usize,
    is_met: bool,
}

impl Run {
    #[must_use]
    pub fn new(anchors: &Anchors) -> Self {
        Self { anchors: anchors.0.clone(), seen: Window::default(), held: 0, is_met: false }
    }

    /// Takes note of a page: one row for each item, readable or not, as an unreadable one may hide a new row. Rows of
    /// earlier pages do not count again. A page that shares none with them may have left some out, and breaks the run.
    pub fn absorb(&mut self, rows: &[Row]) {
        let last_seen = rows.iter().rposition(|row| self.seen.contains(row.id));
        if last_seen.is_none() {
            self.rupture();
        }
        let mut new = HashSet::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            if self.seen.contains(row.id) || !new.insert(row.id) {
                continue;
            }
            match (row.unchanged, last_seen.is_some_and(|last| place < last)) {
                (false, _) => self.rupture(),
                // It turned up among rows that were counted, and may lie before the run.
                (true, true) => {}
                (true, false) => self.count(row.id),
            }
        }
        let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
        self.seen.insert(&ids);
    }

    /// Whether what was read meets what was known: nothing that was listed when the pass began is unknown any more
    /// between the run and where a row may join.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.is_met
    }

    /// Something may lie between the rows so far and those to come.
    pub fn rupture(&mut self) {
        self.held = 0;
    }

    fn count(&mut self, id: u64) {
        self.held += usize::from(self.anchors.contains(&id));
        self.is_met |= self.held >= RUN_ROWS;
    }
}
