//! Opens the connection pools, with the settings that each database needs.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteError, SqliteJournalMode, SqliteSynchronous};
use tokio::time::Instant;

use crate::setting::create_private;
use crate::store::config::Backend;
use crate::store::db::deadline::Deadline;
use crate::store::db::distrust::Distrust;
use crate::store::db::error::plainly;
use crate::store::db::file::OpenFile;
use crate::store::db::search_path::with_search_path;
use crate::store::db::survey::{Survey, survey};
use crate::store::db::timeouts::{self, TimedConnection};
use crate::store::{Config, Error};

pub(in crate::store) struct Pools {
    pub(in crate::store) write: DatabaseConnection,
    pub(in crate::store) read: TimedConnection,
    /// The time limit of writes on SQLite.
    pub(in crate::store) deadline: Deadline,
    /// The file of an SQLite database.
    pub(in crate::store) file: Option<OpenFile>,
    /// Whether there is a spare connection for a session of its own.
    pub(in crate::store) has_session: bool,
}

/// The longest time to open a connection, or to get one from the pool.
pub(in crate::store) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Read connections to an SQLite file, besides its one write connection.
const SQLITE_READERS: u32 = 4;

/// The page cache of a connection to an SQLite file, in KiB as a negative number. Other pages are in the system's
/// cache, one call away. Five connections that cache the same pages take five times the memory.
const WRITER_CACHE: &str = "-8192";
const READER_CACHE: &str = "-1024";

/// The prepared statements that are cached: enough for every statement text of the bridge. Evicting one costs MySQL a
/// round trip of 40 ms.
const STATEMENTS: usize = 1000;

/// Steps of SQLite's virtual machine between two checks of the deadline.
const STEPS: i32 = 10_000;
/// The most rows that SQLite's thread reads ahead. With few, it and the reader wait for each other.
const ROWS: usize = 1000;

/// What to do if the SQLite file does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Absent {
    Create,
    /// Reading must not create an empty file, least of all at a mistyped path.
    Refuse,
}

/// The options of every connection to a server. Nothing is set in a session of PostgreSQL: behind a pooler another
/// client may get the session next.
fn options(config: &Config, survey: &Survey, distrust: &Distrust) -> ConnectOptions {
    let mut options = file_options(config, distrust);
    let schema = config.schema.clone().filter(|_| survey.takes_search_path);
    options.map_sqlx_postgres_opts(move |postgres| {
        // Poolers refuse `extra_float_digits`, and no number is read as a float.
        let postgres = postgres.extra_float_digits(None).statement_cache_capacity(STATEMENTS);
        with_search_path(postgres, schema.as_deref())
    });
    options
}

