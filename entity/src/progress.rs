//! `lumo_sync_state`: where each listing stands.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_sync_state")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub listing: String,
    /// When the first import began, by the upstream's clock: what was created before it is history.
    pub import_started_at: Option<DateTimeUtc>,
    /// When a pass first read the listing to its end; null until then.
    pub import_done_at: Option<DateTimeUtc>,
    /// The largest `limit` that the server was seen to honour; null until it refused or clamped one.
    pub page_limit: Option<i32>,
    /// `total` as last told.
    pub last_total: Option<i64>,
    /// Everything visible upstream before it is in the tables: the start of the last complete pass.
    pub complete_through: Option<DateTimeUtc>,
    /// When the last pass ended, complete or not.
    pub last_run_at: Option<DateTimeUtc>,
    /// Why the last pass was not complete; null if it was.
    pub last_error: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
