//! Evaluates a full scan at its end: the page limit, the watermarks, the gap, and the rows that it did not list.
//!
//! A row is suspected of being gone when a full scan that proves the whole list did not contain it.
//! [`crate::sync::confirm::removals`] decides what follows.

use crate::model::Listing;
use crate::store::Ending;
use crate::sync::Error;
use crate::sync::learn::memory::Urgent;
use crate::sync::learn::order::Order;
use crate::sync::learn::shrinkage::Counted;
use crate::sync::round::Round;
use crate::sync::scan::full::FullScan;
use crate::sync::scan::walk::Doubt;
use crate::sync::upstream::{Source, Upstream};

impl<U: Upstream> Round<'_, U> {
    /// Learns from a full scan that came to the end of the list. Returns why it proves nothing, if so.
    pub(in crate::sync) async fn conclude<R: Source>(
        &mut self,
        scan: &mut FullScan,
        ended: Result<(), Doubt>,
    ) -> Result<Option<String>, Error> {
        let settings = &self.syncer.settings;
        let limit = scan.walk.learned_limit(settings.page_size);
        self.progress.page_limit = limit.and_then(|limit| i32::try_from(limit).ok());
        self.memory.page = scan.walk.page_size().or(self.memory.page);
        self.memory.only_page = scan.walk.only_page().filter(|_| ended.is_ok());
        self.progress.last_total = self.tally.total.and_then(|total| i64::try_from(total).ok());
        if matches!(ended, Ok(()) | Err(Doubt::NoTotal | Doubt::SingleRows)) {
            self.end_import().await?;
        }
        let total = self.tally.total;
        let beyond = scan.counted_beyond(total).filter(|_| ended.is_ok());
        self.memory.gap.note_scan(beyond, self.now());
        if let Err(doubt) = ended {
            // Another sweep at once would prove no more.
            if !self.memory.gap.is_trusted() {
                self.memory.urgent = None;
            }
            // The age of a blocked wallet does not tell where it joined, and no count would show that the guess is wrong.
            if doubt == Doubt::NoTotal && self.listing != Listing::Blocked {
                self.note_order(scan);
            }
            return Ok(Some(doubt.to_string()));
        }
        if let Some(doubt) = Self::too_many_rejects(scan.unkept()) {
            return Ok(Some(doubt));
        }
        self.forget_rejects(scan.started_at).await?;
        let absent = self.suspect::<R>(scan).await?;
        self.note_order(scan);
        if scan.disorder() {
            let listed = self.syncer.store.row_counts(self.listing).await?.listed;
            if total.and_then(|total| i64::try_from(total).ok()) != Some(listed) {
                self.memory.urgent = Some(Urgent::Disorder);
                return Ok(Some(Urgent::Disorder.to_string()));
            }
        }
        self.progress.complete_through = self.progress.complete_through.max(Some(scan.started_at));
        if !scan.walk.rests_on_known_page() {
            self.progress.proved_through = self.progress.proved_through.max(Some(scan.started_at));
        }
        // Only a scan that began after the surplus was known explains it: a later row may have joined on pages that
        // were already read.
        if scan.explains() {
            self.memory.urgent = None;
        }
        if let Some(blocks) = scan.take_blocks().filter(|_| self.memory.order.order() == Order::Scattered) {
            self.keep_blocks(blocks).await?;
        }
        // Rows that left after their page was read are not among the absent, but `total` no longer counts them. So the
        // lower of the two values is the base of the gap. Rows that joined meanwhile on pages that were already read
        // can cancel them out, so the base rises only to explain a surplus that was known before.
        let listed = self.syncer.store.row_counts(self.listing).await?.listed;
        let told = total.and_then(|total| i64::try_from(total).ok()).map_or(0, |total| total.saturating_sub(listed));
        let surplus = i64::try_from(self.memory.gap.surplus()).unwrap_or(0);
        let absent = i64::try_from(absent).unwrap_or(i64::MAX);
        let found = told.min(surplus.saturating_sub(absent));
        let to_confirm = self.memory.removals.absent();
        let proof = beyond.map(|beyond| Counted { listed, gap: beyond.saturating_sub(absent), absent: to_confirm });
        self.memory.shrinkage.note_scan(scan.started_at, proof, self.now());
        self.memory.counted_until = scan.known_until;
        self.memory.gap.settle(if scan.explains() { found } else { found.min(self.memory.gap.base()) });
        Ok(None)
    }

    /// Notes whether the scan found the rows in order, and guesses the order if it is not known.
    fn note_order(&mut self, scan: &FullScan) {
        if scan.disorder() {
            self.memory.order.disorder();
        } else {
            self.memory.order.swept_in_order();
        }
        if self.memory.order.order() == Order::Unknown {
            self.memory.order.seed(scan.dates());
        }
    }

    /// Ends the first import, as the list was read to its end. From now on every new row is news: an item that could
    /// not be read this time, or whose age is not known, must not count as history for ever. A guest leaves this to the
    /// process that leads.
    async fn end_import(&mut self) -> Result<(), Error> {
        if self.progress.import_done_at.is_some() || self.is_guest() {
            return Ok(());
        }
        let now = self.now();
        if self.options.ending == Ending::Commit {
            self.syncer.store.end_import(self.listing, now, self.fence()).await?;
        }
        self.progress.import_done_at = Some(now);
        Ok(())
    }

    /// Takes over the ends of a full scan that began and ended within one round.
    pub(in crate::sync) fn adopt_ends(&mut self, scan: &FullScan) {
        self.memory.head = scan.first();
        self.memory.tail = scan.last();
        self.memory.length = scan.walk.end_offset().unwrap_or(self.memory.length);
    }
}
