//! `lumo_sync_blocks`: where the stretches of a listing begin, as its last full scan saw it; what rows are found by whose
//! place nothing tells.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_sync_blocks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub listing: String,
    /// Counts pieces of the index from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub chunk: i32,
    pub blocks: Vec<u8>,
}

impl ActiveModelBehavior for ActiveModel {}
