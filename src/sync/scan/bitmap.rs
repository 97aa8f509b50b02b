//! Records which rows a full scan has seen: one bit for each row number.
//!
//! It has chunks that are loaded and stored one by one.
//!
//! Chunk `n` holds the 65,536 numbers from `n * 65,536 + 1` on, the lowest bit of the first byte first. Ten million
//! rows take 1.25 MB.

use std::collections::BTreeMap;

/// How many numbers a chunk holds.
const CHUNK: i64 = 65_536;
/// The bytes of a chunk: one bit for each number.
const BYTES: usize = 8_192;
const WORDS: usize = BYTES / size_of::<u64>();

/// The row numbers that were seen. They begin with 1; 0 and negative numbers are never seen.
#[derive(Clone, Debug, Default)]
pub struct Bitmap {
    chunks: BTreeMap<i32, Chunk>,
    count: u64,
}

#[derive(Clone, Debug)]
struct Chunk {
    words: Vec<u64>,
    is_dirty: bool,
}

impl Bitmap {
    /// Loads stored chunks. A chunk that is cut short is filled up with rows not seen.
    #[must_use]
    pub fn load(chunks: impl IntoIterator<Item = (i32, Vec<u8>)>) -> Self {
        let mut seen = Self::default();
        for (number, bytes) in chunks.into_iter().filter(|(number, _)| *number >= 0) {
            let mut words = vec![0; WORDS];
            for (word, bytes) in words.iter_mut().zip(bytes.chunks(size_of::<u64>())) {
                let mut whole = [0; size_of::<u64>()];
                whole.iter_mut().zip(bytes).for_each(|(byte, stored)| *byte = *stored);
                *word = u64::from_le_bytes(whole);
            }
            seen.chunks.insert(number, Chunk { words, is_dirty: false });
        }
        seen.count = seen.chunks.values().flat_map(|chunk| &chunk.words).map(|word| u64::from(word.count_ones())).sum();
        seen
    }

    /// Notes a row. Returns whether it is the first time.
    pub fn insert(&mut self, row_no: i64) -> bool {
        let Some((number, word, bit)) = place(row_no) else { return false };
        let fresh = || Chunk { words: vec![0; WORDS], is_dirty: false };
        let chunk = self.chunks.entry(number).or_insert_with(fresh);
        let Some(word) = chunk.words.get_mut(word) else { return false };
        let is_new = *word & bit == 0;
        *word |= bit;
        chunk.is_dirty |= is_new;
        self.count += u64::from(is_new);
        is_new
    }

    #[must_use]
    pub fn contains(&self, row_no: i64) -> bool {
        place(row_no).is_some_and(|(number, word, bit)| self.word(number, word) & bit != 0)
    }

    /// How many rows were seen.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The chunks that have changed since they were last taken or loaded.
    pub fn take_dirty(&mut self) -> Vec<(i32, Vec<u8>)> {
        let dirty = self.chunks.iter_mut().filter_map(|(number, chunk)| {
            let is_dirty = std::mem::take(&mut chunk.is_dirty);
            is_dirty.then(|| (*number, chunk.words.iter().flat_map(|word| word.to_le_bytes()).collect()))
        });
        dirty.collect()
    }

    /// The numbers from 1 to `until` that were not seen, in their order.
    pub fn absent(&self, until: i64) -> impl Iterator<Item = i64> {
        words(until).flat_map(move |(number, word, mask, first)| {
            let mut missing = !self.word(number, word) & mask;
            std::iter::from_fn(move || {
                let place = (missing != 0).then(|| missing.trailing_zeros())?;
                missing &= missing - 1;
                Some(first + i64::from(place))
            })
        })
    }

    /// How many of the numbers from 1 to `until` were not seen.
    #[must_use]
    pub fn absent_count(&self, until: i64) -> u64 {
        let seen: u64 = self
            .chunks
            .iter()
            .flat_map(|(number, chunk)| (0_i64..).zip(&chunk.words).map(|(word, bits)| (first_of(*number, word), bits)))
            .map(|(first, bits)| u64::from((bits & mask(first, until)).count_ones()))
            .sum();
        u64::try_from(until).unwrap_or(0).saturating_sub(seen)
    }

