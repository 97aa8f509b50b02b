//! Counts attempts, dead deliveries and filtered events, and measures durations, for the metrics.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::model::retry::{Outcome, Unreachable, Verdict};

const DURATION_BUCKETS_SECONDS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];

const LATENCY_BUCKETS_SECONDS: [f64; 15] =
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];

/// The outcomes of attempts that had an answer. The others are those of [`Unreachable`].
const ANSWERS: [&str; 4] = ["accepted", "refused_4xx", "refused_5xx", "refused_other"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    endpoint: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabel {
    endpoint: String,
}

/// Every series of a configured endpoint is there from the start.
#[derive(Debug)]
pub struct Meters {
    attempts: Family<AttemptLabels, Counter>,
    durations: Family<EndpointLabel, Histogram>,
    given_up: Family<EndpointLabel, Counter>,
    filtered: Family<EndpointLabel, Counter>,
    latencies: Family<EndpointLabel, Histogram>,
}

impl Meters {
    pub(super) fn new<'a>(endpoints: impl IntoIterator<Item = &'a str>) -> Self {
        let meters = Self {
            attempts: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_SECONDS)),
            given_up: Family::default(),
            filtered: Family::default(),
            latencies: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS_SECONDS)),
        };
        for name in endpoints {
            for outcome in ANSWERS.into_iter().chain(Unreachable::ALL.map(Unreachable::as_str)) {
                drop(meters.attempts.get_or_create(&AttemptLabels { endpoint: name.to_owned(), outcome }));
            }
            let label = endpoint(name);
            drop(meters.durations.get_or_create(&label));
            drop(meters.given_up.get_or_create(&label));
            drop(meters.filtered.get_or_create(&label));
            drop(meters.latencies.get_or_create(&label));
        }
        meters
    }

    /// Shows them in a registry, under their names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "lumo_bridge_delivery_attempts",
            "Callbacks that were sent and statements of sinks that were run, and what came of each",
            self.attempts.clone(),
        );
        registry.register(
            "lumo_bridge_delivery_attempt_duration_seconds",
            "How long an attempt took, answer or not",
            self.durations.clone(),
        );
        registry.register(
            "lumo_bridge_deliveries_given_up",
            "Deliveries that are dead after their last attempt",
            self.given_up.clone(),
        );
        registry.register(
            "lumo_bridge_callbacks_filtered",
            "Events that `when` of their endpoint left out",
            self.filtered.clone(),
        );
        registry.register(
            "lumo_bridge_detected_to_accepted_seconds",
            "From the moment when a change was noticed until an endpoint accepted it; without replays and history",
            self.latencies.clone(),
        );
    }

    /// Records the time from noticing an event to its acceptance.
    pub(super) fn time(&self, name: &str, took: Duration) {
        self.latencies.get_or_create(&endpoint(name)).observe(took.as_secs_f64());
    }

    pub(super) fn count_left_out(&self, name: &str) {
        self.filtered.get_or_create(&endpoint(name)).inc();
    }

    pub(super) fn count(&self, name: &str, outcome: &Outcome, took: Duration, verdict: &Verdict) {
        let outcome = match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Refused { status: 400..=499, .. } => "refused_4xx",
            Outcome::Refused { status: 500..=599, .. } => "refused_5xx",
            Outcome::Refused { .. } => "refused_other",
            Outcome::Unreachable(why) => why.as_str(),
        };
        let label = endpoint(name);
        self.attempts.get_or_create(&AttemptLabels { endpoint: name.to_owned(), outcome }).inc();
        self.durations.get_or_create(&label).observe(took.as_secs_f64());
        if *verdict == Verdict::Dead {
            self.given_up.get_or_create(&label).inc();
        }
    }
}

fn endpoint(name: &str) -> EndpointLabel {
    EndpointLabel { endpoint: name.to_owned() }
}
