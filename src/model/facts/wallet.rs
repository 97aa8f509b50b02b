//! Events about wallets.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{AMOUNT, Changes, Context, Fact};
use crate::model::Amount;
use crate::model::diff::{Change, Stored};
use crate::model::draft::{self, Draft, Origin, Upstream, rfc3339};
use crate::model::event::EventType;
use crate::model::id::WalletId;
use crate::model::record::Wallet;

/// The wallet that the same user had before this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    pub id: WalletId,
    pub address: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// A wallet, as it is now. What could not be read of the listed item is absent.
#[derive(Serialize, JsonSchema)]
pub(super) struct Object<'a> {
    /// What it is: `wallet`.
    kind: &'static str,
    /// The wallet's id at Lumo.
    id: &'a str,
    /// 1, then one more with each stored change: the highest is the newest.
    version: i64,
    /// The company's id at Lumo.
    company_id: &'a str,
    /// Your own id of the user.
    external_id: &'a str,
    /// Where the user pays to.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    /// Whether it is blocked.
    is_blocked: bool,
    /// Why it is blocked, if that was told.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    block_reason: Option<&'a str>,
    /// Exact, as decimal digits.
    #[schemars(with = "String", extend("pattern" = AMOUNT))]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_usdt_balance: Option<&'a Amount>,
    /// Exact, as decimal digits.
    #[schemars(with = "String", extend("pattern" = AMOUNT))]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_trx_balance: Option<&'a Amount>,
    /// When it was created.
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
}

const BALANCES: [&str; 2] = ["last_usdt_balance", "last_trx_balance"];

/// The members of a listed wallet that [`Object`] has fields for.
const TYPED: [&str; 9] = [
    "id",
    "companyId",
    "externalId",
    "address",
    "isBlocked",
    "blockReason",
    "lastUsdtBalance",
    "lastTrxBalance",
    "createdAt",
];

/// The events of one change of a wallet, in order; none if it is stored without an event.
///
/// A wallet that is blocked when it is first seen has two: it appeared, and it is blocked. `predecessor` is the newest wallet
/// of the same user that is older than this one.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn wallet_events(
    change: &Change<Wallet>,
    predecessor: Option<&Predecessor>,
    context: &Context<'_>,
) -> serde_json::Result<Vec<Draft>> {
    let wallet = change.record();
    let company = wallet.company_id.as_str();
    let object_id = wallet.id.as_str();
    let (kind, changes) = match change {
        Change::Appeared(_) => {
            let Some(origin) = context.announce.origin(Some(wallet.created_at)) else { return Ok(Vec::new()) };
            let facts = [
                Some(appeared(wallet, predecessor, origin)),
                first_seen_blocked(wallet, origin, context.generation, context.now),
            ];
            return facts.into_iter().flatten().map(|fact| put(wallet, change.version(), fact, context.now)).collect();
        }
        Change::Changed { old, .. } => {
            let changes = changes(&old.record, wallet, old.missing_since);
            let kind = if changes.has("is_blocked") {
                if wallet.is_blocked { EventType::WalletBlocked } else { EventType::WalletUnblocked }
            } else if changes.only(&BALANCES) {
                if !context.balances {
                    return Ok(Vec::new());
                }
                EventType::WalletBalanceChanged
            } else {
                EventType::WalletUpdated
            };
            (kind, changes)
        }
        Change::Vanished(_) => (EventType::WalletMissing, Changes::vanished(context.now)),
    };
    let id = draft::repeated(company, kind, object_id, change.version(), context.generation);
    let fact = Fact { kind, id, origin: Origin::Live, occurred_at: context.now, changes: Some(changes) };
    Ok(vec![put(wallet, change.version(), fact, context.now)?])
}

/// The event that would have announced a wallet as it appeared, with what is known of the wallet by now.
///
/// # Errors
/// As [`wallet_events`].
pub fn wallet_history(
    stored: &Stored<Wallet>,
    predecessor: Option<&Predecessor>,
    now: DateTime<Utc>,
) -> serde_json::Result<Draft> {
    put(&stored.record, stored.version, appeared(&stored.record, predecessor, Origin::Backfill), now)
}

