//! Bounds every wait for a database server.
//!
//! After a failover, or behind a firewall that drops its state, a connection can be silent for hours without an error.
//! So every query and transaction has a timeout: it fails as if the server could not be reached, and its connection is
//! closed instead of reused. The server in turn ends a transaction whose client is gone, because it holds locks that
//! others need.
//!
//! SQLite is a local file and has no timeouts here.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseExecutor, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, TransactionOptions, TransactionTrait,
};
use sqlx::pool::PoolConnectionMetadata;
use sqlx::{AssertSqlSafe, Connection, Executor as _};

use crate::store::Error;
use crate::store::db::distrust::Distrust;
use crate::store::db::search_path::narrowed;
use crate::store::db::statement::for_driver;

/// The longest time for a transaction. It is shorter than any lease of an endpoint, so a leader that cannot write its
/// results notices it while it still leads.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest time that the server lets a transaction wait for its next statement. It is shorter than
/// [`TRANSACTION_TIMEOUT`], so the locks of a dead process are released before others give up waiting for them.
const IDLE_TRANSACTION_SECONDS: u32 = 10;
/// Longest time for one query outside of a transaction.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for a connection to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time to close all connections of a pool.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections on which every query has a timeout.
#[derive(Clone)]
pub(in crate::store) struct TimedConnection {
    connection: DatabaseConnection,
    /// Settings that precede each query, in a transaction of its own, where the session keeps no search path.
    preface: Option<Arc<str>>,
    distrust: Distrust,
    failing: FailingQueries,
}

/// Since when every query has failed because the database is away: the beginning of the first, which may have waited long
/// for a connection.
#[derive(Clone, Default)]
pub(in crate::store) struct FailingQueries(Arc<Mutex<Option<Instant>>>);

impl FailingQueries {
    pub(in crate::store) fn since(&self) -> Option<Instant> {
        *self.lock()
    }

    /// Notes that the database answers again.
    pub(in crate::store) fn forget(&self) {
        *self.lock() = None;
    }

    /// Notes how a query ended that began at this time.
    pub(in crate::store) fn note<T>(&self, answer: &Result<T, DbErr>, began: Instant) {
        match answer {
            Ok(_) => self.forget(),
            Err(failure) if matches!(Error::from(failure.clone()), Error::Unavailable(_)) => {
                let mut since = self.lock();
                *since = Some(since.map_or(began, |since| since.min(began)));
            }
            Err(_) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimedConnection {
    pub(in crate::store) fn new(connection: DatabaseConnection, distrust: &Distrust) -> Self {
        Self { connection, preface: None, distrust: distrust.clone(), failing: FailingQueries::default() }
    }

    /// Connections that find the tables by this search path although their sessions keep none.
    pub(in crate::store) fn with_search_path(
        connection: DatabaseConnection,
        schema: Option<&str>,
        distrust: &Distrust,
    ) -> Self {
        let preface = schema.map(|schema| transaction_settings(Some(schema)).into());
        Self { preface, ..Self::new(connection, distrust) }
    }

    pub(in crate::store) fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    pub(in crate::store) fn failing(&self) -> &FailingQueries {
        &self.failing
    }

    /// Runs the query, for [`QUERY_TIMEOUT`] at most.
    async fn query<T>(&self, query: impl AsyncFnOnce(DatabaseExecutor<'_>) -> Result<T, DbErr>) -> Result<T, DbErr> {
        let began = Instant::now();
        let asked = async {
            let Some(preface) = &self.preface else {
                return query(DatabaseExecutor::Connection(&self.connection)).await;
            };
            let transaction = self.connection.begin_with_options(TransactionOptions::default()).await?;
            transaction.execute_unprepared(preface).await?;
            let answer = query(DatabaseExecutor::Transaction(&transaction)).await?;
            transaction.commit().await?;
            Ok(answer)
        };
        let answer = bounded(QUERY_TIMEOUT, self.get_database_backend(), asked).await;
        self.failing.note(&answer, began);
        if let Err(failure) = &answer {
            self.distrust.judge(failure);
        }
        answer
    }
}

/// Runs a whole transaction, for [`TRANSACTION_TIMEOUT`] at most if the database is a server.
pub(in crate::store) async fn transaction<T, E: From<DbErr>>(
    backend: DbBackend,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    bounded(TRANSACTION_TIMEOUT, backend, work).await
}

/// Closes connections, within [`CLOSE_TIMEOUT`] if the database is a server. The last connection to an SQLite file
/// folds the write-ahead log into it, which may take longer.
pub(in crate::store) async fn closing<T, E: From<DbErr>>(
    backend: DbBackend,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    bounded(CLOSE_TIMEOUT, backend, work).await
}

async fn bounded<T, E: From<DbErr>>(
    limit: Duration,
    backend: DbBackend,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    if backend == DbBackend::Sqlite {
        return work.await;
    }
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let silence = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", limit.as_secs()));
        Err(E::from(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(silence))))))
    })
}

