//! Reads a list whole in one round, because it is short or a command asks for it.

use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::model::Listing;
use crate::sync::learn::gap::{counts_more, gap_of};
use crate::sync::round::Round;
use crate::sync::scan::filtered::Listed;
use crate::sync::scan::full::{FullScan, Purpose, Scanned};
use crate::sync::scan::reader::Scope;
use crate::sync::scan::walk::{Doubt, Walk};
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Ended, Error};

const NOT_ACCEPTED: &str =
    "the order or the end of the list is in doubt, so no row was marked as missing for not being in it";

impl<U: Upstream> Round<'_, U> {
    /// Reads the whole list, now.
    pub(in crate::sync) async fn whole<R: Source>(&mut self, stop: &CancellationToken) -> Result<Ended, Error> {
        let mut scan = self.full_scan(Purpose::Pass).await?;
        self.all_of_it::<R>(&mut scan, stop).await
    }

    /// Reads the whole list twice. Rows that neither reading lists are accepted as gone. A server may leave blocked
    /// wallets out of the plain list, so the list of blocked wallets is read in between.
    pub(in crate::sync) async fn twice<R: Source>(&mut self, stop: &CancellationToken) -> Result<Ended, Error> {
        let first = self.whole::<R>(stop).await?;
        if first != Ended::Complete {
            return Ok(first);
        }
        if self.listing == Listing::Wallets {
            let walk = self.walk();
            let reader = self.reader(Scope::all(Listing::Blocked, Priority::Fresh), false);
            match self.all_of::<R>(walk, reader, u64::MAX, &|_| true, stop).await? {
                Listed::Whole(_) => {}
                Listed::Stopped => return Ok(Ended::Stopped),
                Listed::NotFiltered | Listed::Unproved => return Ok(Ended::Incomplete(NOT_ACCEPTED.to_owned())),
            }
        }
        let second = self.whole::<R>(stop).await?;
        let is_refused = second == Ended::Complete && !self.absences.are_accepted();
        Ok(if is_refused { Ended::Incomplete(NOT_ACCEPTED.to_owned()) } else { second })
    }

    /// Begins a full scan.
    pub(in crate::sync) async fn full_scan(&mut self, purpose: Purpose) -> Result<FullScan, Error> {
        let now = self.now();
        let refused = self.progress.page_limit.is_some();
        let probe = self.options.probe_page_size || (refused && self.memory.probe_due(now));
        if probe {
            self.memory.probed_at = Some(now);
        }
        let walk = Walk::new(self.syncer.settings.page_size, self.known_page_size().filter(|_| !probe));
        let walk = if self.memory.length > 0 { walk.ending_as_before_at(self.memory.length) } else { walk };
        let walk = walk.counting_surplus(self.memory.gap.surplus());
        // A round of the schedule may rely on an earlier proof. A scan that is to prove something may not.
        let only_page = self.memory.only_page.filter(|_| self.extent.trusts_only_page() && !probe);
        let walk = if purpose == Purpose::Pass { walk.knowing_page(only_page) } else { walk };
        let row_counts = self.syncer.store.row_counts(self.listing).await?;
        Ok(FullScan::new(purpose, now, row_counts.last_row_no, walk).explaining(self.memory.urgent.is_some()))
    }

    pub(in crate::sync) async fn all_of_it<R: Source>(
        &mut self,
        scan: &mut FullScan,
        stop: &CancellationToken,
    ) -> Result<Ended, Error> {
        match self.scan_on::<R>(scan, u64::MAX, stop).await? {
            Scanned::Stopped | Scanned::Paused => Ok(Ended::Stopped),
            Scanned::Ended(ended) => {
                self.extent.note_whole();
                let (reached, is_untold) = (ended.is_ok(), ended == Err(Doubt::NoTotal));
                let doubt = self.learn_from::<R>(scan, ended).await?;
                if reached || (is_untold && self.joins_at_an_end()) {
                    self.adopt_ends(scan);
                }
                Ok(doubt.map_or(Ended::Complete, Ended::Incomplete))
            }
        }
    }

    /// Whether new rows join at a known end of the list, so that its ends show them even if no `total` does. Blocked
    /// wallets join anywhere.
    fn joins_at_an_end(&self) -> bool {
        self.listing != Listing::Blocked && self.memory.order.order().is_known_end()
    }

    /// Learns from a full scan that came to the end of the list. Returns why it proves nothing, if so.
    pub(in crate::sync) async fn learn_from<R: Source>(
        &mut self,
        scan: &mut FullScan,
        ended: Result<(), Doubt>,
    ) -> Result<Option<String>, Error> {
        let surplus = self.memory.gap.surplus();
        let doubt = self.conclude::<R>(scan, ended).await?;
        if doubt.is_some() {
            self.memory.shrinkage.note_scan(scan.started_at, None, self.now());
        }
        let rows = self.memory.gap.surplus();
        if rows > 0 && rows != surplus {
            tracing::warn!(listing = %self.listing, total = self.tally.total, "{}", counts_more(rows));
        }
        let listed = self.syncer.store.row_counts(self.listing).await?.listed;
        self.progress.gap = gap_of(self.tally.total, listed);
        self.memory.listed = Some(listed);
        self.memory.note_scan(scan.explains(), self.tally.appeared > 0, self.progress.gap);
        Ok(doubt)
    }
}
