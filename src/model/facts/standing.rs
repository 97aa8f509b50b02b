//! Events about how a listing fares: for the operator, not about anything that is listed.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{Changes, NO_COMPANY};
use crate::model::Listing;
use crate::model::draft::{self, Draft, Origin, rfc3339};
use crate::model::event::EventType;

/// What may be wrong with a listing, each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It has not been kept up to date.
    Stalled,
    /// The key is refused.
    Unauthorized,
    /// Rows left the list and are not called missing yet.
    RemovalsHeld,
}

impl Trouble {
    const fn field(self) -> &'static str {
        match self {
            Self::Stalled => "stalled_since",
            Self::Unauthorized => "unauthorized_since",
            Self::RemovalsHeld => "removals_held_since",
        }
    }

    const fn begins(self) -> EventType {
        match self {
            Self::Stalled => EventType::SyncStalled,
            Self::Unauthorized => EventType::SyncUnauthorized,
            Self::RemovalsHeld => EventType::SyncRemovalsHeld,
        }
    }
}

/// How a listing stands as the trouble begins or ends.
#[derive(Clone, Debug)]
pub struct Standing<'a> {
    pub listing: Listing,
    pub trouble: Trouble,
    /// Since when there was trouble before; none if it begins.
    pub before: Option<DateTime<Utc>>,
    /// Since when there is trouble; none if it ends.
    pub after: Option<DateTime<Utc>>,
    pub complete_through: Option<DateTime<Utc>>,
    pub proved_through: Option<DateTime<Utc>>,
    /// How many rows are held back.
    pub removals_held: Option<i64>,
    /// Why the last pass was not complete, or rows are held back.
    pub error: Option<&'a str>,
}

/// How a listing of the API stands.
#[derive(Serialize, JsonSchema)]
pub(super) struct Object<'a> {
    /// What it is: `listing`.
    kind: &'static str,
    /// `wallets`, `blocked` or `deposits`.
    id: &'static str,
    /// Since when there is, or was, trouble.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// Everything that was listed before is in the tables, by counts and order.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    complete_through: Option<String>,
    /// Everything that was listed before is in the tables, by a reading of the whole list.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    proved_through: Option<String>,
    /// How many rows left the list and are held back from being called missing.
    #[schemars(with = "i64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    removals_held: Option<i64>,
    /// Why the last round was not complete, or rows are held back.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// The event of a trouble that begins or ends.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn standing_event(standing: &Standing<'_>, generation: &str, now: DateTime<Utc>) -> serde_json::Result<Draft> {
    let kind = if standing.after.is_some() { standing.trouble.begins() } else { EventType::SyncRecovered };
    let id = standing.listing.as_str();
    let object = Object {
        kind: "listing",
        id,
        since: standing.after.or(standing.before).map(rfc3339),
        complete_through: standing.complete_through.map(rfc3339),
        proved_through: standing.proved_through.map(rfc3339),
        removals_held: standing.removals_held,
        error: standing.error,
    };
    let mut changes = Changes::default();
    changes.note(standing.trouble.field(), &standing.before.map(rfc3339), &standing.after.map(rfc3339));
    Ok(Draft {
        id: draft::repeated(NO_COMPANY, kind, id, now.timestamp_micros(), generation),
        kind,
        stream: format!("sync:{id}"),
        object_kind: "listing",
        object_id: id.to_owned(),
        external_id: None,
        occurred_at: now,
        detected_at: now,
        origin: Origin::Live,
        object: to_raw_value(&object)?,
        changes: Some(changes.to_json()?),
        upstream: None,
    })
}
