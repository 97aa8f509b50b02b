//! `lumo_watches`: users who are about to pay. The merchant may insert, update and delete here.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_watches")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The user's id in the merchant's own system.
    pub external_id: String,
    /// Until when their deposits are looked for.
    pub until: DateTime<Utc>,
}

impl ActiveModelBehavior for ActiveModel {}
