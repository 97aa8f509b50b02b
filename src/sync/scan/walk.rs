//! The walk over an offset-paged list that moves while it is read: which page to read next, and when the end is proved.
//!
//! Pure: it is told what each page held and answers with the next step. The pages form a chain from offset 0, each sharing
//! a row with those before it; whatever is inserted or removed meanwhile, a row that was there throughout lies on one of
//! them. Where a page shares none, rows were removed before it, and the walk steps back, further each time. The end is not
//! a short page (the server may clamp), nor an empty one (rows may have moved), nor `total` (it may be stale): it is a
//! page that reaches `total` and is shorter than pages in mid-list are; in doubt it is read twice.
//!
//! The proof does not ask when a page was read. So a walk may be laid aside and taken up days later, and the pages that it
//! will most likely ask for next may be read early, as many at once as one likes.

mod bare;
mod budget;
mod checkpoint;
mod only;
mod same;
mod size;
mod step;
mod window;

pub use checkpoint::Checkpoint;
pub use step::{Doubt, Read, Seen, Step};
pub(in crate::sync) use window::Window;

use bare::Bare;
use budget::Budget;
use only::Only;
use same::Same;

/// Rows that consecutive pages share, so that a removal or two between them is no reason to step back.
const OVERLAP_ROWS: u64 = 4;

/// The state of a walk.
#[derive(Debug)]
pub struct Walk {
    limit: u32,
    /// Where the chain begins. A page read there is a part of it, whatever it holds.
    start: u64,
    offset: u64,
    requests: u64,
    rows: u64,
    /// How many chains were given up for a new one.
    chains: u64,
    covered: Window,
    /// How far the last step back went; 0 while the chain holds.
    retreat: u64,
    /// Where the walk stood before it leapt ahead to find the chain again.
    leapt_from: Option<u64>,
    /// The size of the latest page that was not the last one.
    mid_page: Option<u64>,
    /// How many pages there were that were not the last one, since the limit was last refused.
    mid_pages: u64,
    /// Whether the first of them may have been the last one all the same.
    is_guess: bool,
    /// Whether there were rows behind the first of them.
    went_on: bool,
    sizes_vary: bool,
    /// The page that looked like the end, and is read once more.
    confirming: Option<Vec<u64>>,
    total_missing: bool,
    /// Whether pages of a single row were strung together on trust.
    is_loose: bool,
    /// `total` on the latest page of the chain.
    last_total: Option<u64>,
    budget: Budget,
    bare: Bare,
    same: Same,
    only: Only,
    /// Where the latest page of the chain ended.
    chain_end: u64,
    /// Whether the latest page was asked for to learn about the server, and is no part of the chain.
    is_aside: bool,
    /// How many more rows `total` is known to count than are listed.
    surplus: u64,
    /// Where the list was proved to end before.
    proved_end: Option<u64>,
    ended_at: Option<u64>,
}

impl Walk {
    /// A walk from the top. `known_cap` is the page size that the server was seen to keep to, if it is below the limit
    /// that one would wish for.
    #[must_use]
    pub fn new(limit: u32, known_cap: Option<u32>) -> Self {
        Self::starting_at(limit, known_cap, 0)
    }

    /// A walk from somewhere inside the list: its first page counts as anchored wherever it is. At the end, every row
    /// that was listed throughout and lies behind the first row of the chain was seen.
    #[must_use]
    pub fn starting_at(limit: u32, known_cap: Option<u32>, offset: u64) -> Self {
        let limit = known_cap.map_or(limit, |cap| cap.min(limit)).max(1);
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
            mid_page: known_cap.map(u64::from),
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

    /// Tells the walk where the list was proved to end before. A page that ends there again need not be read twice where
    /// `total` is below it, but only if the size of pages is known: a list of as many rows as the server gives ends there
    /// whatever is behind.
    #[must_use]
    pub fn ending_as_before_at(mut self, length: u64) -> Self {
        self.proved_end = Some(length);
        self
    }

    /// Tells the walk that `total` is known to count so many rows that are never listed.
    #[must_use]
    pub fn counting_surplus(mut self, surplus: u64) -> Self {
        self.surplus = surplus;
        self
    }

    /// The page to read.
    #[must_use]
    pub fn next(&self) -> Read {
        Read { offset: self.offset, limit: self.limit }
    }

    /// The `n` pages that the walk will ask for after [`Walk::next`] if nothing moves. None while it does not know how
    /// far the list goes, or looks for the chain, or makes sure of the end: a page that is read again must be read anew.
    #[must_use]
    pub fn ahead(&self, n: usize) -> Vec<Read> {
        let is_looking = self.bare.is_looking() || self.same.is_looking();
        let is_steady = !(self.is_broken() || is_looking) && self.confirming.is_none() && self.ended_at.is_none();
        let total = self.last_total.filter(|_| is_steady).unwrap_or(0).saturating_sub(self.surplus);
        let page = self.limit_in_force();
        let mut read = self.next();
        let following = std::iter::from_fn(|| {
            // Behind a page that is not full there is nothing to read.
            let is_full = read.offset.saturating_add(page) <= total;
            read.offset = read.offset.saturating_add(stride(page, OVERLAP_ROWS));
            (is_full && read.offset < total).then_some(read)
        });
        following.take(n).collect()
    }

    /// The server refused the limit. Returns the page to read instead; none if a single row is too much.
    pub fn refused(&mut self) -> Option<Read> {
        self.limit = (self.limit > 1).then_some(self.limit / 2)?;
        self.mid_page = None;
        (self.mid_pages, self.is_guess, self.went_on) = (0, false, false);
        self.confirming = None;
        self.requests += 1;
        Some(self.next())
    }

    /// How many distinct ids the chain holds. An id that comes back after tens of thousands of others counts again; a
    /// chain that starts anew counts from nothing.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// How many pages were asked for, the refused ones included.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Whether the id was on an earlier page of this walk, as far as it remembers.
    #[must_use]
    pub fn has_seen(&self, id: u64) -> bool {
        self.covered.contains(id)
    }

    /// Whether the latest page shares no row with the chain, so that it proves nothing yet.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.retreat > 0 || self.leapt_from.is_some() || self.is_aside
    }

