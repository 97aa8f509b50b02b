//! Runs a sink's statement under a savepoint, so that a failure leaves nothing behind, and within its timeout.
//!
//! PostgreSQL has a time limit for statements. On SQLite the connection checks the deadline of [`crate::store`]. MySQL
//! limits only SELECT, and MariaDB works differently, so there the statement is ended from a second connection, with
//! `KILL QUERY`.

use std::borrow::Cow;
use std::pin::pin;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement, Value};
use sqlx::mysql::{MySqlDatabaseError, MySqlPool};
use sqlx::postgres::{PgPool, PgTypeInfo};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqlStr};

use super::commit::{Attempted, Fate, GroupCommit, Item, Written};
use crate::chain::Chain;
use crate::model::retry::{Outcome, Unreachable};
use crate::model::sink::{Arguments, Parameter, Sink};
use crate::setting::Span;
use crate::store::db::search_path::{narrowed, widened};
use crate::store::mirror::amount;
use crate::store::{Ending, Error, Store, Tx};

/// The longest text of a failure, in bytes.
const MAX_TEXT: usize = 500;
/// How long MySQL may take to end a statement. After that the connection is abandoned, and the transaction with it.
const GRACE: Duration = Duration::from_secs(3);

/// Why a statement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub timed_out: bool,
    pub text: String,
}

enum Broken {
    /// It was ended after its timeout.
    TimedOut,
    /// It was to be ended after its timeout, and still runs.
    Unending,
    Refused(DbErr),
}

impl Store {
    /// Lets the database prepare the statement, which shows most mistakes in it.
    ///
    /// # Errors
    /// What the database says.
    pub async fn prepare_sink(&self, sink: &Sink) -> Result<(), Failure> {
        let (sql, parameters) = render(sink, self.backend());
        let sql = AssertSqlSafe(sql).into_sql_str();
        let prepared = match self.backend() {
            DbBackend::Postgres => {
                let types: Vec<_> = parameters.into_iter().map(type_on_postgres).collect();
                let pool: &PgPool = self.read().connection().get_postgres_connection_pool();
                self.prepare_on_postgres(pool, sql, &types).await
            }
            DbBackend::MySql => {
                let pool: &MySqlPool = self.read().connection().get_mysql_connection_pool();
                pool.prepare(sql).await.map(drop)
            }
            _ => self.read().connection().get_sqlite_connection_pool().prepare(sql).await.map(drop),
        };
        prepared.map_err(|error| Failure::of_sqlx(&error))
    }

    async fn prepare_on_postgres(&self, pool: &PgPool, sql: SqlStr, types: &[PgTypeInfo]) -> Result<(), sqlx::Error> {
        let mut transaction = pool.begin().await?;
        if let Some(schema) = self.schema() {
            transaction.execute(sqlx::raw_sql(AssertSqlSafe(widened(schema)))).await?;
        }
        transaction.prepare_with(sql, types).await.map(drop)
    }

    /// Runs the statement with this body, and undoes what it did.
    ///
    /// # Errors
    /// If the database fails otherwise.
    pub async fn try_sink(&self, sink: &Sink, body: &str) -> Result<Result<(), Failure>, Error> {
        let tried = self.tx_ending("sink.try", Ending::RollBack, |tx| async move { tx.run_sink(sink, body).await });
        tried.await.or_else(|error| Failure::of_transaction(error, sink).map(Err))
    }
}

/// How a run of a sink ended.
#[derive(Clone, Debug)]
pub enum SinkRun {
    /// The first `done` items ran and are written. The next one failed, if there is a failure.
    Ran { done: usize, written: Written, failure: Option<Failure> },
    /// Another process leads the endpoint, or a command has changed an item. Nothing was run.
    Refused(Written),
}

impl Failure {
    /// The failure as the outcome of an attempt.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Unreachable(if self.timed_out { Unreachable::Timeout } else { Unreachable::Statement })
    }
}

