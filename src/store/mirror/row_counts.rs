//! Counts rows and finds them by number, at a cost that does not grow with the table.
//!
//! It uses counters, the unique index on numbers, and partial indexes on missing, blocked or new rows.
//!
//! The conditions of partial indexes are written out, because SQLite uses such an index only if the query has the same
//! text as the index.

use lumo_bridge_entity::{deposit, stream, wallet};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select, Statement};

use crate::model::Listing;
use crate::model::id::ExternalId;
use crate::model::record::{Deposit, Wallet};
use crate::store::db::statement::padded;
use crate::store::{Error, Mirrored, Store};

/// The row counts of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that are not missing; for the blocked list, wallets that are blocked and not missing. Unreadable items
    /// without such a row are added. Rows of a former company do not count.
    pub listed: i64,
    /// The last row number of the table.
    pub last_row_no: i64,
}

/// A row, with the user by which it can be requested upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    pub row_no: i64,
    pub id: String,
    pub external_id: Option<ExternalId>,
}

const LISTED: &str = "missing_since IS NULL AND former_company_id IS NULL";
const LISTED_BLOCKED: &str = "is_blocked = TRUE AND missing_since IS NULL AND former_company_id IS NULL";
/// Conditions for rows that are not listed: missing, or of a former company.
const GONE: &str = "missing_since IS NOT NULL AND former_company_id IS NULL";
const FORMER: &str = "former_company_id IS NOT NULL";
const BLOCKED: &str = "is_blocked = TRUE";
const NEW: &str = "status = 'new'";

impl Store {
    /// How much of a listing is known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn row_counts(&self, listing: Listing) -> Result<RowCounts, Error> {
        let (counter, table, condition, is_listed) = match listing {
            Listing::Wallets => (stream::WALLETS, "lumo_user_wallets", GONE, LISTED),
            Listing::Blocked => (stream::WALLETS, "lumo_user_wallets", LISTED_BLOCKED, LISTED_BLOCKED),
            Listing::Deposits => (stream::DEPOSITS, "lumo_user_deposits", GONE, LISTED),
        };
        // Raw SQL, because one statement reads all counts at the same moment.
        let sql = format!(
            "SELECT last_seq, (SELECT COUNT(*) FROM {table} WHERE {condition}) AS counted, \
             (SELECT COUNT(*) FROM {table} WHERE {FORMER}) AS former, \
             (SELECT COUNT(*) FROM lumo_rejects r WHERE r.listing = '{listing}' AND NOT EXISTS \
             (SELECT 1 FROM {table} WHERE {table}.id = r.item AND {is_listed})) AS rejects \
             FROM lumo_streams WHERE stream = '{counter}'"
        );
        let row = self.read().query_one_raw(Statement::from_string(self.backend(), sql)).await?;
        let row = row.ok_or(Error::NotMigrated)?;
        let (last_row_no, counted): (i64, i64) = (row.try_get("", "last_seq")?, row.try_get("", "counted")?);
        let (rejects, former): (i64, i64) = (row.try_get("", "rejects")?, row.try_get("", "former")?);
        let listed = match listing {
            Listing::Blocked => counted + rejects,
            Listing::Wallets | Listing::Deposits => last_row_no - former - counted + rejects,
        };
        Ok(RowCounts { listed, last_row_no })
    }

    /// The rows with these numbers that are not missing, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn by_row_no<R: Mirrored>(&self, numbers: &[i64]) -> Result<Vec<Whereabouts>, Error> {
        let mut found = Vec::new();
        for chunk in numbers.chunks(500) {
            found.extend(
                self.whereabouts::<R>(R::Entity::find().filter(R::ROW_NO.is_in(padded(chunk.to_vec())))).await?,
            );
        }
        found.sort_by_key(|row| row.row_no);
        found.dedup_by_key(|row| row.row_no);
        Ok(found)
    }

    /// The wallets after this row number that are blocked and not missing, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn blocked_wallets(&self, after: i64, limit: u64) -> Result<Vec<Whereabouts>, Error> {
        let query = wallet::Entity::find().filter(Expr::cust(BLOCKED)).filter(wallet::Column::RowNo.gt(after));
        self.whereabouts::<Wallet>(query.limit(limit)).await
    }

    /// The deposits after this row number that are new and not missing, in order.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn new_deposits(&self, after: i64, limit: u64) -> Result<Vec<Whereabouts>, Error> {
        let query = deposit::Entity::find().filter(Expr::cust(NEW)).filter(deposit::Column::RowNo.gt(after));
        self.whereabouts::<Deposit>(query.limit(limit)).await
    }

    async fn whereabouts<R: Mirrored>(&self, query: Select<R::Entity>) -> Result<Vec<Whereabouts>, Error> {
        let rows: Vec<(i64, String, Option<ExternalId>)> = query
            .filter(R::MISSING_SINCE.is_null())
            .filter(R::FORMER_COMPANY.is_null())
            .order_by_asc(R::ROW_NO)
            .select_only()
            .columns([R::ROW_NO, R::ID, R::EXTERNAL_ID])
            .into_tuple()
            .all(self.read())
            .await?;
        Ok(rows.into_iter().map(|(row_no, id, external_id)| Whereabouts { row_no, id, external_id }).collect())
    }
}
