//! Events about deposits.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{AMOUNT, Changes, Context, Fact, NO_COMPANY};
use crate::model::Amount;
use crate::model::diff::{Change, Stored};
use crate::model::draft::{self, Draft, Origin, Upstream, rfc3339};
use crate::model::event::EventType;
use crate::model::id::{CompanyId, ExternalId, WalletId};
use crate::model::record::Deposit;

/// A deposit, as it is now. What could not be derived from the listed item is absent.
#[derive(Serialize, JsonSchema)]
pub(super) struct Object<'a> {
    /// What it is: `deposit`.
    kind: &'static str,
    /// The deposit's id at Lumo.
    id: &'a str,
    /// 1, then one more with each stored change: the highest is the newest.
    version: i64,
    /// The company's id at Lumo.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    company_id: Option<&'a CompanyId>,
    /// Your own id of the user.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<&'a ExternalId>,
    /// The id of the wallet that was paid to.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet_id: Option<&'a WalletId>,
    /// The address that was paid to.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    /// The address that paid.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    from_address: Option<&'a str>,
    /// How far it has come, as Lumo spells it; `new` comes first.
    status: &'a str,
    /// Exact, as decimal digits.
    #[schemars(with = "String", extend("pattern" = AMOUNT))]
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<&'a Amount>,
    /// Of what.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'a str>,
    /// The transaction on the chain.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    tx_hash: Option<&'a str>,
    /// Blocks on top of it.
    #[schemars(with = "i64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmations: Option<i64>,
    /// Its block.
    #[schemars(with = "i64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    block_number: Option<i64>,
    /// When it appeared.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// When it last changed.
    #[schemars(with = "String", extend("format" = "date-time"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
}

/// The event of one change of a deposit; none if it is to be stored without a word.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn deposit_event(change: &Change<Deposit>, context: &Context<'_>) -> serde_json::Result<Option<Draft>> {
    let deposit = change.record();
    let (kind, occurred_at, changes) = match change {
        Change::Appeared(_) => {
            let Some(origin) = context.announce.origin(deposit.created_at) else { return Ok(None) };
            let occurred_at = deposit.created_at.unwrap_or(context.now);
            return put(deposit, change.version(), appeared(deposit, occurred_at, origin), context.now).map(Some);
        }
        Change::Changed { old, .. } => {
            let changes = changes(old, deposit);
            let kind = if changes.has("status") { EventType::DepositStatusChanged } else { EventType::DepositUpdated };
            (kind, updated_at(old, deposit).unwrap_or(context.now), changes)
        }
        Change::Vanished(_) => (EventType::DepositMissing, context.now, Changes::vanished(context.now)),
    };
    let id = draft::repeated(company(deposit), kind, deposit.id.as_str(), change.version(), context.generation);
    let fact = Fact { kind, id, origin: Origin::Live, occurred_at, changes: Some(changes) };
    put(deposit, change.version(), fact, context.now).map(Some)
}

/// That the money is there, if this change is what settled the deposit and it is not stored without a word.
///
/// # Errors
/// As [`deposit_event`].
pub fn settled_event(change: &Change<Deposit>, context: &Context<'_>) -> serde_json::Result<Option<Draft>> {
    if !context.settled.is_news(change) {
        return Ok(None);
    }
    let deposit = change.record();
    let (origin, occurred_at, changes) = match change {
        Change::Changed { old, .. } => {
            let mut changes = Changes::default();
            changes.note("status", &old.record.status, &deposit.status);
            (Some(Origin::Live), updated_at(old, deposit).unwrap_or(context.now), Some(changes))
        }
        _ => (context.announce.origin(deposit.created_at), deposit.created_at.unwrap_or(context.now), None),
    };
    let Some(origin) = origin else { return Ok(None) };
    let kind = EventType::DepositSettled;
    let id = draft::once(company(deposit), kind, deposit.id.as_str());
    put(deposit, change.version(), Fact { kind, id, origin, occurred_at, changes }, context.now).map(Some)
}

/// When Lumo says that it changed, if that is newer than what it said before.
fn updated_at(old: &Stored<Deposit>, new: &Deposit) -> Option<DateTime<Utc>> {
    new.updated_at.filter(|time| old.record.updated_at.is_none_or(|before| before < *time))
}

/// The event that would have told of a deposit as it appeared, with what is known of the deposit by now.
///
/// # Errors
/// As [`deposit_event`].
pub fn deposit_history(stored: &Stored<Deposit>, now: DateTime<Utc>) -> serde_json::Result<Draft> {
    let deposit = &stored.record;
    let occurred_at = deposit.created_at.unwrap_or(stored.first_seen_at);
    put(deposit, stored.version, appeared(deposit, occurred_at, Origin::Backfill), now)
}

fn appeared(deposit: &Deposit, occurred_at: DateTime<Utc>, origin: Origin) -> Fact {
    let kind = EventType::DepositCreated;
    let id = draft::once(company(deposit), kind, deposit.id.as_str());
    Fact { kind, id, origin, occurred_at, changes: None }
}

fn company(deposit: &Deposit) -> &str {
    deposit.company_id.as_ref().map_or(NO_COMPANY, |id| id.as_str())
}

fn put(deposit: &Deposit, version: i64, fact: Fact, now: DateTime<Utc>) -> serde_json::Result<Draft> {
    let object = Object {
        kind: "deposit",
        id: deposit.id.as_str(),
        version,
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
    Ok(Draft {
        id: fact.id,
        kind: fact.kind,
        stream: stream(deposit),
        object_kind: "deposit",
        object_id: deposit.id.as_str().to_owned(),
        external_id: deposit.external_id.clone(),
        occurred_at: fact.occurred_at,
        detected_at: now,
        origin: fact.origin,
        object: to_raw_value(&object)?,
        changes: fact.changes.as_ref().map(Changes::to_json).transpose()?,
        upstream: Some(Upstream::new(&deposit.raw, fact.changes.as_ref().map_or(&[], Changes::altered))?),
    })
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
