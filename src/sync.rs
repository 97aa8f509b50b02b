//! Reads the listings in rounds, so that no row is missed, and stores every page with its events.
//!
//! What a round learned counts only once its pages are stored. A round has no input but the listing: timer, command and
//! crash recovery run the same code, and what is stored already costs one read. One listing never has two rounds at the
//! same time in this process; a sweep runs beside them. If another process reads the listing too, unique keys make the
//! race harmless.

pub mod config;
pub mod confirm;
mod lead;
pub mod learn;
mod report;
mod round;
pub mod scan;
pub mod tail;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex as Plain, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use twox_hash::XxHash3_64;

pub use config::Config;
pub use lead::{LEASE as LEASE_TIME, Lead, RESOURCE as LEASE, Right};
pub use report::{Meters, Options, Preview, Report, Tally};
pub use upstream::{Milestone, Upstream};

use crate::account::{self, Refusal};
use crate::clock::Clock;
use crate::lumo;
use crate::model::facts::History;
use crate::model::record::{Deposit, Wallet};
use crate::model::{Listing, PerListing};
use crate::store::{self, Ending, Store};
use confirm::ask::Asks;
use confirm::recently_seen::RecentlySeen;
use confirm::recheck::Recheck;
use lead::is_key_accepted;
use learn::skew::UpstreamClock;
use report::RoundLog;
use round::Round;
use scan::reader::{PageBytes, Sizes};
use scan::sweep::{Sweeping, Wanted};
use tail::extra_reads::Turns;
use tail::new_deposits::NewDeposits;
use upstream::Source;

/// The settings of the engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a first import announces.
    pub history: History,
    /// The configured page size: the `limit` to request.
    pub page_size: u32,
    /// How many pages of a listing may be in flight.
    pub concurrency: usize,
    /// The longest wait before a page is tried a second time; it doubles with each further try.
    pub first_wait: Duration,
    /// How long a listing rests after the key was refused. Keys rotate, and the new one may be on its way.
    pub probe_after: Duration,
    /// How long a round over the deposits waits for a round over the wallets that it needs first.
    pub wallets_wait: Duration,
    /// How long each listing may go without a complete round before `sync.stalled` is published.
    pub stalled_after: PerListing<TimeDelta>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history: History::Silent,
            page_size: 100,
            concurrency: 4,
            first_wait: Duration::from_secs(1),
            probe_after: Duration::from_secs(60),
            wallets_wait: Duration::from_secs(15),
            stalled_after: PerListing::of(|_| TimeDelta::minutes(5)),
        }
    }
}

/// Reads listings.
pub struct Syncer<U> {
    store: Store,
    upstream: U,
    clock: Clock,
    settings: Settings,
    right: Plain<Right>,
    /// Allows one round at a time over each listing; holds until when the listing rests.
    gates: PerListing<Mutex<Option<Instant>>>,
    /// The running sweep of each listing.
    sweeps: PerListing<Mutex<Option<Sweeping>>>,
    wanted: Wanted,
    /// What the last round over each listing left to be re-read.
    asks: PerListing<Plain<Asks>>,
    /// The list of new deposits.
    new_deposits: Plain<NewDeposits>,
    /// The turns of extra reads (see [`tail::extra_reads`]).
    turns: Plain<Turns>,
    /// Users whose wallets have changed: their deposits may have changed, too.
    hints: Plain<BTreeSet<String>>,
    watching: Plain<tail::watch::Watching>,
    /// How large the pages of each listing are.
    page_bytes: PerListing<PageBytes>,
    /// Held by the one large page that is read or being stored.
    large: Arc<Mutex<()>>,
    recently_seen: RecentlySeen,
    /// Wallets that a round over the blocked ones left to the running round over all wallets, by id.
    unlisted: Plain<BTreeMap<String, Recheck>>,
    upstream_clock: UpstreamClock,
    /// Since when the rounds of this process over each listing have not been complete.
    incomplete_since: PerListing<Plain<Option<DateTime<Utc>>>>,
    meters: Meters,
    log: RoundLog,
    /// Whether this process has logged that rows which left a listing are held back.
    removals_logged: PerListing<AtomicBool>,
}

