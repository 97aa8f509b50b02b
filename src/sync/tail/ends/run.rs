//! Recognises a run of known rows, by which a pass over one end detects what was read before.
//!
//! A single known row proves nothing: it may have been learned elsewhere, with unknown rows after it. So a run must be
//! contiguous and contain enough of the rows that were at the end when the pass before completed, its anchors. A row
//! that joined since then, with fewer than [`RUN_ROWS`] rows between it and the end, has fewer than that many anchors
//! there. Even if some anchors are gone, it cannot lie behind that many. Rows that are not anchors do not count. If
//! fewer anchors are known, because the list was shorter than that, a row may have joined behind all of them, and the
//! list is read whole.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::sync::scan::walk::Window;

/// How many rows from an end a row may join and still be noticed, and how many anchors a run must contain.
pub const RUN_ROWS: usize = 24;
/// How many anchors are kept: enough even if many of them are removed or change.
pub const MAX_ANCHORS: usize = 64;

/// The rows at one end of a list as a completed pass saw them, nearest to the end first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchors(Vec<u64>);

impl Anchors {
    /// The anchors at the head, from rows in the order of the list.
    #[must_use]
    pub fn from_head(ids: &[u64]) -> Self {
        Self::nearest(ids.iter())
    }

    /// The anchors at the tail, from rows in the order of the list.
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

    /// Adds older anchors that lie further from the end: a pass need not read as many rows as are kept.
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

/// A row of a page, compared with the stored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub id: u64,
    /// Whether the stored row exists and is equal.
    pub unchanged: bool,
}

/// The run at the present position of a pass, which takes its rows in the order of the list.
#[derive(Debug)]
pub struct Run {
    anchors: Vec<u64>,
    seen: Window,
    /// How many anchors the run contains.
    held: usize,
    is_met: bool,
}

impl Run {
    #[must_use]
    pub fn new(anchors: &Anchors) -> Self {
        Self { anchors: anchors.0.clone(), seen: Window::default(), held: 0, is_met: false }
    }

    /// Takes a page: one row for each item, readable or not, because an unreadable item may be a new row. Rows of
    /// earlier pages do not count again. A page that shares none with them may have skipped rows, and breaks the run.
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
                // It appeared among rows that were counted already, and may lie before the run.
                (true, true) => {}
                (true, false) => self.count(row.id),
            }
        }
        let ids: Vec<u64> = rows.iter().map(|row| row.id).collect();
        self.seen.insert(&ids);
    }

    /// Whether the pass has reached what was known: between the run and the places where a row may join, no row is
    /// unknown that was listed when the pass began.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.is_met
    }

    /// Breaks the run, because unknown rows may lie between the rows so far and those to come.
    pub fn rupture(&mut self) {
        self.held = 0;
    }

    fn count(&mut self, id: u64) {
        self.held += usize::from(self.anchors.contains(&id));
        self.is_met |= self.held >= RUN_ROWS;
    }
}
