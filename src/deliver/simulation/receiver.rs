//! Simulates receivers that work, fail, are slow or are gone, and keeps what each has received.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::deliver::machine::Now;
use crate::model::retry::{Outcome, Unreachable};

/// The state of a receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mood {
    #[default]
    Well,
    /// It fails once in three times.
    Flaky,
    Broken,
    /// It works, and its answers come too late.
    Slow,
    /// It asks not to be called for some seconds.
    Busy,
    Gone,
}

#[derive(Debug, Default)]
pub(super) struct SimulatedReceiver {
    pub(super) mood: Mood,
    /// Events that it always refuses.
    pub(super) poison: BTreeSet<i64>,
    pub(super) events: BTreeMap<i64, ReceivedEvent>,
    /// When it last accepted one. Not by the calendar, which jumps.
    pub(super) accepted_at: Option<Instant>,
}

/// What it has received of an event.
#[derive(Clone, Debug, Default)]
pub(super) struct ReceivedEvent {
    pub(super) arrivals: usize,
    /// How often it answered with a 2xx, whether or not the answer arrived.
    pub(super) accepted: usize,
    pub(super) first_answer: Option<DateTime<Utc>>,
    pub(super) first_at: Option<Instant>,
    pub(super) is_acknowledged: bool,
}

impl SimulatedReceiver {
    pub(super) fn any_mood(rng: &mut StdRng) -> Mood {
        match rng.random_range(0..12) {
            0..5 => Mood::Well,
            5..7 => Mood::Flaky,
            7..9 => Mood::Broken,
            9 => Mood::Slow,
            10 => Mood::Busy,
            _ => Mood::Gone,
        }
    }

    /// Notes that a callback was lost, which looks like a failure of the receiver.
    pub(super) fn never_heard(&mut self, seq: i64, now: Now) {
        let met = self.events.entry(seq).or_default();
        met.first_answer.get_or_insert(now.utc);
        met.first_at.get_or_insert(now.instant);
    }

    /// Takes a callback that arrives, and returns the answer.
    pub(super) fn take(&mut self, seq: i64, now: Now, rng: &mut StdRng) -> Outcome {
        let is_poison = self.poison.contains(&seq);
        let met = self.events.entry(seq).or_default();
        met.arrivals += 1;
        met.first_answer.get_or_insert(now.utc);
        met.first_at.get_or_insert(now.instant);
        let outcome = match self.mood {
            _ if is_poison => Outcome::Refused { status: 500, retry_after: None },
            Mood::Flaky if rng.random_range(0..3) == 0 => Outcome::Refused { status: 502, retry_after: None },
            Mood::Well | Mood::Flaky => Outcome::Accepted { status: 200 },
            Mood::Broken => Outcome::Refused { status: 500, retry_after: None },
            Mood::Slow => Outcome::Unreachable(Unreachable::Timeout),
            Mood::Busy => {
                let status = if rng.random_bool(0.5) { 429 } else { 503 };
                Outcome::Refused { status, retry_after: Some(Duration::from_secs(rng.random_range(1..30))) }
            }
            Mood::Gone => Outcome::Refused { status: 410, retry_after: None },
        };
        if matches!(outcome, Outcome::Accepted { .. }) {
            met.accepted += 1;
            self.accepted_at = Some(now.instant);
        }
        outcome
    }
}
