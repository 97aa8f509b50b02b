//! `lumo_sweep_seen`: which rows a sweep has met, a bit for each `row_no`.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_sweep_seen")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub listing: String,
    /// Counts pieces of the bitmap from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chunk: i32,
    pub bits: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