/// The options of every connection. No connection is replaced for its age or for being idle: sqlx 0.9.0 sometimes
/// miscounts the idle ones, and then its task loops for ever. A connection that is no longer usable is distrusted.
fn file_options(config: &Config, distrust: &Distrust) -> ConnectOptions {
    let mut options = ConnectOptions::new(config.url.driver_url());
    options
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .acquire_timeout(CONNECT_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .max_connections(config.max_connections)
        .set_application_name("lumo-bridge");
    timeouts::apply(&mut options, distrust);
    options.map_sqlx_mysql_opts(|mysql| mysql.statement_cache_capacity(STATEMENTS));
    options.map_sqlx_sqlite_opts(|sqlite| for_writing(sqlite).create_if_missing(true));
    options
}

fn for_writing(sqlite: SqliteConnectOptions) -> SqliteConnectOptions {
    sqlite
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL can lose the last commits in a power cut, after their callbacks were sent.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        .pragma("wal_autocheckpoint", "10000")
        .pragma("cache_size", WRITER_CACHE)
        .row_buffer_size(ROWS)
        .statement_cache_capacity(STATEMENTS)
}

/// One connection, for work that belongs to a session: advisory locks and schema changes. It is replaced once it is
/// distrusted.
pub(in crate::store) async fn single(
    config: &Config,
    absent: Absent,
    distrust: &Distrust,
) -> Result<DatabaseConnection, Error> {
    if absent == Absent::Refuse {
        expect_file(config)?;
    }
    let survey = survey(config, 1).await?;
    create_file(config)?;
    connect(one(options(config, &survey, distrust))).await
}

/// Creates a new SQLite file that only its owner can access; the database gives its log and its index the same mode. An
/// existing file is not changed.
fn create_file(config: &Config) -> Result<(), Error> {
    let url = config.url.expose();
    let Some(file) = file_of(config) else { return Ok(()) };
    if [":memory:", "mode=memory", "mode=ro"].iter().any(|word| url.contains(word)) {
        return Ok(());
    }
    if let Some(folder) = config.url.missing_folder() {
        let problem = format!("the folder {} does not exist; make it, or correct `database.url`", folder.display());
        return Err(Error::NotMade { file, source: io::Error::new(io::ErrorKind::NotFound, problem) });
    }
    match create_private(&file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(Error::NotMade { file, source }),
    }
}

fn one(mut options: ConnectOptions) -> ConnectOptions {
    options.max_connections(1);
    options
}

/// The one write connection to an SQLite file, with a time limit that each use can set.
async fn writer(config: &Config, deadline: &Deadline, distrust: &Distrust) -> Result<DatabaseConnection, Error> {
    expect_file(config)?;
    let mut options = one(file_options(config, distrust));
    // A file that was removed while the program runs must not be created empty.
    options.map_sqlx_sqlite_opts(|sqlite| for_writing(sqlite).create_if_missing(false));
    let (deadline, distrust) = (deadline.clone(), distrust.clone());
    options.map_sqlx_sqlite_pool_opts(move |pool| {
        let deadline = deadline.clone();
        pool.after_release(timeouts::check_connection(&distrust)).after_connect(move |connection, _| {
            let deadline = deadline.clone();
            Box::pin(async move {
                let is_in_time = move || !deadline.has_passed();
                connection.lock_handle().await?.set_progress_handler(STEPS, is_in_time);
                Ok(())
            })
        })
    });
    connect(options).await
}

/// How many connections a process needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// All connections that it may have: for a long-running process.
    Everything,
    /// Few: for a short command, beside a daemon that has the rest.
    Little,
}

/// The connections of a command: one to write, and one to read.
const COMMAND_CONNECTIONS: u32 = 2;

pub(in crate::store) async fn pools(config: &Config, need: Need, distrust: &Distrust) -> Result<Pools, Error> {
    let deadline = Deadline::none();
    if config.url.backend() == Backend::Sqlite {
        let write = writer(config, &deadline, distrust).await?;
        let read = TimedConnection::new(connect(readers(config, distrust)).await?, distrust);
        let file = file_of(config).and_then(|path| OpenFile::at(&path));
        return Ok(Pools { write, read, deadline, file, has_session: true });
    }
    let wanted = match need {
        Need::Everything => config.max_connections,
        Need::Little => config.max_connections.min(COMMAND_CONNECTIONS),
    };
    let survey = survey(config, wanted).await?;
    let usable = survey.usable().min(wanted);
    if let (Need::Everything, Some(refusal)) = (need, &survey.refusal) {
        tracing::warn!(
            given = survey.given,
            max_connections = config.max_connections,
            taken = usable,
            refusal,
            "the database gives fewer connections than `database.max_connections`; working with those"
        );
    }
    if need == Need::Everything && survey.is_lent {
        tracing::warn!(
            "a pooler lends connections to the database per transaction: that a process has died shows only when its \
             leases end, and processes look for deliveries every second instead of waking each other"
        );
    }
    // A session of its own takes one of them, if it can be kept. Two others must remain, because one may have to cancel
    // a statement on the other.
    let has_session = need == Need::Everything && !survey.is_lent && usable > 2;
    let mut options = options(config, &survey, distrust);
    options.max_connections(usable - u32::from(has_session));
    let pool = connect(options).await?;
    let path = config.schema.as_deref().filter(|_| !survey.takes_search_path);
    Ok(Pools {
        write: pool.clone(),
        read: TimedConnection::with_search_path(pool, path, distrust),
        deadline,
        file: None,
        has_session,
    })
}