    fn word(&self, number: i32, word: usize) -> u64 {
        self.chunks.get(&number).and_then(|chunk| chunk.words.get(word)).copied().unwrap_or(0)
    }
}

/// The chunk that the number is in, the word and the bit.
fn place(row_no: i64) -> Option<(i32, usize, u64)> {
    let index = row_no.checked_sub(1).filter(|index| *index >= 0)?;
    let number = i32::try_from(index / CHUNK).ok()?;
    let word = usize::try_from(index % CHUNK / 64).ok()?;
    Some((number, word, 1 << (index % 64)))
}

/// The first number of a word of a chunk.
fn first_of(number: i32, word: i64) -> i64 {
    i64::from(number) * CHUNK + word * 64 + 1
}

/// The bits of the word that are for numbers up to `until`.
fn mask(first: i64, until: i64) -> u64 {
    match until.saturating_sub(first) {
        ..0 => 0,
        last @ 0..63 => u64::MAX >> (63 - last),
        63.. => u64::MAX,
    }
}

/// The words that hold the numbers up to `until`, each with its chunk, a mask of its bits, and its first number.
fn words(until: i64) -> impl Iterator<Item = (i32, usize, u64, i64)> {
    let firsts = (0_i64..).map(|word| word * 64 + 1).take_while(move |first| *first <= until);
    firsts.filter_map(move |first| place(first).map(|(number, word, _)| (number, word, mask(first, until), first)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_row_number_is_never_seen() {
        let mut seen = Bitmap::default();
        for number in [0, -1, i64::MIN, i64::MAX] {
            assert!(!seen.insert(number) && !seen.contains(number), "{number}");
        }
        assert_eq!((seen.len(), seen.take_dirty().len(), seen.absent_count(-5)), (0, 0, 0));
        assert_eq!(seen.absent(0).count(), 0);
    }

    #[test]
    fn chunks_hold_65536_numbers_in_8_kib() {
        let mut seen = Bitmap::default();
        for number in [1, 65_536, 65_537, 200_000] {
            assert!(seen.insert(number));
        }
        let dirty = seen.take_dirty();
        assert_eq!(
            dirty.iter().map(|(number, bytes)| (*number, bytes.len())).collect::<Vec<_>>(),
            [(0, 8_192), (1, 8_192), (3, 8_192)]
        );
        assert_eq!((dirty[0].1[0], dirty[0].1[8_191], dirty[1].1[0]), (1, 0x80, 1));
        assert!(!seen.insert(1));
        assert!(seen.take_dirty().is_empty());
        assert!(seen.insert(65_538));
        assert_eq!(seen.take_dirty().len(), 1);
    }

    #[test]
    fn a_chunk_cut_short_is_filled_up_and_one_too_long_cut() {
        let seen = Bitmap::load([(0, vec![0xff; 9]), (1, vec![0xff; 9_000]), (-1, vec![0xff])]);
        assert_eq!(seen.len(), 72 + 65_536);
        assert!(seen.contains(72) && !seen.contains(73) && seen.contains(131_072) && !seen.contains(131_073));
    }

    #[test]
    fn a_few_absent_rows_among_many_are_told() {
        let mut seen = Bitmap::default();
        for number in (1..=500_000).filter(|number| number % 100_000 != 0) {
            assert!(seen.insert(number));
        }
        assert_eq!(seen.absent(500_000).collect::<Vec<_>>(), (1..=5).map(|n| n * 100_000).collect::<Vec<_>>());
        assert_eq!(seen.absent_count(499_999), 4);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn it_agrees_with_a_set(numbers in proptest::collection::vec(1..70_000_i64, 0..400), until in -3..70_100_i64) {
            let mut seen = Bitmap::default();
            let mut set = BTreeSet::new();
            for number in numbers {
                prop_assert_eq!(seen.insert(number), set.insert(number));
            }
            let absent: Vec<i64> = (1..=until).filter(|number| !set.contains(number)).collect();
            for seen in [seen.clone(), Bitmap::load(seen.take_dirty())] {
                prop_assert_eq!(seen.len(), set.len() as u64);
                prop_assert_eq!(seen.absent_count(until), absent.len() as u64);
                prop_assert_eq!(seen.absent(until).collect::<Vec<_>>(), absent.clone());
            }
        }
    }
}
