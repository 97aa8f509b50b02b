//! Tracks which transactions cannot be committed at present, and logs it: as it begins, once a minute, and its end.
//!
//! When a disk is full, a server is read-only, or a lock is never released, writes are tried again. Until they succeed,
//! the process must not report itself healthy. A server that does not answer at all is noticed here as well, because
//! every process that runs writes every few seconds.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::chain::Chain;
use crate::store::config::Backend;
use crate::store::db::error::database_error;
use crate::store::db::timeouts::FailingQueries;
use crate::store::{Config, Error, Need};

/// A failure is forgotten after this time if its transaction was not tried again: important transactions are tried
/// every few seconds.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// The same where the cause was the server, and other transactions have been committed since. What failed may have
/// nothing to write any more.
const SUPERSEDED_AFTER: Duration = Duration::from_secs(10);
/// The least time between two summaries in the log.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);

/// A transaction that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteTrouble {
    /// The transaction that fails.
    pub transaction: &'static str,
    /// How long it has been failing.
    pub lasting: Duration,
    /// The database's message.
    pub reason: String,
    /// A remedy, if there is a known one.
    pub hint: Option<&'static str>,
}

/// The transactions that failed because of the database and have not been committed since.
pub(in crate::store) struct Troubles {
    /// The database, as the log names it.
    database: String,
    is_server: bool,
    /// Whether to log it. A command ends with its own error.
    is_logged: bool,
    /// The queries outside of transactions. They often are the first to wait for a database that is away.
    queries: FailingQueries,
    failing: Mutex<Failing>,
}

#[derive(Default)]
struct Failing {
    transactions: BTreeMap<&'static str, FailingTransaction>,
    /// When a transaction that wrote something was committed, while others were failing.
    last_committed: Option<Instant>,
    /// What the log says is wrong.
    outage: Option<Outage>,
}

/// What the log has said since the first failure.
struct Outage {
    since: Instant,
    last: Instant,
    /// When the last line was written, and how often a transaction has failed since.
    said_at: Instant,
    failures: u64,
    /// The latest kind of failure, and those that the log has named.
    kind: Kind,
    named: Vec<Kind>,
}

/// What the database does, in the words of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No connection is made, or none answers.
    Silent,
    /// The server says that it cannot serve now: it starts, ends, or has too many connections.
    Refusing,
    /// It answers, and takes no writes.
    Unwritable,
}

impl Kind {
    fn of(error: &Error, is_server: bool) -> Self {
        match error {
            Error::Unavailable(source) if is_server => {
                if database_error(source).is_some() {
                    Self::Refusing
                } else {
                    Self::Silent
                }
            }
            // A file answers always: what cannot be opened cannot be written.
            _ => Self::Unwritable,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Silent => "the database does not answer",
            Self::Refusing => "the database refuses requests",
            Self::Unwritable => "the database cannot be written to",
        }
    }

    const fn words_of_end(self) -> &'static str {
        match self {
            Self::Silent => "the database answers again",
            Self::Refusing => "the database takes requests again",
            Self::Unwritable => "the database can be written to again",
        }
    }
}

/// What there is to log.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Nothing,
    Begun(Kind),
    Goes { kind: Kind, failures: u64, lasted: Duration },
    Over { kind: Kind, lasted: Duration },
}

struct FailingTransaction {
    since: Instant,
    last: Instant,
    reason: String,
    hint: Option<&'static str>,
    /// Whether the server or the file was away or read-only, which concerns all transactions.
    is_of_server: bool,
}

impl Troubles {
    pub(in crate::store) fn of(config: &Config, need: Need, queries: &FailingQueries) -> Self {
        let is_server = config.url.backend() != Backend::Sqlite;
        let is_logged = need == Need::Everything;
        let (database, queries) = (config.url.to_string(), queries.clone());
        Self { database, is_server, is_logged, queries, failing: Mutex::default() }
    }

