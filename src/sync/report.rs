//! Defines the options and the report of a round; its submodules log and measure rounds.

mod log;
mod meters;

use chrono::{DateTime, Utc};

use lumo_bridge_entity::run::Outcome;
use tracing::Span;
use tracing::field::Empty;

pub(super) use log::RoundLog;
pub use meters::Meters;

use super::Error;
use crate::model::Listing;
use crate::model::event::EventType;
use crate::store::Ending;

/// The options of a pass.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Whether to commit what is found, or to roll it back (a dry run).
    pub ending: Ending,
    /// Request the configured page size again, even if the server is known to give smaller pages.
    pub probe_page_size: bool,
    /// Accept every row that a full scan does not list as gone, however many there are.
    pub accept_removals: bool,
    /// Called after every page.
    pub observe: &'a (dyn Fn(&Tally) + Send + Sync),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { ending: Ending::Commit, probe_page_size: false, accept_removals: false, observe: &|_| {} }
    }
}

/// What a round has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows read. A row that was read twice may count twice.
    pub rows: u64,
    /// The `total` of the latest page.
    pub total: Option<u64>,
    pub requests: u64,
    pub appeared: u64,
    pub changed: u64,
    pub events: u64,
    /// Items that could not be read.
    pub rejected: u64,
    /// Rows that were marked as missing.
    pub vanished: u64,
}

/// How a round ended.
#[derive(Clone, Debug)]
pub struct Report {
    pub listing: Listing,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub outcome: Outcome,
    pub tally: Tally,
    /// Why the round proves nothing, if it does not.
    pub doubt: Option<String>,
    /// Says in a sentence which rows left the list and are not yet marked as missing; `None` if there are none.
    pub removals_held: Option<String>,
    /// What would have been announced, after a dry run.
    pub preview: Preview,
}

/// What a pass over a list would announce, for a dry run.
pub type Preview = Vec<(EventType, String)>;

impl Report {
    /// Logs the report. `what` names the kind of pass.
    pub fn log(&self, what: &'static str) {
        let Self { listing, outcome, tally, .. } = self;
        let Tally { requests, rows, appeared, changed, events, rejected, .. } = tally;
        let duration_ms = self.duration_ms();
        match outcome {
            Outcome::Complete => {
                tracing::info!(
                    %listing, requests, rows, appeared, changed, events, duration_ms, "{what} complete"
                );
            }
            Outcome::Cancelled => tracing::info!(%listing, requests, rows, duration_ms, "{what} stopped"),
            Outcome::Incomplete | Outcome::Failed => {
                let reason = self.reason();
                tracing::warn!(
                    %listing, requests, rows, appeared, changed, events, rejected, duration_ms, reason,
                    "{what} incomplete"
                );
            }
        }
    }

    /// Why the round proves nothing.
    fn reason(&self) -> &str {
        self.doubt.as_deref().unwrap_or("some items could not be read")
    }

    /// How long the round took.
    #[must_use]
    pub fn duration_ms(&self) -> i64 {
        (self.finished_at - self.started_at).num_milliseconds()
    }
}

/// The span of a round or of a slice of a sweep.
pub(super) fn span(listing: Listing, what: &'static str) -> Span {
    tracing::debug_span!(
        "sync.pass",
        listing = listing.as_str(),
        what,
        rows = Empty,
        changes = Empty,
        "error.type" = Empty
    )
}

/// Records the result on the span.
pub(super) fn note(span: &Span, result: Result<Option<&Report>, &Error>) {
    match result {
        Ok(None) => {}
        Ok(Some(Report { tally, .. })) => {
            span.record("rows", tally.rows).record("changes", tally.appeared + tally.changed);
        }
        Err(error) => {
            span.record("error.type", if error.is_unauthorized() { "unauthorized" } else { "failed" });
        }
    }
}
