//! Reads and writes `lumo_watches`: the users who are about to pay.
//!
//! The merchant writes rows in transactions of its own, so they are foreign input: rows that cannot be read are
//! skipped, and no watch lasts longer than a day.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use lumo_bridge_entity::watch;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Value,
};

use crate::model::id::ExternalId;
use crate::store::{Error, Store, Tx};

/// The longest watch, from when it is first read.
pub const LONGEST_WATCH: TimeDelta = TimeDelta::days(1);
/// Rows that are removed in one transaction.
const AT_ONCE: u64 = 500;

/// A user whose deposits are watched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    pub external_id: ExternalId,
    pub until: DateTime<Utc>,
}

/// The users who are watched at present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watches {
    /// Each user once, the longest watch first.
    pub users: Vec<Watch>,
    /// The contents of rows without a valid user or time.
    pub odd: Vec<String>,
    /// Whether there are more rows than were requested.
    pub is_cut: bool,
}

impl Store {
    /// The users that are watched now, out of at most `most` rows.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn watches(&self, now: DateTime<Utc>, most: u64) -> Result<Watches, Error> {
        let limit = most.saturating_add(1);
        let query = watch::Entity::find()
            .select_only()
            .columns([watch::Column::ExternalId, watch::Column::Until])
            .filter(watch::Column::Until.gt(self.limit_for(now)))
            .filter(watch::Column::Until.lt(self.limit_for(now + LONGEST_WATCH + TimeDelta::days(1))))
            .order_by_desc(watch::Column::Until)
            .limit(limit);
        let rows: Vec<(String, Result<DateTime<Utc>, String>)> = if self.backend() == DbBackend::Sqlite {
            let rows: Vec<(String, String)> = query.into_tuple().all(self.read()).await?;
            rows.into_iter().map(|(user, until)| (user, read(&until).ok_or(until))).collect()
        } else {
            let rows: Vec<(String, DateTime<Utc>)> = query.into_tuple().all(self.read()).await?;
            rows.into_iter().map(|(user, until)| (user, Ok(until))).collect()
        };
        let mut watches = Watches { is_cut: rows.len() as u64 > most, ..Watches::default() };
        for (user, until) in rows.into_iter().take(usize::try_from(most).unwrap_or(usize::MAX)) {
            match (user.parse::<ExternalId>(), until) {
                (_, Ok(until)) if until <= now => {}
                (Ok(external_id), Ok(until)) => watches.add(Watch { external_id, until }),
                (Err(_), Ok(_)) => watches.odd.push(user),
                (_, Err(until)) => watches.odd.push(until),
            }
        }
        Ok(watches)
    }

    /// Shortens watches that would last longer than a day.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn cut_watches(&self, now: DateTime<Utc>) -> Result<(), Error> {
        let end = now + LONGEST_WATCH;
        let ids = self.longer_than(end).await?;
        if ids.is_empty() {
            return Ok(());
        }
        let ids = &ids;
        self.tx("watch.cut", |tx| async move {
            watch::Entity::update_many()
                .col_expr(watch::Column::Until, Expr::value(end))
                .filter(watch::Column::Id.is_in(ids.iter().copied()))
                .exec(tx.session())
                .await?;
            Ok(())
        })
        .await
    }

    async fn longer_than(&self, end: DateTime<Utc>) -> Result<Vec<i64>, Error> {
        let query = watch::Entity::find().select_only().column(watch::Column::Id).limit(AT_ONCE);
        if self.backend() != DbBackend::Sqlite {
            let query = query.filter(watch::Column::Until.gt(self.limit_for(end)));
            return Ok(query.into_tuple().all(self.read()).await?);
        }
        // A text that does not begin with a digit is no time, and is left alone.
        let query = query.filter(watch::Column::Until.gte(self.limit_for(end))).filter(watch::Column::Until.lt(":"));
        let rows: Vec<(i64, String)> = query.column(watch::Column::Until).into_tuple().all(self.read()).await?;
        let is_longer = |until: &str| read(until).is_none_or(|until| until > end);
        Ok(rows.into_iter().filter(|(_, until)| is_longer(until)).map(|(id, _)| id).collect())
    }

    /// Watches a user until this time. Repeating it has no further effect.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn watch(&self, external_id: &ExternalId, until: DateTime<Utc>) -> Result<(), Error> {
        self.tx("watch.add", |tx| async move {
            tx.unwatch(external_id, Some(until)).await?;
            let row = watch::ActiveModel {
                external_id: Set(external_id.as_str().to_owned()),
                until: Set(until),
                ..watch::ActiveModel::default()
            };
            watch::Entity::insert(row).exec_without_returning(tx.session()).await?;
            Ok(())
        })
        .await
    }

    /// Ends the watch of a user; with a time, only a watch that ends at it. Returns whether there was such a watch.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unwatch(&self, external_id: &ExternalId, until: Option<DateTime<Utc>>) -> Result<bool, Error> {
        let removed = self.tx("watch.remove", |tx| async move { tx.unwatch(external_id, until).await });
        Ok(removed.await? > 0)
    }

    /// Removes watches that ended more than a day ago.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_watches(&self, now: DateTime<Utc>) -> Result<u64, Error> {
        let mut forgotten = 0;
        loop {
            let over = watch::Entity::find().select_only().column(watch::Column::Id);
            let over = over.filter(watch::Column::Until.lt(self.limit_for(now - TimeDelta::days(1))));
            let ids: Vec<i64> = over.limit(AT_ONCE).into_tuple().all(self.read()).await?;
            if ids.is_empty() {
                return Ok(forgotten);
            }
            let ids = &ids;
            let removed = self.tx("watch.forget", |tx| async move {
                let over = watch::Entity::delete_many().filter(watch::Column::Id.is_in(ids.iter().copied()));
                Ok(over.exec(tx.session()).await?.rows_affected)
            });
            forgotten += removed.await?;
        }
    }

    /// A time for a comparison in SQL. On SQLite the column contains whatever text its writer used as a time. Only its
    /// date sorts correctly, so only the date is compared there, and the reader checks the rest.
    fn limit_for(&self, at: DateTime<Utc>) -> Value {
        match self.backend() {
            DbBackend::Sqlite => at.format("%Y-%m-%d").to_string().into(),
            _ => at.into(),
        }
    }
}

