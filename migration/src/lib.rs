//! The schema history of lumo-bridge.
//!
//! A migration that was released never changes, and nothing here depends on the entities: history must not move when a
//! model does. MySQL and MariaDB commit every DDL statement by itself, so each statement can be repeated: a migration
//! that was interrupted is simply run again.

mod dialect;
mod m20261201_000001_initial;

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{Migration, MigrationStatus, MigratorTrait};

/// All migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(m20261201_000001_initial::Migration)]
    }

    fn migration_table_name() -> DynIden {
        "lumo_migrations".into_iden()
    }
}
