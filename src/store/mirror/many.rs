//! Writes many rows, or finds rows by many keys, in the fewest and fastest statements of each database.
//!
//! PostgreSQL gets columns: one array for each, which the server expands into rows. The text of the statement is the
//! same for any number of rows, so it is prepared once, and rows need no parameters of their own. The arrays are sent
//! as text in PostgreSQL's notation, because the driver's arrays cannot contain null. The other databases have no
//! arrays and get rows.

use chrono::{DateTime, Datelike, Utc};
use sea_orm::sea_query::{Expr, OnConflict, Query, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ColumnType, ConnectionTrait, DbBackend, DbErr, EntityTrait, IdenStatic, Iterable,
    Statement, Value,
};

use crate::store::db::statement::padded;
use crate::store::db::transaction::Transaction;

/// Rows per statement if each row has its own parameters. With 21 columns this is far below SQLite's limit of 32,766.
const ROWS: usize = 200;
/// The same on SQLite, where another statement costs little, and another statement text much memory: only powers of
/// two.
const SQLITE_ROWS: usize = 128;
/// Rows per statement if each column is one parameter; only a bound on memory.
const COLUMN_LENGTH: usize = 10_000;

/// What to do if the key of a row exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Refuse the row.
    Refuse,
    /// Overwrite every column except these.
    Overwrite { except: &'static [&'static str] },
}

/// Writes rows, each with its values in the order of the entity's columns.
pub(super) async fn write<E: EntityTrait>(
    session: &Transaction,
    key: E::Column,
    rows: Vec<Vec<Value>>,
    existing: Existing,
) -> Result<(), DbErr> {
    let overwritten: Vec<E::Column> = match existing {
        Existing::Refuse => Vec::new(),
        Existing::Overwrite { except } => {
            E::Column::iter().filter(|column| !except.contains(&column.as_str())).collect()
        }
    };
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        if session.get_database_backend() == DbBackend::Postgres {
            let columns = columns::<E>(rows.by_ref().take(COLUMN_LENGTH));
            let sql = unfold::<E>(key, &overwritten);
            session.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, columns)).await?;
            continue;
        }
        let mut insert = Query::insert();
        insert.into_table(E::default()).columns(E::Column::iter());
        let together = if session.get_database_backend() == DbBackend::Sqlite {
            1 << rows.len().min(SQLITE_ROWS).ilog2()
        } else {
            ROWS
        };
        for row in rows.by_ref().take(together) {
            insert.values_panic(row.into_iter().map(Expr::val));
        }
        if !overwritten.is_empty() {
            insert.on_conflict(OnConflict::column(key).update_columns(overwritten.iter().copied()).to_owned());
        }
        session.execute(&insert).await?;
    }
    Ok(())
}

/// Writes new rows.
pub(in crate::store) async fn insert<E: EntityTrait>(
    session: &Transaction,
    rows: Vec<Vec<Value>>,
) -> Result<(), DbErr> {
    // To refuse duplicates, no key must be named.
    let Some(key) = E::Column::iter().next() else { return Ok(()) };
    write::<E>(session, key, rows, Existing::Refuse).await
}

/// Writes new rows, every column of which is set.
pub(in crate::store) async fn insert_rows<A: ActiveModelTrait>(
    session: &Transaction,
    rows: Vec<A>,
) -> Result<(), DbErr> {
    let values = |mut row: A| {
        let value = |column| row.take(column).into_value().unwrap_or(Value::String(None));
        <A::Entity as EntityTrait>::Column::iter().map(value).collect()
    };
    insert::<A::Entity>(session, rows.into_iter().map(values).collect()).await
}

/// Raw SQL, because the query builder has no UNNEST of several arrays.
fn unfold<E: EntityTrait>(key: E::Column, overwritten: &[E::Column]) -> String {
    let names: Vec<&str> = E::Column::iter().map(|column| column.as_str()).collect();
    let arrays = (1..).zip(E::Column::iter()).map(|(n, column)| format!("${n}::text::{}[]", element(&column)));
    let mut sql = format!(
        "INSERT INTO {} ({}) SELECT * FROM UNNEST({})",
        E::default().table_name(),
        names.join(", "),
        arrays.collect::<Vec<_>>().join(", ")
    );
    if !overwritten.is_empty() {
        let set: Vec<String> =
            overwritten.iter().map(|column| format!("{0} = EXCLUDED.{0}", column.as_str())).collect();
        sql.push_str(&format!(" ON CONFLICT ({}) DO UPDATE SET {}", key.as_str(), set.join(", ")));
    }
    sql
}

fn element(column: &impl ColumnTrait) -> &'static str {
    match column.def().get_column_type() {
        ColumnType::Boolean => "boolean",
        ColumnType::Integer => "integer",
        ColumnType::BigInteger => "bigint",
        ColumnType::Decimal(_) => "numeric",
        ColumnType::Timestamp | ColumnType::TimestampWithTimeZone => "timestamptz",
        _ => "text",
    }
}

/// The rows as columns, each an array.
fn columns<E: EntityTrait>(rows: impl Iterator<Item = Vec<Value>>) -> Vec<Value> {
    let mut arrays: Vec<Array> = E::Column::iter().map(|_| Array::default()).collect();
    for row in rows {
        for (array, value) in arrays.iter_mut().zip(row) {
            array.push(value);
        }
    }
    arrays.into_iter().map(|array| array.finish().into()).collect()
}

