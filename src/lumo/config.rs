//! Section `lumo`: the upstream API, how fast to read it, and where its deposits keep what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::{self, HttpUrl, Rate, SecretSource, Span, Text};

/// The Lumo B2B API.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Config {
    /// Where the API is, without the `/api/v1/…` of its paths.
    pub base_url: HttpUrl,
    /// Statuses of a deposit that mean that the money is there: a deposit that has one for the first time is `deposit.settled`.
    /// `lumo-bridge deposit statuses` shows which there are. At most 50.
    pub settled_statuses: Vec<Text>,
    /// The company's API key.
    pub api_key: SecretSource,
    /// Longest wait for one answer, connection and body included.
    pub timeout: Span,
    /// Items asked for per page, 1 to 10000; lowered by itself when the server clamps or refuses it.
    #[serde(deserialize_with = "setting::whole")]
    #[schemars(range(min = 1, max = 10_000))]
    pub page_size: u32,
    /// Pages in flight at once, 1 to 64.
    #[serde(deserialize_with = "setting::whole")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: u32,
    /// Most requests; falls by itself on 429 and 503, and is whole again within a minute.
    pub rate: Rate,
    /// Where a listed deposit keeps what.
    pub deposit_fields: DepositFields,
}

/// For each fact about a deposit the places to look at in the listed item: the first hit wins, dots descend.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DepositFields {
    /// The id of the wallet that was paid to.
    pub wallet_id: Vec<Text>,
    /// The merchant's own id of the user.
    pub external_id: Vec<Text>,
    /// The company that the wallet belongs to.
    pub company_id: Vec<Text>,
    /// The address that was paid to.
    pub address: Vec<Text>,
    /// The address that paid.
    pub from_address: Vec<Text>,
    /// The transaction on the chain.
    pub tx_hash: Vec<Text>,
    /// How much was paid.
    pub amount: Vec<Text>,
    /// What it was paid in.
    pub currency: Vec<Text>,
    /// How far the deposit has come.
    pub status: Vec<Text>,
    /// Blocks on top of the transaction's.
    pub confirmations: Vec<Text>,
    /// The block of the transaction.
    pub block_number: Vec<Text>,
    /// When the deposit was first seen.
    pub created_at: Vec<Text>,
    /// When it last changed.
    pub updated_at: Vec<Text>,
}

impl DepositFields {
    /// Every fact by its name, with the places to look at.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[Text])> {
        [
            ("wallet_id", self.wallet_id.as_slice()),
            ("external_id", &self.external_id),
            ("company_id", &self.company_id),
            ("address", &self.address),
            ("from_address", &self.from_address),
            ("tx_hash", &self.tx_hash),
            ("amount", &self.amount),
            ("currency", &self.currency),
            ("status", &self.status),
            ("confirmations", &self.confirmations),
            ("block_number", &self.block_number),
            ("created_at", &self.created_at),
            ("updated_at", &self.updated_at),
        ]
        .into_iter()
    }
}
