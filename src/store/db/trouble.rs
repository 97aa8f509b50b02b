//! Tracks which transactions cannot be committed at present.
//!
//! When a disk is full, a server is read-only, or a lock is never released, reading continues, and writes are tried
//! again. Until they succeed, the process must not report itself healthy.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::chain::Chain;
use crate::store::Error;

/// A failure is forgotten after this time if its transaction was not tried again: important transactions are tried
/// every few seconds.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

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
pub(in crate::store) struct Troubles(Mutex<BTreeMap<&'static str, FailingTransaction>>);

struct FailingTransaction {
    since: Instant,
    last: Instant,
    reason: String,
    hint: Option<&'static str>,
}

impl Troubles {
    /// Notes that a transaction could not be committed.
    pub(in crate::store) fn failed(&self, transaction: &'static str, error: &Error) {
        if !error.is_outage() {
            return;
        }
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, reason) = (Instant::now(), Chain(error).to_string());
        if failing.is_empty() {
            tracing::error!(tx = transaction, error = reason, "the database cannot be written to; trying again");
        }
        let entry = failing.entry(transaction).or_insert_with(|| FailingTransaction {
            since: now,
            last: now,
            reason: String::new(),
            hint: None,
        });
        (entry.last, entry.reason, entry.hint) = (now, reason, error.hint());
    }

    /// Notes that a transaction that wrote something was committed.
    pub(in crate::store) fn committed(&self, transaction: &'static str) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(began) = failing.values().map(|entry| entry.since).min() else { return };
        failing.remove(transaction);
        forget_old(&mut failing);
        if failing.is_empty() {
            tracing::info!(seconds = began.elapsed().as_secs(), "the database can be written to again");
        }
    }

    /// The transaction that has been failing for the longest time.
    pub(in crate::store) fn longest(&self) -> Option<WriteTrouble> {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_old(&mut failing);
        let (transaction, entry) = failing.iter().min_by_key(|(_, entry)| entry.since)?;
        let (lasting, reason, hint) = (entry.since.elapsed(), entry.reason.clone(), entry.hint);
        Some(WriteTrouble { transaction, lasting, reason, hint })
    }
}

fn forget_old(failing: &mut BTreeMap<&'static str, FailingTransaction>) {
    failing.retain(|_, entry| entry.last.elapsed() < FORGOTTEN_AFTER);
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
}
