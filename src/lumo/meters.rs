//! Counts the client's requests and their results for the metrics.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::lumo::pace::Priority;
use crate::lumo::{Error, Outage};

const DURATION_BUCKETS_SECONDS: [f64; 11] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

/// Every label that [`outcome`] gives.
const OUTCOMES: [&str; 10] = [
    "answered",
    "unauthorized",
    "throttled",
    "not_connected",
    "timeout",
    "broken",
    "unavailable",
    "not_found",
    "refused",
    "not_as_documented",
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    lane: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabel {
    lane: &'static str,
}

/// What the client has asked, and how long that took. Every series is there from the start.
#[derive(Debug)]
pub struct Meters {
    requests: Family<RequestLabels, Counter>,
    durations: Family<LaneLabel, Histogram>,
}

impl Default for Meters {
    fn default() -> Self {
        let meters = Self {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS_SECONDS)),
        };
        for lane in [Priority::Fresh, Priority::Recent, Priority::Sweep].map(priority) {
            for outcome in OUTCOMES {
                drop(meters.requests.get_or_create(&RequestLabels { lane, outcome }));
            }
            drop(meters.durations.get_or_create(&LaneLabel { lane }));
        }
        meters
    }
}

impl Meters {
    /// Shows them in a registry, under their names.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "lumo_bridge_lumo_requests",
            "Requests to Lumo by what they were for and what came of them",
            self.requests.clone(),
        );
        registry.register(
            "lumo_bridge_lumo_request_duration_seconds",
            "How long Lumo took to answer",
            self.durations.clone(),
        );
    }

    pub(super) fn count(&self, lane: &'static str, outcome: &'static str, took: Duration) {
        self.requests.get_or_create(&RequestLabels { lane, outcome }).inc();
        self.durations.get_or_create(&LaneLabel { lane }).observe(took.as_secs_f64());
    }
}

/// The label for the result of a request, from a closed set.
pub(super) const fn outcome<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "answered",
        Err(Error::Unauthorized) => "unauthorized",
        Err(Error::Throttled { .. }) => "throttled",
        Err(Error::Unavailable { outage: Outage::Connect, .. }) => "not_connected",
        Err(Error::Unavailable { outage: Outage::Timeout, .. }) => "timeout",
        Err(Error::Unavailable { outage: Outage::Broken, .. }) => "broken",
        Err(Error::Unavailable { outage: Outage::Answered { .. }, .. }) => "unavailable",
        Err(Error::NotFound { .. }) => "not_found",
        Err(Error::Refused { .. }) => "refused",
        Err(Error::Contract { .. } | Error::Setup { .. }) => "not_as_documented",
    }
}

pub(super) const fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Fresh => "fresh",
        Priority::Recent => "hot",
        Priority::Sweep => "sweep",
    }
}
