//! The first schema: mirror, outbox, progress.

use sea_orm_migration::prelude::*;

use crate::dialect::{Dialect, Index, Table, Type, index, opt, req};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20260101_000001_initial"
    }
}

const ID: Type = Type::Key(128);
const EXTERNAL_ID: Type = Type::Key(700);
/// `user:` and an external id, `wallet:` or `deposit:` and an id.
const STREAM: Type = Type::Key(720);
const ENDPOINT: Type = Type::Key(64);
const NAME: Type = Type::Key(64);

const TABLES: &[Table] = &[
    Table {
        name: "lumo_user_wallets",
        columns: &[
            req("id", ID),
            req("company_id", ID),
            req("external_id", EXTERNAL_ID),
            opt("address", Type::Text),
            req("is_blocked", Type::Bool),
            opt("block_reason", Type::Text),
            opt("last_usdt_balance", Type::Decimal),
            opt("last_trx_balance", Type::Decimal),
            req("created_at", Type::Time),
            req("raw", Type::LongText),
            req("fingerprint", Type::BigInt),
            req("version", Type::BigInt),
            req("first_seen_at", Type::Time),
            req("changed_at", Type::Time),
            opt("missing_since", Type::Time),
        ],
        primary: "id",
        indexes: &[index("lumo_user_wallets_external_id", "external_id")],
    },
    Table {
        name: "lumo_user_deposits",
        columns: &[
            req("id", ID),
            opt("company_id", ID),
            opt("wallet_id", ID),
            opt("external_id", EXTERNAL_ID),
            opt("address", Type::Text),
            opt("from_address", Type::Text),
            opt("tx_hash", Type::Text),
            opt("amount", Type::Decimal),
            opt("currency", Type::Text),
            req("status", Type::Text),
            opt("confirmations", Type::BigInt),
            opt("block_number", Type::BigInt),
            opt("created_at", Type::Time),
            opt("updated_at", Type::Time),
            req("raw", Type::LongText),
            req("fingerprint", Type::BigInt),
            req("version", Type::BigInt),
            req("first_seen_at", Type::Time),
            req("changed_at", Type::Time),
            opt("missing_since", Type::Time),
        ],
        primary: "id",
        indexes: &[
            index("lumo_user_deposits_external_id", "external_id"),
            index("lumo_user_deposits_wallet_id", "wallet_id"),
            index("lumo_user_deposits_created_at", "created_at"),
        ],
    },
    Table {
        name: "lumo_events",
        columns: &[
            req("id", ID),
            req("seq", Type::BigInt),
            req("type", NAME),
            req("stream", STREAM),
            req("stream_seq", Type::BigInt),
            req("object_kind", NAME),
            req("object_id", ID),
            opt("external_id", EXTERNAL_ID),
            req("occurred_at", Type::Time),
            req("detected_at", Type::Time),
            req("origin", NAME),
            req("body", Type::LongText),
        ],
        primary: "id",
        indexes: &[
            Index { name: "lumo_events_seq", columns: "seq", unique: true, only: None },
            index("lumo_events_external_id", "external_id"),
            index("lumo_events_object_id", "object_id"),
        ],
    },
    Table {
        name: "lumo_deliveries",
        columns: &[
            req("id", ID),
            req("event_id", ID),
            req("endpoint", ENDPOINT),
            req("state", Type::Key(16)),
            req("attempts", Type::Int),
            opt("next_attempt_at", Type::Time),
            opt("delivered_at", Type::Time),
            opt("last_status", Type::Int),
            opt("last_error", Type::Text),
            req("reason", Type::Key(16)),
            req("created_at", Type::Time),
            opt("lane", NAME),
            opt("hold_until", Type::Time),
            opt("lease_token", Type::BigInt),
        ],
        primary: "id",
        indexes: &[
            Index {
                name: "lumo_deliveries_due",
                columns: "endpoint, next_attempt_at, id",
                unique: false,
                only: Some("next_attempt_at IS NOT NULL"),
            },
            Index {
                name: "lumo_deliveries_lane",
                columns: "endpoint, lane, id",
                unique: false,
                only: Some("lane IS NOT NULL"),
            },
            index("lumo_deliveries_event", "event_id, endpoint"),
        ],
    },
    Table {
        name: "lumo_delivery_attempts",
        columns: &[
            req("delivery_id", ID),
            req("attempt", Type::Int),
            req("started_at", Type::Time),
            req("duration_ms", Type::BigInt),
            opt("status", Type::Int),
            opt("error", Type::Text),
            opt("response_body", Type::Text),
        ],
        primary: "delivery_id, attempt",
        indexes: &[],
    },
    Table {
        name: "lumo_endpoints",
        columns: &[
            req("name", ENDPOINT),
            req("state", Type::Key(16)),
            req("since", Type::Time),
            req("consecutive_failures", Type::Int),
            opt("last_success_at", Type::Time),
            opt("hold_until", Type::Time),
        ],
        primary: "name",
        indexes: &[],
    },
    Table {
        name: "lumo_sync_state",
        columns: &[
            req("listing", NAME),
            opt("import_started_at", Type::Time),
            opt("import_done_at", Type::Time),
            opt("page_limit", Type::Int),
            opt("last_total", Type::BigInt),
            opt("complete_through", Type::Time),
            opt("last_run_at", Type::Time),
            opt("last_error", Type::Text),
        ],
        primary: "listing",
        indexes: &[],
    },
    Table {
        name: "lumo_sync_runs",
        columns: &[
            req("listing", NAME),
            req("started_at", Type::Time),
            req("finished_at", Type::Time),
            req("outcome", Type::Key(16)),
            req("requests", Type::BigInt),
            req("rows", Type::BigInt),
            req("appeared", Type::BigInt),
            req("changed", Type::BigInt),
            req("rejected", Type::BigInt),
            opt("error", Type::Text),
        ],
        primary: "listing, started_at",
        indexes: &[],
    },
    Table {
        name: "lumo_leases",
        columns: &[
            req("resource", NAME),
            req("owner", ID),
            req("epoch", Type::BigInt),
            req("expires_at", Type::Time),
            opt("process", Type::BigInt),
        ],
        primary: "resource",
        indexes: &[],
    },
    Table {
        name: "lumo_acks",
        columns: &[req("event_id", ID), req("endpoint", ENDPOINT)],
        primary: "event_id, endpoint",
        indexes: &[],
    },
    Table {
        name: "lumo_streams",
        columns: &[req("stream", STREAM), req("last_seq", Type::BigInt)],
        primary: "stream",
        indexes: &[],
    },
    Table { name: "lumo_meta", columns: &[req("name", NAME), req("value", Type::Text)], primary: "name", indexes: &[] },
];