impl Tx {
    async fn unwatch(&self, external_id: &ExternalId, until: Option<DateTime<Utc>>) -> Result<u64, Error> {
        let watches =
            watch::Entity::delete_many().filter(watch::Column::ExternalId.eq(external_id.as_str().to_owned()));
        let watches = watches.apply_if(until, |watches, until| watches.filter(watch::Column::Until.eq(until)));
        Ok(watches.exec(self.session()).await?.rows_affected)
    }
}

impl Watches {
    fn add(&mut self, watch: Watch) {
        if !self.users.iter().any(|known| known.external_id == watch.external_id) {
            self.users.push(watch);
        }
    }
}

/// A time as SQLite's own functions write it, or RFC 3339.
fn read(text: &str) -> Option<DateTime<Utc>> {
    let plain = || ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let naive = || plain().iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let told =
        DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z"));
    told.map(|time| time.to_utc()).ok().or_else(|| naive().map(|time| time.and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_that_people_write_into_sqlite_are_read() {
        let expected: DateTime<Utc> = "2026-05-04T10:11:00Z".parse().unwrap();
        for text in [
            "2026-05-04 10:11:00",
            "2026-05-04T10:11:00",
            "2026-05-04 10:11",
            "2026-05-04 10:11:00.000",
            "2026-05-04T10:11:00Z",
            "2026-05-04T12:11:00+02:00",
            "2026-05-04 12:11:00.000000+02:00",
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in ["", "tomorrow", "1777890000", "2026-05-04"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
