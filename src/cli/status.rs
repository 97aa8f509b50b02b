//! `status`: how far each listing is synced, and how each endpoint fares.

use chrono::{DateTime, Utc};

use super::context::Context;
use super::failure::Failure;
use super::printer::{DIM, GREEN, RED, YELLOW};
use super::safe;
use super::table::{Cell, Column};
use super::time::ago;
use super::view::{self, Listed};
use crate::view::{Endpoint, Standing, Status};

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let status = context.with_store(async |config, store| {
        let endpoints = Endpoint::load(store, &config.callbacks.endpoints).await?;
        Ok(Status { listings: Standing::load(store).await?, endpoints })
    });
    let status = status.await?;
    let printer = context.printer();
    if printer.json() {
        return Ok(printer.document(&status)?);
    }
    let Status { listings, endpoints } = &status;
    view::list(context, listings)?;
    for Standing { listing, unauthorized_since, stalled_since, last_error, .. } in listings {
        let now = context.clock().now();
        if let Some(since) = *unauthorized_since {
            printer.line(format!("{RED}!{RED:#} {listing}: the API key is refused, first {}", ago(since, now)));
        }
        if let Some(since) = *stalled_since {
            printer.line(format!("{RED}!{RED:#} {listing}: stalled, last complete {}", ago(since, now)));
        }
        if let Some(error) = last_error {
            printer.line(format!("{YELLOW}!{YELLOW:#} {listing}: {}", safe::text(error)));
        }
    }
    printer.line("");
    for history in endpoints.iter().filter_map(Endpoint::history) {
        printer.line(history);
    }
    Ok(())
}

impl Listed for Standing {
    const NOUN: &'static str = "listings";
    type Json = Self;

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
            Some("complete") => GREEN,
            Some("failed") => RED,
            Some(_) => YELLOW,
            None => DIM,
        };
        let aged = |time: Option<DateTime<Utc>>| Cell::maybe(time.map(|time| ago(time, now)));
        vec![
            Cell::new(self.listing),
            Cell::new(self.rows),
            aged(self.complete_through),
            aged(self.proved_through),
            Cell::maybe(outcome).styled(style),
            aged(self.last_run_at),
            Cell::new(self.import),
        ]
    }

    fn json(&self) -> Self {
        self.clone()
    }
}
