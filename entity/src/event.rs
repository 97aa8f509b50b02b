//! `lumo_events`: every change, once, with the bytes that its callbacks carry.

use sea_orm::entity::prelude::*;

use crate::id::{EventId, ExternalId};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_events")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    /// 1, 2, 3 … over all events, without holes and in the order of commit: whoever remembers the last one misses none.
    pub seq: i64,
    #[sea_orm(column_name = "type")]
    pub kind: String,
    pub stream: String,
    /// 1, 2, 3 … within the stream, without holes.
    pub stream_seq: i64,
    pub object_kind: String,
    pub object_id: String,
    pub external_id: Option<ExternalId>,
    pub occurred_at: DateTimeUtc,
    pub detected_at: DateTimeUtc,
    pub origin: String,
    /// Null: every endpoint that wants the type. `nobody`: only by replay or backfill. `!name`: every one but this.
    pub audience: Option<String>,
    /// The callback's body, byte for byte.
    pub body: String,
}

impl ActiveModelBehavior for ActiveModel {}
