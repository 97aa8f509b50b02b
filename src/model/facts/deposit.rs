//! Events about deposits.

use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{Changes, Context, NO_COMPANY};
use crate::model::Amount;
use crate::model::diff::{Change, Stored};
use crate::model::draft::{self, Draft, Origin, rfc3339};
use crate::model::event::EventType;
use crate::model::id::{CompanyId, ExternalId, WalletId};
use crate::model::record::Deposit;

#[derive(Serialize)]
struct Object<'a> {
    kind: &'static str,
    id: &'a str,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    company_id: Option<&'a CompanyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a ExternalId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_id: Option<&'a WalletId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_address: Option<&'a str>,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<&'a Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmations: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_number: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

/// The event of one change of a deposit; none if it is to be stored without a word.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn deposit_event(change: &Change<Deposit>, context: &Context<'_>) -> serde_json::Result<Option<Draft>> {
    let deposit = change.record();
    let company = deposit.company_id.as_ref().map_or(NO_COMPANY, |id| id.as_str());
    let object_id = deposit.id.as_str();
    let (kind, id, origin, occurred_at, changes) = match change {
        Change::Appeared(_) => {
            let Some(origin) = context.announce.origin(deposit.created_at) else { return Ok(None) };
            let kind = EventType::DepositCreated;
            let occurred_at = deposit.created_at.unwrap_or(context.now);
            (kind, draft::once(company, kind, object_id), origin, occurred_at, None)
        }
        Change::Changed { old, .. } => {
            let changes = changes(old, deposit);
            let kind = if changes.has("status") { EventType::DepositStatusChanged } else { EventType::DepositUpdated };
            let id = draft::repeated(company, kind, object_id, change.version(), context.generation);
            let updated = deposit.updated_at.filter(|time| old.record.updated_at.is_none_or(|before| before < *time));
            (kind, id, Origin::Live, updated.unwrap_or(context.now), Some(changes))
        }
        Change::Vanished(_) => {
            let kind = EventType::DepositMissing;
            let id = draft::repeated(company, kind, object_id, change.version(), context.generation);
            (kind, id, Origin::Live, context.now, Some(Changes::vanished(context.now)))
        }
    };
    let object = Object {
        kind: "deposit",
        id: object_id,
        version: change.version(),
        company_id: deposit.company_id.as_ref(),
        external_id: deposit.external_id.as_ref(),
        wallet_id: deposit.wallet_id.as_ref(),
        address: deposit.address.as_deref(),
        from_address: deposit.from_address.as_deref(),
        status: &deposit.status,
        amount: deposit.amount.as_ref(),
        currency: deposit.currency.as_deref(),
        tx_hash: deposit.tx_hash.as_deref(),
        confirmations: deposit.confirmations,
        block_number: deposit.block_number,
        created_at: deposit.created_at.map(rfc3339),
        updated_at: deposit.updated_at.map(rfc3339),
    };
    Ok(Some(Draft {
        id,
        kind,
        stream: stream(deposit),
        object_kind: "deposit",
        object_id: object_id.to_owned(),
        external_id: deposit.external_id.clone(),
        occurred_at,
        detected_at: context.now,
        origin,
        object: to_raw_value(&object)?,
        changes: changes.map(|changes| changes.to_json()).transpose()?,
        upstream: Some(serde_json::from_str(&deposit.raw)?),
    }))
}

fn stream(deposit: &Deposit) -> String {
    match (&deposit.external_id, &deposit.wallet_id) {
        (Some(user), _) => format!("user:{user}"),
        (None, Some(wallet)) => format!("wallet:{wallet}"),
        (None, None) => format!("deposit:{}", deposit.id),
    }
}

/// Where each typed field of a deposit comes from is configurable, so a member that feeds one may be told twice: under
/// the field and under its own name.
fn changes(stored: &Stored<Deposit>, new: &Deposit) -> Changes {
    let old = &stored.record;
    let mut changes = Changes::default();
    changes.note("company_id", &old.company_id, &new.company_id);
    changes.note("external_id", &old.external_id, &new.external_id);
    changes.note("wallet_id", &old.wallet_id, &new.wallet_id);
    changes.note("address", &old.address, &new.address);
    changes.note("from_address", &old.from_address, &new.from_address);
    changes.note("status", &old.status, &new.status);
    changes.note("amount", &old.amount, &new.amount);
    changes.note("currency", &old.currency, &new.currency);
    changes.note("tx_hash", &old.tx_hash, &new.tx_hash);
    changes.note("confirmations", &old.confirmations, &new.confirmations);
    changes.note("block_number", &old.block_number, &new.block_number);
    changes.note("created_at", &old.created_at.map(rfc3339), &new.created_at.map(rfc3339));
    changes.note("updated_at", &old.updated_at.map(rfc3339), &new.updated_at.map(rfc3339));
    changes.note("missing_since", &stored.missing_since.map(rfc3339), &None);
    changes.note_members(&old.raw, &new.raw, &["id", "status"]);
    changes
}
