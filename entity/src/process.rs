//! `lumo_processes`: who delivers, and whether it lives.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_processes")]
pub struct Model {
    /// The number of its lock in the upper half, if it has one, and chance in the lower.
    #[sea_orm(primary_key, auto_increment = false)]
    pub process: i64,
    /// Grows as long as it lives.
    pub beat: i64,
    pub started_at: DateTimeUtc,
    /// The endpoints of its configuration, as JSON: `{"name": fingerprint}`.
    pub endpoints: String,
}

impl ActiveModelBehavior for ActiveModel {}
