//! Indexes a list: where each block of about one page begins, and how many of its rows are known.
//!
//! It is stored in chunks. Only chunks that changed are written again.

use std::collections::{BTreeSet, HashMap};

/// How many ids identify the start of a block, because some of the rows may be removed.
const IDS_PER_BLOCK_START: usize = 3;
/// Blocks per chunk: about 34 kB at most.
const CHUNK: usize = 1_024;
/// The most blocks of an index that is stored: almost 7 MB.
const MAX_BLOCKS: usize = 200 * CHUNK;

/// The blocks of a list, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    blocks: Vec<Block>,
    /// How many rows a page holds.
    page: u32,
    /// The chunks that have changed since they were stored.
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Block {
    first: Vec<u64>,
    count: u64,
}

/// Builds the blocks, page by page.
#[derive(Clone, Debug, Default)]
pub struct Builder(Blocks);

impl Builder {
    /// Adds a page: the ids of its rows that were on no earlier page, and their number.
    pub fn push(&mut self, first_ids: &[u64], count: u64) {
        if count > 0 {
            let first = first_ids.iter().copied().take(IDS_PER_BLOCK_START).collect();
            self.0.dirty.insert(self.0.blocks.len() / CHUNK);
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

    /// Loads a stored index; none if there is none, or if it cannot be read.
    #[must_use]
    pub fn load(chunks: &[(i32, Vec<u8>)]) -> Option<Self> {
        let mut index = Self::default();
        for (number, (chunk, bytes)) in (0..).zip(chunks) {
            // All chunks before this one must be there, and full.
            (*chunk == number && index.blocks.len().is_multiple_of(CHUNK)).then_some(())?;
            let mut bytes = bytes.as_slice();
            index.page = index.page.max(u32::from_le_bytes(take(&mut bytes)?));
            while !bytes.is_empty() {
                let count = u64::from_le_bytes(take(&mut bytes)?);
                let [ids] = take(&mut bytes)?;
                let first = (0..ids).map(|_| Some(u64::from_le_bytes(take(&mut bytes)?))).collect::<Option<_>>()?;
                index.blocks.push(Block { first, count });
            }
        }
        (!index.is_empty()).then_some(index)
    }

    /// The chunks that have changed since the last call; all of a new index. None if the index is too long to store.
    pub fn take_dirty(&mut self) -> Vec<(i32, Vec<u8>)> {
        let dirty = std::mem::take(&mut self.dirty);
        if self.blocks.len() > MAX_BLOCKS {
            return Vec::new();
        }
        let chunk = |number: usize| {
            let mut bytes = self.page.to_le_bytes().to_vec();
            for Block { first, count } in self.blocks.chunks(CHUNK).nth(number).unwrap_or_default() {
                bytes.extend(count.to_le_bytes());
                bytes.push(u8::try_from(first.len()).unwrap_or(0));
                bytes.extend(first.iter().flat_map(|id| id.to_le_bytes()));
            }
            Some((i32::try_from(number).ok()?, bytes))
        };
        dirty.into_iter().filter_map(chunk).collect()
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

    /// The block of each id, and the distance of the id from its start.
    pub(super) fn places(&self) -> HashMap<u64, (usize, u64)> {
        let mut places = HashMap::with_capacity(self.blocks.len() * IDS_PER_BLOCK_START);
        for (number, block) in self.blocks.iter().enumerate() {
            for (place, id) in (0..).zip(&block.first) {
                places.insert(*id, (number, place));
            }
        }
        places
    }

    /// Notes that the blocks from `lo` to before `hi` have `count` rows, all of them known now. Returns how many were
    /// not known before.
    pub(super) fn settle(&mut self, lo: usize, hi: usize, count: u64) -> u64 {
        let others = self.known(lo.saturating_add(1), hi);
        let before = self.known(lo, hi);
        if let Some(block) = self.blocks.get_mut(lo) {
            let count = count.saturating_sub(others);
            if block.count != count {
                block.count = count;
                self.dirty.insert(lo / CHUNK);
            }
        }
        count.saturating_sub(before)
    }
}

/// Takes the next `N` bytes; none if there are fewer.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(blocks: u64) -> Blocks {
        let mut builder = Blocks::builder();
        (1..=blocks).for_each(|block| builder.push(&[block * 10, block * 10 + 1], 2));
        builder.build()
    }

    #[test]
    fn an_index_is_stored_in_chunks_and_read_back() {
        for blocks in [1, 1_023, 1_024, 1_025, 3_000] {
            let mut one = index(blocks);
            let chunks = one.take_dirty();
            assert_eq!(chunks.len(), usize::try_from(blocks).unwrap().div_ceil(CHUNK));
            assert_eq!(Blocks::load(&chunks), Some(one.clone()));
            assert!(one.take_dirty().is_empty());
        }
    }

    #[test]
    fn only_the_chunks_that_change_are_stored_again() {
        let mut one = index(3_000);
        let mut chunks = one.take_dirty();
        assert_eq!(one.settle(1_500, 1_501, 2), 0);
        assert!(one.take_dirty().is_empty());
        assert_eq!(one.settle(1_500, 1_501, 5), 3);
        let changed = one.take_dirty();
        assert_eq!(changed.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1]);
        chunks[1] = changed[0].clone();
        assert_eq!(Blocks::load(&chunks).unwrap().known(0, 3_000), 6_003);
    }

    #[test]
    fn what_cannot_be_read_is_no_index() {
        let chunks = index(3_000).take_dirty();
        assert_eq!(Blocks::load(&[]), None);
        assert_eq!(Blocks::load(&chunks[1..]), None, "the first is missing");
        assert_eq!(Blocks::load(&[chunks[0].clone(), chunks[2].clone()]), None, "the second is missing");
        for length in [0, 3, 5, 14, 100] {
            let cut = chunks[0].1[..length].to_vec();
            assert_eq!(Blocks::load(&[(0, cut)]), None, "{length} bytes");
        }
    }

    #[test]
    fn an_index_that_is_too_long_is_not_kept() {
        let mut builder = Blocks::builder();
        (0..=MAX_BLOCKS as u64).for_each(|block| builder.push(&[block], 1));
        assert!(builder.build().take_dirty().is_empty());
    }
}
