//! What follows from a list that was read to its end: marks, anchors, the standing gap, and which rows are gone.
//!
//! A row is suspected of being gone when a crossing that proves the whole list did not meet it; what becomes of it is in
//! [`crate::sync::confirm::removals`].

use crate::sync::Error;
use crate::sync::learn::memory::Urgent;
use crate::sync::learn::order::Order;
use crate::sync::round::Round;
use crate::sync::scan::crossing::Crossing;
use crate::sync::scan::walk::Doubt;
use crate::sync::upstream::{Source, Upstream};

impl<U: Upstream> Round<'_, U> {
    /// Learns from a crossing that came to the end of the list. Returns why it proves nothing, if it does not.
    pub(in crate::sync) async fn conclude<R: Source>(
        &mut self,
        crossing: &mut Crossing,
        ended: Result<(), Doubt>,
    ) -> Result<Option<String>, Error> {
        let settings = &self.syncer.settings;
        self.progress.page_limit =
            crossing.walk.learned_cap(settings.page_size).and_then(|cap| i32::try_from(cap).ok());
        self.memory.page = crossing.walk.page_size().or(self.memory.page);
        self.memory.only_page = crossing.walk.only_page().filter(|_| ended.is_ok());
        self.progress.last_total = self.tally.total.and_then(|total| i64::try_from(total).ok());
        if matches!(ended, Ok(()) | Err(Doubt::NoTotal | Doubt::SingleRows)) {
            // The list was read to its end. Whatever turns up from now on is told: an item that could not be read this
            // time, or whose age nobody knows, must not count as history for ever.
            self.progress.import_done_at = self.progress.import_done_at.or(Some(self.now()));
        }
        let total = self.tally.total;
        let beyond = crossing.counted_beyond(total).filter(|_| ended.is_ok());
        self.memory.gap.note_scan(beyond, self.now());
        if let Err(doubt) = ended {
            // Sweeping at once again would prove no more.
            if !self.memory.gap.is_trusted() {
                self.memory.urgent = None;
            }
            return Ok(Some(doubt.to_string()));
        }
        if let Some(doubt) = Self::too_many_rejects(crossing.unkept()) {
            return Ok(Some(doubt));
        }
        self.forget_rejects(crossing.started_at).await?;
        let absent = self.suspect::<R>(crossing).await?;
        if crossing.disorder() {
            self.memory.order.disorder();
            let listed = self.syncer.store.census(self.listing).await?.listed;
            if total.and_then(|total| i64::try_from(total).ok()) != Some(listed) {
                self.memory.urgent = Some(Urgent::Disorder);
                return Ok(Some(Urgent::Disorder.to_string()));
            }
        } else {
            self.memory.order.swept_in_order();
        }
        self.progress.complete_through = self.progress.complete_through.max(Some(crossing.started_at));
        if !crossing.walk.rests_on_known_page() {
            self.progress.proved_through = self.progress.proved_through.max(Some(crossing.started_at));
        }
        // What joined after it began may lie where it had been already.
        if crossing.explains() {
            self.memory.urgent = None;
        }
        if self.memory.order.order() == Order::Unknown {
            self.memory.order.seed(crossing.dates());
        }
        if let Some(blocks) = crossing.take_blocks().filter(|_| self.memory.order.order() == Order::Scattered) {
            self.keep_blocks(blocks).await?;
        }
        // Rows that left after their page was read are not among the absent, but `total` knows: the lower of the two is the
        // one above which a row must be missing. Not if others joined meanwhile where it had been already: the two cancel out,
        // so it may rise only to explain a surplus that was known before.
        let listed = self.syncer.store.census(self.listing).await?.listed;
        let told = total.and_then(|total| i64::try_from(total).ok()).map_or(0, |total| total.saturating_sub(listed));
        let surplus = i64::try_from(self.memory.gap.surplus()).unwrap_or(0);
        let found = told.min(surplus.saturating_sub(i64::try_from(absent).unwrap_or(i64::MAX)));
        self.memory.counted_until = crossing.known_until;
        self.memory.gap.settle(if crossing.explains() { found } else { found.min(self.memory.gap.base()) });
        Ok(None)
    }

    /// Takes over the ends that a crossing has seen; for those that begin and end within one round.
    pub(in crate::sync) fn adopt_ends(&mut self, crossing: &Crossing) {
        self.memory.head = crossing.first();
        self.memory.tail = crossing.last();
        self.memory.length = crossing.walk.end_offset().unwrap_or(self.memory.length);
    }
}
