//! Compares the settled deposits with the merchant's bookings, deposit by deposit.
//!
//! The deposits and the rows of the merchant's own statement are both read sorted by id, and merged.
//!
//! The statement runs on a connection of its own that cannot write, as a subquery in parentheses, so only a statement
//! that returns rows is accepted. Amounts are read as the database's text. A float is refused, because it has already
//! lost its last digits.

mod source;

use std::borrow::Cow;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sea_orm::QueryResult;
use sqlx::mysql::MySqlDatabaseError;

use crate::model::reconcile::{Booking, Counts, Deposit, Difference, Merge, OutOfOrder, Rule, Select, Step};
use crate::store::config::Backend;
use crate::store::db::deadline::Deadline;
use crate::store::db::error::is_read_only;
use crate::store::{Config, Error};
use source::{Column, Rows, Source, db_error};

/// The longest time of a comparison by a command.
pub const TIME_LIMIT: Duration = Duration::from_secs(600);
/// How long a database may take to end a statement that has timed out.
const GRACE: Duration = Duration::from_secs(5);

/// The columns that the statement must return.
const WANTED: [&str; 2] = ["deposit_id", "amount"];

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// What is wrong with the merchant's statement.
    #[error("{0}")]
    Statement(String),
    #[error("the comparison takes longer than it may")]
    OutOfTime,
    #[error(transparent)]
    Order(#[from] OutOfOrder),
    #[error(transparent)]
    Store(#[from] Error),
}

/// Compares the deposits with the bookings that the statement returns. Passes on each difference as it is found, in the
/// order of the ids.
///
/// # Errors
/// [`ReconcileError::Statement`] if the statement cannot be used, or whatever else fails.
pub async fn reconcile(
    config: &Config,
    select: &Select,
    rule: Rule,
    limit: Duration,
    found: impl FnMut(Difference),
) -> Result<Counts, ReconcileError> {
    let deadline = Deadline::none();
    let limited = deadline.limit(limit);
    let comparison = Box::pin(compare(config, (&deadline, limit), select, rule, found));
    let compared = tokio::time::timeout(limit + GRACE, comparison).await;
    drop(limited);
    compared.unwrap_or(Err(ReconcileError::OutOfTime))
}

async fn compare(
    config: &Config,
    (deadline, limit): (&Deadline, Duration),
    select: &Select,
    rule: Rule,
    mut found: impl FnMut(Difference),
) -> Result<Counts, ReconcileError> {
    let backend = config.url.backend();
    let mut books = Source::open(config, deadline, limit).await?;
    let given = books.columns(format!("SELECT * FROM {}", select.named("booked"))).await.map_err(of_statement)?;
    check(&given, backend)?;
    let mut merge = Merge::new(rule);
    let mut tables;
    {
        let mut bookings = books.rows(bookings_sql(backend, select));
        // The bookings are read first: a deposit is stored before it is booked, so each booked deposit is in the tables
        // by then.
        merge.take_booking(next_booking(&mut bookings).await?);
        tables = Source::open(config, deadline, limit).await?;
        let mut deposits = tables.rows(deposits_sql(backend));
        loop {
            match merge.step()? {
                Step::Booking => merge.take_booking(next_booking(&mut bookings).await?),
                Step::Deposit => merge.take_deposit(next_deposit(&mut deposits).await?)?,
                Step::Found(difference) => found(*difference),
                Step::End => break,
            }
        }
    }
    for source in [books, tables] {
        if let Err(error) = source.end().await {
            tracing::debug!(error = %error, "connection of a comparison not closed cleanly");
        }
    }
    Ok(merge.counts().clone())
}

/// Checks that the statement returns the required columns.
fn check(given: &[Column], backend: Backend) -> Result<(), ReconcileError> {
    let find = |wanted: &str| {
        // Only on PostgreSQL are column names case-sensitive.
        let is_wanted = |column: &&Column| match backend {
            Backend::Postgres => column.name == wanted,
            _ => column.name.eq_ignore_ascii_case(wanted),
        };
        given.iter().find(is_wanted)
    };
    if WANTED.iter().any(|wanted| find(wanted).is_none()) {
        let names: Vec<String> = given.iter().map(|column| format!("`{}`", column.name)).collect();
        return Err(ReconcileError::Statement(format!(
            "the statement gives the columns {}; it must give `deposit_id` and `amount`",
            names.join(", ")
        )));
    }
    match find("amount").and_then(|column| column.float.as_deref()) {
        Some(float) => Err(ReconcileError::Statement(format!(
            "the column `amount` is a float ({float}), which does not keep every digit: cast it to text or numeric"
        ))),
        None => Ok(()),
    }
}

/// The bookings, both columns as text, sorted by the bytes of the id; and on SQLite the type of each amount.
fn bookings_sql(backend: Backend, select: &Select) -> String {
    let booked = select.named("booked");
    match backend {
        Backend::Postgres => format!(
            "SELECT booked.deposit_id::text, booked.amount::text FROM {booked} \
             ORDER BY booked.deposit_id::text COLLATE \"C\""
        ),
        Backend::MySql => format!(
            "SELECT CONVERT(booked.deposit_id USING utf8mb4), CONVERT(booked.amount USING utf8mb4) FROM {booked} \
             ORDER BY CAST(CONVERT(booked.deposit_id USING utf8mb4) AS BINARY)"
        ),
        Backend::Sqlite => format!(
            "SELECT CAST(booked.deposit_id AS TEXT), CAST(booked.amount AS TEXT), typeof(booked.amount) FROM {booked} \
             ORDER BY CAST(booked.deposit_id AS TEXT) COLLATE BINARY"
        ),
    }
}

fn deposits_sql(backend: Backend) -> String {
    // The column's own collation compares bytes on the others.
    let collation = if backend == Backend::Postgres { " COLLATE \"C\"" } else { "" };
    format!(
        "SELECT id, external_id, amount, status, created_at, first_seen_at, settled_at, former_company_id \
         FROM lumo_user_deposits ORDER BY id{collation}"
    )
}

async fn next_booking(rows: &mut Rows<'_>) -> Result<Option<Booking>, ReconcileError> {
    let Some(row) = rows.try_next().await.map_err(of_statement)? else { return Ok(None) };
    let text = |index| {
        let text = row.try_get_by_index::<Option<String>>(index);
        text.map_err(|error| ReconcileError::Statement(format!("a row of the statement cannot be read: {error}")))
    };
    let booking = Booking { deposit_id: text(0)?, amount: text(1)? };
    let kind = row.try_get_by_index::<String>(2).ok();
    if kind.as_deref() == Some("real") {
        let id = booking.deposit_id.as_deref().unwrap_or("null");
        return Err(ReconcileError::Statement(format!(
            "the amount of deposit {id} is a float (REAL), which does not keep every digit: cast it to text or numeric; on \
             SQLite only a column that is declared TEXT keeps them"
        )));
    }
    Ok(Some(booking))
}

async fn next_deposit(rows: &mut Rows<'_>) -> Result<Option<Deposit>, ReconcileError> {
    let failed = |error| if is_late(&error) { ReconcileError::OutOfTime } else { Error::from(db_error(error)).into() };
    let Some(row) = rows.try_next().await.map_err(failed)? else { return Ok(None) };
    Ok(Some(deposit(&row).map_err(Error::from)?))
}

fn deposit(row: &QueryResult) -> Result<Deposit, sea_orm::DbErr> {
    Ok(Deposit {
        id: row.try_get_by_index(0)?,
        external_id: row.try_get_by_index(1)?,
        amount: row.try_get_by_index(2)?,
        status: row.try_get_by_index(3)?,
        created_at: row.try_get_by_index(4)?,
        first_seen_at: row.try_get_by_index(5)?,
        settled_at: row.try_get_by_index(6)?,
        is_former: row.try_get_by_index::<Option<String>>(7)?.is_some(),
    })
}

/// The error for a failure of the merchant's statement.
fn of_statement(error: sqlx::Error) -> ReconcileError {
    if is_late(&error) {
        return ReconcileError::OutOfTime;
    }
    let message =
        error.as_database_error().map_or_else(|| Cow::from(error.to_string()), |known| known.message().into());
    let message = message.into_owned();
    match Error::from(db_error(error)) {
        outage @ Error::Unavailable(_) => outage.into(),
        Error::Unwritable(error) if is_read_only(&error) => {
            ReconcileError::Statement(format!("the statement writes, and may only read: {message}"))
        }
        _ => ReconcileError::Statement(format!("the database refuses the statement: {message}")),
    }
}

/// Whether the database has ended the statement because of its time limit.
fn is_late(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        // MariaDB's limit, MySQL's.
        Some(mysql) => matches!(mysql.number(), 1969 | 3024),
        // query_canceled, SQLITE_INTERRUPT.
        None => matches!(error.code().as_deref(), Some("57014" | "9")),
    }
}