impl Store {
    /// Runs a sink for the items of a group commit, in order, and writes the commit in the same transaction, so effect
    /// and record are one. It stops at the first failure, or once the runs have taken the sink's timeout. Items that
    /// did not run are left out of the commit, and its position is then the one before them. An item without a body is
    /// only recorded. If the database ends the whole transaction after a failed statement, the first item is run alone.
    ///
    /// # Errors
    /// If the database fails otherwise.
    pub async fn run_sink(
        &self,
        sink: &Sink,
        commit: &GroupCommit,
        bodies: &[Option<String>],
        now: DateTime<Utc>,
    ) -> Result<SinkRun, Error> {
        let ran = match self.run_sink_for(sink, commit, bodies, now).await {
            Err(error) if bodies.len() > 1 && !error.is_outage() => {
                let first = bodies.get(..1).unwrap_or(bodies);
                self.run_sink_for(sink, commit, first, now).await
            }
            ran => ran,
        };
        ran.or_else(|error| self.failed(sink, error))
    }

    /// The result if nothing was run and the first item has failed.
    fn failed(&self, sink: &Sink, error: Error) -> Result<SinkRun, Error> {
        let failure = Failure::of_transaction(error, sink)?;
        Ok(SinkRun::Ran { done: 0, written: Written::Lost, failure: Some(failure) })
    }

    async fn run_sink_for(
        &self,
        sink: &Sink,
        commit: &GroupCommit,
        bodies: &[Option<String>],
        now: DateTime<Utc>,
    ) -> Result<SinkRun, Error> {
        let generation = self.generation().await?;
        self.tx("sink.feed", |tx| async move {
            // The turnstile comes first: a process that does not lead must not run anything.
            let Some(row) = tx.delivery().lock(&commit.endpoint).await? else {
                return Ok(SinkRun::Refused(Written::Lost));
            };
            if row.epoch != commit.epoch {
                return Ok(SinkRun::Refused(Written::Lost));
            }
            if row.revision != commit.revision {
                let nothing = GroupCommit { items: Vec::new(), note: None, position: row.position, ..commit.clone() };
                return Ok(SinkRun::Refused(tx.delivery().commit(&nothing, generation, now).await?));
            }
            let begun = Instant::now();
            let (mut took, mut failure) = (Vec::with_capacity(bodies.len()), None);
            for body in bodies {
                let Some(body) = body else {
                    took.push(Duration::ZERO);
                    continue;
                };
                let started = Instant::now();
                if !took.is_empty() && begun.elapsed() + sink.timeout > sink.timeout * 2 {
                    break;
                }
                if let Err(failed) = tx.run_sink(sink, body).await? {
                    failure = Some(failed);
                    break;
                }
                took.push(started.elapsed());
            }
            let done = took.len();
            if done == 0 {
                return Ok(SinkRun::Ran { done, written: Written::Lost, failure });
            }
            let ran = commit.of_those_that_ran(&took);
            let written = tx.delivery().commit(&ran, generation, now).await?;
            Ok(SinkRun::Ran { done, written, failure })
        })
        .await
    }
}

impl GroupCommit {
    /// The commit of the first items only, those that ran, with the time that each took.
    fn of_those_that_ran(&self, took: &[Duration]) -> Self {
        let ran = |(item, took): (&Item, &Duration)| {
            let attempt = item.attempt.clone().map(|attempt| Attempted { duration: *took, ..attempt });
            Item { attempt, ..item.clone() }
        };
        let items: Vec<Item> = self.items.iter().zip(took).map(ran).collect();
        debug_assert!(items.iter().all(|item| item.fate == Fate::Done), "what ran is done");
        Self { items, position: self.position_after(took.len()), ..self.clone() }
    }

    /// The position if only the first `count` items are written: before the first other item without a row.
    #[must_use]
    pub fn position_after(&self, count: usize) -> i64 {
        let next = self.items.iter().skip(count).find(|item| item.row.is_none());
        next.map_or(self.position, |item| item.seq - 1)
    }
}

