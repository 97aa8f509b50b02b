//! Decides which page of a changing, offset-paged list to read next, and when its end is proved: the walk.
//!
//! Pure: it takes the content of each page and returns the next step. The pages form a chain from offset 0: each shares
//! a row with those before it. So a row that was listed throughout lies on one of them, even if others are inserted or
//! removed meanwhile. If a page shares none, rows were removed before it, and the walk steps back, further each time. A
//! short page does not prove the end (the server may clamp), nor does an empty one (rows may have moved), nor `total`
//! (it may be stale). The end is a page that reaches `total` and is shorter than pages from the middle of the list; in
//! doubt it is read twice.
//!
//! The proof does not depend on when a page was read. So a walk may be stored and continued days later, and the pages
//! that it will probably request next may be requested early, any number at once.

mod bare;
mod budget;
mod only;
mod page_size;
mod same;
mod saved;
mod step;
mod window;

pub use saved::SavedWalk;
pub use step::{Doubt, Paging, Read, Seen, Step};
pub(in crate::sync) use window::Window;

use bare::Bare;
use budget::Budget;
use only::Only;
use same::Same;

/// Rows that consecutive pages share, so that one or two removals between them do not make the walk step back.
const OVERLAP_ROWS: u64 = 4;

/// The state of a walk.
#[derive(Debug)]
pub struct Walk {
    limit: u32,
    /// The offset where the chain begins. A page read there is always part of it.
    start: u64,
    offset: u64,
    requests: u64,
    rows: u64,
    /// How many chains were abandoned for a new one.
    chains: u64,
    covered: Window,
    /// How many rows the last step back went; 0 while the chain holds.
    retreat: u64,
    /// The offset from which the walk leapt ahead to find the chain again.
    leapt_from: Option<u64>,
    /// The number of rows on the latest page that was not the last one: the page size.
    mid_page: Option<u64>,
    /// How many pages were not the last one, since the limit was last refused.
    mid_pages: u64,
    /// Whether the first of them may have been the last page of the list after all.
    is_guess: bool,
    /// Whether there were rows after the first of them.
    went_on: bool,
    sizes_vary: bool,
    /// The page that looked like the end, and is read a second time.
    confirming: Option<Vec<u64>>,
    total_missing: bool,
    /// Whether pages of a single row were joined to the chain without a shared row.
    is_loose: bool,
    /// `total` on the latest page of the chain.
    last_total: Option<u64>,
    budget: Budget,
    bare: Bare,
    same: Same,
    only: Only,
    /// The offset where the latest page of the chain ended.
    chain_end: u64,
    /// Whether the latest page was requested to learn about the server, and is not part of the chain.
    is_aside: bool,
    /// How many rows `total` is known to count that are never listed.
    surplus: u64,
    /// The length of the list when its end was last proved.
    proved_end: Option<u64>,
    ended_at: Option<u64>,
}

impl Walk {
    /// A walk from offset 0. `known_page_size` is what the server is known to give, if it is below `limit`.
    #[must_use]
    pub fn new(limit: u32, known_page_size: Option<u32>) -> Self {
        Self::starting_at(limit, known_page_size, 0)
    }

    /// A walk from an offset inside the list. Its first page always begins the chain. When the end is proved, every row
    /// was seen that was listed throughout and lies after the first row of the chain.
    #[must_use]
    pub fn starting_at(limit: u32, known_page_size: Option<u32>, offset: u64) -> Self {
        let limit = known_page_size.map_or(limit, |size| size.min(limit)).max(1);
        Self {
            limit,
            start: offset,
            offset,
            requests: 0,
            rows: 0,
            chains: 0,
            covered: Window::default(),
            retreat: 0,
            leapt_from: None,
            mid_page: known_page_size.map(u64::from),
            mid_pages: 0,
            is_guess: false,
            went_on: false,
            sizes_vary: false,
            confirming: None,
            total_missing: false,
            is_loose: false,
            last_total: None,
            budget: Budget::new(),
            bare: Bare::default(),
            same: Same::default(),
            only: Only::default(),
            chain_end: 0,
            is_aside: false,
            surplus: 0,
            proved_end: None,
            ended_at: None,
        }
    }

    /// Sets the length of the list when its end was last proved. A page that ends there again need not be read twice
    /// even if `total` is below it or absent, but only if the page size is known: if it is not, the server may have cut
    /// the page just there.
    #[must_use]
    pub fn ending_as_before_at(mut self, length: u64) -> Self {
        self.proved_end = Some(length);
        self
    }

    /// Sets how many rows `total` is known to count that are never listed.
    #[must_use]
    pub fn counting_surplus(mut self, surplus: u64) -> Self {
        self.surplus = surplus;
        self
    }

