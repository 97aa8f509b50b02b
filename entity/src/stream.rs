//! `lumo_streams`: the last number given in each stream. The stream [`ALL`] counts every event; whoever
//! appends to the log locks its row first. [`WALLETS`] and [`DEPOSITS`] count the rows of the mirror.

use sea_orm::entity::prelude::*;

/// The counter of all events, and the lock of whoever appends to the log.
pub const ALL: &str = "*";
/// The last `row_no` given to a wallet.
pub const WALLETS: &str = "*wallets";
/// The last `row_no` given to a deposit.
pub const DEPOSITS: &str = "*deposits";

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_streams")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub stream: String,
    pub last_seq: i64,
}

impl ActiveModelBehavior for ActiveModel {}
