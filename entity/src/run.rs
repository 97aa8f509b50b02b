//! `lumo_sync_runs`: the history of passes.

use sea_orm::entity::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum Outcome {
    /// The whole list was read and every item of it understood.
    Complete,
    /// The end was not proved, or an item could not be read.
    Incomplete,
    /// Stopped by an error.
    Failed,
    /// Stopped by a shutdown.
    Cancelled,
}

impl Outcome {
    /// The name that the column holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_sync_runs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub listing: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub started_at: DateTimeUtc,
    pub finished_at: DateTimeUtc,
    pub outcome: Outcome,
    pub requests: i64,
    pub rows: i64,
    pub appeared: i64,
    pub changed: i64,
    /// Items that could not be read.
    pub rejected: i64,
    pub error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
