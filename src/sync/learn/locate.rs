//! Finds the few rows that are missing from a long list without reading it all, in any order.
//!
//! Between two known rows, the difference of their offsets is the number of rows, and the difference of their local
//! ranks the number of known ones. So a page from the middle shows on which side rows are missing: one row in a million
//! is found with a dozen pages. The ranks come from an index of [`Blocks`], made by the last sweep.
//!
//! The list moves during the search, and a removed row hides a new one in the same part. So the search proves nothing:
//! [`LocateStep::Done`] means that no part is suspected any longer, and the count shows whether rows are still missing.
//! The rows that it found are true, as they were read.

mod blocks;
mod stretch;

use std::collections::HashMap;
use std::ops::Range;

pub use blocks::{Blocks, Builder};
pub use stretch::Stretch;

use crate::sync::scan::walk::{Read, Seen};

/// Rows that consecutive pages of a stretch share.
const OVERLAP_ROWS: u64 = 4;
/// Rows read before and after a stretch, so that the known rows at its ends are on it.
const MARGIN_ROWS: u64 = 2;
/// How often a part is probed in vain before it is read whole.
const MAX_TRIES: u8 = 3;
/// The most pages that are spent on parts that miss no rows by their length.
const MAX_PAGES_ON_EVEN_PARTS: u64 = 48;

/// The next step of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocateStep {
    /// Read and store this page, and hand it to [`Locate::absorb`].
    Probe(Read),
    /// Read these rows as a chain (see [`Stretch`]), store them, and hand their ids to [`Locate::found`].
    Stretch { from: u64, until: u64 },
    /// No part is suspected of missing rows.
    Done,
    /// The search would cost more than half a sweep.
    TooCostly,
}

/// The search.
#[derive(Debug)]
pub struct Locate {
    blocks: Blocks,
    places: HashMap<u64, (usize, u64)>,
    parts: Vec<Part>,
    doing: Doing,
    spent: u64,
    most: u64,
    wanted: u64,
    found: u64,
    /// Pages spent on parts that miss no rows by their length.
    spent_on_hidden: u64,
    gave_up: bool,
}

/// The blocks from `lo` to before `hi`, and the offsets at which they were seen to begin and end.
#[derive(Clone, Copy, Debug)]
struct Part {
    lo: usize,
    hi: usize,
    from: u64,
    until: u64,
    tries: u8,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Nothing,
    Probing(Part, Read),
    Stretching(Part),
    Ended(LocateStep),
}

impl Locate {
    /// A search of a list that has `total` rows now.
    #[must_use]
    pub fn new(blocks: Blocks, total: u64) -> Self {
        let whole = Part { lo: 0, hi: blocks.len(), from: 0, until: total, tries: 0 };
        let stride = stride(&blocks);
        let wanted = total.saturating_sub(blocks.known(0, blocks.len()));
        Self {
            places: blocks.places(),
            parts: vec![whole],
            doing: Doing::Nothing,
            spent: 0,
            most: (total / stride).div_ceil(2),
            wanted,
            found: 0,
            spent_on_hidden: 0,
            gave_up: blocks.is_empty() && total > 0,
            blocks,
        }
    }

    /// Sets how many rows are missing by the count, as removed rows hide some from the index. While fewer are found,
    /// parts are searched as well that have become shorter or have kept their length.
    #[must_use]
    pub fn expecting(mut self, missing: u64) -> Self {
        self.wanted = self.wanted.max(missing);
        self
    }

    /// The next step. It stays the same until its result is handed in.
    pub fn step(&mut self) -> LocateStep {
        if matches!(self.doing, Doing::Nothing) {
            self.doing = self.choose();
        }
        match self.doing {
            Doing::Probing(_, read) => LocateStep::Probe(read),
            Doing::Stretching(part) => part.stretch(),
            Doing::Ended(step) => step,
            Doing::Nothing => LocateStep::Done,
        }
    }

    fn choose(&mut self) -> Doing {
        if self.gave_up {
            return Doing::Ended(LocateStep::TooCostly);
        }
        let Some(part) = self.take_part() else { return Doing::Ended(LocateStep::Done) };
        let miss = self.missing(&part);
        let known = self.blocks.known(part.lo, part.hi);
        let is_dense = u64::try_from(miss).is_ok_and(|miss| miss >= known / 2);
        let (doing, cost) = if part.hi - part.lo == 1 || is_dense || part.tries >= MAX_TRIES {
            (Doing::Stretching(part), (part.until.saturating_sub(part.from)) / stride(&self.blocks) + 1)
        } else {
            (Doing::Probing(part, self.middle(&part, miss)), 1)
        };
        self.spent += cost;
        self.spent_on_hidden += if miss > 0 { 0 } else { cost };
        if self.spent > self.most { Doing::Ended(LocateStep::TooCostly) } else { doing }
    }

    /// Takes the part that misses most rows. If none does and rows are missing all the same, a part where removed rows
    /// may hide new ones: one that has become shorter or, less likely, has kept its length.
    fn take_part(&mut self) -> Option<Part> {
        let may_be_hidden = self.found < self.wanted && self.spent_on_hidden < MAX_PAGES_ON_EVEN_PARTS;
        let parts = self.parts.iter().enumerate().map(|(place, part)| (self.missing(part), place, part));
        let suspects = parts
            .filter(|(miss, _, part)| *miss > 0 || (may_be_hidden && part.hi - part.lo > 1 && part.tries < MAX_TRIES));
        let (_, place, _) = suspects.max_by_key(|(miss, _, part)| (*miss > 0, miss.abs(), part.hi - part.lo))?;
        Some(self.parts.swap_remove(place))
    }

