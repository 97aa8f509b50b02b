//! Maps wallets to their rows.

use lumo_bridge_entity::stream;
use lumo_bridge_entity::wallet::{Column, Entity, Model};
use sea_orm::{DbBackend, Value};

use super::{Mirrored, amount};
use crate::model::diff::Stored;
use crate::model::record::Wallet;

impl Mirrored for Wallet {
    type Entity = Entity;

    const ID: Column = Column::Id;
    const FINGERPRINT: Column = Column::Fingerprint;
    const MISSING_SINCE: Column = Column::MissingSince;
    const EXTERNAL_ID: Column = Column::ExternalId;
    const CREATED_AT: Column = Column::CreatedAt;
    const FIRST_SEEN_AT: Column = Column::FirstSeenAt;
    const ROW_NO: Column = Column::RowNo;
    const FORMER_COMPANY: Column = Column::FormerCompanyId;
    const COUNTER: &'static str = stream::WALLETS;

    fn stored(row: Model) -> Stored<Self> {
        Stored {
            version: row.version,
            first_seen_at: row.first_seen_at,
            changed_at: row.changed_at,
            missing_since: row.missing_since,
            row_no: row.row_no,
            record: Self {
                id: row.id,
                company_id: row.company_id,
                external_id: row.external_id,
                address: row.address,
                is_blocked: row.is_blocked,
                block_reason: row.block_reason,
                last_usdt_balance: row.last_usdt_balance,
                last_trx_balance: row.last_trx_balance,
                created_at: row.created_at,
                raw: row.raw.into(),
                fingerprint: row.fingerprint,
            },
        }
    }

    fn values(stored: Stored<Self>, backend: DbBackend) -> Vec<Value> {
        let wallet = stored.record;
        vec![
            wallet.id.into(),
            wallet.company_id.into(),
            wallet.external_id.into(),
            wallet.address.into(),
            wallet.is_blocked.into(),
            wallet.block_reason.into(),
            amount(wallet.last_usdt_balance, backend),
            amount(wallet.last_trx_balance, backend),
            wallet.created_at.into(),
            (&*wallet.raw).into(),
            wallet.fingerprint.into(),
            stored.version.into(),
            stored.first_seen_at.into(),
            stored.changed_at.into(),
            stored.missing_since.into(),
            stored.row_no.into(),
            // A listed row belongs to the company of the tables, not to a former one.
            Value::String(None),
        ]
    }
}