/// How a round ended.
#[derive(PartialEq, Eq)]
enum Ended {
    /// Everything that was listed when the round began is stored.
    Complete,
    /// The round ended, but it does not prove that everything is stored; says why.
    Incomplete(String),
    /// The process is to end.
    Stopped,
}

/// What stopped a round.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("page not read")]
    Upstream(#[from] lumo::Error),
    #[error("page not stored")]
    Store(#[from] store::Error),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<account::Error> for Error {
    fn from(error: account::Error) -> Self {
        match error {
            account::Error::Refused(refusal) => Self::Refused(refusal),
            account::Error::Upstream(error) => Self::Upstream(error),
            account::Error::Store(error) => Self::Store(error),
        }
    }
}

impl Error {
    /// Whether the key was refused.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Upstream(lumo::Error::Unauthorized))
    }

    /// Whether a failure that was stored as text is that the key was refused.
    #[must_use]
    pub fn says_unauthorized(text: &str) -> bool {
        text.ends_with(&lumo::Error::Unauthorized.to_string())
    }

    /// Whether the key or the server is not the one that the tables belong to.
    #[must_use]
    pub fn is_wrong_account(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// Whether the lease ended meanwhile: another process has taken over, or this one has a new lease.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Store(store::Error::Fenced))
    }
}

