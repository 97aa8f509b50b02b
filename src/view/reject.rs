//! Items of the API's lists that could not be read.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::reject::Model;
use schemars::JsonSchema;
use serde::Serialize;

/// A row of `lumo_rejects`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reject {
    /// `wallets`, `blocked` or `deposits`.
    pub listing: String,
    /// What the log calls it: its id; `#` and a fingerprint where it has none, or shares it with another item.
    pub item: String,
    /// The item's id, where it has one that can be read.
    pub id: Option<String>,
    /// Which field, and what is wrong with it.
    pub reason: String,
    pub first_seen_at: DateTime<Utc>,
    /// To the minute.
    pub last_seen_at: DateTime<Utc>,
    /// The item as listed, as text, cut where it is very long.
    pub raw: String,
}

impl Reject {
    #[must_use]
    pub fn of(row: &Model) -> Self {
        Self {
            listing: row.listing.clone(),
            item: row.item.clone(),
            id: row.id.clone(),
            reason: row.reason.clone(),
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            raw: row.raw.clone(),
        }
    }
}
