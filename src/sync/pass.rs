//! One pass over one listing: fetch, store, and on to the next page, until the walk is done.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use twox_hash::XxHash3_64;

use lumo_bridge_entity::run::Outcome;

use super::source::Source;
use super::walk::{Doubt, Read, Seen, Step, Walk};
use super::{Preview, Syncer};
use crate::chain::Chain;
use crate::lumo::{self, ListQuery};
use crate::model::Listing;
use crate::model::diff::Record;
use crate::model::facts::Announce;
use crate::model::record::{Page, Reject};
use crate::store::{self, Batch, Ending, Progress, Run};

/// How often a page is asked for before the pass gives up.
const TRIES: u32 = 4;
/// The wait before the second try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Items that could not be read are logged one by one up to this many a pass.
const REJECTS_LOGGED: u64 = 20;

/// How to go about a pass.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Whether to keep what is found.
    pub ending: Ending,
    /// Ask for the configured page size again, whatever the server was seen to keep to.
    pub probe_page_size: bool,
    /// Told after every page.
    pub observe: &'a (dyn Fn(&Tally) + Send + Sync),
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { ending: Ending::Commit, probe_page_size: false, observe: &|_| {} }
    }
}

/// What a pass has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Distinct rows seen.
    pub rows: u64,
    /// How many rows the server says there are.
    pub total: Option<u64>,
    pub requests: u64,
    pub appeared: u64,
    pub changed: u64,
    pub events: u64,
    /// Items that could not be read.
    pub rejected: u64,
}

/// How a pass ended.
#[derive(Clone, Debug)]
pub struct Report {
    pub listing: Listing,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub outcome: Outcome,
    pub tally: Tally,
    /// Why the pass proves nothing, if it does not.
    pub doubt: Option<String>,
    /// What would have been announced, after a dry run.
    pub preview: Preview,
}

/// What stopped a pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("page not read")]
    Upstream(#[from] lumo::Error),
    #[error("page not stored")]
    Store(#[from] store::Error),
}

impl Error {
    /// Whether the key was refused.
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Upstream(lumo::Error::Unauthorized))
    }

    pub(super) fn log(&self, listing: Listing) {
        if self.is_unauthorized() {
            tracing::error!(
                %listing,
                "Lumo refuses the API key; nothing is read until a valid one is configured. Keys change at every login and \
                 when they are regenerated"
            );
        } else {
            tracing::error!(%listing, error = %Chain(self), "pass failed; the next one starts over, nothing stored is lost");
        }
    }
}

/// The moving parts of a pass.
struct State {
    walk: Walk,
    progress: Progress,
    tally: Tally,
    preview: Preview,
}

impl Syncer {
    pub(super) async fn walk<R: Source>(
        &self,
        listing: Listing,
        options: &Options<'_>,
        stop: &CancellationToken,
    ) -> Result<Report, Error> {
        let started_at = self.clock.now();
        let progress = self.store.progress(listing).await?;
        let known_cap = progress.page_limit.and_then(|cap| u32::try_from(cap).ok());
        let walk = Walk::new(self.page_size, known_cap.filter(|_| !options.probe_page_size));
        let mut state = State { walk, progress, tally: Tally::default(), preview: Preview::new() };
        let ended = self.pages::<R>(listing, options, stop, &mut state).await;
        let finished_at = self.clock.now();

        let State { walk, mut progress, tally, preview } = state;
        let (outcome, doubt) = match &ended {
            Ok(None) => (Outcome::Cancelled, None),
            Ok(Some(Ok(()))) if tally.rejected == 0 => (Outcome::Complete, None),
            Ok(Some(Ok(()))) => (Outcome::Incomplete, Some(format!("{} items could not be read", tally.rejected))),
            Ok(Some(Err(doubt))) => (Outcome::Incomplete, Some(doubt.to_string())),
            Err(error) => (Outcome::Failed, Some(Chain(error).to_string())),
        };
        if options.ending == Ending::Commit {
            progress.last_run_at = Some(finished_at);
            progress.last_error.clone_from(&doubt);
            if matches!(outcome, Outcome::Complete | Outcome::Incomplete) {
                progress.page_limit = walk.learned_cap(self.page_size).and_then(|cap| i32::try_from(cap).ok());
                progress.last_total = tally.total.and_then(|total| i64::try_from(total).ok());
            }
            if matches!(ended, Ok(Some(Ok(()) | Err(Doubt::NoTotal | Doubt::SingleRows)))) {
                // The list was read to its end. Whatever turns up from now on is told: an item that could not be read this
                // time, or whose age nobody knows, must not count as history for ever.
                progress.import_done_at = progress.import_done_at.or(Some(finished_at));
            }
            if outcome == Outcome::Complete {
                progress.complete_through = Some(started_at);
            }
            let run = Run {
                listing,
                started_at,
                finished_at,
                outcome,
                requests: tally.requests,
                rows: tally.rows,
                appeared: tally.appeared,
                changed: tally.changed,
                rejected: tally.rejected,
                error: doubt.clone(),
            };
            let recorded = self.store.finish_pass(&progress, &run).await;
            // The error that stopped the pass is the one to report.
            if ended.is_ok() {
                recorded?;
            }
        }
        ended?;
        Ok(Report { listing, started_at, finished_at, outcome, tally, doubt, preview })
    }

