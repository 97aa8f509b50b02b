//! Records for tests, made from the JSON that the API would list.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::diff::Stored;
use crate::model::fingerprint::fingerprint;
use crate::model::record::{Deposit, Wallet};

/// The one date of the tests.
pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_777_896_000, 0).unwrap()
}

pub(crate) fn wallet(id: &str, user: &str) -> Wallet {
    let wallet = Wallet {
        id: id.parse().unwrap(),
        company_id: "c-1".parse().unwrap(),
        external_id: user.parse().unwrap(),
        address: Some(format!("T-{id}")),
        is_blocked: false,
        block_reason: None,
        last_usdt_balance: "1.5".parse().ok(),
        last_trx_balance: "0".parse().ok(),
        created_at: noon() - TimeDelta::days(1),
        raw: "".into(),
        fingerprint: 0,
    };
    listed_wallet(wallet, "")
}

/// The wallet with the item's text that says the same, and further members.
pub(crate) fn listed_wallet(mut wallet: Wallet, more: &str) -> Wallet {
    let reason = wallet.block_reason.as_ref().map_or("null".to_owned(), |reason| format!("\"{reason}\""));
    wallet.raw = format!(
        r#"{{"id":"{}","companyId":"{}","externalId":"{}","address":"{}","isBlocked":{},"blockReason":{reason},"lastUsdtBalance":{},"lastTrxBalance":{},"createdAt":"{}"{more}}}"#,
        wallet.id,
        wallet.company_id,
        wallet.external_id,
        wallet.address.as_deref().unwrap_or_default(),
        wallet.is_blocked,
        wallet.last_usdt_balance.as_ref().map_or("null", |amount| amount.as_str()),
        wallet.last_trx_balance.as_ref().map_or("null", |amount| amount.as_str()),
        wallet.created_at.to_rfc3339(),
    )
    .into();
    wallet.fingerprint = fingerprint(&wallet.raw);
    wallet
}

pub(crate) fn deposit(id: &str, status: &str, amount: &str) -> Deposit {
    let raw = format!(r#"{{"id":"{id}","status":"{status}","amount":{amount},"externalId":"42"}}"#);
    Deposit {
        id: id.parse().unwrap(),
        company_id: None,
        wallet_id: None,
        external_id: Some("42".parse().unwrap()),
        address: None,
        from_address: None,
        tx_hash: None,
        amount: amount.parse().ok(),
        currency: None,
        status: status.to_owned(),
        confirmations: None,
        block_number: None,
        created_at: Some(noon() - TimeDelta::hours(1)),
        updated_at: None,
        status_since: None,
        settled_at: None,
        fingerprint: fingerprint(&raw),
        raw: raw.into(),
    }
}

/// The record as a row that was stored an hour ago.
pub(crate) fn stored<R>(record: R) -> Stored<R> {
    let at = noon() - TimeDelta::hours(1);
    Stored { record, version: 1, first_seen_at: at, changed_at: at, missing_since: None, row_no: 1 }
}
