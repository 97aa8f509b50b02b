//! `lumo_user_deposits`: every deposit as the API last showed it.
//!
//! Lumo does not publish a deposit's fields, so everything but the id may be absent. A deposit without a status has the
//! status `unknown`.

use sea_orm::entity::prelude::*;

use crate::Amount;
use crate::id::{CompanyId, DepositId, ExternalId, WalletId};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_user_deposits")]
pub struct Model {
    /// The deposit's id at Lumo.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DepositId,
    pub company_id: Option<CompanyId>,
    /// The wallet that it was paid to.
    pub wallet_id: Option<WalletId>,
    /// The user's id in the merchant's own system; filled in from the wallet where Lumo does not tell it.
    pub external_id: Option<ExternalId>,
    /// The address that it was paid to.
    pub address: Option<String>,
    /// The address that it came from.
    pub from_address: Option<String>,
    /// The transaction on the chain.
    pub tx_hash: Option<String>,
    /// How much.
    pub amount: Option<Amount>,
    /// Of what, for example `USDT`.
    pub currency: Option<String>,
    /// As Lumo spells it; `unknown` where it tells none.
    pub status: String,
    /// How many blocks confirm it.
    pub confirmations: Option<i64>,
    /// The block that its transaction is in.
    pub block_number: Option<i64>,
    /// When it was created, as Lumo tells it.
    pub created_at: Option<DateTimeUtc>,
    /// When it last changed, as Lumo tells it.
    pub updated_at: Option<DateTimeUtc>,
    /// When the bridge first saw it in this status.
    pub status_since: Option<DateTimeUtc>,
    /// When the bridge first saw it settled, by `lumo.settled_statuses`; null while it is not.
    pub settled_at: Option<DateTimeUtc>,
    /// The item exactly as the API listed it.
    pub raw: String,
    /// Hash of the item's content, whatever its spelling; equal fingerprints mean nothing changed.
    pub fingerprint: i64,
    /// 1, then one more for each stored change.
    pub version: i64,
    /// When the row was first stored.
    pub first_seen_at: DateTimeUtc,
    /// When a change of it was last stored.
    pub changed_at: DateTimeUtc,
    /// Since when the API no longer lists it; null while it does.
    pub missing_since: Option<DateTimeUtc>,
    /// 1, 2, 3 … over all rows of the table, without holes; given when the row is first stored, for ever.
    pub row_no: i64,
    /// The company that it is of, if the tables belong to another by now; null for all others.
    pub former_company_id: Option<CompanyId>,
}

impl ActiveModelBehavior for ActiveModel {}
