//! A user wallet. Its fields are published, so it is read strictly; what else an item has is nobody's business.
//!
//! Strictly with two exceptions: a balance may be a string, and a reason for a block is prose that must not keep the
//! block itself from being known.

use super::value::{self, Problem};
use super::{Fault, Item};
use crate::model::fingerprint::Members;
use crate::model::record::Wallet;

/// Reads one item of `wallets`, or the answer of a write.
pub(super) fn read(raw: &str, members: &Members<'_>) -> Result<Wallet, Fault> {
    Ok(Wallet {
        id: required(members, "id", value::id)?,
        company_id: required(members, "companyId", value::id)?,
        external_id: required(members, "externalId", value::id)?,
        address: required(members, "address", value::line)?,
        is_blocked: required(members, "isBlocked", value::boolean)?,
        block_reason: optional(members, "blockReason", value::prose)?,
        last_usdt_balance: required(members, "lastUsdtBalance", value::amount)?,
        last_trx_balance: required(members, "lastTrxBalance", value::amount)?,
        created_at: required(members, "createdAt", value::time)?,
        raw: raw.to_owned(),
        fingerprint: members.fingerprint(),
    })
}

impl Item for Wallet {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fingerprint(&self) -> i64 {
        self.fingerprint
    }
}

fn required<'a, T>(
    members: &Members<'a>,
    key: &str,
    read: impl FnOnce(&'a str) -> Result<T, Problem>,
) -> Result<T, Fault> {
    members.get(key).ok_or(Problem::Missing).and_then(read).map_err(|problem| Fault::new(key, problem))
}

fn optional<'a, T>(
    members: &Members<'a>,
    key: &str,
    read: impl FnOnce(&'a str) -> Result<T, Problem>,
) -> Result<Option<T>, Fault> {
    let value = members.get(key).filter(|value| *value != "null");
    value.map(read).transpose().map_err(|problem| Fault::new(key, problem))
}
