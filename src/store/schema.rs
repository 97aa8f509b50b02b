//! Brings the tables to the version that this program knows, on its own connection and under a lock.
//!
//! Two processes that start together would otherwise create the same table twice. SQLite has no locks by name; there one
//! transaction around everything is the lock, and makes it all or nothing.

use data_encoding::BASE32_NOPAD;
use lumo_bridge_entity::meta;
use lumo_bridge_migration::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::{ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, EntityTrait, Statement};

use super::connect::{self, Absent};
use super::{Config, Error};

/// One step of the schema's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub name: String,
    pub applied: bool,
}

/// The name of the lock; any two processes that migrate the same database meet at it.
const LOCK: &str = "lumo_migrations";
const LOCK_NUMBER: i64 = 0x6c75_6d6f;

/// Applies what is pending, and makes the schema that the configuration names. Returns how many steps were applied.
///
/// # Errors
/// If the database is not reachable or refuses, for example for want of the right to create tables.
pub async fn up(config: &Config) -> Result<usize, Error> {
    let connection = connect::single(config, Absent::Create).await?;
    let result = locked(&connection, async || {
        if let Some(schema) = &config.schema {
            make_schema(&connection, schema).await?;
        }
        let pending = Migrator::get_pending_migrations(&connection).await?.len();
        Migrator::up(&connection, None).await?;
        name_generation(&connection).await?;
        Ok(pending)
    });
    let result = result.await;
    close(connection).await;
    result
}

/// Gives the tables another random name, for ones that were put back to an earlier state: versions are counted from there
/// again, and must not make the id of an event that was sent for another fact since. No process may be at work.
///
/// # Errors
/// If the database is not reachable, or the tables are not there.
pub async fn restored(config: &Config) -> Result<(), Error> {
    let connection = connect::single(config, Absent::Refuse).await?;
    let result = locked(&connection, async || {
        if meta::Entity::delete_by_id(meta::GENERATION).exec(&connection).await?.rows_affected == 0 {
            return Err(Error::NotMigrated);
        }
        name_generation(&connection).await
    });
    let result = result.await;
    close(connection).await;
    result
}

/// Takes the last `steps` back, with everything in the tables that they made. Returns how many steps were taken.
///
/// # Errors
/// As [`up`].
pub async fn down(config: &Config, steps: u32) -> Result<usize, Error> {
    let connection = connect::single(config, Absent::Refuse).await?;
    let result = locked(&connection, async || {
        let applied = Migrator::get_applied_migrations(&connection).await?.len();
        Migrator::down(&connection, Some(steps)).await?;
        let left = Migrator::get_applied_migrations(&connection).await?.len();
        Ok(applied - left)
    });
    let result = result.await;
    close(connection).await;
    result
}

/// Every step, oldest first, and whether it was applied. Changes nothing.
///
/// # Errors
/// If the database is not reachable.
pub async fn status(config: &Config) -> Result<Vec<Migration>, Error> {
    let connection = match connect::single(config, Absent::Refuse).await {
        Err(Error::NotMigrated) => {
            let steps = Migrator::get_migration_files();
            return Ok(steps.iter().map(|step| Migration { name: step.name().to_owned(), applied: false }).collect());
        }
        connection => connection?,
    };
    let result = Migrator::get_migration_with_status_read_only(&connection).await;
    close(connection).await;
    let state = |status| status == MigrationStatus::Applied;
    Ok(result?.iter().map(|step| Migration { name: step.name().to_owned(), applied: state(step.status()) }).collect())
}

/// Makes the schema, unless it is there: even `IF NOT EXISTS` asks for the right to create schemas, which a user with a
/// schema of its own need not have.
pub(super) async fn make_schema(connection: &impl ConnectionTrait, name: &str) -> Result<(), Error> {
    let sql = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    let known = Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.into()]);
    if connection.query_one_raw(known).await?.is_none() {
        let quoted = name.replace('"', "\"\"");
        connection.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS \"{quoted}\"")).await?;
    }
    Ok(())
}

async fn locked<T>(connection: &DatabaseConnection, work: impl AsyncFnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let backend = connection.get_database_backend();
    let (lock, unlock) = match backend {
        DbBackend::Postgres => {
            (format!("SELECT pg_advisory_lock({LOCK_NUMBER})"), format!("SELECT pg_advisory_unlock({LOCK_NUMBER})"))
        }
        DbBackend::MySql => {
            // Names of locks are the server's, not the database's.
            let name = format!("CONCAT('{LOCK}/', DATABASE())");
            (format!("SELECT GET_LOCK({name}, 120)"), format!("SELECT RELEASE_LOCK({name})"))
        }
        _ => {
            connection.execute_unprepared("BEGIN IMMEDIATE").await?;
            let result = work().await;
            connection.execute_unprepared(if result.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
            return result;
        }
    };
    let taken = connection.query_one_raw(Statement::from_string(backend, lock)).await?;
    if backend == DbBackend::MySql && taken.is_none_or(|row| row.try_get_by_index(0).unwrap_or(0_i64) != 1) {
        let busy = "another process has been changing the tables for two minutes";
        return Err(Error::Unavailable(DbErr::Custom(busy.to_owned())));
    }
    let result = work().await;
    connection.query_one_raw(Statement::from_string(backend, unlock)).await?;
    result
}

/// Gives a new set of tables its random name.
async fn name_generation(connection: &DatabaseConnection) -> Result<(), Error> {
    if meta::Entity::find_by_id(meta::GENERATION).one(connection).await?.is_some() {
        return Ok(());
    }
    let name = BASE32_NOPAD.encode(&rand::random::<[u8; 10]>()).to_ascii_lowercase();
    let row = meta::ActiveModel { name: Set(meta::GENERATION.to_owned()), value: Set(name) };
    meta::Entity::insert(row).exec_without_returning(connection).await?;
    Ok(())
}

async fn close(connection: DatabaseConnection) {
    if let Err(error) = connection.close().await {
        tracing::debug!(error = %error, "connection not closed cleanly");
    }
}
