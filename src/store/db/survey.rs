//! Finds out how many connections a server accepts, and whether a pooler lends them per transaction.
//!
//! Plain connections are opened side by side and closed again. A pool would report only a timeout, without the reason;
//! and a pool that expects more connections than the server accepts waits for connections that never come.
//!
//! A pooler may lend connections for one transaction at a time (PgBouncer's `pool_mode = transaction`). Then session
//! settings reach other clients, locks and LISTEN stay with a connection that was given back, and a prepared statement
//! is missing when it is run, or another one has its name. Two connections show it: while one of them is in a
//! transaction, it has the server process that the other one had before, or the other one gets a different one.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sea_orm::{DbErr, RuntimeErr};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor as _, Row as _};

use crate::store::config::Backend;
use crate::store::db::search_path::{quoted, with_search_path};
use crate::store::{Config, Error};

/// Longest time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time to find out whether there is a pooler.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Transactions that are tried to find out whether connections are lent.
const PROBES: u32 = 3;
/// Longest time that a transaction is kept open for an answer on another connection; all of them fit in the time to
/// find out.
const PROBE_WAIT: Duration = Duration::from_secs(2);
/// Longest time for a connection's first answer. A pooler accepts more clients than it has connections, and lets them
/// wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before refused connections are tried again: the server may still count what was closed just before.
const CLOSING_TIME: Duration = Duration::from_millis(300);

/// What a server offers its clients.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The number of connections that were requested.
    pub wanted: u32,
    /// How many of them could be open at the same time.
    pub given: u32,
    /// Why there were no more.
    pub refusal: Option<String>,
    /// Whether a pooler lends connections per transaction.
    pub is_lent: bool,
    /// Whether the session takes the search path that it is started with.
    pub(in crate::store) takes_search_path: bool,
}

impl Survey {
    /// SQLite has no server that could refuse connections.
    fn of_file(wanted: u32) -> Self {
        Self { wanted, given: wanted, refusal: None, is_lent: false, takes_search_path: true }
    }

    /// Connections that a long-running process takes: when there are fewer than it wants, it leaves one to the
    /// commands.
    #[must_use]
    pub fn usable(&self) -> u32 {
        if self.given < self.wanted && self.given > 2 { self.given - 1 } else { self.given }
    }
}

/// Tries to open `wanted` connections side by side.
///
/// # Errors
/// [`Error::Unavailable`] if there is not one connection, [`Error::Unfit`] if the pooler does not work with the bridge.
pub async fn survey(config: &Config, wanted: u32) -> Result<Survey, Error> {
    match config.url.backend() {
        Backend::Sqlite => Ok(Survey::of_file(wanted)),
        // One alone does not show whether a pooler is in between.
        Backend::Postgres => postgres(config, wanted.max(2).min(config.max_connections)).await,
        Backend::MySql => mysql(config, wanted).await,
    }
}

async fn mysql(config: &Config, wanted: u32) -> Result<Survey, Error> {
    let options: MySqlConnectOptions = config.url.driver_url().parse().map_err(unavailable)?;
    let (opened, refusal) = open::<MySqlConnection>(&options, wanted).await?;
    let given = count(&opened);
    close(opened).await;
    Ok(Survey { wanted, given, refusal, is_lent: false, takes_search_path: true })
}

async fn postgres(config: &Config, wanted: u32) -> Result<Survey, Error> {
    let plain: PgConnectOptions = config.url.driver_url().parse().map_err(unavailable)?;
    // What does not answer is said below.
    let plain = plain.extra_float_digits(None).disable_statement_logging();
    let with_path = with_search_path(plain.clone(), config.schema.as_deref());
    let ((mut opened, refusal), takes_parameter) = match open::<PgConnection>(&with_path, wanted).await {
        Err(Error::Unavailable(error)) if config.schema.is_some() && is_parameter_refused(&error) => {
            (open::<PgConnection>(&plain, wanted).await?, false)
        }
        opened => (opened?, true),
    };
    let keeps_waiting = || "the pooler has no more and lets the others wait".to_owned();
    let accepted_clients = opened.len();
    opened = answering(opened).await.ok_or_else(|| unavailable(timed_out()))?;
    let refusal = refusal.or_else(|| (opened.len() < accepted_clients).then(keeps_waiting));
    let given = count(&opened);
    let probed = tokio::time::timeout(PROBE_TIMEOUT, async {
        let takes_search_path = match (opened.first_mut(), config.schema.as_deref()) {
            (Some(first), Some(schema)) if takes_parameter => takes_search_path(first, schema).await?,
            _ => takes_parameter,
        };
        let is_lent = match opened.as_mut_slice() {
            [first, second, ..] => is_lent(first, second).await?,
            _ => false,
        };
        Ok::<_, sqlx::Error>((is_lent, takes_search_path))
    });
    let probed = probed.await.unwrap_or_else(|_| Err(timed_out()));
    close(opened).await;
    let (is_lent, takes_search_path) =
        probed.map_err(|error| Error::from(DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))))?;
    Ok(Survey { wanted, given, refusal, is_lent, takes_search_path })
}

