//! Defines the errors of the store, by what the caller does about each, with a remedy for the operator.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr, SqlErr};
use sqlx::sqlite::SqliteError;

use crate::store::db::connect::CONNECT_TIMEOUT;

/// An error of the store. The source is for the log; the variant says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server or the file cannot be reached: try again later.
    #[error("database not reachable")]
    Unavailable(#[source] DbErr),
    /// The database answers but accepts no writes: it is read-only, or its disk is full or fails. Try again later.
    #[error("{}", if is_read_only(.0) { READ_ONLY } else { "nothing can be written to the database" })]
    Unwritable(#[source] DbErr),
    /// No transaction could begin on an SQLite file in time: one process writes at a time. Try again later.
    #[error("the SQLite file was not free to be written within {} s", CONNECT_TIMEOUT.as_secs())]
    FileBusy,
    /// The transaction collided with another one; [`crate::store::Store::tx`] runs it again.
    #[error("transaction collided with another")]
    Collision(#[source] DbErr),
    /// The transaction still collided after many tries.
    #[error("transaction `{name}` kept colliding with others")]
    Conflict {
        name: &'static str,
        #[source]
        source: DbErr,
    },
    /// The lease under which the transaction was to write has ended. Nothing was stored.
    #[error("the lease under which this was to be stored has ended")]
    Fenced,
    /// A sink took too long, and the transaction ended with it.
    #[error("the statement of a sink took too long")]
    OutOfTime,
    /// The merchant's statement, or something it calls, has committed or rolled back.
    #[error("the statement of a sink ended the transaction that it runs in; it must neither commit nor roll back")]
    Ended,
    /// A part of the program kept a transaction beyond its end; it was rolled back.
    #[error("transaction was kept beyond its end")]
    Leaked,
    /// A part of the program continued to use a transaction after a failed statement; it was rolled back.
    #[error("transaction was used after one of its statements had failed")]
    Broken,
    /// The tables are missing or older than this program.
    #[error("the lumo_ tables are missing or out of date; run `lumo-bridge migrate up`")]
    NotMigrated,
    /// The tables have a step that this program does not know.
    #[error("the tables are of a newer lumo-bridge (step {step}); start that one")]
    Newer { step: String },
    /// There is no such SQLite file, and making one is not what was asked for.
    #[error("there is no SQLite file {}; {}", file.display(), no_file(*is_relative))]
    NoFile { file: PathBuf, is_relative: bool },
    /// The SQLite file is no longer at its path, or another one is.
    #[error("the SQLite file {} was removed or replaced while it was open", file.display())]
    FileGone { file: PathBuf },
    /// A new SQLite file cannot be made.
    #[error("the SQLite file {} cannot be made", file.display())]
    NotMade {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The database's setup does not work with the bridge.
    #[error("{problem}; {remedy}")]
    Unfit { problem: String, remedy: &'static str },
    /// A stored row cannot be read.
    #[error("row {id} of {table} cannot be read")]
    Corrupt {
        table: &'static str,
        id: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refused a statement.
    #[error("database refused a statement")]
    Statement(#[source] DbErr),
    /// An event could not be serialised.
    #[error("event not serialised")]
    Serialise(#[from] serde_json::Error),
}

/// What to do where a file is missing. A relative path names another file in every working directory.
const fn no_file(is_relative: bool) -> &'static str {
    if is_relative {
        "`database.url` names it from the working directory: run the command where the daemon runs, or write the whole path; \
         `lumo-bridge migrate up` makes a new database here"
    } else {
        "correct `database.url`, or make a new database with `lumo-bridge migrate up`"
    }
}

/// What to do where SQLite cannot open or write: beside the file it writes a log and an index.
const FILE_ACCESS: &str = "let this user read and write both the file of `database.url` and its folder, or give the command as the user \
                           of the daemon";

/// What to do where an SQLite file stays locked.
const FILE_LOCKED: &str = "another program that has the file open keeps a transaction open, or the disk is very slow: end that \
                           transaction, or that program";

const READ_ONLY: &str = "database is read-only, for this user or altogether";

impl Error {
    /// Whether the cause is the database and not the statement: the same may succeed later.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Unwritable(_) | Self::FileBusy | Self::FileGone { .. } | Self::Conflict { .. }
        )
    }

    /// A remedy, if the error message does not name one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotMade { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Some(FILE_ACCESS),
            Self::FileGone { .. } => {
                Some("put that file back, or restart the daemon to work with the one that is there")
            }
            Self::FileBusy => Some(FILE_LOCKED),
            // Locked, by another connection or in this one.
            Self::Conflict { source, .. } if matches!(sqlite_code(source), Some(5 | 6)) => Some(FILE_LOCKED),
            // Read-only, cannot be opened.
            Self::Unavailable(error) | Self::Unwritable(error) if matches!(sqlite_code(error), Some(8 | 14)) => {
                Some(FILE_ACCESS)
            }
            // Not a database.
            Self::Unavailable(error) if sqlite_code(error) == Some(26) => {
                Some("name the file of an SQLite database in `database.url`")
            }
            Self::Unwritable(error) if is_read_only(error) => {
                Some("name the primary server in `database.url`, or let its user write")
            }
            Self::Unavailable(error) if is_out_of_connections(error) => Some(
                "raise the limit of the server, database or user, or lower `database.max_connections` of the daemons",
            ),
            Self::Unavailable(error) if is_turned_away(error) => {
                Some("correct the user, the password or the database in `database.url`, or have the server admit them")
            }
            Self::Unavailable(error) if sqlite_code(error).is_none() => {
                Some("check that the database of `database.url` runs and can be reached from here")
            }
            Self::Unwritable(_) => Some("make room on the database's disk, or repair it"),
            _ => None,
        }
    }

    /// The error of a transaction that could not begin on an SQLite file: [`Error::FileBusy`] if its one write
    /// connection did not become free in time.
    pub(in crate::store) fn of_file(self) -> Self {
        let is_late =
            |error: &sqlx::Error| matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut);
        match &self {
            Self::Unavailable(DbErr::Conn(RuntimeErr::SqlxError(source))) if is_late(source.as_ref()) => Self::FileBusy,
            _ => self,
        }
    }

    /// Whether the database's user may not do this.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Statement(error) if is_forbidden(error))
    }

    /// Whether the database answers but accepts no writes.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Unwritable(error) if is_read_only(error))
    }
}

