//! What a world is made of: wallets and deposits, as plain values.
//!
//! These are the facts, not what the API prints of them; how a fact is spelt in JSON is the business of the simulator.
//! Texts are shared (`Arc<str>`), so that copying a page of rows out of a large world allocates next to nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::amount::Amount;
use crate::clock;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id! {
    /// The id of the one company that a world is.
    CompanyId
}
id! {
    /// The id of a user wallet.
    WalletId
}
id! {
    /// The id of a user deposit.
    DepositId
}

/// A user's wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wallet {
    pub id: WalletId,
    pub company_id: CompanyId,
    /// The user's id in the merchant's system: any text at all.
    pub external_id: Arc<str>,
    /// A valid TRON address that belongs to nobody.
    pub address: Arc<str>,
    /// Present exactly while the wallet is blocked.
    pub block_reason: Option<Arc<str>>,
    /// The wallet that took this one's place; a replaced wallet is blocked as well.
    pub replaced_by: Option<WalletId>,
    pub usdt_balance: Amount,
    pub trx_balance: Amount,
    #[serde(serialize_with = "clock::serialize")]
    pub created_at: DateTime<Utc>,
}

impl Wallet {
    /// Whether the wallet is blocked.
    pub fn is_blocked(&self) -> bool {
        self.block_reason.is_some()
    }

    /// Whether another wallet took this one's place.
    pub fn is_replaced(&self) -> bool {
        self.replaced_by.is_some()
    }
}

/// A payment to a user's wallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Deposit {
    pub id: DepositId,
    pub company_id: CompanyId,
    pub wallet_id: WalletId,
    /// The owner of the wallet.
    pub external_id: Arc<str>,
    /// The address of the wallet.
    pub to_address: Arc<str>,
    pub from_address: Arc<str>,
    /// Sixty-four hexadecimal digits.
    pub tx_hash: Arc<str>,
    /// In USDT, exactly as the API prints it.
    pub amount: Amount,
    /// One of [`STATUSES`](crate::STATUSES) unless somebody set another text.
    pub status: Arc<str>,
    pub block_number: u64,
    pub confirmations: u32,
    #[serde(serialize_with = "clock::serialize")]
    pub created_at: DateTime<Utc>,
    /// Moves with every change of status.
    #[serde(serialize_with = "clock::serialize")]
    pub updated_at: DateTime<Utc>,
    /// Present once the status has been `confirmed`.
    #[serde(serialize_with = "clock::serialize_some")]
    pub confirmed_at: Option<DateTime<Utc>>,
}