    /// Reads and stores pages until the walk ends; none if it was stopped before.
    async fn pages<R: Source>(
        &self,
        listing: Listing,
        options: &Options<'_>,
        stop: &CancellationToken,
        state: &mut State,
    ) -> Result<Option<Result<(), Doubt>>, Error> {
        let mut read = state.walk.next();
        loop {
            let read_at = self.clock.now();
            let fetched = stop.run_until_cancelled(self.fetch::<R>(listing, read, &mut state.tally.requests)).await;
            let page = match fetched {
                None => return Ok(None),
                Some(Ok(page)) => page,
                Some(Err(error)) if refuses_limit(&error) => match state.walk.refused() {
                    Some(smaller) => {
                        read = smaller;
                        continue;
                    }
                    None => return Err(error.into()),
                },
                Some(Err(error)) => return Err(error.into()),
            };
            let seen = seen(&page);
            let Page { items, rejects, served_at, .. } = page;
            state.note_rejects(listing, &rejects);
            if state.progress.import_done_at.is_none() {
                // Another process may have completed the first import meanwhile; what appears from then on is news.
                let stored = self.store.progress(listing).await?;
                state.progress.import_started_at = stored.import_started_at.or(state.progress.import_started_at);
                state.progress.import_done_at = stored.import_done_at;
            }
            let first_ever = state.progress.import_started_at.is_none();
            let import_started_at = *state.progress.import_started_at.get_or_insert(served_at.unwrap_or(read_at));
            let announce = match state.progress.import_done_at {
                Some(_) => Announce::News,
                None => Announce::Import { started_at: import_started_at, history: self.history },
            };
            state.tally.total = seen.total;
            // What a dry run has seen before it would announce again, as nothing was kept.
            let repeated =
                |record: &R| options.ending == Ending::RollBack && state.walk.has_seen(hash(record.id_str()));
            let batch = Batch {
                records: items.into_iter().filter(|record| !repeated(record)).collect(),
                read_at,
                announce,
                progress: first_ever.then(|| state.progress.clone()),
                ending: options.ending,
            };
            let ingested = self.store.ingest(batch, self.clock.now()).await?;
            state.tally.appeared += ingested.appeared;
            state.tally.changed += ingested.changed;
            state.tally.events += ingested.events;
            state.preview.extend(ingested.preview);
            let step = state.walk.absorb(&seen);
            state.tally.rows = state.walk.rows();
            (options.observe)(&state.tally);
            match step {
                Step::Read(next) => read = next,
                Step::End => return Ok(Some(Ok(()))),
                Step::Unproved(doubt) => return Ok(Some(Err(doubt))),
            }
        }
    }

    /// One page, with patience: what may go better the next time is tried again.
    async fn fetch<R: Source>(&self, listing: Listing, read: Read, requests: &mut u64) -> Result<Page<R>, lumo::Error> {
        let query = ListQuery { limit: read.limit, offset: read.offset, external_id: None, status: None };
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            *requests += 1;
            let error = match R::fetch(&self.client, listing, &query).await {
                Err(error) if tries < TRIES && may_pass(&error) => error,
                result => return result,
            };
            tracing::warn!(%listing, offset = read.offset, tries, error = %Chain(&error), "page not read; trying again");
            tokio::time::sleep(wait.mul_f64(1.0 + rand::random::<f64>())).await;
            wait *= 2;
            tries += 1;
        }
    }
}

impl State {
    fn note_rejects(&mut self, listing: Listing, rejects: &[Reject]) {
        for reject in rejects {
            self.tally.rejected += 1;
            if self.tally.rejected <= REJECTS_LOGGED {
                let Reject { position, id, field, problem } = reject;
                let id = id.as_deref().unwrap_or("without an id");
                tracing::warn!(%listing, position, id, field, problem, "item cannot be read and is left out");
            }
        }
    }
}

fn seen<R: Record>(page: &Page<R>) -> Seen {
    let readable = page.items.iter().map(Record::id_str);
    let unreadable = page.rejects.iter().filter_map(|reject| reject.id.as_deref());
    Seen {
        returned: u64::try_from(page.returned).unwrap_or(u64::MAX),
        ids: readable.chain(unreadable).map(hash).collect(),
        total: page.total,
    }
}

fn hash(id: &str) -> u64 {
    XxHash3_64::oneshot(id.as_bytes())
}

/// Whether the server may have refused the size of the page and not the request.
fn refuses_limit(error: &lumo::Error) -> bool {
    matches!(error, lumo::Error::Refused { status: 400 | 413 | 422, .. })
}

/// An outage, or an answer that is broken; the next one may not be.
fn may_pass(error: &lumo::Error) -> bool {
    error.is_transient() || matches!(error, lumo::Error::Contract { .. })
}
