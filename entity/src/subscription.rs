//! `lumo_subscriptions`: which types each endpoint wants, and for which part of the log.
//!
//! Ranges of one endpoint and type never overlap.

use sea_orm::entity::prelude::*;

use crate::id::EndpointName;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum State {
    Wanted,
    /// Given up by the operator.
    Skipped,
}

impl State {
    /// The name that the column holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Skipped => "skipped",
        }
    }
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_subscriptions")]
pub struct Model {
    /// The endpoint's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint: EndpointName,
    /// The type of the events.
    #[sea_orm(primary_key, auto_increment = false, column_name = "type")]
    pub kind: String,
    /// The first event of the range.
    #[sea_orm(primary_key, auto_increment = false)]
    pub from_seq: i64,
    /// The last event of the range; null: it is open.
    pub through_seq: Option<i64>,
    /// Whether it wants them.
    pub state: State,
    /// Why it was given up.
    pub reason: Option<String>,
}

impl ActiveModelBehavior for ActiveModel {}
