//! `lumo_deposit_statuses`: which status of a deposit followed which, since the bridge looks.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_deposit_statuses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub from_status: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub to_status: String,
    /// How often.
    pub times: i64,
    /// How long it took in all, from when the bridge saw the one to when it saw the other.
    pub seconds: i64,
    pub last_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
