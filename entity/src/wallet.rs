//! `lumo_user_wallets`: every user wallet as the API last showed it.

use sea_orm::entity::prelude::*;

use crate::Amount;
use crate::id::{CompanyId, ExternalId, WalletId};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_user_wallets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WalletId,
    pub company_id: CompanyId,
    pub external_id: ExternalId,
    pub address: Option<String>,
    pub is_blocked: bool,
    pub block_reason: Option<String>,
    pub last_usdt_balance: Option<Amount>,
    pub last_trx_balance: Option<Amount>,
    pub created_at: DateTimeUtc,
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
