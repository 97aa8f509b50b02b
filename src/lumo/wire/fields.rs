//! Where a deposit keeps what: the configured paths, prepared once, looked up in every item.
//!
//! For each fact there is a list of dotted paths. The first that leads to a value of a usable type is the hit; null, an
//! empty string, and a list or object where a plain value belongs are passed over. A hit that cannot be read makes the
//! fact absent: a wrong amount would be worse than none, and the next path may well mean something else.

use std::cmp::Ordering;

use super::value::{is_number, is_string};
use crate::lumo::config::DepositFields;
use crate::model::fingerprint::Members;
use crate::setting::Text;

/// [`DepositFields`], prepared.
#[derive(Clone, Debug)]
pub(in crate::lumo) struct Fields {
    /// The first segments of all paths: sorted [`by_length`], each once.
    heads: Vec<String>,
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

/// A dotted path, its first segment replaced by that segment's place among the heads.
#[derive(Clone, Debug)]
pub(super) struct Path {
    head: usize,
    rest: Vec<String>,
}

/// The members of one item that some path begins with, in the order of the heads.
pub(super) struct Found<'a>(Vec<Option<&'a str>>);

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
        let all = [
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
        ];
        let mut heads: Vec<String> =
            all.into_iter().flatten().filter_map(|path| path.split('.').next()).map(str::to_owned).collect();
        heads.sort_unstable_by(|a, b| by_length(a, b));
        heads.dedup();

        let path = |path: &Text| {
            let mut segments = path.split('.');
            let head = segments.next().and_then(|head| heads.binary_search_by(|known| by_length(known, head)).ok())?;
            Some(Path { head, rest: segments.map(str::to_owned).collect() })
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
            heads,
        }
    }

    /// Picks out of an item what any path may want, in one go.
    pub(super) fn find<'a>(&self, members: &Members<'a>) -> Found<'a> {
        let mut found = vec![None; self.heads.len()];
        for (key, value) in members.iter() {
            let head = self.heads.binary_search_by(|known| by_length(known, key));
            if let Some(slot) = head.ok().and_then(|head| found.get_mut(head)) {
                *slot = Some(value);
            }
        }
        Found(found)
    }
}

impl<'a> Found<'a> {
    /// The first path's value that is a string.
    pub(super) fn string(&self, paths: &[Path]) -> Option<&'a str> {
        self.first(paths, is_string)
    }

    /// The first path's value that is a string or a number.
    pub(super) fn string_or_number(&self, paths: &[Path]) -> Option<&'a str> {
        self.first(paths, |value| is_string(value) || is_number(value))
    }

    fn first(&self, paths: &[Path], usable: impl Fn(&str) -> bool) -> Option<&'a str> {
        paths.iter().filter_map(|path| self.value(path)).find(|value| usable(value) && *value != "\"\"")
    }

    fn value(&self, path: &Path) -> Option<&'a str> {
        let head = *self.0.get(path.head)?;
        path.rest.iter().try_fold(head?, |value, segment| {
            if value.starts_with('{') { Members::parse(value).ok()?.get(segment) } else { None }
        })
    }
}

/// Shorter first, because most keys differ in length already and every member of every item is looked up.
fn by_length(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}