    /// How many chains were given up, the latest page being the first of a new one after each.
    #[must_use]
    pub fn chains_lost(&self) -> u64 {
        self.chains
    }

    /// `total` on the latest page of the chain.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.last_total
    }

    /// The length of the list as read, once its end was.
    #[must_use]
    pub fn end_offset(&self) -> Option<u64> {
        self.ended_at
    }

    /// Whether no page in mid-list can have passed for the last one: `total` reaches as far as was read, or all pages are of one
    /// size.
    #[must_use]
    pub fn shows_end(&self) -> bool {
        !self.sizes_vary || self.last_total.zip(self.ended_at).is_some_and(|(total, end)| total >= end)
    }

    /// Takes note of the page that was read.
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
        // The only row of a list is no page in mid-list, whatever `total` said beside it.
        if self.mid_page == Some(1) && self.mid_pages == 1 && seen.returned == 0 && self.limit > 1 {
            (self.mid_page, self.mid_pages) = (None, 0);
            self.confirming = Some(self.covered.last_page().to_vec());
            self.offset = self.start;
            return Step::Read(self.next());
        }
        // Only an empty page shows the end of such a list; `total` may be too low.
        if self.mid_page == Some(1) && seen.returned == 0 && self.reaches_total(seen) {
            self.note_end(seen);
            return Step::Unproved(Doubt::SingleRows);
        }
        let shares = seen.ids.iter().any(|id| self.covered.contains(*id));
        let at_start = self.offset == self.start;
        // Pages of one row cannot overlap; such a walk is never called complete.
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
        // A page without news may have lost rows to its left as fast as it gained them; all but one row is overlap enough.
        let overlap = if fresh == 0 { 1 } else { OVERLAP_ROWS };
        self.offset = self.offset.saturating_add(stride(seen.returned, overlap));
        self.compare(offset, is_same, seen, Step::Read(self.next()))
    }

    /// Whether a page at the start begins a new chain. From the top it could go on with the old one, which begins there
    /// too; but rows that were forgotten would be counted twice, and ones that were never anchored be trusted. From
    /// elsewhere, where it begins is moot once it shares no row with the chain.
    fn starts_anew(&self, shares: bool) -> bool {
        let is_lost = if self.start == 0 { self.covered.has_forgotten() || self.is_loose } else { !shares };
        is_lost && !self.covered.is_empty()
    }

    /// Looks for the chain after a page that shares no row with it. Rows that went pull the chain to the left, so the walk
    /// steps back. If very many came, the chain may have moved to the right instead, out of what is remembered.
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

    /// The page reaches `total`, where one is told, and is shorter than pages in mid-list.
    fn looks_like_end(&self, seen: &Seen) -> bool {
        let short = seen.returned < u64::from(self.limit) && self.mid_page.is_none_or(|size| seen.returned < size);
        self.reaches_total(seen) && short
    }

    fn reaches_total(&self, seen: &Seen) -> bool {
        let end = self.offset.saturating_add(seen.returned);
        seen.total.is_none_or(|total| end >= total || end.checked_add(self.surplus) == Some(total))
    }

    fn end(&mut self, seen: &Seen, fresh: u64) -> Step {
        let sure = self.mid_page.is_some() && !self.sizes_vary && seen.total.is_some();
        let confirmed = fresh == 0 && self.confirming.as_ref() == Some(&seen.ids);
        if !sure && !confirmed {
            self.confirming = Some(seen.ids.clone());
            self.budget.note_unsure_end();
            return Step::Read(self.next());
        }
        self.note_end(seen);
        self.proof()
    }

    /// What the end of the list amounts to.
    fn proof(&self) -> Step {
        match (self.total_missing, self.is_loose) {
            (true, _) => Step::Unproved(Doubt::NoTotal),
            (false, true) => Step::Unproved(Doubt::SingleRows),
            (false, false) => Step::End,
        }
    }

    fn note_end(&mut self, seen: &Seen) {
        let end = self.offset.saturating_add(seen.returned);
        // Where an empty page stands says little of the length; but what was read before it was there.
        let read = if self.rows > 0 { self.start.saturating_add(self.rows) } else { 0 };
        let end = if seen.returned == 0 { seen.total.map_or(end, |total| total.max(read).min(end)) } else { end };
        self.ended_at = Some(end);
    }
}

fn stride(returned: u64, overlap: u64) -> u64 {
    returned.saturating_sub(overlap).max(1)
}

#[cfg(test)]
pub(in crate::sync) mod tests;
