//! How far each listing is synced, and what a round over it did.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::run;
use schemars::JsonSchema;
use serde::Serialize;

use super::Endpoint;
use crate::model::Listing;
use crate::store::{Error, Progress, Store};
use crate::sync::{Report, Tally};

/// Everything at a glance.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status {
    pub listings: Vec<Standing>,
    pub endpoints: Vec<Endpoint>,
}

/// Where one listing stands.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Standing {
    pub listing: &'static str,
    pub rows: u64,
    /// How many rows the server told last.
    pub last_total: Option<i64>,
    /// Everything that was listed before then is in the tables, by the last complete round.
    pub complete_through: Option<DateTime<Utc>>,
    /// The same, by the last reading of the whole list.
    pub proved_through: Option<DateTime<Utc>>,
    pub gap: Option<i64>,
    pub stalled_since: Option<DateTime<Utc>>,
    pub unauthorized_since: Option<DateTime<Utc>>,
    pub import: &'static str,
    pub import_started_at: Option<DateTime<Utc>>,
    pub import_done_at: Option<DateTime<Utc>>,
    pub page_limit: Option<i32>,
    pub last_run_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub last_pass: Option<Pass>,
}

/// A row of `lumo_sync_runs`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Pass {
    pub outcome: &'static str,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    pub requests: i64,
    pub rows: i64,
    pub appeared: i64,
    pub changed: i64,
    pub rejected: i64,
}

impl Standing {
    /// Every listing, in the order in which a first import reads them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store) -> Result<Vec<Self>, Error> {
        let mut all = Vec::new();
        for listing in Listing::ALL {
            let (rows, progress) = (store.rows(listing).await?, store.progress(listing).await?);
            all.push(Self::new(listing, rows, progress, store.runs(listing, 1).await?.first()));
        }
        Ok(all)
    }

    fn new(listing: Listing, rows: u64, progress: Progress, last_pass: Option<&run::Model>) -> Self {
        Self {
            listing: listing.as_str(),
            rows,
            last_total: progress.last_total,
            complete_through: progress.complete_through,
            proved_through: progress.proved_through,
            gap: progress.gap,
            stalled_since: progress.stalled_since,
            unauthorized_since: progress.unauthorized_since,
            import: match (progress.import_started_at, progress.import_done_at) {
                (_, Some(_)) => "done",
                (Some(_), None) => "running",
                (None, None) => "pending",
            },
            import_started_at: progress.import_started_at,
            import_done_at: progress.import_done_at,
            page_limit: progress.page_limit,
            last_run_at: progress.last_run_at,
            last_error: progress.last_error,
            last_pass: last_pass.map(|pass| Pass {
                outcome: pass.outcome.as_str(),
                started_at: pass.started_at,
                finished_at: pass.finished_at,
                requests: pass.requests,
                rows: pass.rows,
                appeared: pass.appeared,
                changed: pass.changed,
                rejected: pass.rejected,
            }),
        }
    }
}

/// What a round did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Round {
    pub listing: &'static str,
    pub outcome: &'static str,
    pub requests: u64,
    pub rows: u64,
    pub appeared: u64,
    pub changed: u64,
    pub events: u64,
    /// Items that could not be read.
    pub rejected: u64,
    pub duration_ms: i64,
    /// Why it is not complete, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// What it would have told, after a dry run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_announce: Vec<Announcement>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Announcement {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub object: String,
}

impl Round {
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let Tally { requests, rows, appeared, changed, events, rejected, .. } = report.tally;
        let announcement = |(kind, object): &(crate::model::event::EventType, String)| Announcement {
            kind: kind.as_str(),
            object: object.clone(),
        };
        Self {
            listing: report.listing.as_str(),
            outcome: report.outcome.as_str(),
            requests,
            rows,
            appeared,
            changed,
            events,
            rejected,
            duration_ms: report.duration_ms(),
            doubt: report.doubt.clone(),
            would_announce: report.preview.iter().map(announcement).collect(),
        }
    }
}
