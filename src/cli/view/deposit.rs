//! Deposits. Whatever could not be found in one is absent.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::Amount;
use lumo_bridge_entity::deposit::Model;
use serde::Serialize;

use super::{Detailed, Embedded, Listed};
use crate::cli::fields::Fields;
use crate::cli::printer::YELLOW;
use crate::cli::table::{Cell, Column};
use crate::cli::time::age;
use crate::model::id::{CompanyId, DepositId, ExternalId, WalletId};

/// A row of `lumo_user_deposits`.
#[derive(Serialize)]
pub(in crate::cli) struct Json<'a> {
    id: &'a DepositId,
    company_id: Option<&'a CompanyId>,
    wallet_id: Option<&'a WalletId>,
    external_id: Option<&'a ExternalId>,
    address: Option<&'a str>,
    from_address: Option<&'a str>,
    tx_hash: Option<&'a str>,
    amount: Option<&'a Amount>,
    currency: Option<&'a str>,
    status: &'a str,
    confirmations: Option<i64>,
    block_number: Option<i64>,
    created_at: Option<DateTime<Utc>>,
    updated_at: Option<DateTime<Utc>>,
    version: i64,
    first_seen_at: DateTime<Utc>,
    changed_at: DateTime<Utc>,
    missing_since: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<Embedded<'a>>,
}

impl Listed for Model {
    const NOUN: &'static str = "deposits";
    type Json<'a> = Json<'a>;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("DEPOSIT"),
            Column::new("USER").flexible(),
            Column::new("AMOUNT").right(),
            Column::new("STATUS"),
            Column::new("AGE").right().optional(),
            Column::new("TRANSACTION").flexible().optional(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            Cell::maybe(self.external_id.as_ref()),
            Cell::maybe(amount(self)),
            status(self),
            Cell::new(age(self.created_at.unwrap_or(self.first_seen_at), now)),
            Cell::maybe(self.tx_hash.as_deref()),
        ]
    }

    fn json(&self) -> Json<'_> {
        Json {
            id: &self.id,
            company_id: self.company_id.as_ref(),
            wallet_id: self.wallet_id.as_ref(),
            external_id: self.external_id.as_ref(),
            address: self.address.as_deref(),
            from_address: self.from_address.as_deref(),
            tx_hash: self.tx_hash.as_deref(),
            amount: self.amount.as_ref(),
            currency: self.currency.as_deref(),
            status: &self.status,
            confirmations: self.confirmations,
            block_number: self.block_number,
            created_at: self.created_at,
            updated_at: self.updated_at,
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
            .maybe("company", self.company_id.as_ref())
            .maybe("user", self.external_id.as_ref())
            .maybe("wallet", self.wallet_id.as_ref())
            .maybe("to", self.address.as_deref())
            .maybe("from", self.from_address.as_deref())
            .maybe("transaction", self.tx_hash.as_deref())
            .maybe("amount", amount(self))
            .cell("status", status(self))
            .maybe("confirmations", self.confirmations)
            .maybe("block", self.block_number)
            .time("created", self.created_at)
            .time("updated", self.updated_at)
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

fn amount(deposit: &Model) -> Option<String> {
    let amount = deposit.amount.as_ref()?;
    Some(match &deposit.currency {
        Some(currency) => format!("{} {currency}", amount.as_str()),
        None => amount.as_str().to_owned(),
    })
}

/// What a status means is the upstream's to know, so it has no colour of its own.
fn status(deposit: &Model) -> Cell {
    match deposit.missing_since {
        Some(_) => Cell::new(format_args!("{} (missing)", deposit.status)).styled(YELLOW),
        None => Cell::new(&deposit.status),
    }
}
