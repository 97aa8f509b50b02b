//! Describes the result of one event at an endpoint, and makes its rows in the tables.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt::{self, AttemptResult};
use lumo_bridge_entity::exception::{self, Reason, State};
use sea_orm::ActiveValue::Set;

use crate::model::id::{EndpointName, EventId};

/// The result of one event.
#[derive(Clone, Debug)]
pub struct Item {
    pub seq: i64,
    pub event: EventId,
    pub lane: Option<String>,
    pub reason: Reason,
    /// Its row as the leader last read it; none if it had none.
    pub row: Option<KnownRow>,
    /// Attempts since it last began anew, and in total, including this one.
    pub tries: i32,
    pub attempts: i32,
    /// The attempt to record.
    pub attempt: Option<Attempted>,
    /// The final result of the last attempt, which is recorded already.
    pub amend: Option<Amend>,
    pub fate: Fate,
    pub hold_until: Option<DateTime<Utc>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownRow {
    pub touched: i64,
    /// Whether a range wants the event. Only then its row may be deleted when it is delivered.
    pub is_wanted: bool,
}

/// An attempt that was made, or why none was.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub started_at: DateTime<Utc>,
    pub duration: Duration,
    pub status: Option<u16>,
    pub error: Option<String>,
    pub response_body: Option<String>,
    pub result: AttemptResult,
    /// Whether it counts as an attempt; a 429 does not.
    pub counts: bool,
}

/// A later result of a recorded attempt.
#[derive(Clone, Debug)]
pub struct Amend {
    pub result: AttemptResult,
    pub error: Option<String>,
}

/// What happens next to a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing is left to do.
    Done,
    /// It waits for its lane.
    Wait,
    /// A request is in flight. If its process is gone, it counts as lost at this time.
    Sending {
        until: DateTime<Utc>,
    },
    RetryAt(DateTime<Utc>),
    /// It was answered, and fails unless it is acknowledged by this time.
    AwaitAck {
        by: DateTime<Utc>,
    },
    Dead,
}

impl Item {
    pub(super) fn state(&self) -> State {
        match self.fate {
            Fate::Done => State::Delivered,
            // A delivery that was attempted stays in `retrying`.
            Fate::Wait if self.tries > 0 => State::Retrying,
            Fate::Wait => State::Waiting,
            Fate::Sending { .. } => State::Sending,
            Fate::RetryAt(_) => State::Retrying,
            Fate::AwaitAck { .. } => State::AwaitingAck,
            Fate::Dead => State::Dead,
        }
    }

    pub(super) fn next_attempt_at(&self) -> Option<DateTime<Utc>> {
        match self.fate {
            Fate::Sending { until } => Some(until),
            Fate::RetryAt(at) => Some(at),
            Fate::Done | Fate::Wait | Fate::AwaitAck { .. } | Fate::Dead => None,
        }
    }

    pub(super) fn ack_by(&self) -> Option<DateTime<Utc>> {
        match self.fate {
            Fate::AwaitAck { by } => Some(by),
            _ => None,
        }
    }

    pub(super) fn epoch(&self, epoch: i64) -> Option<i64> {
        matches!(self.fate, Fate::Sending { .. }).then_some(epoch)
    }

    pub(super) fn attempt_row(&self, endpoint: &EndpointName) -> Option<attempt::ActiveModel> {
        let attempt = self.attempt.as_ref().filter(|attempt| attempt.counts)?;
        Some(attempt::ActiveModel {
            endpoint: Set(endpoint.clone()),
            seq: Set(self.seq),
            attempt: Set(self.attempts),
            event_id: Set(self.event.clone()),
            started_at: Set(attempt.started_at),
            duration_ms: Set(i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX)),
            status: Set(attempt.status.map(i32::from)),
            error: Set(attempt.error.clone()),
            response_body: Set(attempt.response_body.clone()),
            result: Set(attempt.result),
            reason: Set(self.reason),
        })
    }

    /// A new row; none if it has one or needs none.
    pub(super) fn new_row(
        &self,
        endpoint: &EndpointName,
        epoch: i64,
        now: DateTime<Utc>,
    ) -> Option<exception::ActiveModel> {
        if self.row.is_some() || self.fate == Fate::Done {
            return None;
        }
        let is_final = self.state().is_final();
        // Without a lane, no row goes before it.
        let due = if self.fate == Fate::Wait && self.lane.is_none() { Some(now) } else { self.next_attempt_at() };
        let attempt = self.attempt.as_ref();
        Some(exception::ActiveModel {
            endpoint: Set(endpoint.clone()),
            seq: Set(self.seq),
            event_id: Set(self.event.clone()),
            state: Set(self.state()),
            reason: Set(self.reason),
            lane: Set(self.lane.clone().filter(|_| !is_final)),
            tries: Set(self.tries),
            attempts: Set(self.attempts),
            next_attempt_at: Set(due),
            hold_until: Set(self.hold_until),
            ack_by: Set(self.ack_by()),
            epoch: Set(self.epoch(epoch)),
            touched: Set(0),
            last_status: Set(attempt.and_then(|attempt| attempt.status).map(i32::from)),
            last_error: Set(attempt.and_then(|attempt| attempt.error.clone())),
            created_at: Set(now),
            ended_at: Set(is_final.then_some(now)),
        })
    }
}
