//! Recognises a list that fits into one page and has not changed.
//!
//! Only a second page shows whether more rows follow such a page. Once that was read, the same page with the same
//! `total` means the same list. There is one exception: a server that cuts its pages to just that number of rows, and
//! whose `total` counts no more. So a result that rests on this page alone is no proof.

use twox_hash::XxHash3_64;

use super::{Seen, Step, Walk};

/// What is known about the page at offset 0.
#[derive(Debug, Default)]
pub(super) struct Only {
    /// The page that was proved to be the whole list before.
    known: Option<u64>,
    /// The page at offset 0 as this walk has read it.
    top: Option<Top>,
    rests_on_it: bool,
}

#[derive(Clone, Copy, Debug)]
struct Top {
    hash: u64,
    rows: u64,
    /// Whether its `total` counts no other rows.
    is_all: bool,
}

impl Walk {
    /// Sets the page that was proved to be the whole list, as [`Walk::only_page`] returned it. If the same page comes
    /// again, nothing else is read.
    #[must_use]
    pub fn knowing_page(mut self, page: Option<u64>) -> Self {
        self.only.known = page;
        self
    }

    /// Whether the walk ended because the page was known.
    #[must_use]
    pub fn rests_on_known_page(&self) -> bool {
        self.only.rests_on_it
    }

    /// A hash of the page that is the whole list, once its end was read; none if the list is longer, or was when the
    /// page was read.
    #[must_use]
    pub fn only_page(&self) -> Option<u64> {
        let top = self.only.top?;
        (top.is_all && self.ended_at == Some(top.rows)).then_some(top.hash)
    }

    /// Notes the page at offset 0.
    pub(super) fn note_top(&mut self, seen: &Seen) {
        if self.offset == 0 {
            let (hash, rows, is_all) = (page_of(seen), seen.returned, self.reaches_total(seen));
            self.only.top = Some(Top { hash, rows, is_all });
        }
    }

    /// Ends the walk if the page that was just read is known to be the whole list.
    pub(super) fn end_with_known_page(&mut self, seen: &Seen) -> Option<Step> {
        let is_top = self.offset == 0 && self.start == 0 && self.requests == 1;
        let is_known = is_top && self.only.known.is_some() && self.only.known == self.only.top.map(|top| top.hash);
        if !is_known {
            return None;
        }
        self.only.rests_on_it = true;
        self.note_end(seen);
        Some(self.proof())
    }
}

/// A hash of the rows of a page in their order, and of its `total`.
fn page_of(Seen { returned, ids, total }: &Seen) -> u64 {
    let numbers = [*returned, total.map_or(0, |total| total.saturating_add(1))];
    let bytes: Vec<u8> = numbers.iter().chain(ids).flat_map(|number| number.to_le_bytes()).collect();
    XxHash3_64::oneshot(&bytes)
}
