//! Looks up each fact about a deposit in the listed item, along the configured paths.
//!
//! Each fact has a list of dotted paths. The first path that leads to a value of a usable type is the hit; null, an
//! empty string, and a list or object where a plain value belongs are skipped. A hit that cannot be parsed makes the
//! fact absent: a wrong amount would be worse than none, and the next path may well mean something else.

use super::value::{is_number, is_string};
use crate::lumo::config::DepositFields;
use crate::model::fingerprint::Members;
use crate::setting::Text;

/// [`DepositFields`], prepared for lookups.
#[derive(Clone, Debug)]
pub(in crate::lumo) struct Fields {
    pub(super) wallet_id: Vec<Path>,
    pub(super) external_id: Vec<Path>,
    pub(super) company_id: Vec<Path>,
    pub(super) address: Vec<Path>,
    pub(super) from_address: Vec<Path>,
    pub(super) tx_hash: Vec<Path>,
    pub(super) amount: Vec<Path>,
    pub(super) currency: Vec<Path>,
    pub(super) status: Vec<Path>,
    pub(super) confirmations: Vec<Path>,
    pub(super) block_number: Vec<Path>,
    pub(super) created_at: Vec<Path>,
    pub(super) updated_at: Vec<Path>,
}

/// A dotted path, split at its dots.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// The objects to descend into.
    parents: Vec<String>,
    last: String,
}

impl Fields {
    pub(in crate::lumo) fn compile(config: &DepositFields) -> Self {
        let DepositFields {
            wallet_id,
            external_id,
            company_id,
            address,
            from_address,
            tx_hash,
            amount,
            currency,
            status,
            confirmations,
            block_number,
            created_at,
            updated_at,
        } = config;
        let path = |path: &Text| {
            let mut parents: Vec<String> = path.split('.').map(str::to_owned).collect();
            let last = parents.pop()?;
            Some(Path { parents, last })
        };
        let paths = |list: &[Text]| list.iter().filter_map(path).collect();
        Self {
            wallet_id: paths(wallet_id),
            external_id: paths(external_id),
            company_id: paths(company_id),
            address: paths(address),
            from_address: paths(from_address),
            tx_hash: paths(tx_hash),
            amount: paths(amount),
            currency: paths(currency),
            status: paths(status),
            confirmations: paths(confirmations),
            block_number: paths(block_number),
            created_at: paths(created_at),
            updated_at: paths(updated_at),
        }
    }
}

/// The first path's value that is a string.
pub(super) fn string<'a>(members: &Members<'a>, paths: &[Path]) -> Option<&'a str> {
    first(members, paths, is_string)
}

/// The first path's value that is a string or a number.
pub(super) fn string_or_number<'a>(members: &Members<'a>, paths: &[Path]) -> Option<&'a str> {
    first(members, paths, |value| is_string(value) || is_number(value))
}

fn first<'a>(members: &Members<'a>, paths: &[Path], usable: impl Fn(&str) -> bool) -> Option<&'a str> {
    paths.iter().filter_map(|path| path.value(members)).find(|value| usable(value) && *value != "\"\"")
}

impl Path {
    fn value<'a>(&self, members: &Members<'a>) -> Option<&'a str> {
        let Some((first, others)) = self.parents.split_first() else { return members.get(&self.last) };
        let parent = members.descend(first)?;
        others.iter().try_fold(parent, |parent, segment| parent.descend(segment))?.get(&self.last)
    }
}
