//! What is different: a page as listed against the rows as stored.
//!
//! The only output is a list of [`Change`]s, one per row that must be written. A row that did not change is not in it and
//! costs no write.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::id::{DepositId, WalletId};
use crate::model::record::{Deposit, Wallet};

/// A thing that is listed upstream and mirrored in a table.
pub trait Record: Clone + Debug + Send + Sync + 'static {
    type Id: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static;

    fn id(&self) -> &Self::Id;
    fn id_str(&self) -> &str;
    fn fingerprint(&self) -> i64;
    fn created_at(&self) -> Option<DateTime<Utc>>;
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
}

/// A record as it stands in its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<R> {
    pub record: R,
    pub version: i64,
    pub first_seen_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    pub missing_since: Option<DateTime<Utc>>,
}

/// The little of a stored row that tells whether more of it must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub fingerprint: i64,
    pub missing: bool,
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
}

impl<R> Change<R> {
    /// The record as listed now.
    #[must_use]
    pub fn new_record(&self) -> &R {
        match self {
            Self::Appeared(record) | Self::Changed { new: record, .. } => record,
        }
    }

    /// The version that the row gets.
    #[must_use]
    pub fn version(&self) -> i64 {
        match self {
            Self::Appeared(_) => 1,
            Self::Changed { old, .. } => old.version.saturating_add(1),
        }
    }
}

/// How much later than the read a row may have been changed for the read to be called stale. Longer than any request takes;
/// short, because a clock that was set back makes good reads look stale for that long.
const STALE_WITHIN: TimeDelta = TimeDelta::minutes(2);

/// Compares what was listed with what is stored.
///
/// `read_at` is a time before the request was sent. A row that changed since then was changed by another reader with newer
/// knowledge (the blocked list, a command, a second process): what this page says of it is out of date and is left out; the
/// next pass reads it again.
pub fn diff<R: Record>(
    listed: impl IntoIterator<Item = R>,
    stored: &HashMap<R::Id, Stored<R>>,
    read_at: DateTime<Utc>,
) -> Vec<Change<R>> {
    let changes = listed.into_iter().filter_map(|new| match stored.get(new.id()) {
        None => Some(Change::Appeared(new)),
        Some(old) if old.missing_since.is_none() && old.record.fingerprint() == new.fingerprint() => None,
        Some(old) if old.changed_at > read_at && old.changed_at - read_at < STALE_WITHIN => None,
        Some(old) => Some(Change::Changed { old: old.clone(), new }),
    });
    changes.collect()
}

#[cfg(test)]
mod tests;
