//! Wallets.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::Amount;
use lumo_bridge_entity::wallet::Model;
use serde::Serialize;

use super::{Detailed, Embedded, Listed};
use crate::cli::fields::Fields;
use crate::cli::printer::{GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column};
use crate::cli::time::age;
use crate::model::id::{CompanyId, ExternalId, WalletId};

/// A row of `lumo_user_wallets`.
#[derive(Serialize)]
pub(in crate::cli) struct Json<'a> {
    id: &'a WalletId,
    company_id: &'a CompanyId,
    external_id: &'a ExternalId,
    address: &'a str,
    is_blocked: bool,
    block_reason: Option<&'a str>,
    last_usdt_balance: &'a Amount,
    last_trx_balance: &'a Amount,
    created_at: DateTime<Utc>,
    version: i64,
    first_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    missing_since: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Embedded<'a>>,
}

impl Listed for Model {
    const NOUN: &'static str = "wallets";
    type Json<'a> = Json<'a>;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("WALLET"),
            Column::new("USER").flexible(),
            Column::new("STATE"),
            Column::new("USDT").right(),
            Column::new("AGE").right().optional(),
            Column::new("ADDRESS").flexible().optional(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            Cell::new(&self.external_id),
            state(self),
            Cell::new(self.last_usdt_balance.as_str()),
            Cell::new(age(self.created_at, now)),
            Cell::new(&self.address),
        ]
    }

    fn json(&self) -> Json<'_> {
        Json {
            id: &self.id,
            company_id: &self.company_id,
            external_id: &self.external_id,
            address: &self.address,
            is_blocked: self.is_blocked,
            block_reason: self.block_reason.as_deref(),
            last_usdt_balance: &self.last_usdt_balance,
            last_trx_balance: &self.last_trx_balance,
            created_at: self.created_at,
            version: self.version,
            first_seen_at: self.first_seen_at,
            changed_at: self.changed_at,
            missing_since: self.missing_since,
            raw: None,
        }
    }
}

impl Detailed for Model {
    fn fields(&self, now: DateTime<Utc>) -> Fields {
        Fields::new(now)
            .text("id", &self.id)
            .text("company", &self.company_id)
            .text("user", &self.external_id)
            .text("address", &self.address)
            .cell("state", state(self))
            .maybe("block reason", self.block_reason.as_deref())
            .text("USDT", self.last_usdt_balance.as_str())
            .text("TRX", self.last_trx_balance.as_str())
            .time("created", self.created_at)
            .time("first seen", self.first_seen_at)
            .time("changed", self.changed_at)
            .time("missing since", self.missing_since)
            .text("version", self.version)
            .json("as listed", &self.raw)
    }

    fn full_json(&self) -> Json<'_> {
        Json { raw: Some(Embedded::new(&self.raw)), ..self.json() }
    }
}

fn state(wallet: &Model) -> Cell {
    match (wallet.is_blocked, wallet.missing_since) {
        (_, Some(_)) => Cell::new("missing").styled(YELLOW),
        (true, None) => Cell::new("blocked").styled(RED),
        (false, None) => Cell::new("active").styled(GREEN),
    }
}
