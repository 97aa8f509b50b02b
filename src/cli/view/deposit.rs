//! Deposits. Whatever could not be found in one is absent.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::deposit::Model;

use super::{Detailed, Listed};
use crate::cli::fields::Fields;
use crate::cli::style::YELLOW;
use crate::cli::table::{Cell, Column};
use crate::cli::time::age;
use crate::view::Deposit;

impl Listed for Model {
    const NOUN: &'static str = "deposits";
    type Json = Deposit;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("DEPOSIT").whole(),
            Column::new("USER").flexible(),
            Column::new("AMOUNT").right(),
            Column::new("STATUS"),
            Column::new("AGE").right().optional(),
            Column::new("TRANSACTION").below(),
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

    fn json(&self) -> Deposit {
        Deposit::brief(self)
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
            .time("settled", self.settled_at)
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

    fn full_json(&self) -> Deposit {
        Deposit::full(self)
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
