//! A list that fits into one page, read again and again.
//!
//! Whether there is more behind such a page only another one tells. Once that was looked at, the same page with the same `total`
//! is the same list: but for a server that gives just as many rows as there were, whatever comes behind them, and tells of no
//! more. So what rests on the page alone is no proof.

use twox_hash::XxHash3_64;

use super::{Seen, Step, Walk};

/// What is known of the page at the top.
#[derive(Debug, Default)]
pub(super) struct Only {
    /// The page that was proved to be the whole list before.
    known: Option<u64>,
    /// The page at the top as this walk has read it, and how many rows it has.
    top: Option<(u64, u64)>,
    rests_on_it: bool,
}

impl Walk {
    /// Tells the walk which page was proved to be the whole list, as [`Walk::only_page`] gave it: if it comes again, nothing else
    /// is read.
    #[must_use]
    pub fn knowing_page(mut self, page: Option<u64>) -> Self {
        self.only.known = page;
        self
    }

    /// Whether the walk ended with that page.
    #[must_use]
    pub fn rests_on_known_page(&self) -> bool {
        self.only.rests_on_it
    }

    /// The page that is the whole list, once its end was read, if it is one page long.
    #[must_use]
    pub fn only_page(&self) -> Option<u64> {
        let (page, rows) = self.only.top?;
        (self.ended_at == Some(rows)).then_some(page)
    }

    /// Takes note of the page at the top.
    pub(super) fn note_top(&mut self, seen: &Seen) {
        if self.offset == 0 {
            self.only.top = Some((page_of(seen), seen.returned));
        }
    }

    /// Ends the walk where the page that was just read is known to be the whole list.
    pub(super) fn end_with_known_page(&mut self, seen: &Seen) -> Option<Step> {
        let is_top = self.offset == 0 && self.start == 0 && self.requests == 1;
        let is_known = is_top && self.only.known.is_some() && self.only.known == self.only.top.map(|(page, _)| page);
        if !is_known {
            return None;
        }
        self.only.rests_on_it = true;
        self.note_end(seen);
        Some(self.proof())
    }
}

/// The rows of a page in their order, and the `total` beside them.
fn page_of(Seen { returned, ids, total }: &Seen) -> u64 {
    let numbers = [*returned, total.map_or(0, |total| total.saturating_add(1))];
    let bytes: Vec<u8> = numbers.iter().chain(ids).flat_map(|number| number.to_le_bytes()).collect();
    XxHash3_64::oneshot(&bytes)
}
