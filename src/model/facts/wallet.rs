//! Events about wallets.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;

use super::{AMOUNT, Changes, Context, Fact};
use crate::model::Amount;
use crate::model::diff::{Change, Stored};
use crate::model::draft::{self, Draft, Origin, rfc3339};
use crate::model::event::EventType;
use crate::model::id::WalletId;
use crate::model::record::Wallet;

/// The wallet that the same user had before this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Predecessor {
    pub id: WalletId,
    pub address: String,
    pub created_at: DateTime<Utc>,
}

/// A wallet, as it is now.
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
    address: &'a str,
    /// Whether it is blocked.
    is_blocked: bool,
    /// Why it is blocked, if that was told.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    block_reason: Option<&'a str>,
    /// Exact, as decimal digits.
    #[schemars(with = "String", extend("pattern" = AMOUNT))]
    last_usdt_balance: &'a Amount,
    /// Exact, as decimal digits.
    #[schemars(with = "String", extend("pattern" = AMOUNT))]
    last_trx_balance: &'a Amount,
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

/// The event of one change of a wallet; none if it is to be stored without a word.
///
/// `predecessor` is the newest wallet of the same user that is older than this one.
///
/// # Errors
/// Only if serialising fails, which plain texts and numbers give no cause for.
pub fn wallet_event(
    change: &Change<Wallet>,
    predecessor: Option<&Predecessor>,
    context: &Context<'_>,
) -> serde_json::Result<Option<Draft>> {
    let wallet = change.record();
    let company = wallet.company_id.as_str();
    let object_id = wallet.id.as_str();
    let (kind, changes) = match change {
        Change::Appeared(_) => {
            let Some(origin) = context.announce.origin(Some(wallet.created_at)) else { return Ok(None) };
            return put(wallet, change.version(), appeared(wallet, predecessor, origin), context.now).map(Some);
        }
        Change::Changed { old, .. } => {
            let changes = changes(&old.record, wallet, old.missing_since);
            let kind = if changes.has("is_blocked") {
                if wallet.is_blocked { EventType::WalletBlocked } else { EventType::WalletUnblocked }
            } else if changes.only(&BALANCES) {
                if !context.balances {
                    return Ok(None);
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
    put(wallet, change.version(), fact, context.now).map(Some)
}

/// The event that would have told of a wallet as it appeared, with what is known of the wallet by now.
///
/// # Errors
/// As [`wallet_event`].
pub fn wallet_history(
    stored: &Stored<Wallet>,
    predecessor: Option<&Predecessor>,
    now: DateTime<Utc>,
) -> serde_json::Result<Draft> {
    put(&stored.record, stored.version, appeared(&stored.record, predecessor, Origin::Backfill), now)
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
        address: &wallet.address,
        is_blocked: wallet.is_blocked,
        block_reason: wallet.block_reason.as_deref(),
        last_usdt_balance: &wallet.last_usdt_balance,
        last_trx_balance: &wallet.last_trx_balance,
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
        changes: fact.changes.map(|changes| changes.to_json()).transpose()?,
        upstream: Some(serde_json::from_str(&wallet.raw)?),
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
