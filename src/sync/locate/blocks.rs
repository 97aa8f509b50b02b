//! An index of a list: where each stretch of about a page begins, and how many of its rows are known.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// How many ids tell where a block begins, as some may go.
const FIRST: usize = 3;

/// The blocks of a list, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    blocks: Vec<Block>,
    /// How many rows a page holds.
    page: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Block {
    first: Vec<u64>,
    count: u64,
}

/// Blocks in the making, page by page.
#[derive(Clone, Debug, Default)]
pub struct Builder(Blocks);

impl Builder {
    /// Adds a page: the rows of it that were on no page before, and how many they are.
    pub fn push(&mut self, first_ids: &[u64], count: u64) {
        if count > 0 {
            let first = first_ids.iter().copied().take(FIRST).collect();
            self.0.blocks.push(Block { first, count });
            self.0.page = self.0.page.max(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }

    #[must_use]
    pub fn build(self) -> Blocks {
        self.0
    }
}

impl Blocks {
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// How many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How many rows a page held when the index was made.
    #[must_use]
    pub fn page(&self) -> u32 {
        self.page.max(1)
    }

    /// How many rows are known from the block `lo` up to the block `hi`.
    #[must_use]
    pub fn known(&self, lo: usize, hi: usize) -> u64 {
        self.blocks.iter().take(hi).skip(lo).map(|block| block.count).sum()
    }

    /// Which id tells of which block, and how far from its beginning.
    pub(super) fn places(&self) -> HashMap<u64, (usize, u64)> {
        let mut places = HashMap::with_capacity(self.blocks.len() * FIRST);
        for (number, block) in self.blocks.iter().enumerate() {
            for (place, id) in (0..).zip(&block.first) {
                places.insert(*id, (number, place));
            }
        }
        places
    }

    /// From the block `lo` up to the block `hi` there are that many rows, all of them known now. Returns how many were not
    /// before.
    pub(super) fn settle(&mut self, lo: usize, hi: usize, count: u64) -> u64 {
        let others = self.known(lo.saturating_add(1), hi);
        let before = self.known(lo, hi);
        if let Some(block) = self.blocks.get_mut(lo) {
            block.count = count.saturating_sub(others);
        }
        count.saturating_sub(before)
    }
}
