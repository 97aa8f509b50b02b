//! Deliveries, in full with their attempts.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::attempt;
use lumo_bridge_entity::delivery::Model;
use schemars::JsonSchema;
use serde::Serialize;

/// A row of `lumo_deliveries`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Delivery {
    pub id: String,
    pub event_id: String,
    pub endpoint: String,
    pub state: &'static str,
    pub attempts: i32,
    pub next_attempt_at: Option<DateTime<Utc>>,
    pub delivered_at: Option<DateTime<Utc>>,
    pub last_status: Option<i32>,
    pub last_error: Option<String>,
    pub reason: &'static str,
    pub created_at: DateTime<Utc>,
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
}

impl Delivery {
    #[must_use]
    pub fn brief(row: &Model) -> Self {
        Self {
            id: row.id.to_string(),
            event_id: row.event_id.to_string(),
            endpoint: row.endpoint.to_string(),
            state: row.state.as_str(),
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            delivered_at: row.delivered_at,
            last_status: row.last_status,
            last_error: row.last_error.clone(),
            reason: row.reason.as_str(),
            created_at: row.created_at,
            history: None,
        }
    }

    #[must_use]
    pub fn full<'a>(row: &Model, attempts: impl IntoIterator<Item = &'a attempt::Model>) -> Self {
        Self { history: Some(attempts.into_iter().map(Attempt::of).collect()), ..Self::brief(row) }
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
        }
    }
}
