//! What a walk learns of the size of pages.

use super::{OVERLAP_ROWS, Seen, Walk};

/// So many pages of the same few rows are the server's doing.
const CUT_AFTER_SHORT_PAGES: u64 = 10;

impl Walk {
    /// The page size that the server was seen to keep to, where it is smaller than what it was asked for, or the limit
    /// that it did not refuse.
    #[must_use]
    pub fn learned_cap(&self, wished: u32) -> Option<u32> {
        let cap = self.page_size().map_or(self.limit, |size| size.min(self.limit));
        (cap < wished).then_some(cap)
    }

    /// The page size that the server was seen to keep to, or was known to before, the limit itself included.
    #[must_use]
    pub fn page_size(&self) -> Option<u32> {
        // Where no total is told, or a wrong one, the first page of a short list looks like one in mid-list; that it was
        // one, the rows behind it tell.
        let is_known = self.mid_pages == 0 || self.mid_pages > 1;
        let is_sure = !self.sizes_vary && (is_known || (self.went_on && !(self.total_missing || self.is_guess)));
        // A list of so few rows that grows while it is read looks for a while as if it were cut, and would be read in such
        // pages ever after. To ask for single rows because a list had but one would be never to prove anything again.
        let is_worth_it = |size: &u64| match *size {
            1 => self.limit == 1,
            few if few <= OVERLAP_ROWS + 1 => {
                self.mid_pages == 0 || self.mid_pages >= CUT_AFTER_SHORT_PAGES || few >= u64::from(self.limit)
            }
            _ => true,
        };
        self.mid_page.filter(|_| is_sure).filter(is_worth_it).and_then(|size| u32::try_from(size).ok())
    }

    pub(super) fn limit_in_force(&self) -> u64 {
        self.mid_page.unwrap_or(u64::from(self.limit)).min(u64::from(self.limit))
    }

    /// Before a page in mid-list was read, a short page may be one that the server cut, and a `total` that is reached may
    /// be stale, or the number of rows on the page. So the walk looks further, unless the size of pages is known; if the list
    /// does end there, the next page shows it by being shorter, or by being empty if there is but one row.
    pub(super) fn could_be_cut(&self, seen: &Seen) -> bool {
        if self.mid_pages > 0 || seen.ids.is_empty() || self.confirming.as_ref() == Some(&seen.ids) {
            return false;
        }
        let end = self.offset.saturating_add(seen.returned);
        // One that this very page refutes says nothing.
        let is_credible = seen.total.is_some_and(|total| total >= end) || self.proved_end == Some(end);
        self.mid_page.is_none() || !is_credible
    }
}
