//! Lists, page by page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Items on a page unless asked otherwise.
const USUAL: u64 = 50;
/// Most items on a page.
const MOST: u64 = 500;

/// A part of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct Page<T> {
    data: Vec<T>,
    /// What to give as `after` for the next page; null on the last one.
    next: Option<String>,
}

/// How many items to list.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
#[schemars(inline, extend("minimum" = 1, "maximum" = MOST, "default" = USUAL))]
pub(super) struct Limit(u64);

impl Default for Limit {
    fn default() -> Self {
        Self(USUAL)
    }
}

impl TryFrom<u64> for Limit {
    type Error = String;

    fn try_from(limit: u64) -> Result<Self, String> {
        if (1..=MOST).contains(&limit) { Ok(Self(limit)) } else { Err(format!("limit is {limit}; take 1 to {MOST}")) }
    }
}

impl Limit {
    /// How many to load: one more than is shown, to know whether there are more.
    pub(super) const fn probe(self) -> u64 {
        self.0 + 1
    }

    /// The page of what was loaded.
    pub(super) fn page<R, T>(self, mut rows: Vec<R>, show: impl Fn(&R) -> T, id: impl Fn(&R) -> String) -> Page<T> {
        let limit = usize::try_from(self.0).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(id);
        Page { data: rows.iter().map(show).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_has_no_next() {
        let page = |rows: &[u8]| Limit(2).page(rows.to_vec(), |row| *row, ToString::to_string);
        assert_eq!((page(&[1, 2, 3]).data, page(&[1, 2, 3]).next.as_deref()), (vec![1, 2], Some("2")));
        assert_eq!((page(&[1, 2]).data, page(&[1, 2]).next), (vec![1, 2], None));
        assert_eq!(page(&[]).next, None);
    }

    #[test]
    fn a_limit_has_bounds() {
        assert!(Limit::try_from(0).is_err() && Limit::try_from(501).is_err() && Limit::try_from(500).is_ok());
    }
}
