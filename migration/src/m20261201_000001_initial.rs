//! Every table, index and view of the first release.

mod tables;
mod views;

use sea_orm_migration::prelude::*;

use crate::dialect::Dialect;
use tables::tables;
use views::VIEWS;

pub(crate) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &'static str {
        "m20261201_000001_initial"
    }
}

/// The counters that exist from the start; the first is also the lock of whoever publishes.
const COUNTERS: [&str; 3] = ["*", "*wallets", "*deposits"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dialect = Dialect::of(manager).await?;
        let connection = manager.get_connection();
        for statement in tables().flat_map(|table| dialect.create(table)).chain(dialect.often_updated("lumo_positions"))
        {
            connection.execute_unprepared(&statement).await?;
        }
        for (name, select) in VIEWS {
            connection.execute_unprepared(&dialect.create_view(name, &select())).await?;
        }
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
        for (view, _) in VIEWS {
            connection.execute_unprepared(&format!("DROP VIEW IF EXISTS {view}")).await?;
        }
        for table in tables().rev() {
            connection.execute_unprepared(&format!("DROP TABLE IF EXISTS {}", table.name)).await?;
        }
        Ok(())
    }
}
