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
    pub(in crate::store) fn of(config: &Config, need: Need) -> Self {
        let is_server = config.url.backend() != Backend::Sqlite;
        let is_logged = need == Need::Everything;
        Self { database: config.url.to_string(), is_server, is_logged, failing: Mutex::default() }
    }

    /// Notes that a transaction that began at this time could not be committed.
    pub(in crate::store) fn failed(&self, transaction: &'static str, error: &Error, began: Instant) {
        if !error.is_outage() {
            return;
        }
        let kind = Kind::of(error, self.is_server);
        let line = {
            let mut failing = self.lock();
            let line = failing.failed(transaction, error, kind, Instant::now());
            failing.date_back(began);
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
    fn failed(&mut self, transaction: &'static str, error: &Error, kind: Kind, now: Instant) -> Line {
        let reason = Chain(error).to_string();
        let since = self.transactions.get(transaction).map_or(now, |failing| failing.since);
        let is_of_server =
            matches!(error, Error::Unavailable(_) | Error::FileBusy | Error::FileGone { .. }) || error.is_read_only();
        let failing = FailingTransaction { since, last: now, reason, hint: error.hint(), is_of_server };
        self.transactions.insert(transaction, failing);
        let outage = self.outage.get_or_insert_with(|| Outage {
            since: now,
            last: now,
            said_at: now,
            failures: 0,
            kind,
            named: Vec::new(),
        });
        (outage.last, outage.kind) = (now, kind);
        outage.failures += 1;
        outage.line(now)
    }

    /// Dates a new outage back to the beginning of the transaction that noticed it, which may have waited for long.
    fn date_back(&mut self, began: Instant) {
        if let Some(outage) = &mut self.outage
            && outage.since == outage.last
        {
            outage.since = began;
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
mod tests {
    use sea_orm::DbErr;

    use super::*;

    fn away() -> Error {
        Error::Unavailable(DbErr::Custom("refused".to_owned()))
    }

    fn full() -> Error {
        Error::Unwritable(DbErr::Custom("disk full".to_owned()))
    }

    #[test]
    fn trouble_lasts_until_what_failed_is_committed() {
        let troubles =
            Troubles { database: String::new(), is_server: true, is_logged: false, failing: Mutex::default() };
        let now = Instant::now();
        troubles.failed("sync.page", &Error::Fenced, now);
        assert_eq!(troubles.longest(), None, "another process leads, which is no trouble");
        troubles.failed("sync.page", &full(), now);
        troubles.failed("delivery.claim", &full(), now);
        troubles.committed("delivery.claim");
        troubles.committed("lease.lead");
        let trouble = troubles.longest().unwrap();
        assert_eq!(trouble.transaction, "sync.page");
        assert!(
            trouble.reason.contains("nothing can be written") && trouble.reason.contains("disk full"),
            "{trouble:?}"
        );
        assert!(trouble.hint.is_some_and(|hint| hint.contains("make room")), "{trouble:?}");
        troubles.committed("sync.page");
        assert_eq!(troubles.longest(), None);
    }

    #[test]
    fn an_outage_is_over_once_others_are_committed_and_what_failed_is_not_tried_again() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        failing.failed("watch.cut", &away(), Kind::Silent, at(0));
        assert!(failing.longest(at(59)).is_some(), "nothing is known of the server since");

        failing.failed("watch.cut", &away(), Kind::Silent, at(59));
        failing.committed("process.beat", at(60));
        assert!(failing.longest(at(68)).is_some(), "it may be tried again");
        failing.failed("watch.cut", &away(), Kind::Silent, at(68));
        failing.committed("process.beat", at(69));
        assert_eq!(failing.longest(at(77)).unwrap().lasting, Duration::from_secs(77), "it fails while others do not");
        assert_eq!(failing.longest(at(78)), None);
    }

    #[test]
    fn a_full_disk_may_take_what_is_small() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        failing.failed("sync.page", &full(), Kind::Unwritable, at(0));
        failing.committed("process.beat", at(1));
        assert!(failing.longest(at(59)).is_some());
        assert_eq!(failing.longest(at(60)), None);
    }

    #[test]
    fn only_a_server_can_fall_silent() {
        for (error, server, file) in
            [(away(), Kind::Silent, Kind::Unwritable), (full(), Kind::Unwritable, Kind::Unwritable)]
        {
            assert_eq!((Kind::of(&error, true), Kind::of(&error, false)), (server, file), "{error:?}");
        }
    }

    #[test]
    fn an_outage_is_a_line_as_it_begins_one_a_minute_and_one_at_its_end() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut said = Vec::new();
        for second in 0..130 {
            let transaction = if second % 3 == 0 { "process.beat" } else { "sync.page" };
            let line = failing.failed(transaction, &away(), Kind::Silent, at(second));
            if line != Line::Nothing {
                said.push(line);
            }
        }
        let goes = |failures, lasted| Line::Goes { kind: Kind::Silent, failures, lasted: Duration::from_secs(lasted) };
        assert_eq!(said, [Line::Begun(Kind::Silent), goes(61, 60), goes(60, 120)]);

        // Another server answers, and takes no writes yet.
        let read_only = failing.failed("process.beat", &full(), Kind::Unwritable, at(131));
        assert_eq!(read_only, Line::Begun(Kind::Unwritable));
        assert_eq!(failing.committed("sync.page", at(140)), Line::Nothing);
        let over = Line::Over { kind: Kind::Unwritable, lasted: Duration::from_secs(141) };
        assert_eq!(failing.committed("process.beat", at(141)), over, "since the first of all failures");
        assert_eq!(failing.committed("process.beat", at(142)), Line::Nothing);
    }

    #[test]
    fn an_outage_has_lasted_since_the_first_transaction_began_to_wait() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (transaction, began, failed) in [("process.beat", 0, 20), ("sync.page", 15, 25)] {
            failing.failed(transaction, &away(), Kind::Silent, at(failed));
            failing.date_back(at(began));
        }
        assert_eq!(failing.committed("sync.page", at(26)), Line::Nothing);
        let over = Line::Over { kind: Kind::Silent, lasted: Duration::from_secs(28) };
        assert_eq!(failing.committed("process.beat", at(28)), over);
    }

    #[test]
    fn the_end_is_said_of_what_was_forgotten_too() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        failing.failed("watch.cut", &away(), Kind::Silent, at(0));
        failing.failed("watch.cut", &away(), Kind::Silent, at(2));
        assert_eq!(failing.committed("process.beat", at(3)), Line::Nothing, "it may be tried again");
        assert_eq!(failing.longest(at(30)), None);
        let over = Line::Over { kind: Kind::Silent, lasted: Duration::from_secs(2) };
        assert_eq!(failing.committed("process.beat", at(31)), over);
    }
}
