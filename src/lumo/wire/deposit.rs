//! Parses a user deposit. Its fields are not published: only the id is required. Every other fact is looked up where
//! the configuration says, and is absent if it is not found or makes no sense. The item's text keeps everything.

use super::Fault;
use super::fields::{Fields, Path, string, string_or_number};
use super::value::{self, Problem};
use crate::model::fingerprint::Members;
use crate::model::raw::Raw;
use crate::model::record::Deposit;

/// The status of a deposit that lists none.
const UNKNOWN: &str = "unknown";

/// Parses one item of `deposits`.
pub(super) fn read(raw: Raw, members: &Members<'_>, fields: &Fields) -> Result<Deposit, Fault> {
    let id = members.get("id").ok_or(Problem::Missing).and_then(value::id_or_number);
    let line = |paths: &[Path]| string(members, paths).and_then(|value| value::line(value).ok());
    let plain = |paths: &[Path]| string_or_number(members, paths);
    Ok(Deposit {
        id: id.map_err(|problem| Fault::new("id", problem))?,
        company_id: plain(&fields.company_id).and_then(|value| value::id_or_number(value).ok()),
        wallet_id: plain(&fields.wallet_id).and_then(|value| value::id_or_number(value).ok()),
        external_id: plain(&fields.external_id).and_then(|value| value::id_or_number(value).ok()),
        address: line(&fields.address),
        from_address: line(&fields.from_address),
        tx_hash: line(&fields.tx_hash),
        amount: plain(&fields.amount).and_then(|value| value::amount(value).ok()),
        currency: line(&fields.currency),
        status: line(&fields.status).unwrap_or_else(|| UNKNOWN.to_owned()),
        confirmations: plain(&fields.confirmations).and_then(|value| value::integer(value).ok()),
        block_number: plain(&fields.block_number).and_then(|value| value::integer(value).ok()),
        created_at: plain(&fields.created_at).and_then(|value| value::time_or_number(value).ok()),
        updated_at: plain(&fields.updated_at).and_then(|value| value::time_or_number(value).ok()),
        status_since: None,
        settled_at: None,
        raw,
        fingerprint: members.fingerprint(),
    })
}
