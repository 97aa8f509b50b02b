//! What the upstream said, parsed once at the edge: exact amounts, open statuses, and the item's own text beside them.

use chrono::{DateTime, Utc};

use crate::model::Amount;
use crate::model::fingerprint::fingerprint;
use crate::model::id::{CompanyId, DepositId, ExternalId, WalletId};
use crate::model::raw::Raw;

/// A user wallet as listed; what could not be read is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    pub id: WalletId,
    pub company_id: CompanyId,
    pub external_id: ExternalId,
    pub address: Option<String>,
    pub is_blocked: bool,
    pub block_reason: Option<String>,
    pub last_usdt_balance: Option<Amount>,
    pub last_trx_balance: Option<Amount>,
    /// Whole microseconds.
    pub created_at: DateTime<Utc>,
    /// The item exactly as listed.
    pub raw: Raw,
    /// See [`crate::model::fingerprint`].
    pub fingerprint: i64,
}

/// A deposit as listed; what could not be found in it is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    pub id: DepositId,
    pub company_id: Option<CompanyId>,
    pub wallet_id: Option<WalletId>,
    pub external_id: Option<ExternalId>,
    pub address: Option<String>,
    pub from_address: Option<String>,
    pub tx_hash: Option<String>,
    pub amount: Option<Amount>,
    pub currency: Option<String>,
    /// `new`, or whatever the server says; `unknown` where it says nothing.
    pub status: String,
    pub confirmations: Option<i64>,
    pub block_number: Option<i64>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    /// When the bridge first saw it in this status. Not listed: [`crate::model::settled`] says it.
    pub status_since: Option<DateTime<Utc>>,
    /// When the bridge first saw it settled. Not listed either.
    pub settled_at: Option<DateTime<Utc>>,
    /// The item exactly as listed.
    pub raw: Raw,
    /// See [`crate::model::fingerprint`].
    pub fingerprint: i64,
}

impl Deposit {
    /// The wallet from which its user is known, if the item does not name the user.
    #[must_use]
    pub fn only_clue(&self) -> Option<&WalletId> {
        self.wallet_id.as_ref().filter(|_| self.external_id.is_none())
    }
}

/// One page of a listing. A bad item never sinks its page.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items that could be read, in the server's order, each id once.
    pub items: Vec<T>,
    /// The items that could not be read, or stood twice in the page with different content.
    pub rejects: Vec<Reject>,
    /// How many items the page had, readable or not.
    pub returned: usize,
    /// The server's `total`; absent if it was missing or no number.
    pub total: Option<u64>,
    /// The upstream's clock when it answered (`Date` header, whole seconds).
    pub served_at: Option<DateTime<Utc>>,
}

/// Longest text of an item that could not be read that is kept, in bytes.
const MAX_RAW: usize = 16 * 1024;

/// An item that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Position in the page, from 0.
    pub position: usize,
    /// What it is kept under: its id; `#` and its fingerprint where it has none, or shares it with another of the page.
    pub key: String,
    /// The id, where the item had one that could be read.
    pub id: Option<String>,
    /// The item as listed, cut where it is very long.
    pub raw: String,
    /// See [`crate::model::fingerprint`].
    pub fingerprint: i64,
    /// Where in the item, for example `amount` or `wallet.id`.
    pub field: String,
    /// What is wrong with it, as a fragment.
    pub problem: String,
}

impl Reject {
    /// An item of which `field` has this problem.
    #[must_use]
    pub fn new(position: usize, id: Option<String>, raw: &str, field: String, problem: String) -> Self {
        let fingerprint = fingerprint(raw);
        let key = id.clone().unwrap_or_else(|| of_fingerprint(fingerprint));
        let raw = raw.get(..raw.floor_char_boundary(MAX_RAW)).unwrap_or(raw).to_owned();
        Self { position, key, id, raw, fingerprint, field, problem }
    }

    /// Keeps it under its fingerprint, because another item has its id.
    #[must_use]
    pub fn apart(mut self) -> Self {
        self.key = of_fingerprint(self.fingerprint);
        self
    }

    /// Which field, and what is wrong with it, as a sentence without its end.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{} {}", self.field, self.problem)
    }
}

fn of_fingerprint(fingerprint: i64) -> String {
    format!("#{fingerprint:016x}")
}
