//! `lumo_sweeps`: the rolling sweep of each listing, as far as it has come.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_sweeps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub listing: String,
    pub started_at: DateTimeUtc,
    /// The last `row_no` when it began: only rows up to it can turn out to be gone.
    pub known_until: i64,
    /// Where it stands, as JSON of the sync engine's own.
    pub state: String,
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
