//! Reads a list of a few pages page by page, one in each round, besides the end where new rows appear.
//!
//! So a quiet round takes two requests, and a change is noticed after at most as many rounds as there are pages.

use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::sync::Error;
use crate::sync::round::Round;
use crate::sync::scan::reader::{Reader, Scope};
use crate::sync::scan::walk::Read;
use crate::sync::upstream::{Source, Upstream};

/// The most pages of a list that is read this way.
const MAX_PAGES: u64 = 8;

impl<U: Upstream> Round<'_, U> {
    /// Whether reading all of it costs little enough to do so as soon as its count does not add up.
    pub(in crate::sync) fn is_few(&self) -> bool {
        self.has_at_most(MAX_PAGES)
    }

    /// Reads the page whose turn it is, unless the round has read all of them.
    pub(in crate::sync) async fn next_page<R: Source>(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        if self.extent.is_whole || !self.is_few() {
            return Ok(());
        }
        let limit = self.page_limit();
        // The first page is read by the round itself where new rows join there.
        let first = if self.memory.order.order().wants_head() { u64::from(limit) } else { 0 };
        let offset = self.memory.next_page.max(first);
        let mut reader: Reader<U, R> = self.reader(Scope::all(self.listing, Priority::Fresh), false);
        let Some(page) = self.take(&mut reader, Read { offset, limit }, &[], stop).await? else { return Ok(()) };
        let seen = page.seen();
        let fates = self.keep(page).await?;
        self.tally.rows += seen.returned;
        self.note_places(offset, &fates, seen.total);
        let next = offset.saturating_add(seen.returned);
        let is_last = seen.returned == 0 || next >= self.memory.length.max(seen.total.unwrap_or(0));
        self.memory.next_page = if is_last { 0 } else { next };
        Ok(())
    }
}