#[async_trait]
impl ConnectionTrait for TimedConnection {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.query(async |connection| connection.execute_raw(for_driver(statement)).await).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.query(async |connection| connection.execute_unprepared(sql).await).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.query(async |connection| connection.query_one_raw(for_driver(statement)).await).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.query(async |connection| connection.query_all_raw(for_driver(statement)).await).await
    }
}

/// Has the pools check connections before they are used and before they are kept.
pub(in crate::store) fn apply(options: &mut ConnectOptions, distrust: &Distrust) {
    // The pool's own check has no timeout.
    options.test_before_acquire(false);
    options.map_sqlx_sqlite_before_acquire(check_connection(distrust));
    options.map_sqlx_postgres_before_acquire(check_connection(distrust));
    options.map_sqlx_mysql_before_acquire(check_connection(distrust));
    let trust = distrust.clone();
    options.map_sqlx_postgres_pool_opts(move |pool| pool.after_release(check_connection(&trust)));
    let trust = distrust.clone();
    options.map_sqlx_mysql_pool_opts(move |pool| {
        pool.after_release(check_connection(&trust)).after_connect(|connection, _| {
            Box::pin(async move {
                // Only MariaDB has this limit. MySQL's refusal is ignored.
                let limit = format!("SET SESSION idle_transaction_timeout = {IDLE_TRANSACTION_SECONDS}");
                drop(connection.execute(AssertSqlSafe(limit)).await);
                // Safe mode refuses updates without a key in WHERE. It is meant for people.
                connection.execute("SET SESSION sql_safe_updates = 0").await?;
                Ok(())
            })
        })
    });
}

/// The statement that opens every transaction on PostgreSQL. Nothing in it outlives the transaction. The server ends
/// the transaction if it waits for its next statement too long, because it holds locks that others need.
pub(in crate::store) fn transaction_settings(schema: Option<&str>) -> String {
    // Repeatable read would show a writer an outdated state. Rows that must not change are locked one by one.
    let mut settings = format!(
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET LOCAL idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_SECONDS}s'"
    );
    if let Some(schema) = schema {
        settings.push_str(&format!("; {}", narrowed(schema)));
    }
    settings
}

type Check<'a> = Pin<Box<dyn Future<Output = Result<bool, sqlx::Error>> + Send + 'a>>;

/// Checks whether a connection may be used: it is not distrusted, it answers a ping, and no transaction is open on it.
/// A silent connection is closed without a goodbye to the server.
pub(in crate::store) fn check_connection<C: Connection>(
    distrust: &Distrust,
) -> impl for<'a> Fn(&'a mut C, PoolConnectionMetadata) -> Check<'a> + Send + Sync + 'static + use<C> {
    let distrust = distrust.clone();
    move |connection, about| {
        let distrust = distrust.clone();
        Box::pin(async move {
            let mut declared = distrust.watch();
            if distrust.covers(about.age) {
                return Ok(false);
            }
            let answer = tokio::select! {
                answer = tokio::time::timeout(PING_TIMEOUT, connection.ping()) => answer,
                _ = declared.changed() => return Ok(false),
            };
            answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
            Ok(!connection.is_in_transaction())
        })
    }
}