    /// How many distinct ids the chain holds. An id counts again when it comes back after tens of thousands of others.
    /// A new chain counts from 0.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many pages were requested, including the refused ones.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether the id was on an earlier page of this walk, among the ids that are still remembered.
    #[must_use]
    pub fn has_seen(&self, id: u64) -> bool {
        self.covered.contains(id)
    }

    /// Whether the latest page shares no row with the chain, so that it proves nothing yet.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.retreat > 0 || self.leapt_from.is_some() || self.is_aside
    }

    /// How many chains were abandoned. After each, the latest page is the first of a new one.
    #[must_use]
    pub fn chains_lost(&self) -> u64 {
        self.chains
    }

    /// `total` on the latest page of the chain.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.last_total
    }

    /// The length of the list, once its end was read.
    #[must_use]
    pub fn end_offset(&self) -> Option<u64> {
        self.ended_at
    }

    /// Whether no page from the middle of the list can have passed for the last one: `total` is no less than the number
    /// of rows that were read, or all pages have one size.
    #[must_use]
    pub fn shows_end(&self) -> bool {
        !self.sizes_vary || self.last_total.zip(self.ended_at).is_some_and(|(total, end)| total >= end)
    }

    /// Takes the page that was read, and returns the next step.
    pub fn absorb(&mut self, seen: &Seen) -> Step {
        self.requests += 1;
        self.total_missing |= seen.total.is_none();
        if self.is_out_of_budget(seen) {
            return Step::Unproved(Doubt::OutOfBudget);
        }
        let aside = self.note_far(seen).or_else(|| self.note_behind(seen));
        self.is_aside = aside.is_some();
        if let Some(step) = aside {
            return step;
        }
        self.note_top(seen);
        // The only row of a list must not pass for a page from the middle, even if `total` was higher.
        if self.mid_page == Some(1) && self.mid_pages == 1 && seen.returned == 0 && self.limit > 1 {
            (self.mid_page, self.mid_pages) = (None, 0);
            self.confirming = Some(self.covered.last_page().to_vec());
            self.offset = self.start;
            return Step::Read(self.next());
        }
        // Only an empty page shows the end of a list with pages of one row, because `total` may be too low.
        if self.mid_page == Some(1) && seen.returned == 0 && self.reaches_total(seen) {
            self.note_end(seen);
            return Step::Unproved(Doubt::SingleRows);
        }
        let shares = seen.ids.iter().any(|id| self.covered.contains(*id));
        let at_start = self.offset == self.start;
        // Pages of one row cannot overlap. Such a walk is never called complete.
        let is_single = seen.returned == 1 && self.limit_in_force() == 1;
        if !(shares || at_start || is_single) {
            return self.search(seen);
        }
        if at_start && self.starts_anew(shares) {
            self.covered = Window::default();
            (self.rows, self.is_loose) = (0, false);
            self.budget.start_anew();
            self.chains += 1;
        }
        self.is_loose |= !shares && !at_start;
        (self.retreat, self.leapt_from) = (0, None);
        self.last_total = seen.total;
        let is_same = !seen.ids.is_empty() && seen.ids == self.covered.last_page();
        let offset = self.offset;
        let before = std::mem::replace(&mut self.chain_end, offset.saturating_add(seen.returned));
        let fresh = self.covered.insert(&seen.ids);
        self.rows += fresh;
        if fresh > 0 {
            self.budget.note_news();
            self.went_on |= self.mid_pages > 0;
        }
        if let Some(step) = self.end_with_known_page(seen) {
            return step;
        }
        let looks_like_end = self.looks_like_end(seen);
        if looks_like_end && !self.could_be_cut(seen) {
            return self.end(seen, fresh);
        }
        if let Some(step) = self.note_bare(seen, fresh, before) {
            return self.compare(offset, is_same, seen, step);
        }
        self.confirming = None;
        if seen.returned > 0 {
            self.is_guess |= looks_like_end;
            self.sizes_vary |= self.mid_page.is_some_and(|size| size != seen.returned);
            self.mid_page = Some(seen.returned);
            self.mid_pages += 1;
        }
        // If a page has no new rows, rows may leave before it as fast as the walk advances. So the walk then advances
        // further, with an overlap of one row.
        let overlap = if fresh == 0 { 1 } else { OVERLAP_ROWS };
        self.offset = self.offset.saturating_add(stride(seen.returned, overlap));
        self.compare(offset, is_same, seen, Step::Read(self.next()))
    }

    /// Whether a page at the start offset begins a new chain. At offset 0 it could continue the old chain, which begins
    /// there too. But then forgotten rows would be counted twice, and rows that were joined without proof would be
    /// trusted. At another offset, the start of the chain is in doubt once the page shares no row with it.
    fn starts_anew(&self, shares: bool) -> bool {
        let is_lost = if self.start == 0 { self.covered.has_forgotten() || self.is_loose } else { !shares };
        is_lost && !self.covered.is_empty()
    }

    /// Searches for the chain after a page that shares no row with it. Removed rows pull the chain to lower offsets, so
    /// the walk steps back. If very many rows were inserted, the chain may have moved to higher offsets instead, with
    /// no remembered id in between.
    fn search(&mut self, seen: &Seen) -> Step {
        self.confirming = None;
        let growth = seen.total.unwrap_or(0).saturating_sub(self.last_total.unwrap_or(u64::MAX));
        if !self.is_broken() && growth > self.limit_in_force() / 2 {
            self.leapt_from = Some(self.offset);
            self.offset = self.offset.saturating_add(growth);
            return Step::Read(self.next());
        }
        self.retreat = if self.retreat == 0 { OVERLAP_ROWS } else { self.retreat.saturating_mul(2) };
        let from = self.leapt_from.take().unwrap_or(self.offset);
        self.offset = from.saturating_sub(self.retreat).max(self.start);
        Step::Read(self.next())
    }

    /// Whether the page reaches `total`, if there is one, and is shorter than pages from the middle of the list.
    fn looks_like_end(&self, seen: &Seen) -> bool {
        let short = seen.returned < u64::from(self.limit) && self.mid_page.is_none_or(|size| seen.returned < size);
        self.reaches_total(seen) && short
    }

    fn reaches_total(&self, seen: &Seen) -> bool {
        let end = self.offset.saturating_add(seen.returned);
        seen.total.is_none_or(|total| end >= total || end.checked_add(self.surplus) == Some(total))
    }

    fn end(&mut self, seen: &Seen, fresh: u64) -> Step {
        let ends_as_before = self.proved_end == Some(self.offset.saturating_add(seen.returned));
        let is_known = seen.total.is_some() || ends_as_before;
        let sure = self.mid_page.is_some() && !self.sizes_vary && is_known;
        let confirmed = fresh == 0 && self.confirming.as_ref() == Some(&seen.ids);
        if !sure && !confirmed {
            self.confirming = Some(seen.ids.clone());
            self.budget.note_unsure_end();
            return Step::Read(self.next());
        }
        self.note_end(seen);
        self.proof()
    }

    /// Whether the end proves the whole list.
    fn proof(&self) -> Step {
        match (self.is_loose, self.total_missing) {
            (true, _) => Step::Unproved(Doubt::SingleRows),
            (false, true) => Step::Unproved(Doubt::NoTotal),
            (false, false) => Step::End,
        }
    }

    fn note_end(&mut self, seen: &Seen) {
        let end = self.offset.saturating_add(seen.returned);
        // The offset of an empty page says little about the length; but the rows that were read did exist.
        let read = if self.rows > 0 { self.start.saturating_add(self.rows) } else { 0 };
        let end = if seen.returned == 0 { seen.total.map_or(end, |total| total.max(read).min(end)) } else { end };
        self.ended_at = Some(end);
    }
}