/// A running round or slice, over any kind of record.
type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl<U: Upstream> Syncer<U> {
    #[must_use]
    pub fn new(store: Store, upstream: U, clock: Clock, settings: Settings) -> Self {
        Self {
            store,
            upstream,
            clock,
            settings,
            right: Plain::default(),
            gates: Default::default(),
            sweeps: Default::default(),
            wanted: Wanted::default(),
            asks: Default::default(),
            new_deposits: Plain::default(),
            turns: Plain::default(),
            hints: Plain::default(),
            watching: Plain::default(),
            page_bytes: Default::default(),
            large: Arc::default(),
            recently_seen: RecentlySeen::default(),
            unlisted: Plain::default(),
            upstream_clock: UpstreamClock::default(),
            incomplete_since: PerListing::default(),
            meters: Meters::default(),
            log: RoundLog::default(),
            removals_logged: PerListing::default(),
        }
    }

    /// Sets how long a listing rests after the key was refused.
    #[must_use]
    pub fn with_probe_after(mut self, probe_after: Duration) -> Self {
        self.settings.probe_after = probe_after;
        self
    }

    /// What rounds and sweeps have done so far.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Reads the listing from end to end. Waits first for the end of a running round over it.
    ///
    /// # Errors
    /// What stopped the pass. What it had read by then is stored.
    pub async fn pass(
        &self,
        listing: Listing,
        options: &Options<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, Error> {
        self.run_any(listing, options, Reach::Whole, stop).await
    }

    /// Runs a round of the schedule: reads what is new and what has probably changed.
    ///
    /// # Errors
    /// What stopped the round. What it had read by then is stored.
    pub async fn tick(
        &self,
        listing: Listing,
        options: &Options<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, Error> {
        self.run_any(listing, options, Reach::Needed, stop).await
    }

    /// Runs a round of the schedule and logs its result. Waits first for whatever reads the listing at present: skipped
    /// instead, it could be skipped each time. Does nothing shortly after the key was refused.
    pub async fn on_schedule(&self, listing: Listing, stop: &CancellationToken) {
        if self.is_refused(listing) {
            return tracing::debug!(%listing, "the key was refused; the next probe has yet to come");
        }
        match self.tick(listing, &Options::default(), stop).await {
            Ok(report) => self.log.ended(&report),
            Err(error) => self.log.failed(listing, &error),
        }
    }

    /// Forgets the failures of this process's rounds: another process reads.
    pub(in crate::sync) fn forget_failures(&self) {
        self.log.forget();
    }

    /// Reports in the log that a slice of a sweep was stopped.
    pub fn log_sweep_failure(&self, listing: Listing, error: &Error) {
        self.log.failed(listing, error);
    }

    async fn run_any(
        &self,
        listing: Listing,
        options: &Options<'_>,
        reach: Reach,
        stop: &CancellationToken,
    ) -> Result<Report, Error> {
        let span = report::span(listing, "round");
        // Boxed, because the future of a round is large, and several rounds run at the same time.
        let running: Running<'_, Report> = match listing {
            Listing::Wallets | Listing::Blocked => Box::pin(self.run::<Wallet>(listing, options, reach, stop)),
            Listing::Deposits => Box::pin(self.run::<Deposit>(listing, options, reach, stop)),
        };
        let result = running.instrument(span.clone()).await;
        report::note(&span, result.as_ref().map(Some));
        result
    }

    async fn run<R: Source>(
        &self,
        listing: Listing,
        options: &Options<'_>,
        reach: Reach,
        stop: &CancellationToken,
    ) -> Result<Report, Error> {
        let mut gate = self.gate(listing).lock().await;
        let admitted = self.admit(options.ending, stop).await;
        let is_accepted = is_key_accepted(&admitted);
        let mut round = Round::begin(self, listing, options).await?;
        let was_unauthorized = round.progress.unauthorized_since.is_some();
        let (fence, is_guest) = (round.fence(), round.is_guest());
        let ended = match reach {
            _ if !matches!(admitted, Ok(true)) => admitted.map(|_| Ended::Stopped),
            Reach::Needed if round.is_guest() => round.whole::<R>(stop).await,
            // The rounds over all wallets decide whether a blocked wallet is gone.
            Reach::Whole if options.accept_removals && listing != Listing::Blocked => round.twice::<R>(stop).await,
            Reach::Whole => round.whole::<R>(stop).await,
            Reach::Needed => round.tick::<R>(stop).await,
        };
        round.take_unlisted().await;
        round.remember();
        let result = round.finish(ended).await;
        let unauthorized = matches!(&result, Err(error) if error.is_unauthorized());
        *gate = unauthorized.then(|| self.probe_at());
        // The key of a guest may be another one.
        let tells = options.ending == Ending::Commit && !is_guest;
        let noted = if tells && (unauthorized || (was_unauthorized && is_accepted)) {
            self.note_key(listing, !unauthorized, fence).await
        } else {
            Ok(())
        };
        // The error that stopped the round is the one to report.
        let report = result?;
        noted?;
        Ok(report)
    }

    fn probe_at(&self) -> Instant {
        Instant::now() + self.settings.probe_after
    }

    /// Whether the key was refused a moment ago.
    fn is_refused(&self, listing: Listing) -> bool {
        self.gate(listing).try_lock().is_ok_and(|gate| gate.is_some_and(|until| Instant::now() < until))
    }

    /// Lets a listing rest from now on, as its key was refused.
    async fn leave_alone(&self, listing: Listing) {
        *self.gate(listing).lock().await = Some(self.probe_at());
    }

    /// Whether a first import has yet to be completed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn import_pending(&self, listing: Listing) -> Result<bool, store::Error> {
        Ok(self.store.progress(listing).await?.import_done_at.is_none())
    }

    /// Uses this right for all writes from now on.
    pub fn write_by(&self, right: Right) {
        *lock(&self.right) = right;
    }

    fn right(&self) -> Right {
        *lock(&self.right)
    }

    fn gate(&self, listing: Listing) -> &Mutex<Option<Instant>> {
        &self.gates[listing]
    }

    fn sizes(&self, listing: Listing) -> Sizes {
        Sizes { page: PageBytes::clone(&self.page_bytes[listing]), large: Arc::clone(&self.large) }
    }
}

/// How much of a listing a round reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Whole,
    Needed,
}

/// A lock held for a line; a panic elsewhere says nothing about the value.
fn lock<T>(mutex: &Plain<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(id: &str) -> u64 {
    XxHash3_64::oneshot(id.as_bytes())
}

/// Whether the server may have refused the size of the page and not the request.
fn refuses_limit(error: &lumo::Error) -> bool {
    matches!(error, lumo::Error::Refused { status: 400 | 413 | 422, .. })
}
