//! What the sync engine keeps: local row numbers, the two marks, its own memory and index, and the rolling sweep.

use sea_orm_migration::prelude::*;

use crate::dialect::{Column, Dialect, Index, Table, Type, opt, req};

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20260301_000002_sync_engine"
    }
}

const NAME: Type = Type::Key(64);

const TABLES: &[Table] = &[
    Table {
        name: "lumo_sweeps",
        columns: &[
            req("listing", NAME),
            req("started_at", Type::Time),
            req("known_until", Type::BigInt),
            req("state", Type::LongText),
            req("updated_at", Type::Time),
        ],
        primary: "listing",
        indexes: &[],
    },
    Table {
        name: "lumo_sweep_seen",
        columns: &[req("listing", NAME), req("chunk", Type::Int), req("bits", Type::Bytes)],
        primary: "listing, chunk",
        indexes: &[],
    },
    Table {
        name: "lumo_sync_blocks",
        columns: &[req("listing", NAME), req("chunk", Type::Int), req("blocks", Type::Bytes)],
        primary: "listing, chunk",
        indexes: &[],
    },
];

/// A table of records, the counter of its rows, and what is added to it once every row has its number.
struct Numbered {
    table: &'static str,
    counter: &'static str,
    indexes: &'static [Index],
}

const NUMBERED: &[Numbered] = &[
    Numbered {
        table: "lumo_user_wallets",
        counter: "*wallets",
        indexes: &[
            Index { name: "lumo_user_wallets_row_no", columns: "row_no", unique: true, only: None },
            partial("lumo_user_wallets_missing", "missing_since", "missing_since IS NOT NULL"),
            partial("lumo_user_wallets_blocked", "is_blocked, row_no", "is_blocked = TRUE"),
        ],
    },
    Numbered {
        table: "lumo_user_deposits",
        counter: "*deposits",
        indexes: &[
            Index { name: "lumo_user_deposits_row_no", columns: "row_no", unique: true, only: None },
            partial("lumo_user_deposits_missing", "missing_since", "missing_since IS NOT NULL"),
            partial("lumo_user_deposits_new", "status(16), row_no", "status = 'new'"),
        ],
    },
];

const SYNC_STATE: &str = "lumo_sync_state";

const STATE_COLUMNS: &[Column] = &[
    opt("proved_through", Type::Time),
    opt("gap", Type::BigInt),
    opt("stalled_since", Type::Time),
    opt("unauthorized_since", Type::Time),
    opt("first_run_at", Type::Time),
    opt("memory", Type::LongText),
    opt("removals_held", Type::BigInt),
    opt("removals_held_since", Type::Time),
    opt("removals_held_why", Type::Text),
    opt("removals_accepted_at", Type::Time),
];

const fn partial(name: &'static str, columns: &'static str, only: &'static str) -> Index {
    Index { name, columns, unique: false, only: Some(only) }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        let connection = manager.get_connection();
        for statement in TABLES.iter().flat_map(|table| dialect.create(table)) {
            connection.execute_unprepared(&statement).await?;
        }
        for column in STATE_COLUMNS {
            dialect.add_column(manager, SYNC_STATE, column, None).await?;
        }
        for Numbered { table, counter, indexes } in NUMBERED {
            dialect.add_column(manager, table, &req("row_no", Type::BigInt), Some("0")).await?;
            connection.execute_unprepared(&dialect.number_rows(table)).await?;
            for index in *indexes {
                dialect.add_index(manager, table, index).await?;
            }
            let start = format!(
                "INSERT INTO lumo_streams (stream, last_seq) SELECT '{counter}', 0 FROM (SELECT 1 AS one) AS single \
                 WHERE NOT EXISTS (SELECT 1 FROM lumo_streams WHERE stream = '{counter}')"
            );
            connection.execute_unprepared(&start).await?;
            let set = format!(
                "UPDATE lumo_streams SET last_seq = (SELECT COALESCE(MAX(row_no), 0) FROM {table}) \
                 WHERE stream = '{counter}'"
            );
            connection.execute_unprepared(&set).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        let connection = manager.get_connection();
        for Numbered { table, counter, indexes } in NUMBERED {
            connection.execute_unprepared(&format!("DELETE FROM lumo_streams WHERE stream = '{counter}'")).await?;
            for index in *indexes {
                dialect.drop_index(manager, table, index).await?;
            }
            dialect.drop_column(manager, table, "row_no").await?;
        }
        for column in STATE_COLUMNS {
            dialect.drop_column(manager, SYNC_STATE, column.name).await?;
        }
        for table in TABLES.iter().rev() {
            connection.execute_unprepared(&format!("DROP TABLE IF EXISTS {}", table.name)).await?;
        }
        Ok(())
    }
}
