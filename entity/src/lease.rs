//! `lumo_leases`: who leads what, and until when.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_leases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub resource: String,
    pub owner: String,
    /// Grows by one with each new owner: the fencing token.
    pub epoch: i64,
    pub expires_at: DateTimeUtc,
    /// The process that holds it, if it has a lock that shows that it lives.
    pub process: Option<i64>,
}

impl ActiveModelBehavior for ActiveModel {}