/// Whether the server accepts no writes, from anyone, as after a failover, or from this user.
pub(in crate::store) fn is_read_only(error: &DbErr) -> bool {
    database_error(error).is_some_and(says_read_only)
}

/// The database's own error, if there is one.
pub(in crate::store) fn database_error(error: &DbErr) -> Option<&dyn sqlx::error::DatabaseError> {
    let (DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))
    | DbErr::Conn(RuntimeErr::SqlxError(error))) = error
    else {
        return None;
    };
    error.as_database_error()
}

/// Access denied: to the database, a table, a column, for want of a general privilege, to a routine.
const FORBIDDEN_BY_MYSQL: [u16; 5] = [1044, 1142, 1143, 1227, 1370];

/// Whether the user lacks a right: to the database, a table, a column or a routine.
fn is_forbidden(error: &DbErr) -> bool {
    let Some(error) = database_error(error) else { return false };
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        Some(mysql) => FORBIDDEN_BY_MYSQL.contains(&mysql.number()),
        None => error.code().is_some_and(|state| state == "42501"),
    }
}

/// Whether the user lacked a right, on a server whose sessions keep the rights to a database that they began with.
pub(in crate::store) fn lacks_right_of_session(error: &DbErr) -> bool {
    let error = database_error(error).and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>());
    error.is_some_and(|mysql| FORBIDDEN_BY_MYSQL.contains(&mysql.number()))
}

/// Whether the server gives no more connections: none at all, or none to this database or user.
fn is_out_of_connections(error: &DbErr) -> bool {
    let Some(error) = database_error(error) else { return false };
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        Some(mysql) => matches!(mysql.number(), 1040 | 1203 | 1226),
        None => error.code().is_some_and(|state| state == "53300"),
    }
}

/// Whether the server does not know the user, the password or the database, or does not admit them.
fn is_turned_away(error: &DbErr) -> bool {
    let Some(error) = database_error(error) else { return false };
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        Some(mysql) => matches!(mysql.number(), 1044 | 1045 | 1049 | 1130 | 1698),
        None => error.code().is_some_and(|state| state == "3D000" || state.starts_with("28")),
    }
}

/// The plain code of an error of SQLite, which its extended ones keep in their low byte.
fn sqlite_code(error: &DbErr) -> Option<i32> {
    let error = database_error(error)?;
    error.try_downcast_ref::<SqliteError>()?;
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

fn says_read_only(error: &dyn sqlx::error::DatabaseError) -> bool {
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        // Started with --read-only, or set so; a transaction that may only read.
        return matches!(mysql.number(), 1290 | 1792 | 1836);
    }
    let state = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        return state == "25006";
    }
    // SQLite's extended codes keep the plain one in their low byte.
    state.parse::<i32>().is_ok_and(|code| code & 0xff == 8)
}

