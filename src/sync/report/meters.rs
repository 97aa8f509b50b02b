//! Counts and times rounds and sweeps for the metrics.

use std::time::Duration;

use lumo_bridge_entity::run::Outcome;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Report, Tally};
use crate::model::Listing;

const DURATION_BUCKETS_SECONDS: [f64; 13] =
    [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];

const OUTCOMES: [Outcome; 4] = [Outcome::Complete, Outcome::Incomplete, Outcome::Failed, Outcome::Cancelled];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    listing: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RowLabels {
    listing: &'static str,
    change: &'static str,
}

/// Every series is there from the start.
#[derive(Debug)]
pub struct Meters {
    durations: Family<PassLabels, Histogram>,
    rows: Family<RowLabels, Counter>,
    watch: Counter,
}

impl Default for Meters {
    fn default() -> Self {
        let meters = Self {
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_SECONDS)),
            rows: Family::default(),
            watch: Counter::default(),
        };
        for listing in Listing::ALL {
            for outcome in OUTCOMES.map(Outcome::as_str) {
                drop(meters.durations.get_or_create(&PassLabels { listing: listing.as_str(), outcome }));
            }
            meters.count_rows(listing, &Tally::default());
        }
        meters
    }
}

impl Meters {
    /// Shows them in a registry, under their names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "lumo_bridge_sync_pass_duration_seconds",
            "How long rounds and sweeps took, by how they ended",
            self.durations.clone(),
        );
        registry.register(
            "lumo_bridge_sync_rows",
            "Rows that were read, and what was new about them",
            self.rows.clone(),
        );
        registry.register(
            "lumo_bridge_watch_requests",
            "Requests for deposits of watched users, between the rounds",
            self.watch.clone(),
        );
    }

    pub(in crate::sync) fn count_watch(&self, requests: u64) {
        self.watch.inc_by(requests);
    }

    pub(in crate::sync) fn count(&self, report: &Report) {
        let labels = PassLabels { listing: report.listing.as_str(), outcome: report.outcome.as_str() };
        let took = Duration::from_millis(u64::try_from(report.duration_ms()).unwrap_or_default());
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        self.count_rows(report.listing, &report.tally);
    }

    pub(in crate::sync) fn count_rows(&self, listing: Listing, tally: &Tally) {
        for (change, rows) in [
            ("read", tally.rows),
            ("appeared", tally.appeared),
            ("changed", tally.changed),
            ("rejected", tally.rejected),
        ] {
            self.rows.get_or_create(&RowLabels { listing: listing.as_str(), change }).inc_by(rows);
        }
    }
}
