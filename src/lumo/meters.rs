//! Counts the client's requests and their results for the metrics.

use crate::lumo::pace::Priority;
use crate::lumo::{Error, Outage};
use crate::meter::{Counter, Exposition, Histogram};

const DURATION_BUCKETS_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0];

#[derive(Debug)]
pub struct Meters {
    pub(super) requests: Counter<2>,
    pub(super) durations: Histogram<1>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            requests: Counter::new(
                "lumo_bridge_lumo_requests_total",
                "Requests to Lumo by what they were for and what came of them.",
                ["lane", "outcome"],
            ),
            durations: Histogram::new(
                "lumo_bridge_lumo_request_duration_seconds",
                "How long Lumo took to answer.",
                ["lane"],
                DURATION_BUCKETS_SECONDS,
            ),
        }
    }
}

impl Meters {
    pub fn write(&self, text: &mut Exposition) {
        self.requests.write(text);
        self.durations.write(text);
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