impl Paging for Walk {
    fn next(&self) -> Read {
        Read { offset: self.offset, limit: self.limit }
    }

    /// The pages that the walk will request if nothing moves. None while it does not know the length of the list,
    /// searches for the chain, or confirms the end: a page that is read again must be requested anew.
    fn ahead(&self, n: usize) -> Vec<Read> {
        let is_looking = self.bare.is_looking() || self.same.is_looking();
        let is_steady = !(self.is_broken() || is_looking) && self.confirming.is_none() && self.ended_at.is_none();
        let total = self.last_total.filter(|_| is_steady).unwrap_or(0).saturating_sub(self.surplus);
        let page = self.limit_in_force();
        let mut read = self.next();
        let following = std::iter::from_fn(|| {
            // Nothing follows a page that is not full.
            let is_full = read.offset.saturating_add(page) <= total;
            read.offset = read.offset.saturating_add(stride(page, OVERLAP_ROWS));
            (is_full && read.offset < total).then_some(read)
        });
        following.take(n).collect()
    }

    fn refused(&mut self) -> Option<Read> {
        self.limit = (self.limit > 1).then_some(self.limit / 2)?;
        self.mid_page = None;
        (self.mid_pages, self.is_guess, self.went_on) = (0, false, false);
        self.confirming = None;
        self.requests += 1;
        Some(self.next())
    }
}

fn stride(returned: u64, overlap: u64) -> u64 {
    returned.saturating_sub(overlap).max(1)
}

#[cfg(test)]
pub(in crate::sync) mod tests;
