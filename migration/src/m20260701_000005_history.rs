//! Items that could not be read. Endpoints that come and go: which of them are no longer configured, so that what waits for them is told as held; how far
//! the history has come that a new one is given, and the indexes that bring it in the order in which it happened.

use sea_orm_migration::prelude::*;

use crate::dialect::{Column, Dialect, Index, Table, Type, index, opt, req};
use crate::m20260501_000003_delivery_engine::{WITH_HELD, replace_view};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20260701_000005_history"
    }
}

const NAME: Type = Type::Key(64);
const ID: Type = Type::Key(128);

const REJECTS: Table = Table {
    name: "lumo_rejects",
    columns: &[
        req("listing", NAME),
        req("item", ID),
        opt("id", ID),
        req("raw", Type::LongText),
        req("reason", Type::Text),
        req("fingerprint", Type::BigInt),
        req("first_seen_at", Type::Time),
        req("last_seen_at", Type::Time),
    ],
    primary: "listing, item",
    indexes: &[],
};

const ENDPOINTS: &str = "lumo_endpoints";

const COLUMNS: &[Column] = &[
    opt("removed_at", Type::Time),
    opt("backfill_since", Type::Time),
    opt("backfill_place", Type::LongText),
    opt("backfill_done_at", Type::Time),
];

const WALLETS: &str = "lumo_user_wallets";
const DEPOSITS: &str = "lumo_user_deposits";

/// By time and then by id, so that a reader who went as far as one row goes on with the next.
const WALLETS_CREATED: Index = index("lumo_user_wallets_created", "created_at, id");
const DEPOSITS_CREATED: Index = index("lumo_user_deposits_created", "created_at, id");
/// For whoever looks for a payment. What is too long for a key is left out, and is neither a hash nor an address.
const WALLETS_ADDRESS: Index = short("lumo_user_wallets_address", "address(200)", "length(address) <= 200");
const DEPOSITS_ADDRESS: Index = short("lumo_user_deposits_address", "address(200)", "length(address) <= 200");
const DEPOSITS_TX_HASH: Index = short("lumo_user_deposits_tx_hash", "tx_hash(200)", "length(tx_hash) <= 200");

const fn short(name: &'static str, columns: &'static str, only: &'static str) -> Index {
    Index { name, columns, unique: false, only: Some(only) }
}

/// What the second of them makes needless.
const DEPOSITS_CREATED_AT: Index = index("lumo_user_deposits_created_at", "created_at");

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
        for statement in dialect.create(&REJECTS) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        for column in COLUMNS {
            dialect.add_column(manager, ENDPOINTS, column, None).await?;
        }
        dialect.add_index(manager, WALLETS, &WALLETS_CREATED).await?;
        dialect.add_index(manager, DEPOSITS, &DEPOSITS_CREATED).await?;
        dialect.add_index(manager, WALLETS, &WALLETS_ADDRESS).await?;
        dialect.add_index(manager, DEPOSITS, &DEPOSITS_ADDRESS).await?;
        dialect.add_index(manager, DEPOSITS, &DEPOSITS_TX_HASH).await?;
        dialect.drop_index(manager, DEPOSITS, &DEPOSITS_CREATED_AT).await?;
        replace_view(manager, WITH_REMOVED).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        replace_view(manager, WITH_HELD).await?;
        dialect.add_index(manager, DEPOSITS, &DEPOSITS_CREATED_AT).await?;
        dialect.drop_index(manager, DEPOSITS, &DEPOSITS_CREATED).await?;
        dialect.drop_index(manager, DEPOSITS, &DEPOSITS_TX_HASH).await?;
        dialect.drop_index(manager, DEPOSITS, &DEPOSITS_ADDRESS).await?;
        dialect.drop_index(manager, WALLETS, &WALLETS_ADDRESS).await?;
        dialect.drop_index(manager, WALLETS, &WALLETS_CREATED).await?;
        for column in COLUMNS {
            dialect.drop_column(manager, ENDPOINTS, column.name).await?;
        }
        let drop_table = format!("DROP TABLE IF EXISTS {}", REJECTS.name);
        manager.get_connection().execute_unprepared(&drop_table).await.map(drop)
    }
}