/// The condition that a column of texts has one of these values.
pub(crate) fn among<C: ColumnTrait, T: Clone + Into<Value>>(
    backend: DbBackend,
    column: C,
    values: impl IntoIterator<Item = T>,
) -> SimpleExpr {
    let by_list = Expr::col(column.as_column_ref());
    match backend {
        DbBackend::Postgres => {}
        // One parameter for any number of values, and one statement text.
        DbBackend::Sqlite => {
            let text = |value| match value {
                Value::String(text) => text,
                _ => None,
            };
            let texts: Vec<String> = values.into_iter().filter_map(|value| text(value.into())).collect();
            let list = serde_json::Value::from(texts).to_string();
            return Expr::cust_with_exprs("? IN (SELECT value FROM json_each(?))", [by_list, Expr::val(list)]);
        }
        _ => return column.is_in(padded(values)),
    }
    let mut array = Array::default();
    values.into_iter().for_each(|value| array.push(value.into()));
    let column = by_list;
    // As a subquery, which is evaluated once: an ANY would evaluate the array again for every row.
    Expr::cust_with_exprs("$1 IN (SELECT UNNEST($2::text::text[]))", [column, Expr::val(array.finish())])
}

/// The most values for [`among`].
pub(crate) fn at_once(backend: DbBackend) -> usize {
    if backend == DbBackend::MySql { 500 } else { COLUMN_LENGTH }
}

/// An array in PostgreSQL's notation: `{"a","b",NULL}`.
#[derive(Default)]
pub(super) struct Array(String);

impl Array {
    pub(super) fn push(&mut self, value: Value) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        match value {
            Value::Bool(Some(value)) => self.0.push(if value { 't' } else { 'f' }),
            Value::Int(Some(number)) => self.show(number),
            Value::BigInt(Some(number)) => self.show(number),
            Value::BigDecimal(Some(number)) => self.0.push_str(&number.to_plain_string()),
            Value::ChronoDateTimeUtc(Some(time)) => self.time(time),
            Value::String(Some(text)) => self.text(&text),
            _ => self.0.push_str("NULL"),
        }
    }

    fn show(&mut self, value: impl std::fmt::Display) {
        self.0.push_str(&value.to_string());
    }

    fn text(&mut self, text: &str) {
        self.0.push('"');
        let mut rest = text;
        while let Some(at) = rest.find(['"', '\\']) {
            let (plain, special) = rest.split_at(at);
            self.0.push_str(plain);
            self.0.push('\\');
            let (special, after) = special.split_at(1);
            self.0.push_str(special);
            rest = after;
        }
        self.0.push_str(rest);
        self.0.push('"');
    }

    /// PostgreSQL counts the years before the first one from 1, without a 0.
    fn time(&mut self, time: DateTime<Utc>) {
        let (year, era) = if time.year() > 0 { (time.year(), "") } else { (1 - time.year(), " BC") };
        self.show(format_args!("\"{year:04}-{}{era}\"", time.format("%m-%d %H:%M:%S%.6f+00")));
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }
}

#[cfg(test)]
mod tests {
    use lumo_bridge_entity::wallet;

    use super::*;

    fn array(values: impl IntoIterator<Item = Value>) -> String {
        let mut array = Array::default();
        values.into_iter().for_each(|value| array.push(value));
        array.finish()
    }

    #[test]
    fn arrays_are_spelled_so_that_nothing_runs_together() {
        let texts = ["", "NULL", "a,b", "{}", r#"say "\""#, " é "].map(Value::from);
        assert_eq!(array(texts), r#"{"","NULL","a,b","{}","say \"\\\""," é "}"#);
        assert_eq!(
            array([Value::String(None), 7_i64.into(), (-7_i64).into(), true.into(), false.into()]),
            "{NULL,7,-7,t,f}"
        );
        assert_eq!(array([]), "{}");
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap().into();
        let times =
            ["2026-05-04T12:00:00.000001Z", "0001-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "-0043-03-15T00:00:00Z"];
        let expected = r#"{"2026-05-04 12:00:00.000001+00","0001-01-01 00:00:00.000000+00","0001-12-31 23:59:59.000000+00 BC","0044-03-15 00:00:00.000000+00 BC"}"#;
        assert_eq!(array(times.map(time)), expected);
    }

    #[test]
    fn one_statement_serves_any_number_of_rows() {
        let sql = unfold::<wallet::Entity>(wallet::Column::Id, &[wallet::Column::Address, wallet::Column::Raw]);
        let begin = "INSERT INTO lumo_user_wallets (id, company_id, external_id, address, is_blocked,";
        assert!(sql.starts_with(begin), "{sql}");
        assert!(sql.contains("$5::text::boolean[], $6::text::text[], $7::text::numeric[], $8::text::numeric[], $9::text::timestamptz[]"), "{sql}");
        assert!(
            sql.ends_with(
                "$16::text::bigint[], $17::text::text[]) ON CONFLICT (id) DO UPDATE SET address = EXCLUDED.address, raw = EXCLUDED.raw"
            ),
            "{sql}"
        );
    }
}