/// Opens connections side by side. Returns also why there are fewer than `wanted`.
async fn open<C: Connection>(options: &C::Options, wanted: u32) -> Result<(Vec<C>, Option<String>), Error> {
    let connect = || async {
        tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await.unwrap_or_else(|_| Err(timed_out()))
    };
    // The first one alone: if it is refused, the others are not tried.
    let mut opened = vec![connect().await.map_err(unavailable)?];
    let mut refusal = None;
    for pause in [Duration::ZERO, CLOSING_TIME] {
        let missing = wanted.saturating_sub(count(&opened));
        if missing == 0 {
            break;
        }
        tokio::time::sleep(pause).await;
        refusal = None;
        for result in join_all((0..missing).map(|_| connect())).await {
            match result {
                Ok(connection) => opened.push(connection),
                Err(error) => refusal = Some(reason(&error)),
            }
        }
    }
    Ok((opened, refusal))
}

/// The connections that answer while all of them are open; none if no connection answers.
async fn answering(opened: Vec<PgConnection>) -> Option<Vec<PgConnection>> {
    let ask = async |mut connection: PgConnection| {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, connection.execute("SELECT 1")).await;
        matches!(answer, Ok(Ok(_))).then_some(connection)
    };
    let answered: Vec<_> = join_all(opened.into_iter().map(ask)).await.into_iter().flatten().collect();
    (!answered.is_empty()).then_some(answered)
}

async fn close(opened: Vec<impl Connection>) {
    let closing = join_all(opened.into_iter().map(Connection::close));
    drop(tokio::time::timeout(CONNECT_TIMEOUT, closing).await);
}

/// The server's own message.
fn reason(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(error) => error.message().to_owned(),
        None => error.to_string(),
    }
}

async fn is_lent(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool, sqlx::Error> {
    for _ in 0..PROBES {
        // As a prepared statement, like all later ones.
        let before = process_of(first).await?;
        second.execute("BEGIN").await?;
        let other: i32 = second.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await?.try_get(0)?;
        if before == other {
            // Both have one server process, which may have no place for a statement of either. The first would wait
            // until the transaction is over if the pooler has no other connection, so that the second one asks.
            let carried = process_of(second).await;
            second.execute("ROLLBACK").await?;
            return carried.map(|_| true);
        }
        let mut answer = pin!(process_of(first));
        // All other connections of the pooler may be taken: then there is no answer before this one is given back.
        let after = tokio::time::timeout(PROBE_WAIT, &mut answer).await;
        second.execute("ROLLBACK").await?;
        let after = match after {
            Ok(after) => after?,
            Err(_) => answer.await?,
        };
        if before != after {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn process_of(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection).await
}

/// Whether the search path takes effect: a pooler may accept the parameter and drop it.
async fn takes_search_path(connection: &mut PgConnection, schema: &str) -> Result<bool, sqlx::Error> {
    let sql = "SELECT current_setting('search_path')";
    let path: String = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await?.try_get(0)?;
    Ok(path == quoted(schema))
}

/// Whether a pooler refuses the parameters that the session was to start with.
fn is_parameter_refused(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    error.as_database_error().is_some_and(|error| error.message().contains("unsupported startup parameter"))
}

fn count<T>(opened: &[T]) -> u32 {
    u32::try_from(opened.len()).unwrap_or(u32::MAX)
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::ErrorKind::TimedOut.into())
}

fn unavailable(error: sqlx::Error) -> Error {
    Error::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
}
