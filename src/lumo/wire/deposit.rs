//! A user deposit. Its fields are not published: an id it must have, everything else is looked for where the
//! configuration says, and is absent where it is not found or makes no sense. The item's text keeps it all.

use super::fields::Fields;
use super::value::{self, Problem};
use super::{Fault, Item};
use crate::model::fingerprint::Members;
use crate::model::record::Deposit;

/// The status of a deposit that has none.
const UNKNOWN: &str = "unknown";

/// Reads one item of `deposits`.
pub(super) fn read(raw: &str, members: &Members<'_>, fields: &Fields) -> Result<Deposit, Fault> {
    let id = members.get("id").ok_or(Problem::Missing).and_then(value::id_or_number);
    let found = fields.find(members);
    let line = |paths| found.string(paths).and_then(|value| value::line(value).ok());
    Ok(Deposit {
        id: id.map_err(|problem| Fault::new("id", problem))?,
        company_id: found.string_or_number(&fields.company_id).and_then(|value| value::id_or_number(value).ok()),
        wallet_id: found.string_or_number(&fields.wallet_id).and_then(|value| value::id_or_number(value).ok()),
        external_id: found.string_or_number(&fields.external_id).and_then(|value| value::id_or_number(value).ok()),
        address: line(&fields.address),
        from_address: line(&fields.from_address),
        tx_hash: line(&fields.tx_hash),
        amount: found.string_or_number(&fields.amount).and_then(|value| value::amount(value).ok()),
        currency: line(&fields.currency),
        status: line(&fields.status).unwrap_or_else(|| UNKNOWN.to_owned()),
        confirmations: found.string_or_number(&fields.confirmations).and_then(|value| value::integer(value).ok()),
        block_number: found.string_or_number(&fields.block_number).and_then(|value| value::integer(value).ok()),
        created_at: found.string_or_number(&fields.created_at).and_then(|value| value::time_or_number(value).ok()),
        updated_at: found.string_or_number(&fields.updated_at).and_then(|value| value::time_or_number(value).ok()),
        raw: raw.to_owned(),
        fingerprint: members.fingerprint(),
    })
}

impl Item for Deposit {
    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fingerprint(&self) -> i64 {
        self.fingerprint
    }
}
