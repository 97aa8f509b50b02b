//! Migrates the tables to the version of this program, on a connection of its own and under a lock.
//!
//! Without a lock, two processes that start together would create the same table twice. On PostgreSQL and SQLite the
//! lock belongs to one transaction around all steps. So either all steps are applied or none, and no lock is left
//! behind, even with a pooler in between. A process that waits for the lock logs it, and gives up after two minutes.

use std::time::{Duration, Instant};

use data_encoding::BASE32_NOPAD;
use lumo_bridge_entity::meta;
use lumo_bridge_migration::{MigrationStatus, Migrator, MigratorTrait};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DatabaseExecutor, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use crate::store::db::connect::{self, Absent};
use crate::store::db::distrust::Distrust;
use crate::store::db::timeouts::{TimedConnection, transaction_settings};
use crate::store::{Config, Error};

/// A migration, and whether it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub name: String,
    pub applied: bool,
}

/// The lock that two processes contend for when they migrate the same database. On MySQL, lock names belong to the
/// server, not to the database.
const MYSQL_LOCK: &str = "CONCAT('lumo_migrations/', DATABASE())";
const LOCK_NUMBER: i64 = 0x6c75_6d6f;

/// Applies the pending migrations, and creates the configured schema. Returns how many were applied.
///
/// # Errors
/// If the database is not reachable or refuses, for example for want of the right to create tables.
pub async fn up(config: &Config) -> Result<usize, Error> {
    let connection = connect::single(config, Absent::Create, &Distrust::default()).await?;
    if is_up_to_date(&connection, config).await? {
        close(connection).await;
        return Ok(0);
    }
    let result = locked(&connection, config, async |place| {
        let tables = place.executor();
        if let Some(schema) = &config.schema {
            make_schema(&tables, schema).await?;
        }
        let pending = known(&tables, Migrator::get_pending_migrations(&tables).await).await?.len();
        Migrator::up(place.executor(), None).await?;
        name_generation(&tables).await?;
        Ok(pending)
    });
    let result = result.await;
    close(connection).await;
    result
}

/// Gives the set of tables a new random name, after the tables were restored to an earlier state. Versions are then
/// counted from that state again, and must not make the id of an event that was already sent for another fact. No
/// process may be running.
///
/// # Errors
/// If the database is not reachable, or the tables are not there.
pub async fn restored(config: &Config) -> Result<(), Error> {
    let connection = connect::single(config, Absent::Refuse, &Distrust::default()).await?;
    let result = locked(&connection, config, async |place| {
        let tables = place.executor();
        if meta::Entity::delete_by_id(meta::GENERATION).exec(&tables).await?.rows_affected == 0 {
            return Err(Error::NotMigrated);
        }
        name_generation(&tables).await
    });
    let result = result.await;
    close(connection).await;
    result
}

/// Reverts the last `steps` migrations, and deletes all data in the tables that they made. Returns how many were
/// reverted.
///
/// # Errors
/// As [`up`].
pub async fn down(config: &Config, steps: u32) -> Result<usize, Error> {
    let connection = connect::single(config, Absent::Refuse, &Distrust::default()).await?;
    let result = locked(&connection, config, async |place| {
        let tables = place.executor();
        let applied = known(&tables, Migrator::get_applied_migrations(&tables).await).await?.len();
        Migrator::down(place.executor(), Some(steps)).await?;
        let left = Migrator::get_applied_migrations(&tables).await?.len();
        Ok(applied - left)
    });
    let result = result.await;
    close(connection).await;
    result
}

/// Every migration, oldest first, and whether it was applied. Changes nothing.
///
/// # Errors
/// If the database is not reachable.
pub async fn status(config: &Config) -> Result<Vec<Migration>, Error> {
    let connection = match connect::single(config, Absent::Refuse, &Distrust::default()).await {
        Err(Error::NoFile { .. }) => {
            let steps = Migrator::get_migration_files();
            return Ok(steps.iter().map(|step| Migration { name: step.name().to_owned(), applied: false }).collect());
        }
        connection => connection?,
    };
    let result = steps(&reader(&connection, config)).await;
    close(connection).await;
    let state = |status| status == MigrationStatus::Applied;
    Ok(result?.iter().map(|step| Migration { name: step.name().to_owned(), applied: state(step.status()) }).collect())
}

/// Whether nothing is pending. A user without the right to create tables can check that, too.
async fn is_up_to_date(connection: &DatabaseConnection, config: &Config) -> Result<bool, Error> {
    let reader = reader(connection, config);
    let steps = steps(&reader).await?;
    let are_applied = steps.iter().all(|step| step.status() == MigrationStatus::Applied);
    Ok(are_applied && meta::Entity::find_by_id(meta::GENERATION).one(&reader).await?.is_some())
}

/// Every step of this program with its status. Changes nothing.
async fn steps(reader: &impl ConnectionTrait) -> Result<Vec<lumo_bridge_migration::Migration>, Error> {
    known(reader, Migrator::get_migration_with_status_read_only(reader).await).await
}

/// What the migrator says of a history. If it refuses the history because of steps that this program does not know, the
/// last of them is named.
async fn known<T>(tables: &impl ConnectionTrait, result: Result<T, DbErr>) -> Result<T, Error> {
    let refusal = match result {
        Err(refusal @ DbErr::Custom(_)) => refusal,
        result => return Ok(result?),
    };
    let sql = "SELECT version FROM lumo_migrations ORDER BY version DESC";
    let rows = tables.query_all_raw(Statement::from_string(tables.get_database_backend(), sql)).await?;
    let own = Migrator::get_migration_files();
    for row in rows {
        let step: String = row.try_get_by_index(0)?;
        if !own.iter().any(|own| own.name() == step) {
            return Err(Error::Newer { step });
        }
    }
    Err(refusal.into())
}

