//! Runs the rolling sweep: a full scan in slices, at its own share of the rate, beside the rounds of the schedule.
//!
//! A slice takes no lock that a round needs. At its end it hands over what it has learned, and waits for that until no
//! round is running.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::lumo;
use crate::model::record::{Deposit, Wallet};
use crate::model::{Listing, PerListing};
use crate::store::Fence;
use crate::sync::round::{Findings, Round};
use crate::sync::scan::full::{FullScan, Purpose, Scanned};
use crate::sync::upstream::{Source, Upstream};
use crate::sync::{Ended, Error, Options, Report, Running, Syncer, Tally, report};

/// A sweep that this process is running.
#[derive(Debug)]
pub(in crate::sync) struct Sweeping {
    scan: FullScan,
    tally: Tally,
    /// The fence under which it was loaded. If another process led meanwhile, the stored state is further.
    fence: Option<Fence>,
}

/// The sweeps that the schedule has requested and that are not done. One runner at a time serves them, so a sweep that
/// is requested for two reasons runs once.
#[derive(Debug, Default)]
pub(in crate::sync) struct Wanted {
    listings: PerListing<AtomicBool>,
    running: Mutex<()>,
}

impl<U: Upstream> Syncer<U> {
    /// Requests a sweep of every imported listing. A sweep that is running satisfies the request when it ends.
    pub fn want_sweeps(&self) {
        for wanted in self.wanted.listings.values() {
            wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Sweeps listings, one after the other, each to its end: those that were requested, those that a restart
    /// interrupted, and those that are urgent. Returns at once if a sweep is already running. A slice has `pages`
    /// pages, and is started only if `may_go_on` returns true.
    pub async fn sweep_wanted(&self, pages: u64, may_go_on: impl Fn() -> bool + Send + Sync, stop: &CancellationToken) {
        let Ok(_running) = self.wanted.running.try_lock() else { return };
        for listing in Listing::ALL {
            let wanted = &self.wanted.listings[listing];
            if self.import_pending(listing).await.unwrap_or(true) {
                // The first import reads the whole list anyway.
                wanted.store(false, Ordering::Relaxed);
                continue;
            }
            if !(wanted.load(Ordering::Relaxed) || self.sweep_is_due(listing).await.unwrap_or(false)) {
                continue;
            }
            while may_go_on() && !stop.is_cancelled() {
                match self.sweep(listing, pages, stop).await {
                    Ok(Some(report)) => {
                        report.log("sweep");
                        wanted.store(false, Ordering::Relaxed);
                        break;
                    }
                    Ok(None) => {}
                    // The rounds log this error already.
                    Err(error) if error.is_unauthorized() || error.is_wrong_account() => break,
                    Err(error) => {
                        self.log_sweep_failure(listing, &error);
                        break;
                    }
                }
            }
        }
    }

    /// Reads at most `pages` pages of the sweep, from where the last slice, or an earlier process, stopped. Begins a
    /// new sweep if none is running. Returns the report of the sweep once it has ended.
    ///
    /// # Errors
    /// What stopped the slice. The next one continues from what was stored.
    pub async fn sweep(&self, listing: Listing, pages: u64, stop: &CancellationToken) -> Result<Option<Report>, Error> {
        let span = report::span(listing, "sweep");
        let running: Running<'_, Option<Report>> = match listing {
            Listing::Wallets | Listing::Blocked => Box::pin(self.sweep_on::<Wallet>(listing, pages, stop)),
            Listing::Deposits => Box::pin(self.sweep_on::<Deposit>(listing, pages, stop)),
        };
        let result = running.instrument(span.clone()).await;
        report::note(&span, result.as_ref().map(Option::as_ref));
        result
    }

    /// Whether a sweep was begun and has not ended, or is urgent, or many rows seem to have left the list.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn sweep_is_due(&self, listing: Listing) -> Result<bool, Error> {
        let options = Options::default();
        let round = Round::begin(self, listing, &options).await?;
        if round.progress.import_done_at.is_none() {
            return Ok(false);
        }
        Ok(round.memory.sweeps_at_once(round.progress.gap)
            || round.memory.removals.wants_scan()
            || round.memory.shrinkage.wants_scan(round.now())
            || self.store.sweep(listing).await?.is_some())
    }

