//! Finds the end of a list whose `total` counts rows that are never listed.
//!
//! The last row is requested by its offset, several times. A server whose pages have two rows or more would show the
//! rows that follow it, even if its `total` is wrong. If `total` exceeds what that page could hold, offsets up to
//! `total` are read as well.

use super::{Doubt, Paging, Read, Seen, Step, Walk};

/// How often the last row must be the only row of its page.
const READS_OF_THE_LAST_ROW: u8 = 3;

/// What was seen at the end of such a list.
#[derive(Debug, Default)]
pub(super) struct Bare {
    /// How many consecutive times it was.
    looks: u8,
    /// What was known about page sizes before the pages at the end, which are short.
    before: Option<Sizes>,
    /// The length of the list, while offsets after its end are read.
    end: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    mid_page: Option<u64>,
    mid_pages: u64,
    is_guess: bool,
    went_on: bool,
    vary: bool,
}

impl Bare {
    /// Whether the walk is at such an end. Then no page can be requested ahead.
    pub(super) const fn is_looking(&self) -> bool {
        self.looks > 0 || self.end.is_some()
    }

    /// The offset at which the walk continues if it is stored now.
    pub(super) fn offset(&self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(1))
    }
}

impl Walk {
    /// Takes a page of the chain that does not reach `total`. `chain_end` is the offset where the page before it ended,
    /// and `fresh` the number of rows that the page added. Returns the next step if this page ends there too.
    pub(super) fn note_bare(&mut self, seen: &Seen, fresh: u64, chain_end: u64) -> Option<Step> {
        let is_short = seen.returned < u64::from(self.limit) && self.mid_page.is_none_or(|size| seen.returned < size);
        if !is_short || self.reaches_total(seen) {
            self.bare = Bare::default();
            return None;
        }
        let ends_there = fresh == 0 && seen.returned > 0 && self.chain_end == chain_end;
        if !ends_there {
            self.bare.looks = 0;
            let sizes = self.sizes();
            self.bare.before.get_or_insert(sizes);
            return None;
        }
        self.confirming = None;
        if seen.returned > 1 {
            self.bare.looks = 0;
            self.offset = self.offset.saturating_add(seen.returned - 1);
            return Some(Step::Read(self.next()));
        }
        self.bare.looks += 1;
        if self.bare.looks < READS_OF_THE_LAST_ROW {
            return Some(Step::Read(self.next()));
        }
        let end = self.offset.saturating_add(1);
        if let Some(Sizes { mid_page, mid_pages, is_guess, went_on, vary }) = self.bare.before {
            (self.mid_page, self.mid_pages, self.is_guess) = (mid_page, mid_pages, is_guess);
            (self.went_on, self.sizes_vary) = (went_on, vary);
        }
        Some(self.look_behind(end, self.offset.saturating_add(u64::from(self.limit)), seen))
    }

    /// Takes a page after the end of the list, if one was requested.
    pub(super) fn note_behind(&mut self, seen: &Seen) -> Option<Step> {
        let end = self.bare.end?;
        if seen.returned > 0 {
            return Some(Step::Unproved(Doubt::OutOfBudget));
        }
        let further = self.offset.saturating_sub(end).max(1).saturating_mul(2);
        Some(self.look_behind(end, end.saturating_add(further), seen))
    }

    /// Reads at the offset `place` if `total` is higher; otherwise the list ends at `end`.
    fn look_behind(&mut self, end: u64, place: u64, seen: &Seen) -> Step {
        if seen.total.is_some_and(|total| total > place) {
            self.bare.end = Some(end);
            self.offset = place;
            return Step::Read(Read { offset: place, limit: self.limit });
        }
        self.bare = Bare::default();
        self.offset = end.saturating_sub(1);
        self.ended_at = Some(end);
        self.proof()
    }

    fn sizes(&self) -> Sizes {
        let Self { mid_page, mid_pages, is_guess, went_on, sizes_vary: vary, .. } = *self;
        Sizes { mid_page, mid_pages, is_guess, went_on, vary }
    }
}
