//! Patience with a server: how long it may be silent until a connection is given up.
//!
//! A failover, or a firewall that forgets, leaves connections on which nothing comes any more, and no error either. Whoever
//! waits there waits for hours, and a process that does is alive and does nothing. So there is an end to every wait: what
//! was asked fails as if the server could not be reached, and the connection is closed instead of kept. On the other side
//! the server is told to end a transaction that nobody goes on with, because it holds locks that others need.
//!
//! SQLite is a file. It is not asked over a wire, and may take its time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr,
    Statement,
};
use sqlx::{AssertSqlSafe, Connection, Executor as _};

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
pub(super) struct Patient(DatabaseConnection);

impl Patient {
    pub(super) fn new(connection: DatabaseConnection) -> Self {
        Self(connection)
    }

    pub(super) fn connection(&self) -> &DatabaseConnection {
        &self.0
    }
}

/// A transaction, from its beginning to its end; if the database is a server, no longer than [`TRANSACTION`].
pub(super) async fn transaction<T, E: From<DbErr>>(
    backend: DbBackend,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    bounded(TRANSACTION, backend, work).await
}

/// The end of all connections. A file's last one folds the log into it; a server is not owed that much.
pub(super) async fn farewell<T, E: From<DbErr>>(
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
        self.0.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        bounded(QUESTION, self.get_database_backend(), self.0.execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        bounded(QUESTION, self.get_database_backend(), self.0.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        bounded(QUESTION, self.get_database_backend(), self.0.query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        bounded(QUESTION, self.get_database_backend(), self.0.query_all_raw(statement)).await
    }
}

/// Has connections tried before they are used and before they are kept, and transactions ended that nobody goes on with.
/// `search_path` is for PostgreSQL; it is set here as there is one hook for what a new connection is told.
pub(super) fn apply(options: &mut ConnectOptions, search_path: Option<&str>) {
    let mut session = format!("SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'");
    if let Some(schema) = search_path {
        session.push_str(&format!("; SET search_path = \"{}\"", schema.replace('"', "\"\"")));
    }
    let session: Arc<str> = session.into();
    // The pool would try them as well, and wait for as long as it takes.
    options.test_before_acquire(false);
    options.map_sqlx_sqlite_before_acquire(|connection, _| Box::pin(answers(connection)));
    options.map_sqlx_postgres_before_acquire(|connection, _| Box::pin(answers(connection)));
    options.map_sqlx_mysql_before_acquire(|connection, _| Box::pin(answers(connection)));
    options.map_sqlx_postgres_pool_opts(move |pool| {
        let session = Arc::clone(&session);
        pool.after_release(|connection, _| Box::pin(answers(connection))).after_connect(move |connection, _| {
            let session = Arc::clone(&session);
            Box::pin(async move { connection.execute(AssertSqlSafe(&*session)).await.map(drop) })
        })
    });
    options.map_sqlx_mysql_pool_opts(|pool| {
        pool.after_release(|connection, _| Box::pin(answers(connection))).after_connect(|connection, _| {
            Box::pin(async move {
                // MariaDB alone knows such a limit; what MySQL says to it does not matter.
                let limit = format!("SET SESSION idle_transaction_timeout = {IDLE_SECONDS}");
                drop(connection.execute(AssertSqlSafe(limit)).await);
                Ok(())
            })
        })
    });
}

/// Whether somebody is there. A connection that is silent is closed without a farewell.
async fn answers(connection: &mut impl Connection) -> Result<bool, sqlx::Error> {
    tokio::time::timeout(SIGN_OF_LIFE, connection.ping())
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        .map(|()| true)
}
