//! What is different: a page as listed against the rows as stored.
//!
//! What comes out is a list of [`Change`]s, one per row that must be written, and the [`Fate`] of each record. A row that did
//! not change is not among the changes and costs no write.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::id::{DepositId, WalletId};
use crate::model::record::{Deposit, Wallet};

/// The status that a deposit begins with.
pub const NEW: &str = "new";

/// A thing that is listed upstream and mirrored in a table.
pub trait Record: Clone + Debug + Send + Sync + 'static {
    type Id: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static;

    fn id(&self) -> &Self::Id;
    fn id_str(&self) -> &str;
    fn fingerprint(&self) -> i64;
    fn created_at(&self) -> Option<DateTime<Utc>>;
    /// The item as listed.
    fn raw(&self) -> &str;

    /// Whether it takes back what was told of it: seen once, that is as likely the answer of a replica that lags behind.
    fn regresses(&self, old: &Self) -> bool;
}

impl Record for Wallet {
    type Id = WalletId;

    fn id(&self) -> &WalletId {
        &self.id
    }

    fn id_str(&self) -> &str {
        self.id.as_str()
    }

    fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    fn created_at(&self) -> Option<DateTime<Utc>> {
        Some(self.created_at)
    }

    fn raw(&self) -> &str {
        &self.raw
    }

    /// A block that is lifted.
    fn regresses(&self, old: &Self) -> bool {
        old.is_blocked && !self.is_blocked
    }
}

impl Record for Deposit {
    type Id = DepositId;

    fn id(&self) -> &DepositId {
        &self.id
    }

    fn id_str(&self) -> &str {
        self.id.as_str()
    }

    fn fingerprint(&self) -> i64 {
        self.fingerprint
    }

    fn created_at(&self) -> Option<DateTime<Utc>> {
        self.created_at
    }

    fn raw(&self) -> &str {
        &self.raw
    }

    /// A status that is the first one again.
    fn regresses(&self, old: &Self) -> bool {
        old.status != NEW && self.status == NEW
    }
}

/// A record as it stands in its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    pub record: R,
    pub version: i64,
    pub first_seen_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    pub missing_since: Option<DateTime<Utc>>,
    /// Its number among the rows of its table.
    pub row_no: i64,
}

/// The little of a stored row that tells whether more of it must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub fingerprint: i64,
    pub missing: bool,
    pub row_no: i64,
}

impl Head {
    /// Whether the listed record says nothing that is not stored.
    #[must_use]
    pub fn matches(self, record: &impl Record) -> bool {
        !self.missing && self.fingerprint == record.fingerprint()
    }
}

/// One row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<R> {
    /// Never seen before.
    Appeared(R),
    /// Listed differently from what is stored, or listed again after it was missing.
    Changed { old: Stored<R>, new: R },
    /// No longer listed.
    Vanished(Stored<R>),
}

impl<R> Change<R> {
    /// The record as listed now, or as it was listed last.
    #[must_use]
    pub fn record(&self) -> &R {
        match self {
            Self::Appeared(record) | Self::Changed { new: record, .. } => record,
            Self::Vanished(old) => &old.record,
        }
    }

    /// The version that the row gets.
    #[must_use]
    pub fn version(&self) -> i64 {
        match self {
            Self::Appeared(_) => 1,
            Self::Changed { old, .. } | Self::Vanished(old) => old.version.saturating_add(1),
        }
    }
}

/// What becomes of a listed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is stored as it is listed.
    Known,
    Appeared,
    Changed,
    /// It regresses, and waits for somebody to see that again.
    Held,
    /// The row was changed after the page was asked for.
    Stale,
}

/// Which regressions are taken; see [`Record::regresses`].
#[derive(Clone, Debug)]
pub enum Regressions<Id> {
    /// All of them.
    Apply,
    /// Those that were seen before, and now again.
    HoldUnless(HashSet<Id>),
}

impl<Id: Eq + Hash> Regressions<Id> {
    fn hold(&self, id: &Id) -> bool {
        match self {
            Self::Apply => false,
            Self::HoldUnless(confirmed) => !confirmed.contains(id),
        }
    }
}

/// What a comparison brought to light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff<R> {
    pub changes: Vec<Change<R>>,
    /// One for each record, in their order.
    pub fates: Vec<Fate>,
}

/// How much later than the read a row may have been changed for the read to be called stale. Longer than any request takes;
/// short, because a clock that was set back makes good reads look stale for that long.
const STALE_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// Compares what was listed, each id once, with what is stored.
///
/// `read_at` is a time before the request was sent. A row that changed since then was changed by another reader with newer
/// knowledge (the blocked list, a command, a second process): what this page says of it is out of date and is left out; the
/// next pass reads it again.
pub fn diff<R: Record>(
    listed: impl IntoIterator<Item = R>,
    stored: &HashMap<R::Id, Stored<R>>,
    read_at: DateTime<Utc>,
    regressions: &Regressions<R::Id>,
) -> Diff<R> {
    let (mut changes, mut fates) = (Vec::new(), Vec::new());
    for new in listed {
        let old = stored.get(new.id());
        let fate = fate(&new, old, read_at, regressions);
        match (fate, old) {
            (Fate::Appeared, _) => changes.push(Change::Appeared(new)),
            (Fate::Changed, Some(old)) => changes.push(Change::Changed { old: old.clone(), new }),
            _ => {}
        }
        fates.push(fate);
    }
    Diff { changes, fates }
}

fn fate<R: Record>(new: &R, old: Option<&Stored<R>>, read_at: DateTime<Utc>, regressions: &Regressions<R::Id>) -> Fate {
    let Some(old) = old else { return Fate::Appeared };
    if old.missing_since.is_none() && old.record.fingerprint() == new.fingerprint() {
        return Fate::Known;
    }
    if old.changed_at > read_at && old.changed_at - read_at < STALE_WITHIN {
        return Fate::Stale;
    }
    // What was missing is taken as it comes back: that it is listed is news that cannot wait, whatever it says.
    if old.missing_since.is_none() && new.regresses(&old.record) && regressions.hold(new.id()) {
        return Fate::Held;
    }
    Fate::Changed
}

#[cfg(test)]
mod tests;