/// The event of the block of a wallet whose block was never announced; `None` if it is not blocked.
///
/// # Errors
/// As [`wallet_events`].
pub fn block_history(
    stored: &Stored<Wallet>,
    generation: &str,
    now: DateTime<Utc>,
) -> serde_json::Result<Option<Draft>> {
    let fact = first_seen_blocked(&stored.record, Origin::Backfill, generation, now);
    fact.map(|fact| put(&stored.record, stored.version, fact, now)).transpose()
}

/// That a wallet was blocked already when it was first seen, in version 1 of its row. Nobody knows since when: the time of
/// the event is that of the reading.
fn first_seen_blocked(wallet: &Wallet, origin: Origin, generation: &str, now: DateTime<Utc>) -> Option<Fact> {
    if !wallet.is_blocked {
        return None;
    }
    let kind = EventType::WalletBlocked;
    let id = draft::repeated(wallet.company_id.as_str(), kind, wallet.id.as_str(), 1, generation);
    let mut changes = Changes::default();
    changes.note("is_blocked", &None, &Some(true));
    changes.note("block_reason", &None, &wallet.block_reason);
    // A clock that is behind must not put the block before the wallet.
    let occurred_at = now.max(wallet.created_at);
    Some(Fact { kind, id, origin, occurred_at, changes: Some(changes) })
}

fn appeared(wallet: &Wallet, predecessor: Option<&Predecessor>, origin: Origin) -> Fact {
    let changes = predecessor.map(|old| {
        let mut changes = Changes::default();
        changes.note("wallet_id", &old.id, &wallet.id);
        changes.note("address", &old.address, &wallet.address);
        changes
    });
    let kind = if changes.is_some() { EventType::WalletReplaced } else { EventType::WalletCreated };
    let id = draft::once(wallet.company_id.as_str(), kind, wallet.id.as_str());
    Fact { kind, id, origin, occurred_at: wallet.created_at, changes }
}

fn put(wallet: &Wallet, version: i64, fact: Fact, now: DateTime<Utc>) -> serde_json::Result<Draft> {
    let object = Object {
        kind: "wallet",
        id: wallet.id.as_str(),
        version,
        company_id: wallet.company_id.as_str(),
        external_id: wallet.external_id.as_str(),
        address: wallet.address.as_deref(),
        is_blocked: wallet.is_blocked,
        block_reason: wallet.block_reason.as_deref(),
        last_usdt_balance: wallet.last_usdt_balance.as_ref(),
        last_trx_balance: wallet.last_trx_balance.as_ref(),
        created_at: rfc3339(wallet.created_at),
    };
    Ok(Draft {
        id: fact.id,
        kind: fact.kind,
        stream: format!("user:{}", wallet.external_id),
        object_kind: "wallet",
        object_id: wallet.id.as_str().to_owned(),
        external_id: Some(wallet.external_id.clone()),
        occurred_at: fact.occurred_at,
        detected_at: now,
        origin: fact.origin,
        object: to_raw_value(&object)?,
        changes: fact.changes.as_ref().map(Changes::to_json).transpose()?,
        upstream: Some(Upstream::new(&wallet.raw, fact.changes.as_ref().map_or(&[], Changes::altered))?),
    })
}

fn changes(old: &Wallet, new: &Wallet, missing_since: Option<DateTime<Utc>>) -> Changes {
    let mut changes = Changes::default();
    changes.note("company_id", &old.company_id, &new.company_id);
    changes.note("external_id", &old.external_id, &new.external_id);
    changes.note("address", &old.address, &new.address);
    changes.note("is_blocked", &old.is_blocked, &new.is_blocked);
    changes.note("block_reason", &old.block_reason, &new.block_reason);
    changes.note("last_usdt_balance", &old.last_usdt_balance, &new.last_usdt_balance);
    changes.note("last_trx_balance", &old.last_trx_balance, &new.last_trx_balance);
    changes.note("created_at", &rfc3339(old.created_at), &rfc3339(new.created_at));
    changes.note("missing_since", &missing_since.map(rfc3339), &None);
    changes.note_members(&old.raw, &new.raw, &TYPED);
    changes
}
