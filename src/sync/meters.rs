//! The metrics of rounds and sweeps.

use std::time::Duration;

use super::{Report, Tally};
use crate::meter::{Counter, Exposition, Histogram};
use crate::model::Listing;

const DURATION_BUCKETS_SECONDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];

#[derive(Debug)]
pub struct Meters {
    durations: Histogram<2>,
    rows: Counter<2>,
    watch: Counter<0>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            durations: Histogram::new(
                "lumo_bridge_sync_pass_duration_seconds",
                "How long rounds and sweeps took, by how they ended.",
                ["listing", "outcome"],
                DURATION_BUCKETS_SECONDS,
            ),
            rows: Counter::new(
                "lumo_bridge_sync_rows_total",
                "Rows that were read, and what was new about them.",
                ["listing", "change"],
            ),
            watch: Counter::new(
                "lumo_bridge_watch_requests_total",
                "Requests for deposits of watched users, between the rounds.",
                [],
            ),
        }
    }
}

impl Meters {
    pub fn write(&self, text: &mut Exposition) {
        self.durations.write(text);
        self.rows.write(text);
        self.watch.write(text);
    }

    pub(super) fn count_watch(&self, requests: u64) {
        self.watch.add([], requests);
    }

    pub(super) fn count(&self, report: &Report) {
        let listing = report.listing.as_str();
        let took = u64::try_from(report.duration_ms()).unwrap_or_default();
        self.durations.observe([listing, report.outcome.as_str()], Duration::from_millis(took));
        self.count_rows(report.listing, &report.tally);
    }

    pub(super) fn count_rows(&self, listing: Listing, tally: &Tally) {
        for (change, rows) in [
            ("read", tally.rows),
            ("appeared", tally.appeared),
            ("changed", tally.changed),
            ("rejected", tally.rejected),
        ] {
            self.rows.add([listing.as_str(), change], rows);
        }
    }
}
