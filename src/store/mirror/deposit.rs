//! Maps deposits to their rows.

use lumo_bridge_entity::deposit::{Column, Entity, Model};
use lumo_bridge_entity::stream;
use sea_orm::{DbBackend, Value};

use super::{Mirrored, amount};
use crate::model::diff::Stored;
use crate::model::record::Deposit;

impl Mirrored for Deposit {
    type Entity = Entity;

    const ID: Column = Column::Id;
    const FINGERPRINT: Column = Column::Fingerprint;
    const MISSING_SINCE: Column = Column::MissingSince;
    const EXTERNAL_ID: Column = Column::ExternalId;
    const CREATED_AT: Column = Column::CreatedAt;
    const FIRST_SEEN_AT: Column = Column::FirstSeenAt;
    const ROW_NO: Column = Column::RowNo;
    const FORMER_COMPANY: Column = Column::FormerCompanyId;
    const COUNTER: &'static str = stream::DEPOSITS;

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
                wallet_id: row.wallet_id,
                external_id: row.external_id,
                address: row.address,
                from_address: row.from_address,
                tx_hash: row.tx_hash,
                amount: row.amount,
                currency: row.currency,
                status: row.status,
                confirmations: row.confirmations,
                block_number: row.block_number,
                created_at: row.created_at,
                updated_at: row.updated_at,
                status_since: row.status_since,
                settled_at: row.settled_at,
                raw: row.raw.into(),
                fingerprint: row.fingerprint,
            },
        }
    }

    fn values(stored: Stored<Self>, backend: DbBackend) -> Vec<Value> {
        let deposit = stored.record;
        vec![
            deposit.id.into(),
            deposit.company_id.into(),
            deposit.wallet_id.into(),
            deposit.external_id.into(),
            deposit.address.into(),
            deposit.from_address.into(),
            deposit.tx_hash.into(),
            amount(deposit.amount, backend),
            deposit.currency.into(),
            deposit.status.into(),
            deposit.confirmations.into(),
            deposit.block_number.into(),
            deposit.created_at.into(),
            deposit.updated_at.into(),
            deposit.status_since.into(),
            deposit.settled_at.into(),
            (&*deposit.raw).into(),
            deposit.fingerprint.into(),
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
