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
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DepositId,
    pub company_id: Option<CompanyId>,
    pub wallet_id: Option<WalletId>,
    pub external_id: Option<ExternalId>,
    pub address: Option<String>,
    pub from_address: Option<String>,
    pub tx_hash: Option<String>,
    pub amount: Option<Amount>,
    pub currency: Option<String>,
    pub status: String,
    pub confirmations: Option<i64>,
    pub block_number: Option<i64>,
    pub created_at: Option<DateTimeUtc>,
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
    pub first_seen_at: DateTimeUtc,
    pub changed_at: DateTimeUtc,
    /// Since when the API no longer lists it; null while it does.
    pub missing_since: Option<DateTimeUtc>,
    /// 1, 2, 3 … over all rows of the table, without holes; given when the row is first stored, for ever.
    pub row_no: i64,
    /// The company that it is of, if the tables belong to another by now; see [`crate::account`].
    pub former_company_id: Option<CompanyId>,
}

impl ActiveModelBehavior for ActiveModel {}