    fn missing(&self, part: &Part) -> i64 {
        let known = signed(self.blocks.known(part.lo, part.hi));
        signed(part.until).saturating_sub(signed(part.from)).saturating_sub(known)
    }

    /// The page around the beginning of the middle block: after the known rows before it and some of the missing ones.
    fn middle(&self, part: &Part, miss: i64) -> Read {
        let mid = usize::midpoint(part.lo, part.hi);
        let limit = self.blocks.page();
        let before = signed(part.from).saturating_add(signed(self.blocks.known(part.lo, mid)));
        // If the missing rows are contiguous, they cannot hide both the earliest and the latest place where it may
        // begin.
        let into = match part.tries {
            0 => miss / 2,
            1 => 0,
            _ => miss,
        };
        let offset = before.saturating_add(into).saturating_sub(i64::from(limit) / 2);
        Read { offset: u64::try_from(offset).unwrap_or(0), limit }
    }

    /// Takes the page that was requested. Its rows must be stored.
    pub fn absorb(&mut self, seen: &Seen) {
        let Doing::Probing(mut part, read) = self.doing else { return };
        self.doing = Doing::Nothing;
        let marks = match u64::try_from(seen.ids.len()) {
            Ok(told) if told == seen.returned => self.marks(&seen.ids, read.offset, part.lo + 1..part.hi),
            // With items that have no id, the places of the others are not known.
            _ => Vec::new(),
        };
        if marks.is_empty() {
            part.tries += 1;
            return self.parts.push(part);
        }
        let end = (part.hi, part.until);
        let mut left = (part.lo, part.from);
        for (place, right) in marks.iter().copied().chain([end]).enumerate() {
            let part = Part { lo: left.0, hi: right.0, from: left.1, until: right.1, tries: 0 };
            // Between two block starts on one page, all rows were read.
            let is_read = place > 0 && place < marks.len() && right.1 >= left.1;
            if is_read {
                self.found += self.blocks.settle(part.lo, part.hi, right.1 - left.1);
            } else {
                self.parts.push(part);
            }
            left = right;
        }
    }

    /// Takes the rows of the stretch that was requested, in their order. They must be stored.
    pub fn found(&mut self, ids: &[u64]) {
        let Doing::Stretching(mut part) = self.doing else { return };
        self.doing = Doing::Nothing;
        let mut marks = self.marks(ids, 0, part.lo.max(1)..part.hi + 1);
        if part.lo == 0 {
            // Rows before the first known one belong to the first block.
            marks.insert(0, (0, 0));
        }
        if part.hi == self.blocks.len() {
            marks.push((part.hi, u64::try_from(ids.len()).unwrap_or(u64::MAX)));
        }
        let is_whole = marks.first().is_some_and(|(block, _)| *block == part.lo)
            && marks.last().is_some_and(|(block, _)| *block == part.hi);
        if is_whole {
            for ((lo, from), (hi, until)) in marks.iter().zip(marks.iter().skip(1)) {
                self.found += self.blocks.settle(*lo, *hi, until.saturating_sub(*from));
            }
        } else if part.tries < MAX_TRIES + MAX_TRIES {
            // The list has moved meanwhile. The part is read once more, with a page added at each end.
            let page = u64::from(self.blocks.page());
            part.tries += MAX_TRIES;
            (part.from, part.until) = (part.from.saturating_sub(page), part.until.saturating_add(page));
            self.parts.push(part);
        } else {
            self.gave_up = true;
        }
    }

    /// The offsets of the block starts among these rows, in their order.
    fn marks(&self, ids: &[u64], offset: u64, blocks: Range<usize>) -> Vec<(usize, u64)> {
        let mut marks: Vec<(usize, u64)> = Vec::new();
        for (row, id) in (0_u64..).zip(ids) {
            let Some((block, place)) = self.places.get(id) else { continue };
            // A block that begins before these rows looks like one whose first rows were removed. The place of the id
            // in its block tells them apart.
            let begins_here = row >= *place;
            let is_next = marks.last().is_none_or(|(last, _)| last < block);
            if begins_here && is_next && blocks.contains(block) {
                marks.push((*block, offset.saturating_add(row)));
            }
        }
        marks
    }

    /// How many pages were requested, including those of the stretches.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.spent
    }

    /// How many rows were found that the index did not count.
    #[must_use]
    pub fn rows_found(&self) -> u64 {
        self.found
    }

    /// The index, with what was found.
    #[must_use]
    pub fn into_blocks(self) -> Blocks {
        self.blocks
    }
}

impl Part {
    fn stretch(&self) -> LocateStep {
        LocateStep::Stretch {
            from: self.from.saturating_sub(MARGIN_ROWS),
            until: self.until.saturating_add(MARGIN_ROWS),
        }
    }
}

fn stride(blocks: &Blocks) -> u64 {
    u64::from(blocks.page()).saturating_sub(OVERLAP_ROWS).max(1)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