impl Tx {
    /// Runs the statement with an event. A failure is undone and returned. An error means that the transaction has
    /// ended.
    pub(in crate::store) async fn run_sink(&self, sink: &Sink, body: &str) -> Result<Result<(), Failure>, Error> {
        let arguments = match Arguments::of(body) {
            Ok(arguments) => arguments,
            Err(error) => return Ok(Err(Failure::new(format!("the event's body cannot be read: {error}")))),
        };
        let backend = self.backend();
        let (sql, parameters) = render(sink, backend);
        let values = parameters.into_iter().map(|parameter| value(parameter, &arguments, body, backend));
        let statement = Statement::from_sql_and_values(backend, sql, values);

        let is_postgres = backend == DbBackend::Postgres;
        let (begin, release) = if is_postgres {
            let limit = sink.timeout.as_millis().max(1);
            // A setting in a savepoint is undone by a rollback to it, and stays when it is released.
            let mut begin = format!("SAVEPOINT lumo_sink; SET LOCAL statement_timeout = {limit}");
            let mut release = "SET LOCAL statement_timeout TO DEFAULT; RELEASE SAVEPOINT lumo_sink".to_owned();
            if let Some(schema) = self.store().schema() {
                begin = format!("{begin}; {}", widened(schema));
                release = format!("{}; {release}", narrowed(schema));
            }
            (begin, release)
        } else {
            ("SAVEPOINT lumo_sink".to_owned(), "RELEASE SAVEPOINT lumo_sink".to_owned())
        };
        self.session().execute_unprepared(&begin).await?;
        let Err(broken) = self.run_within(statement, sink.timeout).await else {
            return match self.session().execute_unprepared(&release).await {
                Ok(_) => Ok(Ok(())),
                Err(error) => Err(match Error::from(error) {
                    error @ (Error::Unavailable(_) | Error::Unwritable(_) | Error::Collision(_)) => error,
                    _ => Error::Ended,
                }),
            };
        };
        let (failure, cause) = match broken {
            Broken::Unending => return Err(Error::OutOfTime),
            Broken::TimedOut => (Failure::late(sink.timeout), None),
            Broken::Refused(error) if is_late(&error) => (Failure::late(sink.timeout), Some(error)),
            Broken::Refused(error) => (Failure::of(&error), Some(error)),
        };
        match self.session().roll_back_to("lumo_sink").await {
            Ok(()) => Ok(Err(failure)),
            Err(_) if failure.timed_out => Err(Error::OutOfTime),
            // The database has ended the whole transaction because of the statement.
            Err(lost) => Err(cause.unwrap_or(lost).into()),
        }
    }

    async fn run_within(&self, statement: Statement, time: Duration) -> Result<(), Broken> {
        let session = self.session();
        if self.backend() != DbBackend::MySql {
            let limited = self.store().inner.deadline.limit(time);
            let ran = session.execute_raw(statement).await;
            drop(limited);
            return ran.map(drop).map_err(Broken::Refused);
        }
        let id = "SELECT CAST(CONNECTION_ID() AS CHAR)";
        let id = session.query_one_raw(Statement::from_string(DbBackend::MySql, id)).await.map_err(Broken::Refused)?;
        let id: String =
            id.map(|row| row.try_get_by_index(0)).transpose().map_err(Broken::Refused)?.unwrap_or_default();
        let mut running = pin!(session.execute_raw(statement));
        if let Ok(ran) = tokio::time::timeout(time, &mut running).await {
            return ran.map(drop).map_err(Broken::Refused);
        }
        let end = async {
            if let Err(error) = self.store().read().execute_unprepared(&format!("KILL QUERY {id}")).await {
                tracing::warn!(error = %Chain(&error), "statement of a sink cannot be ended; giving up its transaction");
            }
            drop(running.await);
            // If the statement has just ended by itself, the kill hits the next statement: this one.
            drop(session.unchecked().execute_unprepared("DO 0").await);
        };
        Err(tokio::time::timeout(GRACE, end).await.map_or(Broken::Unending, |()| Broken::TimedOut))
    }
}

