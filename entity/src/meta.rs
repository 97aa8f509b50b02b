//! `lumo_meta`: facts about this set of tables.

use sea_orm::entity::prelude::*;

/// A random text made with the tables, and again when they were restored from a backup. It is part of the id of every event
/// that can repeat, so that tables whose versions are counted from an earlier one again never reuse an id for another fact.
pub const GENERATION: &str = "generation";

/// How fast the process that reads asks Lumo, as JSON of its own; absent until it is slower than configured.
pub const SPEED: &str = "speed";

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_meta")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub value: String,
}

impl ActiveModelBehavior for ActiveModel {}
