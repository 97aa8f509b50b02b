//! The event of an item that cannot be read: for the operator.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::NO_COMPANY;
use crate::model::Listing;
use crate::model::draft::{self, Draft, Origin};
use crate::model::event::EventType;
use crate::model::record::Reject;

/// An item of a listing that cannot be read.
#[derive(Serialize, JsonSchema)]
pub(super) struct Object<'a> {
    /// What it is: `reject`.
    kind: &'static str,
    /// The item's id at Lumo; `#` and a hash of the item where it has none of its own.
    id: &'a str,
    /// The list that it is in: `wallets`, `blocked` or `deposits`.
    listing: &'static str,
    /// Which field, and what is wrong with it.
    reason: &'a str,
}

/// `sync.item_rejected`: once for each content of the item.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn rejected_event(
    listing: Listing,
    reject: &Reject,
    generation: &str,
    now: DateTime<Utc>,
) -> serde_json::Result<Draft> {
    let kind = EventType::SyncItemRejected;
    let item = format!("{listing}/{}", reject.key);
    let object = Object { kind: "reject", id: &reject.key, listing: listing.as_str(), reason: &reject.reason() };
    Ok(Draft {
        id: draft::repeated(NO_COMPANY, kind, &item, reject.fingerprint, generation),
        kind,
        stream: format!("sync:{listing}"),
        object_kind: "reject",
        object_id: reject.key.clone(),
        external_id: None,
        occurred_at: now,
        detected_at: now,
        origin: Origin::Live,
        object: to_raw_value(&object)?,
        changes: None,
        upstream: None,
    })
}
