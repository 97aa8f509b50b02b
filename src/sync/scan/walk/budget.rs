//! How many requests a walk may take before it gives up proving the end.
//!
//! It is measured by the largest page of the walk: the pages at the very end of a list are short, and where `total` counts
//! rows that are never listed, the walk sees nothing else any more.

use serde::{Deserialize, Serialize};

use super::{Seen, Walk};

/// How many times the ideal number of requests a walk may take.
const MAX_TIMES_IDEAL: u64 = 12;
/// What is granted on top, for short lists.
const EXTRA_REQUESTS: u64 = 32;
/// How many empty pages a walk may come upon where `total` promises rows, with nothing new in between. A `total` that is
/// merely out of date should have been put right by then.
const MAX_EMPTY_PAGES: u64 = 128;
/// How many times the end may be read that must be read twice, and is another one each time.
const MAX_END_READS: u64 = 128;

/// What a walk has spent, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Budget {
    /// How many rows there were to read, by the first page.
    rows: Option<u64>,
    /// How near the walk has come to `total`, and with which request.
    nearest: (u64, u64),
    largest_page: u64,
    /// How many pages of the chain brought rows that were new.
    news: u64,
    /// How many empty pages there were since, at places where `total` promises rows.
    hollow: u64,
    /// How many times what looked like the end was yet to be read again.
    #[serde(default)]
    restless: u64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { rows: None, nearest: (u64::MAX, 0), largest_page: 0, news: 0, hollow: 0, restless: 0 }
    }

    /// Whether the walk has taken many times the requests that it should, or has not come nearer to the end for as long.
    /// The latest request gave a page of `returned` rows with `left` to come, of `ahead` in all.
    pub(super) fn is_spent(&mut self, requests: u64, returned: u64, left: u64, ahead: u64) -> bool {
        let rows = *self.rows.get_or_insert(ahead);
        self.largest_page = self.largest_page.max(returned);
        if left == 0 || left < self.nearest.0 {
            self.nearest = (left.max(1), requests);
        }
        self.hollow += u64::from(returned == 0 && left > 0);
        let ideal = rows / super::stride(self.largest_page, super::OVERLAP_ROWS) + 1;
        // Pages that become smaller on the way, or a list that grows, are paid for by what they bring.
        requests > granted(ideal.max(self.news))
            || requests.saturating_sub(self.nearest.1) > granted(ideal)
            || self.hollow > MAX_EMPTY_PAGES
            || self.restless > MAX_END_READS
    }

    /// Takes note of a page that brought something new.
    pub(super) fn note_news(&mut self) {
        self.news += 1;
        self.hollow = 0;
    }

    /// Takes note of an end that is to be read again.
    pub(super) fn note_unsure_end(&mut self) {
        self.restless += 1;
    }

    /// The chain is given up for a new one.
    pub(super) fn start_anew(&mut self) {
        self.news = 0;
    }
}

impl Walk {
    pub(super) fn is_out_of_budget(&mut self, seen: &Seen) -> bool {
        let left = |from: u64| seen.total.map_or(0, |total| total.saturating_sub(from));
        let (ahead, left) = (left(self.start), left(self.offset.saturating_add(seen.returned)));
        self.budget.is_spent(self.requests, seen.returned, left, ahead)
    }
}

fn granted(ideal: u64) -> u64 {
    EXTRA_REQUESTS.saturating_add(MAX_TIMES_IDEAL.saturating_mul(ideal))
}
