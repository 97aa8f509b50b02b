//! `lumo_events`: every change, once, with the bytes that its callbacks carry.

use sea_orm::entity::prelude::*;

use crate::id::{EventId, ExternalId};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_events")]
pub struct Model {
    /// The `webhook-id` of its callbacks.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EventId,
    /// 1, 2, 3 … over all events, without holes and in the order of commit: whoever remembers the last one misses none.
    pub seq: i64,
    /// What happened, for example `deposit.created`.
    #[sea_orm(column_name = "type")]
    pub kind: String,
    /// Whose order it belongs to: `user:` and the external id, or `wallet:` or `deposit:` and the id where no user is known;
    /// of other events, what they are about.
    pub stream: String,
    /// 1, 2, 3 … within the stream, without holes: `sequence` in the body.
    pub stream_seq: i64,
    /// What it is about, for example `deposit`.
    pub object_kind: String,
    /// The id of that.
    pub object_id: String,
    /// The user's id in the merchant's own system, where one is known.
    pub external_id: Option<ExternalId>,
    /// When it happened: `timestamp` in the body.
    pub occurred_at: DateTimeUtc,
    /// When the bridge noticed it.
    pub detected_at: DateTimeUtc,
    /// How the bridge came to know of it: `live`, `import` or `backfill`.
    pub origin: String,
    /// Null: every endpoint that wants the type. `nobody`: only by replay or backfill. `!name`: every one but this.
    pub audience: Option<String>,
    /// The callback's body, byte for byte.
    pub body: String,
}

impl ActiveModelBehavior for ActiveModel {}
