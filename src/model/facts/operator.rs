//! Events about how callbacks fare: for the operator, told to the endpoints that are not concerned.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::endpoint::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{Changes, NO_COMPANY};
use crate::model::draft::{self, Draft, Origin, rfc3339};
use crate::model::event::EventType;
use crate::model::id::{DeliveryId, EndpointName, EventId};

/// A delivery that is given up.
#[derive(Clone, Copy, Debug)]
pub struct Died<'a> {
    pub delivery: &'a DeliveryId,
    pub attempts: u32,
    /// The last answer.
    pub status: Option<u16>,
    pub error: Option<&'a str>,
}

/// A delivery that was given up.
#[derive(Serialize, JsonSchema)]
pub(super) struct DeadDelivery<'a> {
    /// What it is: `delivery`.
    kind: &'static str,
    /// The delivery's id, `evt_…@endpoint`, for `lumo-bridge delivery show`.
    id: &'a str,
    /// The event that was not delivered.
    event_id: &'a str,
    /// To whom.
    endpoint: &'a str,
    /// How often it was tried.
    attempts: u32,
    /// The last HTTP status, if there was an answer.
    #[schemars(with = "u16")]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_status: Option<u16>,
    /// What went wrong last.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
}

/// `delivery.dead`. A delivery that is retried by hand can die again: its event's id holds the number of attempts and the moment.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn dead_event(died: &Died<'_>, generation: &str, now: DateTime<Utc>) -> serde_json::Result<Draft> {
    let DeliveryId { event, endpoint } = died.delivery;
    let id = died.delivery.to_string();
    let object = DeadDelivery {
        kind: "delivery",
        id: &id,
        event_id: event.as_str(),
        endpoint: endpoint.as_str(),
        attempts: died.attempts,
        last_status: died.status,
        last_error: died.error,
    };
    let kind = EventType::DeliveryDead;
    let which = format!("{id}#{}", died.attempts);
    let event_id = draft::repeated(NO_COMPANY, kind, &which, now.timestamp_micros(), generation);
    operator_event(event_id, kind, endpoint, ("delivery", &id), &object, None, now)
}

/// An endpoint whose state changes by itself.
#[derive(Clone, Copy, Debug)]
pub struct Turned<'a> {
    pub endpoint: &'a EndpointName,
    pub from: State,
    pub to: State,
    /// Since when it was in the state that it leaves.
    pub since: DateTime<Utc>,
    pub consecutive_failures: i32,
    /// Why.
    pub error: Option<&'a str>,
}

/// An endpoint of the configuration.
#[derive(Serialize, JsonSchema)]
pub(super) struct Endpoint<'a> {
    /// What it is: `endpoint`.
    kind: &'static str,
    /// Its name.
    id: &'a str,
    /// `active`, `failing` or `suspended`.
    state: &'static str,
    /// Since when it is in this state.
    #[schemars(extend("format" = "date-time"))]
    since: String,
    /// Failures in a row that speak of the endpoint and not of one user's callbacks alone.
    consecutive_failures: i32,
    /// What went wrong last.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// `endpoint.failing`, `endpoint.suspended` or `endpoint.recovered`.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn endpoint_event(turned: &Turned<'_>, generation: &str, now: DateTime<Utc>) -> serde_json::Result<Draft> {
    let kind = match turned.to {
        State::Failing => EventType::EndpointFailing,
        State::Suspended | State::Paused => EventType::EndpointSuspended,
        State::Active => EventType::EndpointRecovered,
    };
    let object = Endpoint {
        kind: "endpoint",
        id: turned.endpoint.as_str(),
        state: turned.to.as_str(),
        since: rfc3339(now),
        consecutive_failures: turned.consecutive_failures,
        error: turned.error,
    };
    let mut changes = Changes::default();
    changes.note("state", &turned.from.as_str(), &turned.to.as_str());
    changes.note("since", &rfc3339(turned.since), &rfc3339(now));
    let id = draft::repeated(NO_COMPANY, kind, object.id, now.timestamp_micros(), generation);
    operator_event(id, kind, turned.endpoint, ("endpoint", object.id), &object, Some(changes), now)
}

/// The endpoint that is tried.
#[derive(Serialize)]
struct Tried<'a> {
    kind: &'static str,
    id: &'a str,
}

/// `bridge.test`, which is sent at once and stored nowhere.
///
/// # Errors
/// Only if serialising fails, which plain texts give no cause for.
pub fn test_event(endpoint: &EndpointName, now: DateTime<Utc>) -> serde_json::Result<Draft> {
    let (kind, object) = (EventType::BridgeTest, Tried { kind: "endpoint", id: endpoint.as_str() });
    let id = draft::repeated("", kind, object.id, now.timestamp_micros(), "");
    let draft = operator_event(id, kind, endpoint, ("endpoint", object.id), &object, None, now)?;
    Ok(Draft { origin: Origin::Test, ..draft })
}

fn operator_event(
    id: EventId,
    kind: EventType,
    endpoint: &EndpointName,
    (object_kind, object_id): (&'static str, &str),
    object: &impl Serialize,
    changes: Option<Changes>,
    now: DateTime<Utc>,
) -> serde_json::Result<Draft> {
    Ok(Draft {
        id,
        kind,
        stream: format!("endpoint:{endpoint}"),
        object_kind,
        object_id: object_id.to_owned(),
        external_id: None,
        occurred_at: now,
        detected_at: now,
        origin: Origin::Live,
        object: to_raw_value(object)?,
        changes: changes.map(|changes| changes.to_json()).transpose()?,
        upstream: None,
    })
}
