//! Reads the database's version, and checks where the tables are and whether they could be created.
//!
//! Leaves no trace.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use crate::store::db::error::{STATEMENT_LOG, database_error};
use crate::store::db::fitness;
use crate::store::schema::make_schema;
use crate::store::{Ending, Error, Store};

/// Whether a probe was allowed, and which right is missing if not.
#[derive(Debug)]
pub enum Allowed {
    Yes,
    /// The right that must be granted.
    No {
        right: &'static str,
        refusal: Error,
    },
}

/// The name of the table that is created as a probe. It is never left behind.
const PROBE: &str = "lumo_probe";

impl Store {
    /// The database's name and version, to be shown.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn server_version(&self) -> Result<String, Error> {
        let (name, function) = match self.backend() {
            DbBackend::Sqlite => ("SQLite", "sqlite_version()"),
            DbBackend::MySql => ("MySQL", "version()"),
            _ => ("PostgreSQL", "current_setting('server_version')"),
        };
        let statement = Statement::from_string(self.backend(), format!("SELECT {function} AS version"));
        let row = self.read().query_one_raw(statement).await?;
        let version: String = row.map(|row| row.try_get("", "version")).transpose()?.unwrap_or_default();
        let name = if version.contains("MariaDB") { "MariaDB" } else { name };
        Ok(format!("{name} {version}"))
    }

    /// Other schemas of a PostgreSQL database that contain tables of the bridge.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn tables_elsewhere(&self) -> Result<Vec<String>, Error> {
        if self.backend() != DbBackend::Postgres {
            return Ok(Vec::new());
        }
        // The catalogue also lists what this user may not read. A schema that does not exist yet is not the current
        // one.
        let sql = "SELECT n.nspname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                   WHERE c.relname = 'lumo_migrations' AND n.nspname IS DISTINCT FROM current_schema() ORDER BY 1";
        let rows = self.read().query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        Ok(rows.iter().map(|row| row.try_get("", "name")).collect::<Result<_, _>>()?)
    }

    /// Whether the user may create tables, and also the schema, if one is configured and missing. Everything is rolled
    /// back.
    ///
    /// # Errors
    /// If the database fails otherwise than by refusing.
    pub async fn may_create_tables(&self, schema: Option<&str>) -> Result<Allowed, Error> {
        if self.backend() == DbBackend::MySql {
            return self.may_create_on_mysql().await;
        }
        let schema = schema.filter(|_| self.backend() == DbBackend::Postgres);
        let made = self.tx_ending("doctor.create", Ending::RollBack, |tx| async move {
            if let Some(schema) = schema {
                make_schema(tx.session(), schema).await?;
            }
            tx.session().execute_unprepared(&format!("CREATE TABLE {PROBE} (word TEXT)")).await?;
            let insert = format!("INSERT INTO {PROBE} (word) VALUES ('{}')", fitness::CHARACTERS);
            tx.session().execute_unprepared(&insert).await.map_err(|error| fitness::unfit(error.into()))?;
            Ok(())
        });
        match made.await {
            Ok(()) => Ok(Allowed::Yes),
            Err(refusal @ (Error::Statement(_) | Error::Unavailable(_) | Error::Unwritable(_))) => {
                let right = match self.backend() {
                    DbBackend::Sqlite => "to write the file and its folder",
                    _ if schema.is_some() => "CREATE on the database, or on the schema if it is there",
                    _ => "CREATE on the schema",
                };
                Ok(Allowed::No { right, refusal })
            }
            Err(error) => Err(error),
        }
    }

    /// MySQL cannot roll back a new table. It checks the right first and the columns after that. So a table that names
    /// a column twice is never created, and the error shows which of the two checks failed.
    async fn may_create_on_mysql(&self) -> Result<Allowed, Error> {
        const DUPLICATE_COLUMN: u16 = 1060;
        let log = "SELECT @@GLOBAL.log_bin = 1 AND @@SESSION.sql_log_bin = 1 AND @@SESSION.binlog_format = 'STATEMENT'";
        let row = self.read().query_one_raw(Statement::from_string(DbBackend::MySql, log)).await?;
        if row.map(|row| row.try_get_by_index::<bool>(0)).transpose()?.unwrap_or(false) {
            return Err(Error::Unfit { problem: STATEMENT_LOG.0.to_owned(), remedy: STATEMENT_LOG.1 });
        }
        let probe = format!("CREATE TABLE {PROBE} (id INTEGER, id INTEGER)");
        let Err(refusal) = self.inner.write.execute_unprepared(&probe).await else { return Ok(Allowed::Yes) };
        if mysql_number(&refusal) == Some(DUPLICATE_COLUMN) {
            return Ok(Allowed::Yes);
        }
        match Error::from(refusal) {
            refusal @ (Error::Statement(_) | Error::Unwritable(_)) => {
                Ok(Allowed::No { right: "CREATE on the database", refusal })
            }
            error => Err(error),
        }
    }
}

fn mysql_number(error: &sea_orm::DbErr) -> Option<u16> {
    let error = database_error(error)?;
    error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>().map(sqlx::mysql::MySqlDatabaseError::number)
}
