//! The metrics of delivery.

use std::time::Duration;

use crate::meter::{Counter, Exposition, Histogram};
use crate::model::retry::{Outcome, Verdict};

const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];

const LATENCIES: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0];

#[derive(Debug)]
pub struct Meters {
    attempts: Counter<2>,
    durations: Histogram<1>,
    given_up: Counter<1>,
    filtered: Counter<1>,
    latencies: Histogram<1>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            attempts: Counter::new(
                "lumo_bridge_delivery_attempts_total",
                "Callbacks that were sent and statements of sinks that were run, and what came of each.",
                ["endpoint", "outcome"],
            ),
            durations: Histogram::new(
                "lumo_bridge_delivery_attempt_duration_seconds",
                "How long an attempt took, answer or not.",
                ["endpoint"],
                BOUNDS,
            ),
            given_up: Counter::new(
                "lumo_bridge_deliveries_given_up_total",
                "Deliveries that are dead after their last attempt.",
                ["endpoint"],
            ),
            filtered: Counter::new(
                "lumo_bridge_callbacks_filtered_total",
                "Events that `when` of their endpoint left out.",
                ["endpoint"],
            ),
            latencies: Histogram::new(
                "lumo_bridge_detected_to_accepted_seconds",
                "From the moment when a change was noticed until an endpoint accepted it; without replays and history.",
                ["endpoint"],
                LATENCIES,
            ),
        }
    }
}

impl Meters {
    pub fn write(&self, text: &mut Exposition) {
        self.attempts.write(text);
        self.durations.write(text);
        self.given_up.write(text);
        self.filtered.write(text);
        self.latencies.write(text);
    }

    /// Records the time from noticing an event to its acceptance.
    pub(super) fn time(&self, endpoint: &str, took: Duration) {
        self.latencies.observe([endpoint], took);
    }

    pub(super) fn count_left_out(&self, endpoint: &str) {
        self.filtered.add([endpoint], 1);
    }

    pub(super) fn count(&self, endpoint: &str, outcome: &Outcome, took: Duration, verdict: &Verdict) {
        let met = match outcome {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Refused { status: 400..=499, .. } => "refused_4xx",
            Outcome::Refused { status: 500..=599, .. } => "refused_5xx",
            Outcome::Refused { .. } => "refused_other",
            Outcome::Unreachable(why) => why.as_str(),
        };
        self.attempts.add([endpoint, met], 1);
        self.durations.observe([endpoint], took);
        if *verdict == Verdict::Dead {
            self.given_up.add([endpoint], 1);
        }
    }
}
