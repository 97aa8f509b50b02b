//! Decides what a round of the schedule reads, and whether it was complete.
//!
//! A list of one or two pages is read whole. A longer one is read at the ends where new rows join, if its order is
//! known, and its `total` is compared with the table. If rows are missing after repeated reads, they are searched for
//! by bisection, or the sweep becomes urgent. A list of a few pages is read whole as soon as the counts do not agree
//! ([`crate::sync::tail::few`]).

use tokio_util::sync::CancellationToken;

use super::Round;
use crate::model::Listing;
use crate::sync::learn::gap::{Comparison, gap_of};
use crate::sync::learn::memory::Urgent;
use crate::sync::learn::order::Order;
use crate::sync::learn::shrinkage::Counted;
use crate::sync::scan::full::{FullScan, Purpose};
use crate::sync::scan::walk::Doubt;
use crate::sync::tail::Extent;
use crate::sync::tail::extra_reads::{self, ExtraRead};
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Ended, Error};

/// A list of at most this number of pages is read whole: that takes no more requests than a quiet round may.
const MAX_WHOLE_PAGES: u64 = 2;
/// How often the ends are read before a surplus counts as unexplained.
const MAX_END_READS: u32 = 3;
const UNTRUE: &str =
    "`total` is not the number of rows that are listed, so a missed row would not be noticed but by a sweep";

const LEAVING: &str = "rows leave the list all the time, which hides those that join it; the sweep finds them";

