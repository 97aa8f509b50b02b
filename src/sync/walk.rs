//! The walk over an offset-paged list that moves while it is read: which page to read next, and when the end is proved.
//!
//! Pure: it is told what each page held and answers with the next step. The pages form a chain from offset 0, each sharing
//! a row with those before it; whatever is inserted or removed meanwhile, a row that was there throughout lies on one of
//! them. Where a page shares none, rows were removed before it, and the walk steps back, further each time. The end is not
//! a short page (the server may clamp), nor an empty one (rows may have moved), nor `total` (it may be stale): it is a
//! page that reaches `total` and is shorter than pages in mid-list are; in doubt it is read twice.

use std::collections::HashSet;

/// Rows that consecutive pages share, so that a removal or two between them is no reason to step back.
const OVERLAP: u64 = 4;

/// How many times the ideal number of requests a walk may take before it gives up proving the end.
const BUDGET_FACTOR: u64 = 12;
/// What is granted on top, for short lists.
const BUDGET_FLOOR: u64 = 32;

/// What to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: u64,
    pub limit: u32,
}

/// What a page held.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How many items it had, readable or not.
    pub returned: u64,
    /// A hash of the id of each item that has one.
    pub ids: Vec<u64>,
    /// The server's `total`, if it told one.
    pub total: Option<u64>,
}

/// What follows from a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Read(Read),
    /// Every row that was listed throughout was seen.
    End,
    /// The list was read to what looks like its end, but that it is complete cannot be shown.
    Unproved(Doubt),
}

/// Why a walk proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("the server told no total")]
    NoTotal,
    #[error("the server gives one row a page, which leaves no overlap to prove anything with")]
    SingleRows,
    #[error("rows arrive faster than pages are read, or `total` counts rows that are never listed")]
    OutOfBudget,
}

/// The state of a walk.
#[derive(Debug)]
pub struct Walk {
    limit: u32,
    offset: u64,
    requests: u64,
    covered: HashSet<u64>,
    /// How far the last step back went; 0 while the chain holds.
    retreat: u64,
    /// The size of the latest page that was not the last one.
    mid_page: Option<u64>,
    /// How many pages there were that were not the last one.
    mid_pages: u64,
    sizes_vary: bool,
    /// The page that looked like the end, and is read once more.
    confirming: Option<Vec<u64>>,
    total_missing: bool,
    /// `total` on the first page.
    first_total: Option<u64>,
    /// How near the walk has come to `total`, and with which request.
    nearest: (u64, u64),
}

impl Walk {
    /// A walk from the top. `known_cap` is the page size that the server was seen to keep to, if it is below the limit
    /// that one would wish for.
    #[must_use]
    pub fn new(limit: u32, known_cap: Option<u32>) -> Self {
        let limit = known_cap.map_or(limit, |cap| cap.min(limit)).max(1);
        Self {
            limit,
            offset: 0,
            requests: 0,
            covered: HashSet::new(),
            retreat: 0,
            mid_page: known_cap.map(u64::from),
            mid_pages: 0,
            sizes_vary: false,
            confirming: None,
            total_missing: false,
            first_total: None,
            nearest: (u64::MAX, 0),
        }
    }

    /// The page to read.
    #[must_use]
    pub fn next(&self) -> Read {
        Read { offset: self.offset, limit: self.limit }
    }

    /// The server refused the limit. Returns the page to read instead; none if a single row is too much.
    pub fn refused(&mut self) -> Option<Read> {
        self.limit = (self.limit > 1).then_some(self.limit / 2)?;
        self.mid_page = None;
        self.requests += 1;
        Some(self.next())
    }

    /// The page size that the server was seen to keep to, where it is smaller than what it was asked for, or the limit
    /// that it did not refuse.
    #[must_use]
    pub fn learned_cap(&self, wished: u32) -> Option<u32> {
        // Where no total is told, the first page of a short list looks like one in mid-list.
        let is_sure = !self.sizes_vary && (!self.total_missing || self.mid_pages > 1);
        let seen = self.mid_page.filter(|_| is_sure).and_then(|size| u32::try_from(size).ok());
        let cap = seen.map_or(self.limit, |size| size.min(self.limit));
        (cap < wished).then_some(cap)
    }

