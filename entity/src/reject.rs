//! `lumo_rejects`: items of the API's lists that could not be read.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_rejects")]
pub struct Model {
    /// The list that it is in: `wallets`, `blocked` or `deposits`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub listing: String,
    /// The item's id; `#` and its fingerprint where it has none, or shares it with an item that can be read.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item: String,
    /// The item's id, where it has one that can be read.
    pub id: Option<String>,
    /// The item as listed, cut where it is very long.
    pub raw: String,
    /// Which field, and what is wrong with it.
    pub reason: String,
    /// Hash of the item's content, whatever its spelling: another one is another item.
    pub fingerprint: i64,
    /// When it was first found.
    pub first_seen_at: DateTimeUtc,
    /// When it was last found, to the minute.
    pub last_seen_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