pub(crate) const UNDELIVERED: &str = r#"
SELECT d.event_id, e."type", e.stream, e.stream_seq, e.external_id, d.endpoint, d.id AS delivery_id, d.state,
       e.detected_at AS since, d.attempts, d.next_attempt_at, d.last_status, d.last_error
FROM lumo_deliveries d
JOIN lumo_events e ON e.id = d.event_id
WHERE d.state <> 'delivered'
  AND NOT EXISTS (
    SELECT 1 FROM lumo_deliveries done
    WHERE done.event_id = d.event_id AND done.endpoint = d.endpoint AND done.state = 'delivered'
  )"#;

/// The counters that exist from the start; the first is also the lock in front of the outbox.
const COUNTERS: [&str; 2] = ["*", "*deliveries"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        let connection = manager.get_connection();
        for statement in TABLES.iter().flat_map(|table| dialect.create(table)) {
            connection.execute_unprepared(&statement).await?;
        }
        connection.execute_unprepared(&dialect.create_view("lumo_undelivered", UNDELIVERED)).await?;
        for counter in COUNTERS {
            let insert = format!(
                "INSERT INTO lumo_streams (stream, last_seq) SELECT '{counter}', 0 FROM (SELECT 1 AS one) AS single \
                 WHERE NOT EXISTS (SELECT 1 FROM lumo_streams WHERE stream = '{counter}')"
            );
            connection.execute_unprepared(&insert).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        connection.execute_unprepared("DROP VIEW IF EXISTS lumo_undelivered").await?;
        for table in TABLES.iter().rev() {
            connection.execute_unprepared(&format!("DROP TABLE IF EXISTS {}", table.name)).await?;
        }
        Ok(())
    }
}
