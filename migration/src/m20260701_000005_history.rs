//! Endpoints that come and go: which of them are no longer configured, so that what waits for them is told as held.

use sea_orm_migration::prelude::*;

use crate::dialect::{Column, Dialect, Type, opt};
use crate::m20260501_000003_delivery_engine::{WITH_HELD, replace_view};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20260701_000005_history"
    }
}

const ENDPOINTS: &str = "lumo_endpoints";

const COLUMNS: &[Column] = &[opt("removed_at", Type::Time)];

/// Nobody calls an endpoint that is not configured, not even for what a process had in hand that has died.
const WITH_REMOVED: &str = r#"
SELECT d.event_id, e."type", e.stream, e.stream_seq, e.external_id, d.endpoint, d.id AS delivery_id,
       CASE WHEN d.state IN ('pending', 'retrying') AND p.state <> 'active' THEN 'held'
            WHEN d.state IN ('pending', 'retrying', 'sending') AND p.removed_at IS NOT NULL THEN 'held'
            ELSE d.state END AS state,
       e.detected_at AS since, d.attempts, d.next_attempt_at, d.last_status, d.last_error
FROM lumo_deliveries d
JOIN lumo_events e ON e.id = d.event_id
LEFT JOIN lumo_endpoints p ON p.name = d.endpoint
WHERE d.state <> 'delivered'
  AND NOT EXISTS (
    SELECT 1 FROM lumo_deliveries done
    WHERE done.event_id = d.event_id AND done.endpoint = d.endpoint AND done.state = 'delivered'
  )"#;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        for column in COLUMNS {
            dialect.add_column(manager, ENDPOINTS, column, None).await?;
        }
        replace_view(manager, WITH_REMOVED).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        replace_view(manager, WITH_HELD).await?;
        for column in COLUMNS {
            dialect.drop_column(manager, ENDPOINTS, column.name).await?;
        }
        Ok(())
    }
}