/// The connections to an SQLite file that only read.
fn readers(config: &Config, distrust: &Distrust) -> ConnectOptions {
    let mut readers = file_options(config, distrust);
    readers.max_connections(SQLITE_READERS.min(config.max_connections.saturating_sub(1).max(1)));
    readers.map_sqlx_sqlite_opts(|sqlite| {
        sqlite
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(10))
            .pragma("query_only", "on")
            .pragma("cache_size", READER_CACHE)
            .statement_cache_capacity(STATEMENTS)
    });
    readers
}

/// The file of an SQLite database.
pub(in crate::store) fn file_of(config: &Config) -> Option<PathBuf> {
    let options = config.url.expose().parse::<SqliteConnectOptions>();
    let options = options.ok().filter(|_| config.url.backend() == Backend::Sqlite)?;
    Some(options.get_filename().to_owned())
}

/// Whether the SQLite file that is to be used exists.
fn expect_file(config: &Config) -> Result<(), Error> {
    match file_of(config) {
        Some(file) if !file.exists() => {
            let is_relative = file.is_relative();
            Err(Error::NoFile { file: std::path::absolute(&file).unwrap_or(file), is_relative })
        }
        _ => Ok(()),
    }
}

async fn connect(options: ConnectOptions) -> Result<DatabaseConnection, Error> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        match Database::connect(options.clone()).await {
            Ok(connection) => return Ok(connection),
            // SQLite does not wait for another process that is switching a new file to write-ahead logging, and a
            // server may still count connections that were closed just before.
            Err(DbErr::Conn(error)) if (is_busy(&error) || is_too_many(&error)) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // If the first connection fails for any reason, the database is unavailable.
            Err(error @ (DbErr::Conn(_) | DbErr::ConnectionAcquire(_))) => {
                return Err(Error::Unavailable(plainly(error)));
            }
            Err(error) => return Err(Error::from(error)),
        }
    }
}

fn is_busy(error: &RuntimeErr) -> bool {
    let RuntimeErr::SqlxError(error) = error else { return false };
    let Some(sqlite) = error.as_database_error().and_then(|error| error.try_downcast_ref::<SqliteError>()) else {
        return false;
    };
    // The extended codes keep the plain one, SQLITE_BUSY, in their low byte.
    sqlite.code().and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Whether the server, the database or the role has reached its limit of connections.
fn is_too_many(error: &RuntimeErr) -> bool {
    let RuntimeErr::SqlxError(error) = error else { return false };
    let code = error.as_database_error().and_then(DatabaseError::code);
    // PostgreSQL; MySQL for the server and for a user.
    matches!(code.as_deref(), Some("53300" | "08004" | "42000")) && error.to_string().contains("connections")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::chain::Chain;

    #[tokio::test]
    async fn no_pool_looks_after_its_idle_connections() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("bridge.db").display()).parse().unwrap();
        let config = Config { url, schema: None, max_connections: 3, migrate: false };
        create_file(&config).unwrap();
        for options in [file_options(&config, &Distrust::default()), readers(&config, &Distrust::default())] {
            let pool = connect(options).await.unwrap();
            let pool = pool.get_sqlite_connection_pool().options();
            assert_eq!((pool.get_idle_timeout(), pool.get_max_lifetime()), (None, None));
        }
    }

    fn file(path: &Path) -> Config {
        let url = format!("sqlite://{}", path.display()).parse().unwrap();
        Config { url, schema: None, max_connections: 3, migrate: false }
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_blamed_on_no_server() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        std::fs::write(&text, "no database ".repeat(100)).unwrap();
        for (path, hint) in [
            (folder.path(), "let this user read and write both"),
            (text.as_path(), "name the file of an SQLite database"),
        ] {
            let error = pools(&file(path), Need::Little, &Distrust::default()).await.err().unwrap();
            assert!(error.hint().is_some_and(|said| said.starts_with(hint)), "{error:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_made_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no").join("bridge.db");
        let error = create_file(&file(&path)).unwrap_err();
        let missing = format!("the folder {} does not exist; make it", path.parent().unwrap().display());
        let said = Chain(&error).to_string();
        assert!(said.starts_with(&format!("the SQLite file {} cannot be made: {missing}", path.display())), "{said}");
        assert_eq!(error.hint(), None);
        let denied = Error::NotMade { file: path, source: io::ErrorKind::PermissionDenied.into() };
        assert!(denied.hint().is_some_and(|said| said.contains("both the file of `database.url` and its folder")));
    }
}
