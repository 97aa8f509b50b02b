//! Finding the few rows that are missing from a long list without reading it all, whatever its order.
//!
//! Between two known rows, the difference of their offsets is how many rows there are, and the difference of their local
//! ranks how many are known. So a page from the middle tells on which side rows are missing: one in a million is cornered
//! with a dozen pages. The ranks come from an index of [`Blocks`], made by the last sweep.
//!
//! The list moves while it is measured, and a row that went hides one that came in the same part. So nothing is proved
//! here: that no part is suspected any more is [`LocateStep::Done`], and the count tells whether that was all of it. What
//! is found is true, as it was read.

mod blocks;
mod stretch;

use std::collections::HashMap;
use std::ops::Range;

pub use blocks::{Blocks, Builder};
pub use stretch::Stretch;

use crate::sync::scan::walk::{Read, Seen};

/// Rows that consecutive pages of a stretch share.
const OVERLAP_ROWS: u64 = 4;
/// Rows read around a stretch, so that the known ones at its ends are on it.
const MARGIN_ROWS: u64 = 2;
/// How often a part is looked into in vain.
const MAX_TRIES: u8 = 3;
/// How many pages are spent on parts that miss nothing by themselves.
const MAX_PAGES_ON_EVEN_PARTS: u64 = 48;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocateStep {
    /// Read and store this page, and hand it to [`Locate::absorb`].
    Probe(Read),
    /// Read these rows as a chain (see [`Stretch`]), store them, and hand their ids to [`Locate::found`].
    Stretch { from: u64, until: u64 },
    /// No part is suspected of missing rows.
    Done,
    /// A sweep will do better.
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
    /// Pages spent on parts that miss nothing by themselves.
    spent_on_hidden: u64,
    gave_up: bool,
}

/// The blocks from one up to another, and the offsets at which they were seen to begin and end.
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

    /// Tells how many rows are missing by the count, where rows that went hide some of them from the index. As long as
    /// fewer are found, some of the parts that have become shorter, or are as long as before, are looked into as well.
    #[must_use]
    pub fn expecting(mut self, missing: u64) -> Self {
        self.wanted = self.wanted.max(missing);
        self
    }

    /// What to do next. The same until it was done.
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

    /// The part that misses most. If none does, and rows are missing all the same: what went may hide what came, where a
    /// part has become shorter or, less likely, is as long as before.
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

    /// The page around where the block in the middle must begin: behind the known rows before it and some of the missing.
    fn middle(&self, part: &Part, miss: i64) -> Read {
        let mid = usize::midpoint(part.lo, part.hi);
        let limit = self.blocks.page();
        let before = signed(part.from).saturating_add(signed(self.blocks.known(part.lo, mid)));
        // Missing rows in one piece cannot hide both ends of where it may begin.
        let into = match part.tries {
            0 => miss / 2,
            1 => 0,
            _ => miss,
        };
        let offset = before.saturating_add(into).saturating_sub(i64::from(limit) / 2);
        Read { offset: u64::try_from(offset).unwrap_or(0), limit }
    }

    /// Takes note of the page that was asked for. Its rows must be stored.
    pub fn absorb(&mut self, seen: &Seen) {
        let Doing::Probing(mut part, read) = self.doing else { return };
        self.doing = Doing::Nothing;
        let marks = match u64::try_from(seen.ids.len()) {
            Ok(told) if told == seen.returned => self.marks(&seen.ids, read.offset, part.lo + 1..part.hi),
            // Items without an id: where the others stood is not known.
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
            // Between two marks on one page, all rows were read.
            let is_read = place > 0 && place < marks.len() && right.1 >= left.1;
            if is_read {
                self.found += self.blocks.settle(part.lo, part.hi, right.1 - left.1);
            } else {
                self.parts.push(part);
            }
            left = right;
        }
    }

    /// Takes note of the rows of the stretch that was asked for, in their order. They must be stored.
    pub fn found(&mut self, ids: &[u64]) {
        let Doing::Stretching(mut part) = self.doing else { return };
        self.doing = Doing::Nothing;
        let mut marks = self.marks(ids, 0, part.lo.max(1)..part.hi + 1);
        if part.lo == 0 {
            // Rows before the first known one are of the first block.
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
            // The list has moved meanwhile.
            let page = u64::from(self.blocks.page());
            part.tries += MAX_TRIES;
            (part.from, part.until) = (part.from.saturating_sub(page), part.until.saturating_add(page));
            self.parts.push(part);
        } else {
            self.gave_up = true;
        }
    }

    /// Where some of the blocks begin among the rows, in their order.
    fn marks(&self, ids: &[u64], offset: u64, blocks: Range<usize>) -> Vec<(usize, u64)> {
        let mut marks: Vec<(usize, u64)> = Vec::new();
        for (row, id) in (0_u64..).zip(ids) {
            let Some((block, place)) = self.places.get(id) else { continue };
            // A block that begins before these rows cannot be told from one whose first rows went, but for this.
            let begins_here = row >= *place;
            let is_next = marks.last().is_none_or(|(last, _)| last < block);
            if begins_here && is_next && blocks.contains(block) {
                marks.push((*block, offset.saturating_add(row)));
            }
        }
        marks
    }

    /// How many pages were asked for, those of the stretches included.
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
