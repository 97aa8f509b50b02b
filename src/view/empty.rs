//! Columns of the deposits that stay empty, and where what belongs there may be.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::Finding;
use super::finding::Severity;
use crate::lumo::DepositFields;
use crate::model::lookalike::lookalikes;
use crate::store::{Error, Store};

/// A column of `lumo_user_deposits` that is empty in every row that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EmptyColumn {
    pub column: &'static str,
    /// How many of the newest deposits were looked at.
    pub rows: i64,
    /// Members of the listed items that look like it, as `lumo.deposit_fields` names them.
    pub candidates: Vec<String>,
}

impl EmptyColumn {
    /// # Errors
    /// If the database fails.
    pub async fn load(store: &Store, fields: &DepositFields) -> Result<Vec<Self>, Error> {
        let empty = store.empty_columns().await?;
        let column = |column: &&'static str| {
            let others = fields.iter().filter(|(field, _)| field != column);
            let known: Vec<&str> = others.flat_map(|(_, paths)| paths.iter().map(|path| path.as_str())).collect();
            Self { column, rows: empty.rows, candidates: lookalikes(column, &empty.items, &known) }
        };
        Ok(empty.columns.iter().map(column).collect())
    }

    /// What is wrong, if something looks like it.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let hint = self.hint()?;
        Some(Finding::new(Severity::Notice, "empty_column", self.to_string()).about("deposits").hint(hint))
    }

    /// What to configure, if something looks like it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let candidate = self.candidates.first()?;
        Some(format!(
            "if it is, set `lumo.deposit_fields.{}: [{candidate}]`; deposits that are stored already are filled when Lumo next \
             changes them",
            self.column
        ))
    }
}

/// What is empty; for those that something looks like.
impl fmt::Display for EmptyColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, rows, candidates } = self;
        write!(f, "`{column}` is empty in all of the newest {rows} deposits")?;
        let candidates: Vec<String> = candidates.iter().map(|path| format!("`{path}`")).collect();
        match candidates.as_slice() {
            [] => Ok(()),
            candidates => write!(f, "; {} of the listed items looks like it", candidates.join(" or ")),
        }
    }
}

/// The columns that nothing looks like, in a sentence; nothing if there are none.
#[must_use]
pub fn unlisted(columns: &[EmptyColumn]) -> Option<String> {
    let unlisted: Vec<&EmptyColumn> = columns.iter().filter(|column| column.candidates.is_empty()).collect();
    let rows = unlisted.first()?.rows;
    let names: Vec<String> = unlisted.iter().map(|column| format!("`{}`", column.column)).collect();
    let (verb, column) = if names.len() == 1 { ("is", "the column") } else { ("are", "one of the columns") };
    Some(format!(
        "{} {verb} empty in all of the newest {rows} deposits, and nothing that Lumo lists looks like it; nothing has to be done \
         unless you want {column}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_named_with_what_looks_like_it() {
        let column = |column, candidates: &[&str]| EmptyColumn {
            column,
            rows: 500,
            candidates: candidates.iter().map(|path| (*path).to_owned()).collect(),
        };
        let hash = column("tx_hash", &["tx.hash", "chain.hash"]);
        assert_eq!(
            hash.to_string(),
            "`tx_hash` is empty in all of the newest 500 deposits; `tx.hash` or `chain.hash` of the listed items looks \
             like it"
        );
        assert!(hash.hint().unwrap().starts_with("if it is, set `lumo.deposit_fields.tx_hash: [tx.hash]`;"));
        let columns = [hash, column("block_number", &[]), column("currency", &[])];
        assert_eq!(
            unlisted(&columns).unwrap(),
            "`block_number`, `currency` are empty in all of the newest 500 deposits, and nothing that Lumo lists looks like it; \
             nothing has to be done unless you want one of the columns"
        );
        assert_eq!(
            unlisted(&columns[1..2]).unwrap(),
            "`block_number` is empty in all of the newest 500 deposits, and nothing that Lumo lists looks like it; nothing has to \
             be done unless you want the column"
        );
        assert_eq!((columns[1].hint(), unlisted(&columns[..1])), (None, None));
    }
}