impl<U: Upstream> Round<'_, U> {
    pub(in crate::sync) async fn tick<R: Source>(&mut self, stop: &CancellationToken) -> Result<Ended, Error> {
        self.memory.rounds += 1;
        self.extent = Extent::of_round(self.may_look_behind(), self.prefers_new_deposits());
        let ended = if self.progress.import_done_at.is_none() {
            self.import::<R>(stop).await?
        } else if self.is_short() {
            self.whole::<R>(stop).await?
        } else {
            self.ends_and_count::<R>(stop).await?
        };
        if let Ended::Stopped = ended {
            return Ok(ended);
        }
        self.note_shrinkage();
        self.next_page::<R>(stop).await?;
        self.recent_rows::<R>(stop).await?;
        Ok(ended)
    }

    /// Whether this round also reads where no new rows are expected. Only lists with a known order have such a place.
    fn may_look_behind(&mut self) -> bool {
        // In a list of a few pages, each page is read in turn anyway.
        let has_such = self.memory.only_page.is_some()
            || (!self.is_few()
                && matches!(self.memory.order.order(), Order::Newest | Order::Oldest | Order::Scattered));
        let is_due = self.memory.rounds.saturating_sub(self.memory.looked_behind) >= extra_reads::ROUNDS_BETWEEN;
        let may = has_such && is_due && self.syncer.may_read_extra(ExtraRead::Behind(self.listing));
        if may {
            self.memory.looked_behind = self.memory.rounds;
        }
        may
    }

    /// Whether the list is read whole in every round: it is short, or has few pages and no known order or no `total`.
    fn is_short(&self) -> bool {
        let tells = matches!(self.memory.order.order(), Order::Newest | Order::Oldest | Order::Scattered);
        let is_told = self.progress.last_total.is_some();
        self.has_at_most(MAX_WHOLE_PAGES) || (!(tells && is_told) && self.is_few())
    }

    /// Whether the list has at most `pages` pages, as far as is known.
    pub(in crate::sync) fn has_at_most(&self, pages: u64) -> bool {
        let total = self.progress.last_total.and_then(|total| u64::try_from(total).ok()).unwrap_or(0);
        let page = u64::from(self.page_limit());
        self.memory.length.max(total) <= pages * page
    }

    /// Runs or continues the first import.
    async fn import<R: Source>(&mut self, stop: &CancellationToken) -> Result<Ended, Error> {
        let stored = self.syncer.store.sweep(self.listing).await?;
        let scan = stored.and_then(|(state, chunks)| FullScan::resume(Purpose::Import, &state, chunks));
        let mut scan = match scan {
            Some(scan) => scan,
            None => self.full_scan(Purpose::Import).await?,
        };
        let ended = self.all_of_it::<R>(&mut scan, stop).await?;
        if !matches!(ended, Ended::Stopped) {
            self.syncer.store.end_sweep(self.listing, self.fence()).await?;
        }
        Ok(ended)
    }

    async fn ends_and_count<R: Source>(&mut self, stop: &CancellationToken) -> Result<Ended, Error> {
        let mut looks = 0;
        let mut base = self.memory.gap.base();
        let (ends, comparison) = loop {
            looks += 1;
            let Some(ends) = self.ends::<R>(stop).await? else { return Ok(Ended::Stopped) };
            let listed = self.syncer.store.row_counts(self.listing).await?.listed;
            self.note_unblocked(listed);
            base = base.max(self.memory.gap.base());
            let comparison = self.memory.gap.compare(ends.total, listed);
            self.progress.gap = gap_of(ends.total, listed);
            if !self.extent.has_all_ends() && (comparison != Comparison::Equal || self.tally.appeared > 0) {
                self.extent.take_tail();
                looks = 0;
                continue;
            }
            // Writes may be in flight, so the ends are read again; and a row that left must not hide one that joins
            // later.
            let is_odd = match comparison {
                Comparison::Missing(_) => !self.memory.was_looked_for(self.progress.gap),
                Comparison::Fewer => true,
                Comparison::Equal | Comparison::Unknown => false,
            };
            if !is_odd || ends.certified.is_err() || looks == MAX_END_READS || self.is_few() {
                break (ends, comparison);
            }
        };
        self.progress.last_total = ends.total.and_then(|total| i64::try_from(total).ok());
        if let Some(doubt) = Self::too_many_rejects(self.unkept) {
            return Ok(Ended::Incomplete(doubt));
        }
        if let Err(doubt) = ends.certified {
            return Ok(Ended::Incomplete(doubt.to_string()));
        }
        if self.listing == Listing::Blocked && self.memory.gap.base() < base {
            // Wallets were unblocked, and only a full scan shows which.
            return self.whole::<R>(stop).await;
        }
        if self.memory.urgent.is_none() && self.is_count_blurred().await? {
            self.memory.urgent = Some(Urgent::Blocked);
        }
        if self.is_few() && (comparison != Comparison::Equal || self.memory.urgent.is_some()) {
            if matches!(comparison, Comparison::Missing(_)) {
                self.memory.urgent = Some(Urgent::Surplus);
            }
            return self.whole::<R>(stop).await;
        }
        match (comparison, self.memory.urgent) {
            // Rows that left may have cancelled out the surplus since. Only a sweep that began later shows whether a
            // row is missing.
            (Comparison::Equal | Comparison::Fewer, Some(urgent)) => return Ok(Ended::Incomplete(urgent.to_string())),
            (Comparison::Equal, None) => {}
            (Comparison::Fewer, None) if !self.memory.order.order().is_known_end() => {
                return Ok(Ended::Incomplete(LEAVING.to_owned()));
            }
            (Comparison::Fewer, None) => {}
            (Comparison::Unknown, _) if ends.total.is_none() => {
                return Ok(Ended::Incomplete(Doubt::NoTotal.to_string()));
            }
            (Comparison::Unknown, _) => return Ok(Ended::Incomplete(UNTRUE.to_owned())),
            (Comparison::Missing(missing), urgent) => {
                let gap = self.progress.gap;
                if self.memory.was_looked_for(gap) || !self.find::<R>(ends.total, missing, stop).await? {
                    if stop.is_cancelled() {
                        return Ok(Ended::Stopped);
                    }
                    self.memory.urgent = Some(Urgent::Surplus);
                    self.memory.unexplained = self.memory.unexplained.max(gap);
                    let (rows, them) = if missing == 1 { ("row than was", "it") } else { ("rows than were", "them") };
                    return Ok(Ended::Incomplete(format!(
                        "`total` counts {missing} more {rows} found; a sweep looks for {them}"
                    )));
                }
                if let Some(urgent) = urgent {
                    return Ok(Ended::Incomplete(urgent.to_string()));
                }
            }
        }
        // Nothing is wrong with a list of which only one end was read, but nothing more is proved of it.
        if self.extent.has_all_ends() {
            self.progress.complete_through = self.progress.complete_through.max(Some(self.started_at));
        }
        Ok(Ended::Complete)
    }

    /// Notes whether many rows seem to have left, by the counts of this round. Logs it as it begins.
    fn note_shrinkage(&mut self) {
        let counts = self.progress.last_total.zip(self.progress.gap).filter(|_| self.memory.gap.is_trusted());
        let absent = self.memory.removals.absent();
        let counted = counts.map(|(total, gap)| Counted { listed: total.saturating_sub(gap), gap, absent });
        let was_known = self.memory.shrinkage.rows().is_some();
        self.memory.shrinkage.note_round(counted, self.now());
        let Some((rows, (total, _))) = self.memory.shrinkage.rows().zip(counts) else { return };
        if !was_known && !self.is_guest() {
            tracing::warn!(
                listing = %self.listing, rows, total,
                "many rows seem to have left the list; a full scan looks for them"
            );
        }
    }

    /// Adjusts the gap for wallets that were unblocked: fewer are stored as blocked, and the list is as long as before.
    fn note_unblocked(&mut self, listed: i64) {
        let before = self.memory.listed.replace(listed).unwrap_or(listed);
        if self.listing == Listing::Blocked && listed < before {
            let surplus = i64::try_from(self.memory.gap.surplus()).unwrap_or(0);
            let base = self.memory.gap.base();
            self.memory.gap.settle(base.saturating_add(before - listed).min(surplus.max(base)));
        }
    }

    /// Whether a wallet is blocked that no full scan has seen since. Until one has, it is not known whether the plain
    /// list contains it, and in the count it may stand in for a wallet that was missed.
    async fn is_count_blurred(&self) -> Result<bool, Error> {
        if self.listing != Listing::Wallets || self.memory.order.order().is_known_end() {
            return Ok(false);
        }
        Ok(!self.syncer.store.blocked_wallets(self.memory.counted_until, 1).await?.is_empty())
    }
}
