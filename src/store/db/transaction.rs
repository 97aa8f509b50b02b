//! Runs a transaction that is either committed as a whole or leaves nothing behind.
//!
//! The driver counts open transactions by itself, and miscounts once a database has ended one on its own: SQLite rolls
//! back when the disk is full, MySQL after a deadlock. A statement after that would be committed at once, and on SQLite
//! every later transaction would only be a savepoint in one that is never committed. So no statement is run after a
//! failed one, a failed transaction is rolled back explicitly, and a connection that does not confirm the end of its
//! transaction is not used again.

use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, IsolationLevel,
    QueryResult, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};

use crate::store::Error;
use crate::store::db::distrust::Distrust;
use crate::store::db::statement::for_driver;
use crate::store::failpoint::Counter;

/// An open transaction.
pub(in crate::store) struct Transaction {
    inner: DatabaseTransaction,
    /// A statement failed and was not undone.
    broken: AtomicBool,
    /// A statement changed something.
    wrote: AtomicBool,
    end: End,
    distrust: Distrust,
    failpoint: Counter,
}

/// Distrusts the connections if it is dropped while the result of a step is unknown.
struct End {
    unknown: Option<Distrust>,
}

impl End {
    fn is_known(&mut self) {
        self.unknown = None;
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(distrust) = self.unknown.take() {
            distrust.declare();
        }
    }
}

impl Transaction {
    /// Begins a transaction. `settings` are statements that are run first.
    pub(in crate::store) async fn begin(
        connection: &DatabaseConnection,
        settings: Option<&str>,
        distrust: &Distrust,
        failpoint: Counter,
    ) -> Result<Self, Error> {
        let backend = connection.get_database_backend();
        let is_sqlite = backend == DbBackend::Sqlite;
        let options = TransactionOptions {
            // Repeatable read would lock gaps of the log's index, and show a writer rows that others have changed
            // since; rows that must not change are locked one by one. On PostgreSQL the level is part of the settings.
            isolation_level: (backend == DbBackend::MySql).then_some(IsolationLevel::ReadCommitted),
            access_mode: None,
            // A deferred transaction fails at its first write if another one has written since it began reading.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        };
        // PostgreSQL's driver does not end a transaction whose `BEGIN` was cancelled.
        let mut end = End { unknown: Some(distrust.clone()) };
        let begun = connection.begin_with_options(options).await.map_err(Error::from);
        // On a server, the pool rolls back an abandoned transaction, and checks that before it keeps the connection.
        if !is_sqlite || matches!(begun, Err(Error::Collision(_) | Error::Unavailable(_))) {
            end.is_known();
        }
        let begun = begun.map_err(|error| if is_sqlite { error.of_file() } else { error });
        let (inner, distrust) = (begun?, distrust.clone());
        if let Some(settings) = settings {
            inner.execute_unprepared(settings).await?;
        }
        let (broken, wrote) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { inner, broken, wrote, end, distrust, failpoint })
    }

    /// Commits. Returns whether anything was written.
    pub(in crate::store) async fn commit(self) -> Result<bool, Error> {
        if self.broken.load(Ordering::Relaxed) {
            self.roll_back().await;
            return Err(Error::Broken);
        }
        let Self { inner, wrote, mut end, distrust, failpoint, .. } = self;
        if let Err(failure) = failpoint.commit(inner).await {
            distrust.judge(&failure);
            return Err(failure.into());
        }
        end.is_known();
        let wrote = wrote.into_inner();
        if wrote {
            distrust.wrote();
        }
        Ok(wrote)
    }

    /// Undoes everything. If the database does not confirm that, the connection is closed, which undoes it as well.
    pub(in crate::store) async fn roll_back(self) {
        let Self { inner, mut end, .. } = self;
        match inner.rollback().await {
            Ok(()) => end.is_known(),
            Err(error) => tracing::debug!(error = %error, "rollback not confirmed; closing the connection"),
        }
    }

    /// Ends the transaction after a failure. Nothing more is sent on a lost connection.
    pub(in crate::store) async fn abandon(self, failure: &Error) {
        if !matches!(failure, Error::Unavailable(_) | Error::Unwritable(_)) {
            return self.roll_back().await;
        }
        if self.inner.get_database_backend() == DbBackend::Sqlite {
            // A connection that does not confirm the end is replaced, and the new one opens the file that is at the
            // path by now.
            drop(self.inner.rollback().await);
        }
    }

    /// Undoes everything since the savepoint, including a failed statement.
    pub(in crate::store) async fn roll_back_to(&self, savepoint: &str) -> Result<(), DbErr> {
        self.inner.execute_unprepared(&format!("ROLLBACK TO SAVEPOINT {savepoint}")).await?;
        self.broken.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The driver's own handle, for statements that must run even after a failed one.
    pub(in crate::store) fn unchecked(&self) -> &DatabaseTransaction {
        &self.inner
    }

    async fn run<T>(&self, statement: impl Future<Output = Result<T, DbErr>> + Send) -> Result<T, DbErr> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(DbErr::Custom("a statement of this transaction failed before".to_owned()));
        }
        let result = self.failpoint.pass(&self.inner, statement).await;
        if let Err(failure) = &result {
            self.broken.store(true, Ordering::Relaxed);
            self.distrust.judge(failure);
        }
        result
    }

    fn note_written(&self, wrote: bool) {
        self.wrote.fetch_or(wrote, Ordering::Relaxed);
    }
}

/// Whether a statement that returns rows also changes rows.
fn changes_rows(statement: &Statement) -> bool {
    !statement.sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("SELECT"))
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let done = self.run(self.inner.execute_raw(for_driver(statement))).await?;
        self.note_written(done.rows_affected() > 0);
        Ok(done)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.run(self.inner.execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let changes = changes_rows(&statement);
        let row = self.run(self.inner.query_one_raw(for_driver(statement))).await?;
        self.note_written(changes && row.is_some());
        Ok(row)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let changes = changes_rows(&statement);
        let rows = self.run(self.inner.query_all_raw(for_driver(statement))).await?;
        self.note_written(changes && !rows.is_empty());
        Ok(rows)
    }
}