    /// Notes that a transaction that began at this time could not be committed.
    pub(in crate::store) fn failed(&self, transaction: &'static str, error: &Error, began: Instant) {
        if !error.is_outage() {
            return;
        }
        let kind = Kind::of(error, self.is_server);
        let line = {
            let mut failing = self.lock();
            let line = failing.failed(transaction, error, kind, (began, Instant::now()));
            failing.date_back(self.queries.since());
            line
        };
        if !self.is_logged {
            return;
        }
        let (database, error) = (&self.database, Chain(error));
        match line {
            Line::Begun(kind) => tracing::error!(
                %database, tx = transaction, %error,
                "{}; trying again. Further failures are summed up once a minute", kind.words()
            ),
            Line::Goes { kind, failures, lasted } => tracing::error!(
                %database, tx = transaction, failures, since_s = lasted.as_secs(), %error,
                "{}, still; `error` is the last", kind.words()
            ),
            Line::Nothing | Line::Over { .. } => {}
        }
    }

    /// Notes that a transaction that wrote something was committed.
    pub(in crate::store) fn committed(&self, transaction: &'static str) {
        let line = self.lock().committed(transaction, Instant::now());
        let Line::Over { kind, lasted } = line else { return };
        self.queries.forget();
        if !self.is_logged {
            return;
        }
        tracing::info!(database = %self.database, lasted_s = lasted.as_secs(), "{}", kind.words_of_end());
    }

    /// The transaction that has been failing for the longest time.
    pub(in crate::store) fn longest(&self) -> Option<WriteTrouble> {
        self.lock().longest(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failing {
    /// Notes a transaction that began and failed at these times. It may have waited long for a connection.
    fn failed(
        &mut self,
        transaction: &'static str,
        error: &Error,
        kind: Kind,
        (began, now): (Instant, Instant),
    ) -> Line {
        let reason = Chain(error).to_string();
        let since = self.transactions.get(transaction).map_or(began, |failing| failing.since);
        let is_of_server =
            matches!(error, Error::Unavailable(_) | Error::FileBusy | Error::FileGone { .. }) || error.is_read_only();
        let failing = FailingTransaction { since, last: now, reason, hint: error.hint(), is_of_server };
        self.transactions.insert(transaction, failing);
        let outage = self.outage.get_or_insert_with(|| Outage {
            since: began,
            last: now,
            said_at: now,
            failures: 0,
            kind,
            named: Vec::new(),
        });
        (outage.since, outage.last, outage.kind) = (outage.since.min(began), now, kind);
        outage.failures += 1;
        outage.line(now)
    }

    /// Dates the outage back to the beginning of the first query that waited for the database.
    fn date_back(&mut self, queried: Option<Instant>) {
        if let (Some(outage), Some(queried)) = (&mut self.outage, queried) {
            outage.since = outage.since.min(queried);
        }
    }

    fn committed(&mut self, transaction: &'static str, now: Instant) -> Line {
        let Some(outage) = &self.outage else { return Line::Nothing };
        let (kind, since, last) = (outage.kind, outage.since, outage.last);
        self.last_committed = Some(now);
        let was_failing = self.transactions.remove(transaction).is_some();
        self.forget_old(now);
        if !self.transactions.is_empty() {
            return Line::Nothing;
        }
        self.outage = None;
        // What is merely not tried any more has failed until its last try, as far as is known.
        let until = if was_failing { now } else { last };
        Line::Over { kind, lasted: until - since }
    }

    fn longest(&mut self, now: Instant) -> Option<WriteTrouble> {
        self.forget_old(now);
        let (transaction, failing) = self.transactions.iter().min_by_key(|(_, failing)| failing.since)?;
        let (lasting, reason, hint) = (now - failing.since, failing.reason.clone(), failing.hint);
        Some(WriteTrouble { transaction, lasting, reason, hint })
    }

    fn forget_old(&mut self, now: Instant) {
        let last_committed = self.last_committed;
        self.transactions.retain(|_, failing| {
            let is_superseded = failing.is_of_server && last_committed.is_some_and(|at| at > failing.last);
            now - failing.last < if is_superseded { SUPERSEDED_AFTER } else { FORGOTTEN_AFTER }
        });
    }
}

impl Outage {
    fn line(&mut self, now: Instant) -> Line {
        let kind = self.kind;
        if !self.named.contains(&kind) {
            self.named.push(kind);
            return Line::Begun(kind);
        }
        if now - self.said_at < SUMMARY_EVERY {
            return Line::Nothing;
        }
        self.said_at = now;
        Line::Goes { kind, failures: std::mem::take(&mut self.failures), lasted: now - self.since }
    }
}

#[cfg(test)]
mod tests;
