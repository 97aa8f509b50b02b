//! Reads which records of a page are stored, and with which fingerprints: the one query that every page costs.
//!
//! If the database can, it returns one text for all rows. Passing a row through a driver costs several times as much as
//! finding it in the table; on SQLite, each row crosses a thread.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, QueryFilter, QuerySelect, Statement, Value,
};

use super::many::{Array, among, at_once};
use super::{Mirrored, Store};
use crate::model::diff::Head;
use crate::store::Error;

/// Records per statement; only a bound on memory.
const RECORDS: usize = 10_000;

impl Store {
    /// For each of these records, in their order, its head: row number, fingerprint, and whether it is missing. If
    /// `near` is given, the rows are first searched among those row numbers: reading a range of a table is faster than
    /// finding rows by key.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn heads<R: Mirrored>(
        &self,
        records: &[&R],
        near: Option<RangeInclusive<i64>>,
    ) -> Result<Vec<Option<Head>>, Error> {
        let mut heads = vec![None; records.len()];
        if let Some(near) = near {
            // A fingerprint covers the id, so a row with the same fingerprint is the same row with the same content.
            let stretch = self.stretch::<R>(near).await?;
            for (record, head) in records.iter().zip(&mut heads) {
                let fingerprint = record.fingerprint();
                *head = stretch.get(&fingerprint).map(|&row_no| Head { fingerprint, missing: false, row_no });
            }
        }
        let missed: Vec<usize> = (0..records.len()).filter(|place| heads[*place].is_none()).collect();
        for places in missed.chunks(RECORDS) {
            let asked: Vec<&R> = places.iter().map(|place| records[*place]).collect();
            for (place, head) in places.iter().zip(self.heads_by_id(&asked).await?) {
                heads[*place] = head;
            }
        }
        Ok(heads)
    }

    /// The row numbers, by fingerprint, of the rows in a range of the table that are not missing.
    async fn stretch<R: Mirrored>(&self, numbers: RangeInclusive<i64>) -> Result<HashMap<i64, i64>, Error> {
        if self.backend() == DbBackend::MySql {
            let rows = R::Entity::find()
                .select_only()
                .columns([R::FINGERPRINT, R::ROW_NO])
                .filter(R::ROW_NO.between(*numbers.start(), *numbers.end()))
                .filter(R::MISSING_SINCE.is_null())
                .into_tuple::<(i64, i64)>()
                .all(self.read())
                .await?;
            return Ok(rows.into_iter().collect());
        }
        let text = self.text(stretch_in_brief::<R>(self.backend(), numbers)).await?;
        let mut stretch = HashMap::with_capacity(text.len() / 24);
        for found in text.split_terminator(';') {
            let (row_no, fingerprint) = found.split_once(' ').ok_or_else(|| misread(found))?;
            let number = |digits: &str| digits.parse::<i64>().map_err(|_| misread(found));
            stretch.insert(number(fingerprint)?, number(row_no)?);
        }
        Ok(stretch)
    }

    async fn heads_by_id<R: Mirrored>(&self, records: &[&R]) -> Result<Vec<Option<Head>>, Error> {
        let statement = match self.backend() {
            DbBackend::MySql => return self.heads_by_row(records).await,
            DbBackend::Postgres => on_postgres(records),
            _ => on_sqlite(records)?,
        };
        let mut heads = vec![None; records.len()];
        for found in self.text(statement).await?.split_terminator(';') {
            let (place, head) = parse(found).ok_or_else(|| misread(found))?;
            if let Some(slot) = heads.get_mut(place) {
                *slot = Some(head);
            }
        }
        Ok(heads)
    }

    /// The one text that a query returns; empty if it returns none.
    async fn text(&self, statement: Statement) -> Result<String, DbErr> {
        let row = self.read().query_one_raw(statement).await?;
        Ok(row.map(|row| row.try_get_by_index::<Option<String>>(0)).transpose()?.flatten().unwrap_or_default())
    }

    /// MySQL cuts an aggregated text at a length that each session sets, so there the query returns rows.
    async fn heads_by_row<R: Mirrored>(&self, records: &[&R]) -> Result<Vec<Option<Head>>, Error> {
        let mut known: HashMap<R::Id, Head> = HashMap::with_capacity(records.len());
        for chunk in records.chunks(at_once(self.backend())) {
            let rows = R::Entity::find()
                .select_only()
                .columns([R::ID, R::FINGERPRINT, R::MISSING_SINCE, R::ROW_NO])
                .filter(among(self.backend(), R::ID, chunk.iter().map(|record| record.id().clone())))
                .into_tuple::<(R::Id, i64, Option<DateTime<Utc>>, i64)>()
                .all(self.read())
                .await?;
            known.extend(rows.into_iter().map(|(id, fingerprint, missing, row_no)| {
                (id, Head { fingerprint, missing: missing.is_some(), row_no })
            }));
        }
        Ok(records.iter().map(|record| known.get(record.id()).copied()).collect())
    }
}

fn misread(found: &str) -> DbErr {
    DbErr::Type(format!("`{found}` is no row in brief"))
}

fn stretch_in_brief<R: Mirrored>(backend: DbBackend, numbers: RangeInclusive<i64>) -> Statement {
    let aggregate = if backend == DbBackend::Postgres { "string_agg" } else { "group_concat" };
    let sql = format!(
        "SELECT {aggregate}(row_no || ' ' || fingerprint, ';') FROM {table} \
         WHERE row_no BETWEEN $1 AND $2 AND missing_since IS NULL AND former_company_id IS NULL",
        table = R::Entity::default().table_name()
    );
    let (first, last) = numbers.into_inner();
    Statement::from_sql_and_values(backend, sql, [first.into(), last.into()])
}

fn on_sqlite<R: Mirrored>(records: &[&R]) -> Result<Statement, DbErr> {
    let ids: Vec<&str> = records.iter().map(|record| record.id_str()).collect();
    let ids = serde_json::to_string(&ids).map_err(|error| DbErr::Json(error.to_string()))?;
    // A cross join fixes the join order: SQLite reads it from left to right.
    let sql = format!(
        "SELECT group_concat(asked.key || ' ' || row_no || ' ' || fingerprint || ' ' || (missing_since IS NOT NULL), ';') \
         FROM json_each(?) AS asked CROSS JOIN {table} AS stored ON stored.id = asked.value",
        table = R::Entity::default().table_name()
    );
    Ok(Statement::from_sql_and_values(DbBackend::Sqlite, sql, [ids.into()]))
}

fn on_postgres<R: Mirrored>(records: &[&R]) -> Statement {
    let mut ids = Array::default();
    records.iter().for_each(|record| ids.push(Value::from(record.id_str())));
    let sql = format!(
        "SELECT string_agg((place - 1) || ' ' || row_no || ' ' || fingerprint || ' ' || (missing_since IS NOT NULL)::int, ';') \
         FROM UNNEST($1::text::text[]) WITH ORDINALITY AS asked (asked_id, place) JOIN {table} ON id = asked_id",
        table = R::Entity::default().table_name()
    );
    Statement::from_sql_and_values(DbBackend::Postgres, sql, [ids.finish().into()])
}

/// `place row_no fingerprint missing`, the last as 0 or 1.
fn parse(text: &str) -> Option<(usize, Head)> {
    let mut words = text.split(' ');
    let place = words.next()?.parse().ok()?;
    let head = Head {
        row_no: words.next()?.parse().ok()?,
        fingerprint: words.next()?.parse().ok()?,
        missing: words.next()? == "1",
    };
    Some((place, head))
}
