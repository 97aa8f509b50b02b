//! Parses a user wallet. The facts on which its identity and its events rest are required: the ids of wallet, company
//! and user, whether it is blocked, and when it was created. Any other field is left out if it is unreadable, because a
//! block must be known whatever else is wrong with the item. The item's text keeps everything.

use super::Fault;
use super::value::{self, Problem};
use crate::model::fingerprint::Members;
use crate::model::raw::Raw;
use crate::model::record::Wallet;

/// Parses one item of `wallets`, or the answer to a write.
pub(super) fn read(raw: Raw, members: &Members<'_>) -> Result<Wallet, Fault> {
    let amount = |key| members.get(key).and_then(|value| value::amount(value).ok());
    Ok(Wallet {
        id: required(members, "id", value::id_or_number)?,
        company_id: required(members, "companyId", value::id_or_number)?,
        external_id: required(members, "externalId", value::id_or_number)?,
        address: members.get("address").and_then(|value| value::line(value).ok()),
        is_blocked: required(members, "isBlocked", value::boolean)?,
        block_reason: members.get("blockReason").and_then(value::prose),
        last_usdt_balance: amount("lastUsdtBalance"),
        last_trx_balance: amount("lastTrxBalance"),
        created_at: required(members, "createdAt", value::time_or_number)?,
        raw,
        fingerprint: members.fingerprint(),
    })
}

fn required<'a, T>(
    members: &Members<'a>,
    key: &str,
    read: impl FnOnce(&'a str) -> Result<T, Problem>,
) -> Result<T, Fault> {
    members.get(key).ok_or(Problem::Missing).and_then(read).map_err(|problem| Fault::new(key, problem))
}
