//! Finds columns that are empty in all of the newest deposits.

use lumo_bridge_entity::deposit::{Column, Entity};
use lumo_bridge_entity::stream;
use sea_orm::sea_query::{Alias, Expr, Func, Query};
use sea_orm::{ConnectionTrait, EntityTrait, IdenStatic, Order, QueryOrder, QuerySelect};

use crate::store::{Error, Store};

/// The least rows from which an empty column means something.
const MIN_ROWS: i64 = 20;
/// The most rows that are checked, the newest first.
const MAX_ROWS: u64 = 1_000;
/// The items that are returned, to search for fields with similar names.
const ITEMS: u64 = 20;

/// The columns that `lumo.deposit_fields` fills, by the names there.
const COLUMNS: [Column; 13] = [
    Column::WalletId,
    Column::ExternalId,
    Column::CompanyId,
    Column::Address,
    Column::FromAddress,
    Column::TxHash,
    Column::Amount,
    Column::Currency,
    Column::Status,
    Column::Confirmations,
    Column::BlockNumber,
    Column::CreatedAt,
    Column::UpdatedAt,
];

/// The text of an empty column that is not null.
const UNKNOWN: &str = "unknown";

/// Columns that are empty in all of the newest deposits.
#[derive(Clone, Debug, Default)]
pub struct Empty {
    pub columns: Vec<&'static str>,
    /// How many deposits were checked.
    pub rows: i64,
    /// Some of them, as listed.
    pub items: Vec<String>,
}

impl Store {
    /// Columns that are empty in all of the newest thousand deposits; none if there are too few deposits. A column that
    /// is filled in stored rows counts as empty for up to a minute more.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn empty_columns(&self) -> Result<Empty, Error> {
        let last = self.last_number(stream::DEPOSITS).await?;
        self.inner.empty_columns.get(last, self.look_for_empty_columns()).await
    }

    async fn look_for_empty_columns(&self) -> Result<Empty, Error> {
        let mut sample = Query::select();
        sample.columns(COLUMNS).from(Entity).order_by(Column::RowNo, Order::Desc).limit(MAX_ROWS);
        let mut query = Query::select();
        query.expr_as(Expr::cust("COUNT(*)"), Alias::new("all_rows"));
        for column in COLUMNS {
            let value = match column {
                Column::Status => Func::cust("NULLIF").arg(Expr::col(column)).arg(UNKNOWN).into(),
                _ => Expr::col(column),
            };
            query.expr_as(Func::count(value), Alias::new(column.as_str()));
        }
        query.from_subquery(sample, Alias::new("newest"));
        let Some(row) = self.read().query_one(&query).await? else { return Ok(Empty::default()) };
        let rows: i64 = row.try_get("", "all_rows")?;
        let mut columns = Vec::new();
        for column in COLUMNS {
            if row.try_get::<i64>("", column.as_str())? == 0 {
                columns.push(column.as_str());
            }
        }
        if rows < MIN_ROWS || columns.is_empty() {
            return Ok(Empty { rows, ..Empty::default() });
        }
        let newest = Entity::find().order_by_desc(Column::RowNo).limit(ITEMS);
        let items = newest.select_only().column(Column::Raw).into_tuple().all(self.read()).await?;
        Ok(Empty { columns, rows, items })
    }
}
