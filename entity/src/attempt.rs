//! `lumo_delivery_attempts`: what came of each attempt.

use sea_orm::entity::prelude::*;

use crate::exception::Reason;
use crate::id::{EndpointName, EventId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
pub enum AttemptResult {
    Delivered,
    /// Answered; whether it counts is decided by a row of `lumo_acks`.
    Answered,
    Failed,
    /// Not sent: the endpoint's `when` was false.
    Filtered,
    /// Not sent: a newer event took its place.
    Superseded,
}

impl AttemptResult {
    /// The name that the column holds.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Filtered => "filtered",
            Self::Superseded => "superseded",
        }
    }
}

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_delivery_attempts")]
pub struct Model {
    /// The endpoint's name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub endpoint: EndpointName,
    /// The event's number in the log.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// 1, 2, 3 … over retries and replays.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    /// The event's id.
    pub event_id: EventId,
    /// When the attempt began.
    pub started_at: DateTimeUtc,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// The HTTP status; null if there was no answer.
    pub status: Option<i32>,
    /// Why it failed.
    pub error: Option<String>,
    /// The first 4 KiB of the answer's body.
    pub response_body: Option<String>,
    /// What came of it.
    pub result: AttemptResult,
    /// Why it was made.
    pub reason: Reason,
}

impl ActiveModelBehavior for ActiveModel {}
