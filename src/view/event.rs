//! Events, in full with the deliveries that were made of them.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::event::Model;
use lumo_bridge_entity::operator_action;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Action, Delivery, Embedded};

/// A row of `lumo_events`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Event {
    pub id: String,
    pub seq: i64,
    #[serde(rename = "type")]
    pub kind: String,
    pub stream: String,
    pub stream_seq: i64,
    pub object_kind: String,
    pub object_id: String,
    pub external_id: Option<String>,
    pub occurred_at: DateTime<Utc>,
    pub detected_at: DateTime<Utc>,
    pub origin: String,
    /// What its callbacks carry; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Embedded>,
    /// Who is told, the newest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Vec<Delivery>>,
    /// What operators did to its deliveries, the newest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<Vec<Action>>,
}

impl Event {
    #[must_use]
    pub fn brief(row: &Model) -> Self {
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            kind: row.kind.clone(),
            stream: row.stream.clone(),
            stream_seq: row.stream_seq,
            object_kind: row.object_kind.clone(),
            object_id: row.object_id.clone(),
            external_id: row.external_id.as_ref().map(ToString::to_string),
            occurred_at: row.occurred_at,
            detected_at: row.detected_at,
            origin: row.origin.clone(),
            body: None,
            deliveries: None,
            actions: None,
        }
    }

    #[must_use]
    pub fn full(row: &Model, deliveries: Vec<Delivery>, actions: &[operator_action::Model]) -> Self {
        Self {
            body: Some(Embedded::new(&row.body)),
            deliveries: Some(deliveries),
            actions: Some(actions.iter().map(Action::of).collect()),
            ..Self::brief(row)
        }
    }
}
