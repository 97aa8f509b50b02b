//! Until when a delivery waits for its row in `lumo_acks`.

use sea_orm_migration::prelude::*;

use crate::dialect::{Column, Dialect, Index, Type, opt};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20260601_000004_effects"
    }
}

const DELIVERIES: &str = "lumo_deliveries";

const ACK_BY: Column = opt("ack_by", Type::Time);

/// What may be acknowledged is looked for every second, however much else there is.
const ACKS: Index =
    Index { name: "lumo_deliveries_ack", columns: "endpoint, ack_by", unique: false, only: Some("ack_by IS NOT NULL") };

/// Without the column nobody would wait for an acknowledgement, and nobody would send again.
const DUE_AGAIN: &str =
    "UPDATE lumo_deliveries SET next_attempt_at = ack_by WHERE state = 'sending' AND next_attempt_at IS NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        dialect.add_column(manager, DELIVERIES, &ACK_BY, None).await?;
        dialect.add_index(manager, DELIVERIES, &ACKS).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        if manager.has_column(DELIVERIES, ACK_BY.name).await? {
            manager.get_connection().execute_unprepared(DUE_AGAIN).await?;
        }
        dialect.drop_index(manager, DELIVERIES, &ACKS).await?;
        dialect.drop_column(manager, DELIVERIES, ACK_BY.name).await
    }
}
