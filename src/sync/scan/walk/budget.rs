//! Limits the requests of a walk, after which it gives up proving the end.
//!
//! The ideal number of requests is computed from the largest page of the walk. The pages at the very end of a list are
//! short, and where `total` counts rows that are never listed, the walk sees only such pages from then on.

use serde::{Deserialize, Serialize};

use super::{Seen, Walk};

/// How many times the ideal number of requests a walk may take.
const MAX_TIMES_IDEAL: u64 = 12;
/// Requests added to that, for short lists.
const EXTRA_REQUESTS: u64 = 32;
/// How many empty pages a walk may read at offsets below `total`, with no new row in between. A `total` that is only
/// stale should be right by then.
const MAX_EMPTY_PAGES: u64 = 128;
/// How many times the end may be read that needs a second reading and differs each time.
const MAX_END_READS: u64 = 128;

/// The requests of a walk, by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Budget {
    /// How many rows there were to read, according to the first page.
    rows: Option<u64>,
    /// The least number of rows left to `total`, and the number of the request that reached it.
    nearest: (u64, u64),
    largest_page: u64,
    /// How many pages of the chain had new rows.
    news: u64,
    /// How many empty pages there were since then at offsets below `total`.
    hollow: u64,
    /// How many times a page looked like the end and had to be read again.
    #[serde(default)]
    restless: u64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { rows: None, nearest: (u64::MAX, 0), largest_page: 0, news: 0, hollow: 0, restless: 0 }
    }

    /// Whether the walk has taken many times the ideal number of requests, or has come no nearer to the end for as
    /// long. The latest request gave a page of `returned` rows; `left` rows follow it, and `ahead` rows were to be read
    /// in all.
    pub(super) fn is_spent(&mut self, requests: u64, returned: u64, left: u64, ahead: u64) -> bool {
        let rows = *self.rows.get_or_insert(ahead);
        self.largest_page = self.largest_page.max(returned);
        if left == 0 || left < self.nearest.0 {
            self.nearest = (left.max(1), requests);
        }
        self.hollow += u64::from(returned == 0 && left > 0);
        let ideal = rows / super::stride(self.largest_page, super::OVERLAP_ROWS) + 1;
        // Pages that become smaller, and lists that grow, are allowed one more request for each page with new rows.
        requests > granted(ideal.max(self.news))
            || requests.saturating_sub(self.nearest.1) > granted(ideal)
            || self.hollow > MAX_EMPTY_PAGES
            || self.restless > MAX_END_READS
    }

    /// Notes a page with new rows.
    pub(super) fn note_news(&mut self) {
        self.news += 1;
        self.hollow = 0;
    }

    /// Notes an end that is to be read again.
    pub(super) fn note_unsure_end(&mut self) {
        self.restless += 1;
    }

    /// Notes that the chain was abandoned for a new one.
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
