//! Passes: a listing is walked page by page, and every page is stored with its events before the next one is read.
//!
//! A pass takes no input but the listing. Timer, command and crash recovery run the same code: what is stored already
//! costs one read and is passed over. One listing is never walked twice at the same time by this process; should another
//! process walk it too, the keys of the tables make the race harmless.

pub mod config;
mod pass;
mod source;
pub mod walk;

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use lumo_bridge_entity::run::Outcome;

pub use config::Config;
pub use pass::{Error, Options, Report, Tally};

use crate::clock::Clock;
use crate::lumo::Client;
use crate::model::Listing;
use crate::model::event::EventType;
use crate::model::facts::History;
use crate::model::record::{Deposit, Wallet};
use crate::store::Store;

/// How long a listing is left alone after the key was refused. Keys rotate, and the new one may be on its way.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// Walks listings.
pub struct Syncer {
    store: Store,
    client: Client,
    clock: Clock,
    history: History,
    /// The `limit` to ask for, as configured.
    page_size: u32,
    /// How long to wait after a 401.
    probe_after: Duration,
    /// One pass at a time over each listing; inside, until when it is left alone.
    gates: [Mutex<Option<Instant>>; Listing::ALL.len()],
}

impl Syncer {
    #[must_use]
    pub fn new(store: Store, client: Client, clock: Clock, history: History, page_size: u32) -> Self {
        Self { store, client, clock, history, page_size, probe_after: PROBE_AFTER, gates: Default::default() }
    }

    /// Sets how long a listing is left alone after the key was refused.
    #[must_use]
    pub fn with_probe_after(mut self, probe_after: Duration) -> Self {
        self.probe_after = probe_after;
        self
    }

    /// Reads the listing from end to end. If another pass over it is under way, waits for its end first.
    ///
    /// # Errors
    /// What stopped the pass. What it had read by then is stored.
    pub async fn pass(
        &self,
        listing: Listing,
        options: &Options<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, Error> {
        let mut gate = self.gate(listing).lock().await;
        let result = match listing {
            Listing::Wallets | Listing::Blocked => self.walk::<Wallet>(listing, options, stop).await,
            Listing::Deposits => self.walk::<Deposit>(listing, options, stop).await,
        };
        *gate = matches!(&result, Err(error) if error.is_unauthorized()).then(|| Instant::now() + self.probe_after);
        result
    }

    /// A pass as the schedule wants it: left out while another is under way or the key was refused a moment ago, and
    /// reported in the log.
    pub async fn tick(&self, listing: Listing, options: &Options<'_>, stop: &CancellationToken) {
        match self.gate(listing).try_lock().map(|gate| *gate) {
            Err(_) => return tracing::debug!(%listing, "a pass is under way; this one is left out"),
            Ok(Some(until)) if Instant::now() < until => {
                return tracing::debug!(%listing, "the key was refused; the next probe has yet to come");
            }
            Ok(_) => {}
        }
        match self.pass(listing, options, stop).await {
            Ok(report) => report.log(),
            Err(error) => error.log(listing),
        }
    }

    /// Whether a first import has yet to be completed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn import_pending(&self, listing: Listing) -> Result<bool, crate::store::Error> {
        Ok(self.store.progress(listing).await?.import_done_at.is_none())
    }

    fn gate(&self, listing: Listing) -> &Mutex<Option<Instant>> {
        &self.gates[listing as usize]
    }
}

/// What a pass over a list would announce, for a dry run.
pub type Preview = Vec<(EventType, String)>;

impl Report {
    fn log(&self) {
        let Self { listing, outcome, tally, doubt, .. } = self;
        let Tally { requests, rows, appeared, changed, events, rejected, .. } = tally;
        let duration_ms = self.duration_ms();
        match outcome {
            Outcome::Complete => {
                tracing::info!(%listing, requests, rows, appeared, changed, events, duration_ms, "pass complete");
            }
            Outcome::Cancelled => tracing::info!(%listing, requests, rows, duration_ms, "pass stopped"),
            Outcome::Incomplete | Outcome::Failed => {
                let reason = doubt.as_deref().unwrap_or("some items could not be read");
                tracing::warn!(
                    %listing, requests, rows, appeared, changed, events, rejected, duration_ms, reason, "pass incomplete"
                );
            }
        }
    }

    /// How long the pass took.
    #[must_use]
    pub fn duration_ms(&self) -> i64 {
        (self.finished_at - self.started_at).num_milliseconds()
    }
}
