//! Wallets.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::wallet::Model;

use super::{Detailed, Listed};
use crate::cli::fields::Fields;
use crate::cli::style::{GREEN, RED, YELLOW};
use crate::cli::table::{Cell, Column};
use crate::cli::time::age;
use crate::model::Amount;
use crate::view::Wallet;

impl Listed for Model {
    const NOUN: &'static str = "wallets";
    type Json = Wallet;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("WALLET").whole(),
            Column::new("USER").flexible(),
            Column::new("STATE"),
            Column::new("USDT").right(),
            Column::new("AGE").right().optional(),
            Column::new("ADDRESS").below(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(&self.id),
            Cell::new(&self.external_id),
            state(self),
            Cell::maybe(self.last_usdt_balance.as_ref().map(Amount::as_str)),
            Cell::new(age(self.created_at, now)),
            Cell::maybe(self.address.as_deref()),
        ]
    }

    fn json(&self) -> Wallet {
        Wallet::brief(self)
    }
}

impl Detailed for Model {
    fn fields(&self, now: DateTime<Utc>) -> Fields {
        Fields::new(now)
            .text("id", &self.id)
            .text("company", &self.company_id)
            .text("user", &self.external_id)
            .maybe("address", self.address.as_deref())
            .cell("state", state(self))
            .maybe("block reason", self.block_reason.as_deref())
            .maybe("USDT", self.last_usdt_balance.as_ref().map(Amount::as_str))
            .maybe("TRX", self.last_trx_balance.as_ref().map(Amount::as_str))
            .time("created", self.created_at)
            .time("first seen", self.first_seen_at)
            .time("changed", self.changed_at)
            .time("missing since", self.missing_since)
            .text("version", self.version)
            .json("as listed", &self.raw)
    }

    fn full_json(&self) -> Wallet {
        Wallet::full(self)
    }
}

fn state(wallet: &Model) -> Cell {
    match (wallet.is_blocked, wallet.missing_since) {
        (_, Some(_)) => Cell::new("missing").styled(YELLOW),
        (true, None) => Cell::new("blocked").styled(RED),
        (false, None) => Cell::new("active").styled(GREEN),
    }
}
