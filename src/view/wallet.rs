//! Wallets.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::wallet::Model;
use schemars::JsonSchema;
use serde::Serialize;

use super::Embedded;
use super::csv::{Column, Row};
use crate::model::draft::rfc3339;

/// A row of `lumo_user_wallets`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Wallet {
    pub id: String,
    pub company_id: String,
    pub external_id: String,
    pub address: Option<String>,
    pub is_blocked: bool,
    pub block_reason: Option<String>,
    /// Exact, as a decimal.
    pub last_usdt_balance: Option<String>,
    /// Exact, as a decimal.
    pub last_trx_balance: Option<String>,
    pub created_at: DateTime<Utc>,
    pub version: i64,
    pub first_seen_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    pub missing_since: Option<DateTime<Utc>>,
    /// The item exactly as the API listed it; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Embedded>,
}

impl Row for Wallet {
    const COLUMNS: &'static [Column<Self>] = &[
        ("id", |row| Some(row.id.clone())),
        ("company_id", |row| Some(row.company_id.clone())),
        ("external_id", |row| Some(row.external_id.clone())),
        ("address", |row| row.address.clone()),
        ("is_blocked", |row| Some(row.is_blocked.to_string())),
        ("block_reason", |row| row.block_reason.clone()),
        ("last_usdt_balance", |row| row.last_usdt_balance.clone()),
        ("last_trx_balance", |row| row.last_trx_balance.clone()),
        ("created_at", |row| Some(rfc3339(row.created_at))),
        ("version", |row| Some(row.version.to_string())),
        ("first_seen_at", |row| Some(rfc3339(row.first_seen_at))),
        ("changed_at", |row| Some(rfc3339(row.changed_at))),
        ("missing_since", |row| row.missing_since.map(rfc3339)),
    ];
}

impl Wallet {
    #[must_use]
    pub fn brief(row: &Model) -> Self {
        Self {
            id: row.id.to_string(),
            company_id: row.company_id.to_string(),
            external_id: row.external_id.to_string(),
            address: row.address.clone(),
            is_blocked: row.is_blocked,
            block_reason: row.block_reason.clone(),
            last_usdt_balance: row.last_usdt_balance.as_ref().map(|amount| amount.as_str().to_owned()),
            last_trx_balance: row.last_trx_balance.as_ref().map(|amount| amount.as_str().to_owned()),
            created_at: row.created_at,
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
