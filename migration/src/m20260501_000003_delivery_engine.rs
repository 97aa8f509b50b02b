//! What the delivery engine looks at: due deliveries by state, and which of those that wait are held by their endpoint.

use sea_orm_migration::prelude::*;

use crate::dialect::{Dialect, Index};
use crate::m20260101_000001_initial::UNDELIVERED;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20260501_000003_delivery_engine"
    }
}

const DELIVERIES: &str = "lumo_deliveries";

/// A first attempt must be found without stepping over every retry that is due.
const READY: Index = ready("lumo_deliveries_ready", "endpoint, state, next_attempt_at, id");
const DUE: Index = ready("lumo_deliveries_due", "endpoint, next_attempt_at, id");

const fn ready(name: &'static str, columns: &'static str) -> Index {
    Index { name, columns, unique: false, only: Some("next_attempt_at IS NOT NULL") }
}

/// A delivery is held by the state of its endpoint; its own row is not touched for that.
pub(crate) const WITH_HELD: &str = r#"
SELECT d.event_id, e."type", e.stream, e.stream_seq, e.external_id, d.endpoint, d.id AS delivery_id,
       CASE WHEN d.state IN ('pending', 'retrying') AND p.state <> 'active' THEN 'held' ELSE d.state END AS state,
       e.detected_at AS since, d.attempts, d.next_attempt_at, d.last_status, d.last_error
FROM lumo_deliveries d
JOIN lumo_events e ON e.id = d.event_id
LEFT JOIN lumo_endpoints p ON p.name = d.endpoint
WHERE d.state <> 'delivered'
  AND NOT EXISTS (
    SELECT 1 FROM lumo_deliveries done
    WHERE done.event_id = d.event_id AND done.endpoint = d.endpoint AND done.state = 'delivered'
  )"#;

pub(crate) async fn replace_view(manager: &SchemaManager<'_>, select: &str) -> Result<(), DbErr> {
    let dialect = Dialect::of(manager).await?;
    let connection = manager.get_connection();
    connection.execute_unprepared("DROP VIEW IF EXISTS lumo_undelivered").await?;
    connection.execute_unprepared(&dialect.create_view("lumo_undelivered", select)).await.map(drop)
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        dialect.add_index(manager, DELIVERIES, &READY).await?;
        dialect.drop_index(manager, DELIVERIES, &DUE).await?;
        replace_view(manager, WITH_HELD).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        dialect.add_index(manager, DELIVERIES, &DUE).await?;
        dialect.drop_index(manager, DELIVERIES, &READY).await?;
        replace_view(manager, UNDELIVERED).await
    }
}
