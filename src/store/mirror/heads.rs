//! What is stored of listed records, in brief: the query that every page costs, changed or not.
//!
//! Where the database can, the answer is one text for all rows. A row of a driver costs several times what finding it in
//! the table does; on SQLite, each of them crosses a thread.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, EntityName, EntityTrait, QueryFilter, QuerySelect, Statement, Value};

use std::collections::HashMap;

use super::many::{Array, among, at_once};
use super::{Mirrored, Store};
use crate::model::diff::Head;
use crate::store::Error;

/// Records asked for in one statement; a bound on memory, nothing else.
const RECORDS: usize = 10_000;

impl Store {
    /// For each of these records, in their order, what is stored of it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn heads<R: Mirrored>(&self, records: &[R]) -> Result<Vec<Option<Head>>, Error> {
        if self.backend() == DbBackend::MySql {
            return self.heads_by_row(records).await;
        }
        let mut heads = vec![None; records.len()];
        for (records, heads) in records.chunks(RECORDS).zip(heads.chunks_mut(RECORDS)) {
            let statement = match self.backend() {
                DbBackend::Postgres => on_postgres::<R>(records),
                _ => on_sqlite::<R>(records)?,
            };
            let row = self.read().query_one_raw(statement).await?;
            let Some(found) = row.map(|row| row.try_get_by_index::<Option<String>>(0)).transpose()?.flatten() else {
                continue;
            };
            for found in found.split(';') {
                let (place, head) = parse(found).ok_or_else(|| DbErr::Type(format!("`{found}` is no row in brief")))?;
                if let Some(slot) = heads.get_mut(place) {
                    *slot = Some(head);
                }
            }
        }
        Ok(heads)
    }

    /// MySQL cuts an aggregated text at a length that each session sets, so there rows it is.
    async fn heads_by_row<R: Mirrored>(&self, records: &[R]) -> Result<Vec<Option<Head>>, Error> {
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

fn on_sqlite<R: Mirrored>(records: &[R]) -> Result<Statement, DbErr> {
    let ids: Vec<&str> = records.iter().map(R::id_str).collect();
    let ids = serde_json::to_string(&ids).map_err(|error| DbErr::Json(error.to_string()))?;
    // A cross join is read from left to right.
    let sql = format!(
        "SELECT group_concat(asked.key || ' ' || row_no || ' ' || fingerprint || ' ' || (missing_since IS NOT NULL), ';') \
         FROM json_each(?) AS asked CROSS JOIN {table} AS stored ON stored.id = asked.value",
        table = R::Entity::default().table_name()
    );
    Ok(Statement::from_sql_and_values(DbBackend::Sqlite, sql, [ids.into()]))
}

fn on_postgres<R: Mirrored>(records: &[R]) -> Statement {
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