    async fn sweep_on<R: Source>(
        &self,
        listing: Listing,
        pages: u64,
        stop: &CancellationToken,
    ) -> Result<Option<Report>, Error> {
        let mut place = self.sweeps[listing].lock().await;
        if self.is_refused(listing) {
            return Err(lumo::Error::Unauthorized.into());
        }
        let options = Options::default();
        if !self.admit(options.ending, stop).await? {
            return Ok(None);
        }
        let mut round = Round::begin(self, listing, &options).await?;
        if round.progress.import_done_at.is_none() {
            // The first import reads the whole list anyway.
            return Ok(None);
        }
        // After any error below, the next slice starts from the stored state: pages that count as read here may not be
        // stored.
        let taken = place.take().filter(|sweeping| sweeping.fence == round.fence());
        let mut sweeping = match taken {
            Some(sweeping) => sweeping,
            None => self.take_up(&mut round).await?,
        };
        round.tally = sweeping.tally.clone();
        let scanned = match round.scan_on::<R>(&mut sweeping.scan, pages, stop).await {
            Err(error) if error.is_unauthorized() => {
                self.leave_alone(listing).await;
                return Err(error);
            }
            scanned => scanned?,
        };
        sweeping.tally = round.tally.clone();
        let Scanned::Ended(ended) = scanned else {
            self.hand_over(&mut round).await?;
            *place = Some(sweeping);
            return Ok(None);
        };
        self.conclude_sweep::<R>(round, sweeping, ended).await.map(Some)
    }

    /// Continues the running sweep, or begins a new one.
    async fn take_up(&self, round: &mut Round<'_, U>) -> Result<Sweeping, Error> {
        let stored = self.store.sweep(round.listing).await?;
        let scan = stored.and_then(|(state, chunks)| FullScan::resume(Purpose::Sweep, &state, chunks));
        let scan = match scan {
            Some(scan) => scan,
            None => round.full_scan(Purpose::Sweep).await?,
        };
        let tally = Tally { requests: scan.requests(), ..Tally::default() };
        Ok(Sweeping { scan, tally, fence: round.fence() })
    }

    /// Hands the findings of a slice to the rounds.
    async fn hand_over(&self, round: &mut Round<'_, U>) -> Result<(), Error> {
        let findings = std::mem::take(&mut round.findings);
        let probed_at = round.memory.probed_at;
        if findings == Findings::default() {
            return Ok(());
        }
        let _gate = self.gate(round.listing).lock().await;
        let mut fresh = Round::begin(self, round.listing, round.options).await?;
        fresh.memory.probed_at = fresh.memory.probed_at.max(probed_at);
        fresh.findings = findings;
        fresh.remember();
        fresh.save().await
    }

    async fn conclude_sweep<R: Source>(
        &self,
        round: Round<'_, U>,
        mut sweeping: Sweeping,
        ended: Result<(), crate::sync::scan::walk::Doubt>,
    ) -> Result<Report, Error> {
        let _gate = self.gate(round.listing).lock().await;
        let mut fresh = Round::begin(self, round.listing, round.options).await?;
        fresh.memory.probed_at = fresh.memory.probed_at.max(round.memory.probed_at);
        (fresh.tally, fresh.findings) = (round.tally, round.findings);
        fresh.started_at = sweeping.scan.started_at;
        let doubt = fresh.learn_from::<R>(&mut sweeping.scan, ended).await?;
        if fresh.memory.length == 0 {
            fresh.adopt_ends(&sweeping.scan);
        }
        fresh.remember();
        self.store.end_sweep(fresh.listing, fresh.fence()).await?;
        let ended = doubt.map_or(Ended::Complete, Ended::Incomplete);
        fresh.finish(Ok(ended)).await
    }
}