    /// How many distinct ids were seen.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::try_from(self.covered.len()).unwrap_or(u64::MAX)
    }

    /// Whether the id was on an earlier page of this walk.
    #[must_use]
    pub fn has_seen(&self, id: u64) -> bool {
        self.covered.contains(&id)
    }

    /// Takes note of the page that was read.
    pub fn absorb(&mut self, seen: &Seen) -> Step {
        self.requests += 1;
        self.total_missing |= seen.total.is_none();
        if self.is_out_of_budget(seen) {
            return Step::Unproved(Doubt::OutOfBudget);
        }
        if self.mid_page == Some(1) && self.reaches_total(seen) && (seen.total.is_some() || seen.returned == 0) {
            return Step::Unproved(Doubt::SingleRows);
        }
        let anchored = self.offset == 0
            || seen.ids.iter().any(|id| self.covered.contains(id))
            // Pages of one row cannot overlap; such a walk is never called complete.
            || (seen.returned == 1 && self.limit_in_force() == 1);
        if !anchored {
            return self.step_back();
        }
        self.retreat = 0;
        let fresh = seen.ids.iter().filter(|id| self.covered.insert(**id)).count();
        if self.looks_like_end(seen, fresh) {
            return self.end(seen, fresh);
        }
        self.confirming = None;
        if seen.returned > 0 {
            self.sizes_vary |= self.mid_page.is_some_and(|size| size != seen.returned);
            self.mid_page = Some(seen.returned);
            self.mid_pages += 1;
        }
        // A page without news may have lost rows to its left as fast as it gained them; all but one row is overlap enough.
        let overlap = if fresh == 0 { 1 } else { OVERLAP };
        let stride = seen.returned.saturating_sub(overlap).max(1);
        self.offset += stride;
        Step::Read(self.next())
    }

    fn limit_in_force(&self) -> u64 {
        self.mid_page.unwrap_or(u64::from(self.limit)).min(u64::from(self.limit))
    }

    fn step_back(&mut self) -> Step {
        self.confirming = None;
        self.retreat = if self.retreat == 0 { OVERLAP } else { self.retreat * 2 };
        self.offset = self.offset.saturating_sub(self.retreat);
        Step::Read(self.next())
    }

    /// The page reaches `total`, where one is told, and is shorter than pages in mid-list.
    /// Without `total`, and before the size of pages in mid-list is known, a short page may be a server that clamps: only
    /// one without news looks like the end.
    fn looks_like_end(&self, seen: &Seen, fresh: usize) -> bool {
        let short = seen.returned < u64::from(self.limit) && self.mid_page.is_none_or(|size| seen.returned < size);
        let could_be_clamped = seen.total.is_none() && self.mid_pages == 0 && fresh > 0;
        self.reaches_total(seen) && short && !could_be_clamped
    }

    fn reaches_total(&self, seen: &Seen) -> bool {
        seen.total.is_none_or(|total| self.offset + seen.returned >= total)
    }

    fn end(&mut self, seen: &Seen, fresh: usize) -> Step {
        let sure = self.mid_page.is_some() && !self.sizes_vary && seen.total.is_some();
        let confirmed = fresh == 0 && self.confirming.as_ref() == Some(&seen.ids);
        if !sure && !confirmed {
            self.confirming = Some(seen.ids.clone());
            return Step::Read(self.next());
        }
        if self.total_missing {
            return Step::Unproved(Doubt::NoTotal);
        }
        Step::End
    }

    /// Whether the walk has taken many times the requests that it should, or has not come nearer to the end for as long.
    fn is_out_of_budget(&mut self, seen: &Seen) -> bool {
        let first_total = *self.first_total.get_or_insert(seen.total.unwrap_or(0));
        let left = seen.total.map_or(0, |total| total.saturating_sub(self.offset + seen.returned));
        if left == 0 || left < self.nearest.0 {
            self.nearest = (left.max(1), self.requests);
        }
        self.requests > self.budget(first_total.max(self.rows()))
            || self.requests - self.nearest.1 > self.budget(first_total)
    }

    fn budget(&self, rows: u64) -> u64 {
        let stride = self.limit_in_force().saturating_sub(OVERLAP).max(1);
        BUDGET_FLOOR.saturating_add(BUDGET_FACTOR.saturating_mul(rows / stride + 1))
    }
}

#[cfg(test)]
mod tests;
