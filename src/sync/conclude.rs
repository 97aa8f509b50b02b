//! What follows from a list that was read to its end: marks, anchors, the standing gap, and which rows are gone.
//!
//! A row is suspected of being gone when a crossing that proves the whole list did not meet it. Whether it is gone is then
//! asked about it alone, twice ([`super::hot`]). Where a great part of the rows would be gone at once, a broken server is the
//! likelier story, and nobody is asked anything.

use std::collections::HashSet;

use super::Error;
use super::crossing::Crossing;
use super::memory::Urgent;
use super::order::Order;
use super::recheck::Reason;
use super::round::Round;
use super::upstream::{Source, Upstream};
use super::walk::Doubt;
use crate::model::Listing;
use crate::store::Whereabouts;

/// So many rows may be gone at once without raising suspicion, …
const FEW: u64 = 20;
/// … or one in so many.
const SHARE: u64 = 100;
/// Rows asked of the database at a time.
const ROWS: u64 = 500;

impl<U: Upstream> Round<'_, U> {
    /// Learns from a crossing that came to the end of the list. Returns why it proves nothing, if it does not.
    pub(super) async fn conclude<R: Source>(
        &mut self,
        crossing: &mut Crossing,
        ended: Result<(), Doubt>,
    ) -> Result<Option<String>, Error> {
        let settings = &self.syncer.settings;
        self.progress.page_limit =
            crossing.walk.learned_cap(settings.page_size).and_then(|cap| i32::try_from(cap).ok());
        self.memory.page = crossing.walk.page_size().or(self.memory.page);
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
        self.progress.proved_through = self.progress.proved_through.max(Some(crossing.started_at));
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
    pub(super) fn adopt_ends(&mut self, crossing: &Crossing) {
        self.memory.head = crossing.first();
        self.memory.tail = crossing.last();
        self.memory.length = crossing.walk.end_offset().unwrap_or(self.memory.length);
    }

    /// Notes the rows to ask after that the crossing should have met and did not. Returns how many known rows the list does
    /// not have.
    async fn suspect<R: Source>(&mut self, crossing: &Crossing) -> Result<u64, Error> {
        let store = &self.syncer.store;
        let census = store.census(self.listing).await?;
        let blocked = if R::HOME == Listing::Wallets { self.blocked().await? } else { Vec::new() };
        let reason = if self.listing == Listing::Blocked { Reason::Unblocked } else { Reason::Absent };
        // Those of earlier sweeps that wait for their second answer are not gone all at once with these.
        let rechecks = &self.memory.rechecks;
        let is_new = |row: &Whereabouts| !rechecks.waits(&row.id, reason);
        // What cannot be read at present is listed all the same.
        let is_unreadable = |row: &Whereabouts| self.rejects.contains_key(&(self.listing, row.id.clone()));
        let mut suspects = Vec::new();
        let mut absent = 0_u64;
        let most = FEW.max(u64::try_from(census.listed).unwrap_or(0) / SHARE);
        if self.listing == Listing::Blocked {
            let gone = |row: &Whereabouts| row.row_no <= crossing.known_until && !crossing.seen.contains(row.row_no);
            suspects = blocked.into_iter().filter(gone).filter(|row| !is_unreadable(row)).collect();
            absent = u64::try_from(suspects.len()).unwrap_or(u64::MAX);
            suspects.retain(is_new);
        } else {
            // A server may leave blocked wallets out of the plain list; the list of blocked ones looks after them.
            let blocked: HashSet<i64> = blocked.into_iter().map(|row| row.row_no).collect();
            let mut numbers = crossing.seen.absent(crossing.known_until).peekable();
            while numbers.peek().is_some() {
                let chunk: Vec<i64> = numbers.by_ref().take(usize::try_from(ROWS).unwrap_or(1)).collect();
                let mut rows = store.by_row_no::<R>(&chunk).await?;
                rows.retain(|row| !is_unreadable(row));
                absent += u64::try_from(rows.len()).unwrap_or(u64::MAX);
                suspects.extend(rows.into_iter().filter(|row| !blocked.contains(&row.row_no) && is_new(row)));
                // Enough to know that nothing will be believed; how many more there are is nobody's business.
                suspects.truncate(usize::try_from(most).unwrap_or(0).saturating_add(1));
            }
        }
        let many = u64::try_from(suspects.len()).unwrap_or(u64::MAX) > most;
        // That a wallet is not blocked any more is believed when it is seen to be so, however many they are.
        let is_blocked_list = self.listing == Listing::Blocked;
        if many && !self.memory.alarmed && !is_blocked_list {
            tracing::error!(
                listing = %self.listing, limit = most,
                "more rows are gone from the list than can be true; none of them is marked as missing"
            );
        }
        self.memory.alarmed = many;
        if !many || is_blocked_list {
            for row in suspects {
                if let Some(user) = row.external_id {
                    self.want(user.as_str(), &row.id, reason);
                }
            }
        }
        Ok(absent)
    }

    /// Every wallet that is known to be blocked.
    async fn blocked(&self) -> Result<Vec<Whereabouts>, Error> {
        let mut all: Vec<Whereabouts> = Vec::new();
        loop {
            let after = all.last().map_or(0, |row| row.row_no);
            let rows = self.syncer.store.blocked_wallets(after, ROWS).await?;
            if rows.is_empty() {
                return Ok(all);
            }
            all.extend(rows);
        }
    }
}
