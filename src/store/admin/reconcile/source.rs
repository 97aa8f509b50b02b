//! Runs the merchant's statement in a read-only transaction that is never committed, within a time limit.
//!
//! The connection belongs to no pool: its session settings end with it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, TryStreamExt as _};
use sea_orm::{DbErr, QueryResult, RuntimeErr};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgTypeInfo, PgTypeKind};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions, Connection as _, Executor as _, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};

use crate::store::config::Backend;
use crate::store::db::deadline::Deadline;
use crate::store::db::search_path::quoted;
use crate::store::{Config, Error};

/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Steps of SQLite's virtual machine between two checks of the deadline.
const STEPS: i32 = 10_000;
/// The most rows that SQLite's thread reads ahead.
const ROWS: usize = 1000;

/// A connection that only reads.
pub(super) enum Source {
    Postgres(PgConnection),
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

/// A stream of rows.
pub(super) type Rows<'a> = Pin<Box<dyn Stream<Item = Result<QueryResult, sqlx::Error>> + Send + 'a>>;

/// A column of a statement's result.
pub(super) struct Column {
    pub(super) name: String,
    /// The name of its type, if that is a float.
    pub(super) float: Option<String>,
}

impl Source {
    /// Connects, and begins the transaction.
    pub(super) async fn open(config: &Config, deadline: &Deadline, limit: Duration) -> Result<Self, Error> {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, Self::connect(config, deadline, limit)).await;
        let silence = || sqlx::Error::Io(io::ErrorKind::TimedOut.into());
        opened.unwrap_or_else(|_| Err(silence())).map_err(|error| Error::Unavailable(db_error(error)))
    }

    async fn connect(config: &Config, deadline: &Deadline, limit: Duration) -> Result<Self, sqlx::Error> {
        let url = config.url.driver_url();
        match config.url.backend() {
            Backend::Postgres => {
                let options = url.parse::<PgConnectOptions>()?.extra_float_digits(None).application_name("lumo-bridge");
                let mut connection = options.disable_statement_logging().connect().await?;
                let mut begin = format!("BEGIN READ ONLY; SET LOCAL statement_timeout = {}", limit.as_millis());
                if let Some(schema) = config.schema.as_deref() {
                    // The merchant's tables are found by the role's own search path.
                    let schema = quoted(schema).replace('\'', "''");
                    begin.push_str(&format!(
                        "; SELECT set_config('search_path', '{schema}, ' || current_setting('search_path'), true)"
                    ));
                }
                connection.execute(sqlx::raw_sql(AssertSqlSafe(begin))).await?;
                Ok(Self::Postgres(connection))
            }
            Backend::MySql => {
                let options = url.parse::<MySqlConnectOptions>()?.disable_statement_logging();
                let mut connection = options.connect().await?;
                let (seconds, milliseconds) = (limit.as_secs().max(1), limit.as_millis());
                // MariaDB's limit and MySQL's; each knows only one of the two. Reading the other list may take long
                // before the next row is fetched.
                for limit in [
                    format!("SET SESSION max_statement_time = {seconds}"),
                    format!("SET SESSION max_execution_time = {milliseconds}"),
                    format!("SET SESSION net_write_timeout = {seconds}"),
                ] {
                    drop(connection.execute(sqlx::raw_sql(AssertSqlSafe(limit))).await);
                }
                connection.execute(sqlx::raw_sql("START TRANSACTION READ ONLY")).await?;
                Ok(Self::MySql(connection))
            }
            Backend::Sqlite => {
                let options = url.parse::<SqliteConnectOptions>()?.disable_statement_logging();
                let options = options.read_only(true).create_if_missing(false).busy_timeout(CONNECT_TIMEOUT);
                let mut connection = options.pragma("query_only", "on").row_buffer_size(ROWS).connect().await?;
                let deadline = deadline.clone();
                connection.lock_handle().await?.set_progress_handler(STEPS, move || !deadline.has_passed());
                connection.execute(sqlx::raw_sql("BEGIN")).await?;
                Ok(Self::Sqlite(connection))
            }
        }
    }

    /// The columns of a statement's result, without running it.
    pub(super) async fn columns(&mut self, sql: String) -> Result<Vec<Column>, sqlx::Error> {
        let sql = AssertSqlSafe(sql).into_sql_str();
        Ok(match self {
            Self::Postgres(connection) => {
                let prepared = connection.prepare(sql).await?;
                let column = |column: &sqlx::postgres::PgColumn| Column {
                    name: column.name().to_owned(),
                    float: float_on_postgres(column.type_info()),
                };
                prepared.columns().iter().map(column).collect()
            }
            Self::MySql(connection) => {
                let prepared = connection.prepare(sql).await?;
                let column = |column: &sqlx::mysql::MySqlColumn| {
                    let kind = column.type_info().name();
                    let float = (kind.contains("FLOAT") || kind.contains("DOUBLE")).then(|| kind.to_owned());
                    Column { name: column.name().to_owned(), float }
                };
                prepared.columns().iter().map(column).collect()
            }
            Self::Sqlite(connection) => {
                let prepared = connection.prepare(sql).await?;
                // Each value has a type of its own there.
                let column =
                    |column: &sqlx::sqlite::SqliteColumn| Column { name: column.name().to_owned(), float: None };
                prepared.columns().iter().map(column).collect()
            }
        })
    }

    /// Runs a statement.
    pub(super) fn rows(&mut self, sql: String) -> Rows<'_> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Postgres(connection) => {
                Box::pin(sqlx::query(sql).persistent(false).fetch(connection).map_ok(QueryResult::from))
            }
            Self::MySql(connection) => {
                Box::pin(sqlx::query(sql).persistent(false).fetch(connection).map_ok(QueryResult::from))
            }
            Self::Sqlite(connection) => {
                Box::pin(sqlx::query(sql).persistent(false).fetch(connection).map_ok(QueryResult::from))
            }
        }
    }

    /// Rolls back and closes. A connection that is dropped instead is rolled back by the database.
    pub(super) async fn end(self) -> Result<(), sqlx::Error> {
        let rollback = sqlx::raw_sql("ROLLBACK");
        match self {
            Self::Postgres(mut connection) => {
                connection.execute(rollback).await?;
                connection.close().await
            }
            Self::MySql(mut connection) => {
                connection.execute(rollback).await?;
                connection.close().await
            }
            Self::Sqlite(mut connection) => {
                connection.execute(rollback).await?;
                connection.close().await
            }
        }
    }
}

/// The name of the type, if it is a float or a domain over one.
fn float_on_postgres(kind: &PgTypeInfo) -> Option<String> {
    match kind.kind() {
        PgTypeKind::Domain(inner) => float_on_postgres(inner),
        _ => matches!(kind.name(), "FLOAT4" | "FLOAT8").then(|| kind.name().to_owned()),
    }
}

pub(super) fn db_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}
