//! Learns the page size of the server: what it cuts pages to, or the limit that it does not refuse.

use super::{OVERLAP_ROWS, Seen, Walk};

/// After this number of pages with the same few rows, the server is known to cut its pages.
const CUT_AFTER_SHORT_PAGES: u64 = 10;

impl Walk {
    /// The page size that the server gives, if it is smaller than `wished`, or the limit that it did not refuse.
    #[must_use]
    pub fn learned_limit(&self, wished: u32) -> Option<u32> {
        let limit = self.page_size().map_or(self.limit, |size| size.min(self.limit));
        (limit < wished).then_some(limit)
    }

    /// The page size that the server gives, or was known to give before, even if it equals the limit.
    #[must_use]
    pub fn page_size(&self) -> Option<u32> {
        // Without a `total`, or with a wrong one, the first page of a short list looks like a page from the middle.
        // Rows after it show that it was one.
        let is_known = self.mid_pages == 0 || self.mid_pages > 1;
        let is_sure = !self.sizes_vary && (is_known || (self.went_on && !(self.total_missing || self.is_guess)));
        // A list of very few rows that grows during the walk looks as if its pages were cut, and would be read in such
        // small pages from then on. A list of one row must not lead to pages of one row: they can never prove anything.
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

    /// Whether a short page may have been cut by the server. Until a page from the middle was read, a `total` that is
    /// reached may be stale, or be the number of rows on the page. So the walk reads further, unless the page size is
    /// known. If the list does end there, the next page is shorter, or empty if there is only one row.
    pub(super) fn could_be_cut(&self, seen: &Seen) -> bool {
        if self.mid_pages > 0 || seen.ids.is_empty() || self.confirming.as_ref() == Some(&seen.ids) {
            return false;
        }
        let end = self.offset.saturating_add(seen.returned);
        // A `total` that this page exceeds says nothing.
        let is_credible = seen.total.is_some_and(|total| total >= end) || self.proved_end == Some(end);
        self.mid_page.is_none() || !is_credible
    }
}