/// The failure in words of the database. A driver that gets no connection in time speaks of its pool, whatever the
/// reason.
pub(in crate::store) fn plainly(error: DbErr) -> DbErr {
    let is_timeout = match &error {
        DbErr::ConnectionAcquire(ConnAcquireErr::Timeout) => true,
        DbErr::Conn(RuntimeErr::SqlxError(source))
        | DbErr::Exec(RuntimeErr::SqlxError(source))
        | DbErr::Query(RuntimeErr::SqlxError(source)) => matches!(source.as_ref(), sqlx::Error::PoolTimedOut),
        _ => false,
    };
    if !is_timeout {
        return error;
    }
    let silence = format!("it has not given a connection within {} s", CONNECT_TIMEOUT.as_secs());
    let silence = sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, silence));
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(silence)))
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        let error = plainly(error);
        if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
            return Self::Collision(error);
        }
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(error),
            DbErr::Exec(RuntimeErr::SqlxError(source)) | DbErr::Query(RuntimeErr::SqlxError(source)) => {
                match source.as_ref() {
                    sqlx::Error::Database(database) => match refusal(database.as_ref()) {
                        Refusal::Collision => Self::Collision(error),
                        Refusal::Unavailable => Self::Unavailable(error),
                        Refusal::Unwritable => Self::Unwritable(error),
                        Refusal::NotMigrated => Self::NotMigrated,
                        Refusal::Unfit { problem, remedy } => Self::Unfit { problem: problem.to_owned(), remedy },
                        Refusal::Other => Self::Statement(error),
                    },
                    sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                        Self::Unavailable(error)
                    }
                    _ => Self::Statement(error),
                }
            }
            _ => Self::Statement(error),
        }
    }
}

enum Refusal {
    Collision,
    Unavailable,
    Unwritable,
    NotMigrated,
    Unfit { problem: &'static str, remedy: &'static str },
    Other,
}

const UNPREPARED: Refusal = Refusal::Unfit {
    problem: "a pooler lends connections to the database per transaction and cannot carry prepared statements",
    remedy: "connect to PostgreSQL directly, use `pool_mode = session`, or PgBouncer 1.21 or newer with \
             `max_prepared_statements`",
};

/// A binary log in statement format, which accepts no writes at the isolation level that the bridge needs.
pub(in crate::store) const STATEMENT_LOG: (&str, &str) = (
    "the server's `binlog_format` is STATEMENT, which takes no writes at the isolation level READ COMMITTED",
    "set `binlog_format = ROW` (or MIXED) in the server's configuration, and connect anew",
);

fn refusal(error: &dyn sqlx::error::DatabaseError) -> Refusal {
    if says_read_only(error) {
        return Refusal::Unwritable;
    }
    let state = error.code().unwrap_or_default();
    if let Some(mysql) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return match mysql.number() {
            // Lock wait timeout, deadlock, record changed since last read.
            1205 | 1213 | 1020 => Refusal::Collision,
            // Too many connections, shutdown in progress, killed in the middle.
            1040 | 1053 | 1317 | 1927 => Refusal::Unavailable,
            // Error writing a file, disk full, error of the storage engine, out of memory, table full.
            3 | 1021 | 1026 | 1030 | 1037 | 1041 | 1114 => Refusal::Unwritable,
            // No such table, no such column.
            1146 | 1054 => Refusal::NotMigrated,
            1665 => Refusal::Unfit { problem: STATEMENT_LOG.0, remedy: STATEMENT_LOG.1 },
            _ => Refusal::Other,
        };
    }
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        return match &*state {
            // Serialization failure, deadlock, lock not available.
            "40001" | "40P01" | "55P03" => Refusal::Collision,
            // Shutting down, starting up, too many connections, ended for its silence.
            "57P01" | "57P02" | "57P03" | "53300" | "25P03" | "57P05" => Refusal::Unavailable,
            // Disk full, out of memory, I/O error.
            "53100" | "53200" | "58030" => Refusal::Unwritable,
            // No such table, no such column.
            "42P01" | "42703" => Refusal::NotMigrated,
            // No such prepared statement, or one too many of a name: each is made once on its connection.
            "26000" | "42P05" => UNPREPARED,
            _ => Refusal::Other,
        };
    }
    // SQLite's extended codes keep the plain one in their low byte.
    match state.parse::<i32>().map(|code| code & 0xff) {
        Ok(5 | 6) => Refusal::Collision,
        // The file cannot be opened.
        Ok(14) => Refusal::Unavailable,
        // Out of memory, I/O error, disk full.
        Ok(7 | 10 | 13) => Refusal::Unwritable,
        Ok(1)
            if ["no such table", "no such column", "has no column named"]
                .iter()
                .any(|part| error.message().contains(part)) =>
        {
            Refusal::NotMigrated
        }
        _ => Refusal::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain;

    #[test]
    fn no_connection_in_time_is_a_silence_of_the_database_and_no_matter_of_a_pool() {
        for timeout in [
            DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::PoolTimedOut))),
            DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::PoolTimedOut))),
        ] {
            let error = Error::from(timeout);
            let said = Chain(&error).to_string();
            assert!(matches!(error, Error::Unavailable(_)), "{said}");
            assert!(said.ends_with("it has not given a connection within 10 s"), "{said}");
            assert!(!said.to_lowercase().contains("pool"), "{said}");
            let of_file = error.of_file();
            assert!(matches!(of_file, Error::FileBusy) && of_file.is_outage(), "{of_file:?}");
            assert_eq!(of_file.to_string(), "the SQLite file was not free to be written within 10 s");
            assert!(of_file.hint().is_some_and(|hint| hint.starts_with("another program")), "{of_file:?}");
        }
    }
}