/// A connection that finds the tables in the configured schema.
fn reader(connection: &DatabaseConnection, config: &Config) -> TimedConnection {
    let schema = config.schema.as_deref().filter(|_| connection.get_database_backend() == DbBackend::Postgres);
    TimedConnection::with_search_path(connection.clone(), schema, &Distrust::default())
}

/// Creates the schema, unless it exists. `IF NOT EXISTS` would need the right to create schemas even then, and a user
/// with a schema of its own need not have that right.
pub(in crate::store) async fn make_schema(connection: &impl ConnectionTrait, name: &str) -> Result<(), Error> {
    let sql = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    let known = Statement::from_sql_and_values(DbBackend::Postgres, sql, [name.into()]);
    if connection.query_one_raw(known).await?.is_none() {
        let quoted = name.replace('"', "\"\"");
        connection.execute_unprepared(&format!("CREATE SCHEMA IF NOT EXISTS \"{quoted}\"")).await?;
    }
    Ok(())
}

/// How long to wait for a lock that another process holds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);
/// How often the lock is tried.
const TRY_EVERY: Duration = Duration::from_millis(250);
/// How often the wait is logged.
const SAY_EVERY: Duration = Duration::from_secs(15);

/// The lock, held while the tables are changed.
enum Lock {
    /// It belongs to the transaction of all steps.
    Transaction(DatabaseTransaction),
    /// MySQL and MariaDB commit before and after each schema change, so there it belongs to the session.
    Session,
}

/// The connection or transaction that changes the tables.
#[derive(Clone, Copy)]
enum MigrationPlace<'c> {
    Connection(&'c DatabaseConnection),
    Transaction(&'c DatabaseTransaction),
}

impl<'c> MigrationPlace<'c> {
    fn executor(self) -> DatabaseExecutor<'c> {
        match self {
            Self::Connection(connection) => DatabaseExecutor::Connection(connection),
            Self::Transaction(transaction) => DatabaseExecutor::Transaction(transaction),
        }
    }
}

/// Runs the work under the lock. On PostgreSQL and SQLite all of it is applied, or nothing.
async fn locked<T>(
    connection: &DatabaseConnection,
    config: &Config,
    work: impl AsyncFnOnce(MigrationPlace<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    match take_lock(connection, config).await? {
        Lock::Transaction(transaction) => {
            let result = work(MigrationPlace::Transaction(&transaction)).await;
            match result {
                Ok(_) => transaction.commit().await?,
                // The error of the work is reported, even if the database has already rolled back by itself.
                Err(_) => drop(transaction.rollback().await),
            }
            result
        }
        Lock::Session => {
            let result = work(MigrationPlace::Connection(connection)).await;
            let unlock = format!("SELECT RELEASE_LOCK({MYSQL_LOCK})");
            connection.query_one_raw(Statement::from_string(DbBackend::MySql, unlock)).await?;
            result
        }
    }
}

/// Waits for the lock, and logs the wait. Cancel safe.
async fn take_lock(connection: &DatabaseConnection, config: &Config) -> Result<Lock, Error> {
    let began = Instant::now();
    let mut say_at = began;
    if connection.get_database_backend() == DbBackend::Sqlite {
        // SQLite would otherwise wait without logging it.
        connection.execute_unprepared("PRAGMA busy_timeout = 100").await?;
    }
    loop {
        if let Some(lock) = try_lock(connection, config).await? {
            return Ok(lock);
        }
        let now = Instant::now();
        if now.duration_since(began) >= LOCK_TIMEOUT {
            let busy = "another process has been changing the tables for two minutes";
            return Err(Error::Unavailable(DbErr::Custom(busy.to_owned())));
        }
        if now >= say_at {
            tracing::warn!(
                waited_s = now.duration_since(began).as_secs(),
                "another process changes the tables; waiting until it is done"
            );
            say_at = now + SAY_EVERY;
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
}

/// The lock, if no other process holds it.
async fn try_lock(connection: &DatabaseConnection, config: &Config) -> Result<Option<Lock>, Error> {
    let backend = connection.get_database_backend();
    if backend == DbBackend::MySql {
        let sql = format!("SELECT GET_LOCK({MYSQL_LOCK}, 0)");
        let taken = connection.query_one_raw(Statement::from_string(backend, sql)).await?;
        let taken = taken.is_some_and(|row| row.try_get_by_index(0).unwrap_or(0_i64) == 1);
        return Ok(taken.then_some(Lock::Session));
    }
    let mode = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode: mode, ..TransactionOptions::default() };
    let transaction = match connection.begin_with_options(options).await.map_err(Error::from) {
        Err(Error::Collision(_)) if backend == DbBackend::Sqlite => return Ok(None),
        transaction => transaction?,
    };
    if backend == DbBackend::Postgres {
        transaction.execute_unprepared(&transaction_settings(config.schema.as_deref())).await?;
        let sql = format!("SELECT pg_try_advisory_xact_lock({LOCK_NUMBER})");
        let taken = transaction.query_one_raw(Statement::from_string(backend, sql)).await?;
        if !taken.map(|row| row.try_get_by_index(0)).transpose()?.unwrap_or(false) {
            transaction.rollback().await?;
            return Ok(None);
        }
    }
    Ok(Some(Lock::Transaction(transaction)))
}

/// Gives a new set of tables its random name.
async fn name_generation(connection: &impl ConnectionTrait) -> Result<(), Error> {
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
