//! `status`: how far each listing is synced, and how each endpoint fares.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::run::{self, Outcome};
use serde::Serialize;

use super::context::Context;
use super::endpoint;
use super::failure::Failure;
use super::printer::{DIM, GREEN, RED, YELLOW};
use super::safe;
use super::table::{Cell, Column};
use super::time::ago;
use super::view::endpoint::{Endpoint, Json as EndpointJson};
use super::view::{self, Listed};
use crate::model::Listing;
use crate::store::{Progress, Store};

/// Where one listing stands.
struct Standing {
    listing: Listing,
    rows: u64,
    progress: Progress,
    last_pass: Option<run::Model>,
}

#[derive(Serialize)]
struct Json<'a> {
    listings: Vec<StandingJson<'a>>,
    endpoints: Vec<EndpointJson<'a>>,
}

#[derive(Serialize)]
struct StandingJson<'a> {
    listing: &'a str,
    rows: u64,
    last_total: Option<i64>,
    complete_through: Option<DateTime<Utc>>,
    proved_through: Option<DateTime<Utc>>,
    gap: Option<i64>,
    stalled_since: Option<DateTime<Utc>>,
    unauthorized_since: Option<DateTime<Utc>>,
    import: &'static str,
    import_started_at: Option<DateTime<Utc>>,
    import_done_at: Option<DateTime<Utc>>,
    page_limit: Option<i32>,
    last_run_at: Option<DateTime<Utc>>,
    last_error: Option<&'a str>,
    last_pass: Option<PassJson<'a>>,
}

#[derive(Serialize)]
struct PassJson<'a> {
    outcome: &'a str,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
    requests: i64,
    rows: i64,
    appeared: i64,
    changed: i64,
    rejected: i64,
}

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let (standings, endpoints) = context
        .with_store(async |config, store| {
            let mut standings = Vec::new();
            for listing in Listing::ALL {
                standings.push(load(store, listing).await?);
            }
            Ok((standings, endpoint::load(config, store).await?))
        })
        .await?;
    let printer = context.printer();
    if printer.json() {
        let listings = standings.iter().map(Listed::json).collect();
        return Ok(printer.document(&Json { listings, endpoints: endpoints.iter().map(Endpoint::json).collect() })?);
    }
    view::list(context, &standings)?;
    for Standing { listing, progress, .. } in &standings {
        let now = context.clock().now();
        if let Some(since) = progress.unauthorized_since {
            printer.line(format!("{RED}!{RED:#} {listing}: the API key is refused, first {}", ago(since, now)));
        }
        if let Some(since) = progress.stalled_since {
            printer.line(format!("{RED}!{RED:#} {listing}: stalled, last complete {}", ago(since, now)));
        }
        if let Some(error) = &progress.last_error {
            printer.line(format!("{YELLOW}!{YELLOW:#} {listing}: {}", safe::text(error)));
        }
    }
    printer.line("");
    view::list(context, &endpoints)?;
    for history in endpoints.iter().filter_map(Endpoint::history) {
        printer.line(history);
    }
    Ok(())
}

async fn load(store: &Store, listing: Listing) -> Result<Standing, Failure> {
    Ok(Standing {
        listing,
        rows: store.rows(listing).await?,
        progress: store.progress(listing).await?,
        last_pass: store.runs(listing, 1).await?.pop(),
    })
}

impl Standing {
    fn import(&self) -> &'static str {
        match (self.progress.import_started_at, self.progress.import_done_at) {
            (_, Some(_)) => "done",
            (Some(_), None) => "running",
            (None, None) => "pending",
        }
    }
}

impl Listed for Standing {
    const NOUN: &'static str = "listings";
    type Json<'a> = StandingJson<'a>;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("LISTING"),
            Column::new("ROWS").right(),
            Column::new("COMPLETE THROUGH"),
            Column::new("PROVED THROUGH"),
            Column::new("LAST PASS"),
            Column::new("ENDED"),
            Column::new("IMPORT"),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        let outcome = self.last_pass.as_ref().map(|pass| pass.outcome);
        let style = match outcome {
            Some(Outcome::Complete) => GREEN,
            Some(Outcome::Failed) => RED,
            Some(Outcome::Incomplete | Outcome::Cancelled) => YELLOW,
            None => DIM,
        };
        let aged = |time: Option<DateTime<Utc>>| Cell::maybe(time.map(|time| ago(time, now)));
        vec![
            Cell::new(self.listing),
            Cell::new(self.rows),
            aged(self.progress.complete_through),
            aged(self.progress.proved_through),
            Cell::maybe(outcome.map(Outcome::as_str)).styled(style),
            aged(self.progress.last_run_at),
            Cell::new(self.import()),
        ]
    }

    fn json(&self) -> StandingJson<'_> {
        let Progress {
            import_started_at,
            import_done_at,
            page_limit,
            last_total,
            complete_through,
            proved_through,
            gap,
            stalled_since,
            unauthorized_since,
            last_run_at,
            ..
        } = self.progress;
        StandingJson {
            listing: self.listing.as_str(),
            rows: self.rows,
            last_total,
            complete_through,
            proved_through,
            gap,
            stalled_since,
            unauthorized_since,
            import: self.import(),
            import_started_at,
            import_done_at,
            page_limit,
            last_run_at,
            last_error: self.progress.last_error.as_deref(),
            last_pass: self.last_pass.as_ref().map(|pass| PassJson {
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
