//! Deliveries, in full with their attempts, and why each is in the state that it is in.

mod why;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{attempt, event};
use schemars::JsonSchema;
use serde::Serialize;

use super::event::Object;
use crate::store::query::DeliveryRow;

pub use why::{hold, why};

/// A row of `lumo_deliveries`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Delivery {
    /// The event and the endpoint: `evt_…@shop`.
    pub id: String,
    pub event_id: String,
    pub seq: i64,
    #[serde(rename = "type")]
    pub kind: String,
    pub external_id: Option<String>,
    pub endpoint: String,
    pub state: &'static str,
    /// What the state means for this one: why it waits, until when, what it takes.
    pub why: String,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub last_status: Option<i32>,
    pub last_error: Option<String>,
    pub reason: &'static str,
    /// When the event was noticed; of a replay or of history, when it was queued.
    pub since: DateTime<Utc>,
    /// The event whose delivery goes first.
    pub is_behind: Option<String>,
    /// What its event says of the wallet or the deposit, in short; only in lists of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
    /// Its attempts, oldest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<Attempt>>,
}

/// A row of `lumo_delivery_attempts`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Attempt {
    pub attempt: i32,
    pub started_at: DateTime<Utc>,
    pub duration_ms: i64,
    pub status: Option<i32>,
    pub error: Option<String>,
    pub response_body: Option<String>,
    /// `delivered`, `answered`, `failed`, `filtered` or `superseded`.
    pub result: &'static str,
    pub reason: &'static str,
}

impl Delivery {
    #[must_use]
    pub fn brief(row: &DeliveryRow, now: DateTime<Utc>) -> Self {
        Self {
            id: row.id.to_string(),
            event_id: row.id.event.to_string(),
            seq: row.seq,
            kind: row.kind.clone(),
            external_id: row.external_id.as_ref().map(ToString::to_string),
            endpoint: row.id.endpoint.to_string(),
            state: row.state.as_str(),
            why: why(row, now),
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            delivered_at: row.delivered_at,
            last_status: row.last_status,
            last_error: row.last_error.clone(),
            reason: row.reason.as_str(),
            since: row.since,
            is_behind: row.is_behind.as_ref().map(ToString::to_string),
            object: None,
            history: None,
        }
    }

    /// As a list shows it that knows its event.
    #[must_use]
    pub fn listed(row: &DeliveryRow, event: Option<&event::Model>, now: DateTime<Utc>) -> Self {
        Self { object: event.map(|event| Object::of(&event.body)), ..Self::brief(row, now) }
    }

    #[must_use]
    pub fn full<'a>(
        row: &DeliveryRow,
        attempts: impl IntoIterator<Item = &'a attempt::Model>,
        now: DateTime<Utc>,
    ) -> Self {
        Self { history: Some(attempts.into_iter().map(Attempt::of).collect()), ..Self::brief(row, now) }
    }
}

impl Attempt {
    #[must_use]
    pub fn of(row: &attempt::Model) -> Self {
        Self {
            attempt: row.attempt,
            started_at: row.started_at,
            duration_ms: row.duration_ms,
            status: row.status,
            error: row.error.clone(),
            response_body: row.response_body.clone(),
            result: row.result.as_str(),
            reason: row.reason.as_str(),
        }
    }
}
