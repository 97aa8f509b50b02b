//! Deposits. Whatever could not be found in one is null.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::deposit::Model;
use schemars::JsonSchema;
use serde::Serialize;

use super::Embedded;
use super::csv::{Column, Row};
use crate::model::draft::rfc3339;

/// A row of `lumo_user_deposits`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deposit {
    pub id: String,
    pub company_id: Option<String>,
    pub wallet_id: Option<String>,
    pub external_id: Option<String>,
    pub address: Option<String>,
    pub from_address: Option<String>,
    pub tx_hash: Option<String>,
    /// Exact, as a decimal.
    pub amount: Option<String>,
    pub currency: Option<String>,
    pub status: String,
    pub confirmations: Option<i64>,
    pub block_number: Option<i64>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    /// When the bridge first saw it in this status.
    pub status_since: Option<DateTime<Utc>>,
    /// When the bridge first saw it settled, by `lumo.settled_statuses`.
    pub settled_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub first_seen_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    pub missing_since: Option<DateTime<Utc>>,
    /// The item exactly as the API listed it; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Embedded>,
}

impl Row for Deposit {
    const COLUMNS: &'static [Column<Self>] = &[
        ("id", |row| Some(row.id.clone())),
        ("company_id", |row| row.company_id.clone()),
        ("external_id", |row| row.external_id.clone()),
        ("wallet_id", |row| row.wallet_id.clone()),
        ("address", |row| row.address.clone()),
        ("from_address", |row| row.from_address.clone()),
        ("tx_hash", |row| row.tx_hash.clone()),
        ("amount", |row| row.amount.clone()),
        ("currency", |row| row.currency.clone()),
        ("status", |row| Some(row.status.clone())),
        ("confirmations", |row| row.confirmations.map(|number| number.to_string())),
        ("block_number", |row| row.block_number.map(|number| number.to_string())),
        ("created_at", |row| row.created_at.map(rfc3339)),
        ("updated_at", |row| row.updated_at.map(rfc3339)),
        ("status_since", |row| row.status_since.map(rfc3339)),
        ("settled_at", |row| row.settled_at.map(rfc3339)),
        ("version", |row| Some(row.version.to_string())),
        ("first_seen_at", |row| Some(rfc3339(row.first_seen_at))),
        ("changed_at", |row| Some(rfc3339(row.changed_at))),
        ("missing_since", |row| row.missing_since.map(rfc3339)),
    ];
}

impl Deposit {
    #[must_use]
    pub fn brief(row: &Model) -> Self {
        Self {
            id: row.id.to_string(),
            company_id: row.company_id.as_ref().map(ToString::to_string),
            wallet_id: row.wallet_id.as_ref().map(ToString::to_string),
            external_id: row.external_id.as_ref().map(ToString::to_string),
            address: row.address.clone(),
            from_address: row.from_address.clone(),
            tx_hash: row.tx_hash.clone(),
            amount: row.amount.as_ref().map(|amount| amount.as_str().to_owned()),
            currency: row.currency.clone(),
            status: row.status.clone(),
            confirmations: row.confirmations,
            block_number: row.block_number,
            created_at: row.created_at,
            updated_at: row.updated_at,
            status_since: row.status_since,
            settled_at: row.settled_at,
            version: row.version,
            first_seen_at: row.first_seen_at,
            changed_at: row.changed_at,
            missing_since: row.missing_since,
            raw: None,
        }
    }

    #[must_use]
    pub fn full(row: &Model) -> Self {
        Self { raw: Some(Embedded::new(&row.raw)), ..Self::brief(row) }
    }
}
