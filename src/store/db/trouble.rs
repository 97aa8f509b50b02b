//! Tracks which transactions cannot be committed at present.
//!
//! When a disk is full, a server is read-only, or a lock is never released, reading continues, and writes are tried
//! again. Until they succeed, the process must not report itself healthy.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::chain::Chain;
use crate::store::Error;

/// A failure is forgotten after this time if its transaction was not tried again: important transactions are tried
/// every few seconds.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// The same where the cause was the server, and other transactions have been committed since. What failed may have
/// nothing to write any more.
const SUPERSEDED_AFTER: Duration = Duration::from_secs(10);

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
#[derive(Default)]
pub(in crate::store) struct Troubles(Mutex<Failing>);

#[derive(Default)]
struct Failing {
    transactions: BTreeMap<&'static str, FailingTransaction>,
    /// When a transaction that wrote something was committed, while others were failing.
    last_committed: Option<Instant>,
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
    /// Notes that a transaction could not be committed.
    pub(in crate::store) fn failed(&self, transaction: &'static str, error: &Error) {
        if error.is_outage() {
            self.lock().failed(transaction, error, Instant::now());
        }
    }

    /// Notes that a transaction that wrote something was committed.
    pub(in crate::store) fn committed(&self, transaction: &'static str) {
        self.lock().committed(transaction, Instant::now());
    }

    /// The transaction that has been failing for the longest time.
    pub(in crate::store) fn longest(&self) -> Option<WriteTrouble> {
        self.lock().longest(Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, Failing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failing {
    fn failed(&mut self, transaction: &'static str, error: &Error, now: Instant) {
        let reason = Chain(error).to_string();
        if self.transactions.is_empty() {
            tracing::error!(tx = transaction, error = reason, "the database cannot be written to; trying again");
        }
        let since = self.transactions.get(transaction).map_or(now, |failing| failing.since);
        let is_of_server = matches!(error, Error::Unavailable(_) | Error::FileGone { .. }) || error.is_read_only();
        let failing = FailingTransaction { since, last: now, reason, hint: error.hint(), is_of_server };
        self.transactions.insert(transaction, failing);
    }

    fn committed(&mut self, transaction: &'static str, now: Instant) {
        let Some(began) = self.began() else { return };
        self.last_committed = Some(now);
        self.transactions.remove(transaction);
        self.forget_old(now);
        if self.transactions.is_empty() {
            tracing::info!(seconds = (now - began).as_secs(), "the database can be written to again");
        }
    }

    fn longest(&mut self, now: Instant) -> Option<WriteTrouble> {
        self.forget_old(now);
        let (transaction, failing) = self.transactions.iter().min_by_key(|(_, failing)| failing.since)?;
        let (lasting, reason, hint) = (now - failing.since, failing.reason.clone(), failing.hint);
        Some(WriteTrouble { transaction, lasting, reason, hint })
    }

    fn began(&self) -> Option<Instant> {
        self.transactions.values().map(|failing| failing.since).min()
    }

    fn forget_old(&mut self, now: Instant) {
        let last_committed = self.last_committed;
        self.transactions.retain(|_, failing| {
            let is_superseded = failing.is_of_server && last_committed.is_some_and(|at| at > failing.last);
            now - failing.last < if is_superseded { SUPERSEDED_AFTER } else { FORGOTTEN_AFTER }
        });
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DbErr;

    use super::*;

    #[test]
    fn trouble_lasts_until_what_failed_is_committed() {
        let troubles = Troubles::default();
        let full = || Error::Unwritable(DbErr::Custom("disk full".to_owned()));
        troubles.failed("sync.page", &Error::Fenced);
        assert_eq!(troubles.longest(), None, "another process leads, which is no trouble");
        troubles.failed("sync.page", &full());
        troubles.failed("delivery.claim", &full());
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
        let away = || Error::Unavailable(DbErr::Custom("refused".to_owned()));
        failing.failed("watch.cut", &away(), at(0));
        assert!(failing.longest(at(59)).is_some(), "nothing is known of the server since");

        failing.failed("watch.cut", &away(), at(59));
        failing.committed("process.beat", at(60));
        assert!(failing.longest(at(68)).is_some(), "it may be tried again");
        failing.failed("watch.cut", &away(), at(68));
        failing.committed("process.beat", at(69));
        assert_eq!(failing.longest(at(77)).unwrap().lasting, Duration::from_secs(77), "it fails while others do not");
        assert_eq!(failing.longest(at(78)), None);
    }

    #[test]
    fn a_full_disk_may_take_what_is_small() {
        let (mut failing, start) = (Failing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        failing.failed("sync.page", &Error::Unwritable(DbErr::Custom("disk full".to_owned())), at(0));
        failing.committed("process.beat", at(1));
        assert!(failing.longest(at(59)).is_some());
        assert_eq!(failing.longest(at(60)), None);
    }
}
