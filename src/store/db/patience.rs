//! Patience with a server: how long it may be silent until a connection is given up.
//!
//! A failover, or a firewall that forgets, leaves connections on which nothing comes any more, and no error either. Whoever
//! waits there waits for hours, and a process that does is alive and does nothing. So there is an end to every wait: what
//! was asked fails as if the server could not be reached, and the connection is closed instead of kept. On the other side
//! the server is told to end a transaction that nobody goes on with, because it holds locks that others need.
//!
//! SQLite is a file. It is not asked over a wire, and may take its time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DatabaseExecutor, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement, TransactionOptions, TransactionTrait,
};
use sqlx::pool::PoolConnectionMetadata;
use sqlx::{AssertSqlSafe, Connection, Executor as _};

use crate::store::db::connect;
use crate::store::db::distrust::Distrust;

/// Longest time for a transaction. Less than any lease of a delivery lasts: whoever cannot settle must know before it ends.
const TRANSACTION: Duration = Duration::from_secs(15);
/// Longest time that the server lets a transaction of ours wait for its next statement. Less than [`TRANSACTION`]: what a process
/// that is gone held is free before others give up waiting for it.
const IDLE_SECONDS: u32 = 10;
/// Longest time for one question outside of any transaction.
const QUESTION: Duration = Duration::from_secs(30);
/// Longest time for a connection to show that somebody is there.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);
/// Longest time for all connections to be closed.
const FAREWELL: Duration = Duration::from_secs(5);

/// Connections whose silence is no answer.
#[derive(Clone)]
pub(in crate::store) struct Patient {
    connection: DatabaseConnection,
    /// What each question is preceded by, in a transaction of its own: where the session keeps no search path.
    preface: Option<Arc<str>>,
    distrust: Distrust,
}

impl Patient {
    pub(in crate::store) fn new(connection: DatabaseConnection, distrust: &Distrust) -> Self {
        Self { connection, preface: None, distrust: distrust.clone() }
    }

    /// Connections that find the tables by this search path, though their sessions keep none.
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

    /// Asks, as long as the answer may take.
    async fn ask<T>(&self, question: impl AsyncFnOnce(DatabaseExecutor<'_>) -> Result<T, DbErr>) -> Result<T, DbErr> {
        let asked = async {
            let Some(preface) = &self.preface else {
                return question(DatabaseExecutor::Connection(&self.connection)).await;
            };
            let transaction = self.connection.begin_with_options(TransactionOptions::default()).await?;
            transaction.execute_unprepared(preface).await?;
            let answer = question(DatabaseExecutor::Transaction(&transaction)).await?;
            transaction.commit().await?;
            Ok(answer)
        };
        let answer = bounded(QUESTION, self.get_database_backend(), asked).await;
        if let Err(failure) = &answer {
            self.distrust.judge(failure);
        }
        answer
    }
}

/// A transaction, from its beginning to its end; if the database is a server, no longer than [`TRANSACTION`].
pub(in crate::store) async fn transaction<T, E: From<DbErr>>(
    backend: DbBackend,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    bounded(TRANSACTION, backend, work).await
}

/// The end of all connections. A file's last one folds the log into it; a server is not owed that much.
pub(in crate::store) async fn farewell<T, E: From<DbErr>>(
    backend: DbBackend,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    bounded(FAREWELL, backend, work).await
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
impl ConnectionTrait for Patient {
    fn get_database_backend(&self) -> DbBackend {
        self.connection.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.ask(async |connection| connection.execute_raw(statement).await).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.ask(async |connection| connection.execute_unprepared(sql).await).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.ask(async |connection| connection.query_one_raw(statement).await).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.ask(async |connection| connection.query_all_raw(statement).await).await
    }
}

/// Has connections tried before they are used and before they are kept.
pub(in crate::store) fn apply(options: &mut ConnectOptions, distrust: &Distrust) {
    // The pool would try them as well, and wait for as long as it takes.
    options.test_before_acquire(false);
    options.map_sqlx_sqlite_before_acquire(sound(distrust));
    options.map_sqlx_postgres_before_acquire(sound(distrust));
    options.map_sqlx_mysql_before_acquire(sound(distrust));
    let trust = distrust.clone();
    options.map_sqlx_postgres_pool_opts(move |pool| pool.after_release(sound(&trust)));
    let trust = distrust.clone();
    options.map_sqlx_mysql_pool_opts(move |pool| {
        pool.after_release(sound(&trust)).after_connect(|connection, _| {
            Box::pin(async move {
                // MariaDB alone knows such a limit; what MySQL says to it does not matter.
                let limit = format!("SET SESSION idle_transaction_timeout = {IDLE_SECONDS}");
                drop(connection.execute(AssertSqlSafe(limit)).await);
                // It refuses what changes rows that are found otherwise than by a key, as it should for people.
                connection.execute("SET SESSION sql_safe_updates = 0").await?;
                Ok(())
            })
        })
    });
}

/// What a transaction of PostgreSQL is told as it begins, in one statement: nothing of it outlives the transaction. The server
/// ends it when nobody goes on with it, because it holds locks that others need.
pub(in crate::store) fn transaction_settings(schema: Option<&str>) -> String {
    // Repeatable read would show a writer a past that others have changed; what must not move is locked row by row.
    let mut settings = format!(
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; \
         SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
    );
    if let Some(schema) = schema {
        settings.push_str(&format!("; SET LOCAL search_path = {}", connect::quoted(schema)));
    }
    settings
}

type Judging<'a> = Pin<Box<dyn Future<Output = Result<bool, sqlx::Error>> + Send + 'a>>;

/// Whether a connection may be used: it is not distrusted, somebody answers, and no transaction is open on it. One that is
/// silent is closed without a farewell.
pub(in crate::store) fn sound<C: Connection>(
    distrust: &Distrust,
) -> impl for<'a> Fn(&'a mut C, PoolConnectionMetadata) -> Judging<'a> + Send + Sync + 'static + use<C> {
    let distrust = distrust.clone();
    move |connection, about| {
        let distrust = distrust.clone();
        Box::pin(async move {
            let mut declared = distrust.watch();
            if distrust.covers(about.age) {
                return Ok(false);
            }
            let answer = tokio::select! {
                answer = tokio::time::timeout(SIGN_OF_LIFE, connection.ping()) => answer,
                _ = declared.changed() => return Ok(false),
            };
            answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
            Ok(!connection.is_in_transaction())
        })
    }
}
