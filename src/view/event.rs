//! Events, in full with the deliveries that were made of them.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::event::Model;
use lumo_bridge_entity::operator_action;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Delivery, Embedded};

/// What an event says of its object, in short: each null where the event does not say it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "EventObject")]
pub struct Object {
    /// Exact, as a decimal.
    pub amount: Option<String>,
    pub currency: Option<String>,
    /// Of a deposit, as Lumo spells it.
    pub status: Option<String>,
    /// The user's id in your own system.
    #[serde(rename(deserialize = "external_id"))]
    pub user: Option<String>,
}

impl Object {
    /// That of a stored body. Whatever is not as events have it says nothing.
    pub(super) fn of(body: &str) -> Self {
        #[derive(Deserialize)]
        struct Body {
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            object: Object,
        }
        serde_json::from_str(body).map_or_else(|_| Self::default(), |body: Body| body.data.object)
    }
}

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
    /// What it says of the wallet or the deposit, in short.
    pub object: Object,
    /// What its callbacks carry; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Embedded>,
    /// Who is told, the newest first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliveries: Option<Vec<Delivery>>,
    /// The configured endpoints whose `events` name its type, those that lack it first; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_by: Option<Vec<String>>,
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
            object: Object::of(&row.body),
            body: None,
            deliveries: None,
            wanted_by: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_told_in_short_and_its_amount_digit_for_digit() {
        let of = |object: &str| {
            Object::of(&format!(r#"{{"id": "evt_a", "data": {{"object": {object}, "changes": null}}}}"#))
        };
        let deposit = r#"{"kind": "deposit", "id": "d", "version": 1, "amount": "0.500000000000000001", "currency": "USDT",
                          "status": "new", "external_id": "42", "confirmations": 3}"#;
        let text = |text: &str| Some(text.to_owned());
        let expected = Object {
            amount: text("0.500000000000000001"),
            currency: text("USDT"),
            status: text("new"),
            user: text("42"),
        };
        assert_eq!(of(deposit), expected);
        assert_eq!(of(r#"{"kind": "wallet", "external_id": "42"}"#), Object { user: text("42"), ..Object::default() });
        assert_eq!((of("[]"), Object::of("{}"), Object::of("<html>")), Default::default());
    }
}
