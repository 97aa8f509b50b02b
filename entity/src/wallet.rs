//! `lumo_user_wallets`: every user wallet as the API last showed it.

use sea_orm::entity::prelude::*;

use crate::Amount;
use crate::id::{CompanyId, ExternalId, WalletId};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "lumo_user_wallets")]
pub struct Model {
    /// The wallet's id at Lumo.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: WalletId,
    /// The company's id at Lumo.
    pub company_id: CompanyId,
    /// The user's id in the merchant's own system.
    pub external_id: ExternalId,
    /// Where the user pays to.
    pub address: Option<String>,
    /// Whether it is blocked at Lumo.
    pub is_blocked: bool,
    /// Why, as Lumo tells it.
    pub block_reason: Option<String>,
    /// Its balance in USDT, as Lumo last told it.
    pub last_usdt_balance: Option<Amount>,
    /// Its balance in TRX, likewise.
    pub last_trx_balance: Option<Amount>,
    /// When it was created, as Lumo tells it.
    pub created_at: DateTimeUtc,
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
