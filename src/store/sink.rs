//! Running a sink's statement: under a savepoint, so that what fails leaves nothing behind, and for no longer than it may.
//!
//! PostgreSQL has a time limit for statements. On SQLite the connection asks [`super::deadline`]. MySQL limits nothing but
//! SELECT, and MariaDB limits otherwise: there the statement is ended from a second connection, with `KILL QUERY`.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement, Value};
use sqlx::mysql::{MySqlDatabaseError, MySqlPool};
use sqlx::postgres::{PgPool, PgTypeInfo};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};

use super::mirror::amount;
use super::{Ending, Error, Store, Tx};
use crate::chain::Chain;
use crate::model::sink::{Arguments, Parameter, Sink};
use crate::setting::Span;

/// Longest text of a failure, in bytes.
const MAX_TEXT: usize = 500;
/// How long MySQL may take to end a statement; then the connection is given up, and the transaction with it.
const GRACE: Duration = Duration::from_secs(3);

/// Why a statement did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub timed_out: bool,
    pub text: String,
}

enum Broken {
    /// It was ended.
    TimedOut,
    /// It was to be ended, and goes on.
    Unending,
    Refused(DbErr),
}

impl Store {
    /// Has the database prepare the statement, which shows most of what can be wrong with it.
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
                pool.prepare_with(sql, &types).await.map(drop)
            }
            DbBackend::MySql => {
                let pool: &MySqlPool = self.read().connection().get_mysql_connection_pool();
                pool.prepare(sql).await.map(drop)
            }
            _ => self.read().connection().get_sqlite_connection_pool().prepare(sql).await.map(drop),
        };
        prepared.map_err(|error| Failure::of_sqlx(&error))
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

impl Tx {
    /// Runs the statement with an event. What fails is undone and told; an error is one that the transaction has not
    /// survived.
    pub(super) async fn run_sink(&self, sink: &Sink, body: &str) -> Result<Result<(), Failure>, Error> {
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
            // What is set in a savepoint is gone when it is rolled back to, and stays when it is released.
            let begin = format!("SAVEPOINT lumo_sink; SET LOCAL statement_timeout = {limit}");
            (begin, "SET LOCAL statement_timeout TO DEFAULT; RELEASE SAVEPOINT lumo_sink")
        } else {
            ("SAVEPOINT lumo_sink".to_owned(), "RELEASE SAVEPOINT lumo_sink")
        };
        self.session().execute_unprepared(&begin).await?;
        let Err(broken) = self.run_within(statement, sink.timeout).await else {
            return match self.session().execute_unprepared(release).await {
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
            // The database has ended the whole transaction over the statement.
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
            // If it ended by itself just now, the next statement is the one that is killed.
            drop(session.unchecked().execute_unprepared("DO 0").await);
        };
        Err(tokio::time::timeout(GRACE, end).await.map_or(Broken::Unending, |()| Broken::TimedOut))
    }
}

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        Self { timed_out: false, text }
    }

    fn late(time: Duration) -> Self {
        Self { timed_out: true, ..Self::new(format!("the statement took longer than {}", Span(time))) }
    }

    /// What the database says, without what is wrapped around it.
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

    /// For what ended a transaction that runs a single sink. An error if that says nothing of the statement.
    pub(super) fn of_transaction(error: Error, sink: &Sink) -> Result<Self, Error> {
        match error {
            Error::Unavailable(_) | Error::Unwritable(_) => Err(error),
            Error::OutOfTime => Ok(Self::late(sink.timeout)),
            error => Ok(Self::new(format!("the transaction failed: {}", Chain(&error)))),
        }
    }
}

/// Whether it was ended because of its time.
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
        Parameter::ObjectId => arguments.object_id().map(str::to_owned).into(),
        Parameter::ExternalId => arguments.external_id().map(str::to_owned).into(),
        Parameter::Amount => amount(arguments.amount().cloned(), backend),
        Parameter::Body => body.into(),
    }
}

/// As [`value`] binds them.
fn type_on_postgres(parameter: Parameter) -> PgTypeInfo {
    PgTypeInfo::with_name(match parameter {
        Parameter::Sequence => "int8",
        Parameter::Amount => "numeric",
        _ => "text",
    })
}
