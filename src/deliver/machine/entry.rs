//! Tracks one event in memory through its stages: queued, in flight, decided.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::exception::Reason;
use tokio::time::Instant;

use super::Now;
use crate::store::delivery::{Amend, Attempted, DueRow, Fate, Item, KnownRow};
use crate::store::log::LogEvent;

/// An event in hand.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Arc<LogEvent>,
    pub(super) lane: Option<String>,
    pub(super) reason: Reason,
    /// Its row in the table; none for an event after the position.
    pub(super) row: Option<KnownRow>,
    pub(super) tries: i32,
    pub(super) attempts: i32,
    pub(super) hold_until: Option<DateTime<Utc>>,
    pub(super) stage: Stage,
    /// A command has changed it, so its result is ignored.
    pub(super) is_overruled: bool,
    pub(super) is_probe: bool,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Waits for its lane, or for a free slot.
    Queued,
    InFlight,
    Decided(Decided),
}

/// The result, which is not written yet.
#[derive(Clone, Debug)]
pub(super) struct Decided {
    pub(super) fate: Fate,
    pub(super) attempt: Option<Attempted>,
    pub(super) amend: Option<Amend>,
    pub(super) at: Instant,
}

impl Entry {
    pub(super) fn of_event(event: LogEvent, lane: Option<String>) -> Self {
        Self {
            event: Arc::new(event),
            lane,
            reason: Reason::Live,
            row: None,
            tries: 0,
            attempts: 0,
            hold_until: None,
            stage: Stage::Queued,
            is_overruled: false,
            is_probe: false,
        }
    }

    pub(super) fn of_row(row: DueRow) -> Self {
        let DueRow { event, reason, lane, tries, attempts, hold_until, known, .. } = row;
        Self { reason, row: Some(known), tries, attempts, hold_until, ..Self::of_event(event, lane) }
    }

    /// When the event was noticed; none for a replay or a backfill.
    pub(super) fn noticed_at(&self) -> Option<DateTime<Utc>> {
        (self.reason == Reason::Live).then_some(self.event.detected_at)
    }

    pub(super) const fn decided_at(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Decided(decided) => Some(decided.at),
            Stage::Queued | Stage::InFlight => None,
        }
    }

    /// The item to write; none if its row is up to date.
    pub(super) fn item(&self, seq: i64, until: DateTime<Utc>) -> Option<Item> {
        let (fate, attempt, amend) = match &self.stage {
            _ if self.is_overruled => return None,
            Stage::Decided(decided) => (decided.fate, decided.attempt.clone(), decided.amend.clone()),
            Stage::Queued => return None,
            Stage::InFlight if self.row.is_some() => return None,
            Stage::InFlight => (Fate::Sending { until }, None, None),
        };
        Some(Item {
            seq,
            event: self.event.id.clone(),
            lane: self.lane.clone(),
            reason: self.reason,
            row: self.row,
            tries: self.tries,
            attempts: self.attempts,
            attempt,
            amend,
            fate,
            hold_until: self.hold_until,
        })
    }

    /// The item for a sink that has run, or for an event that the sink left out.
    pub(super) fn item_of_run(&self, seq: i64, result: AttemptResult, now: Now) -> Item {
        Item {
            seq,
            event: self.event.id.clone(),
            lane: self.lane.clone(),
            reason: self.reason,
            row: self.row,
            tries: self.tries.saturating_add(1),
            attempts: self.attempts.saturating_add(1),
            attempt: Some(Attempted {
                started_at: now.utc,
                duration: Duration::ZERO,
                status: None,
                error: None,
                response_body: None,
                result,
                counts: true,
            }),
            amend: None,
            fate: Fate::Done,
            hold_until: None,
        }
    }
}