impl Failure {
    /// In one line: MySQL quotes the statement with its line breaks, and what a procedure raises may have some.
    fn new(text: impl AsRef<str>) -> Self {
        let mut text = text.as_ref().split_whitespace().collect::<Vec<_>>().join(" ");
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Self { timed_out: false, text }
    }

    fn late(time: Duration) -> Self {
        Self { timed_out: true, ..Self::new(format!("the statement took longer than {}", Span(time))) }
    }

    /// The database's own message, without the errors around it.
    fn of(error: &DbErr) -> Self {
        match error {
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
                Self::of_sqlx(error)
            }
            error => Self::new(format!("the statement failed: {}", Chain(error))),
        }
    }

    fn of_sqlx(error: &sqlx::Error) -> Self {
        let message =
            error.as_database_error().map_or_else(|| Cow::from(error.to_string()), |known| known.message().into());
        Self::new(format!("the statement failed: {message}"))
    }

    /// The failure of a transaction that runs a single sink. An error if the cause is not the statement.
    fn of_transaction(error: Error, sink: &Sink) -> Result<Self, Error> {
        match error {
            Error::Unavailable(_) | Error::Unwritable(_) | Error::FileBusy | Error::FileGone { .. } => Err(error),
            Error::OutOfTime => Ok(Self::late(sink.timeout)),
            error => Ok(Self::new(format!("the transaction failed: {}", Chain(&error)))),
        }
    }
}

/// Whether the statement was ended because of its time limit.
fn is_late(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    let Some(error) = error.as_database_error() else { return false };
    if error.try_downcast_ref::<MySqlDatabaseError>().is_some() {
        return false;
    }
    // query_canceled, and SQLITE_INTERRUPT.
    matches!(error.code().as_deref(), Some("57014" | "9"))
}

fn render(sink: &Sink, backend: DbBackend) -> (String, Vec<Parameter>) {
    sink.statement.render(|number| match backend {
        DbBackend::Postgres => format!("${number}"),
        _ => "?".to_owned(),
    })
}

fn value(parameter: Parameter, arguments: &Arguments, body: &str, backend: DbBackend) -> Value {
    match parameter {
        Parameter::EventId => arguments.id.as_str().into(),
        Parameter::Type => arguments.kind.as_str().into(),
        Parameter::Stream => arguments.stream.as_str().into(),
        Parameter::Sequence => arguments.sequence.into(),
        Parameter::ObjectId => text(arguments.object_id()),
        Parameter::ExternalId => text(arguments.external_id()),
        Parameter::Status => text(arguments.status()),
        Parameter::Currency => text(arguments.currency()),
        Parameter::TxHash => text(arguments.tx_hash()),
        Parameter::Address => text(arguments.address()),
        Parameter::Amount => amount(arguments.amount().cloned(), backend),
        Parameter::Body => body.into(),
    }
}

fn text(text: Option<&str>) -> Value {
    text.map(str::to_owned).into()
}

/// The types with which [`value`] binds parameters.
fn type_on_postgres(parameter: Parameter) -> PgTypeInfo {
    PgTypeInfo::with_name(match parameter {
        Parameter::Sequence => "int8",
        Parameter::Amount => "numeric",
        _ => "text",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_in_one_line() {
        let message = "the statement failed: near 'VALUEZ (1)\r\n  WHERE x'\n at line 2\n";
        assert_eq!(Failure::new(message).text, "the statement failed: near 'VALUEZ (1) WHERE x' at line 2");
        assert_eq!(Failure::new("é".repeat(400)).text.len(), MAX_TEXT);
    }
}
