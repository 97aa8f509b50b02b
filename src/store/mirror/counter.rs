//! Keeps counters: the last number given in each stream of events, and to the rows of each mirror table.

use lumo_bridge_entity::stream;
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, QuerySelect, Statement};

use crate::store::{Error, Store, Tx};

/// Counters in one statement.
const BATCH: usize = 200;

impl Store {
    pub(in crate::store) async fn last_number(&self, counter: &str) -> Result<i64, Error> {
        let row = stream::Entity::find_by_id(counter).one(self.read()).await?;
        row.map(|row| row.last_seq).ok_or(Error::NotMigrated)
    }
}

impl Tx {
    /// Locks a counter until the transaction ends and reads it.
    pub(in crate::store) async fn lock_counter(&self, name: &str) -> Result<i64, Error> {
        let row = stream::Entity::find_by_id(name).lock_exclusive().one(self.session()).await?;
        row.map(|row| row.last_seq).ok_or(Error::NotMigrated)
    }

    /// Locks a counter against changes until the transaction ends; others may do the same.
    pub(in crate::store) async fn share_counter(&self, name: &str) -> Result<(), Error> {
        match self.backend() {
            // On SQLite, the only writer already excludes all others.
            DbBackend::Sqlite => {}
            // MariaDB does not know FOR SHARE, which is all that the builder writes.
            DbBackend::MySql => {
                let sql = "SELECT last_seq FROM lumo_streams WHERE stream = ? LOCK IN SHARE MODE";
                let statement = Statement::from_sql_and_values(DbBackend::MySql, sql, [name.into()]);
                self.session().query_one_raw(statement).await?;
            }
            _ => {
                stream::Entity::find_by_id(name).lock_shared().one(self.session()).await?;
            }
        }
        Ok(())
    }

    pub(in crate::store) async fn save_counters(
        &self,
        counters: impl IntoIterator<Item = (String, i64)>,
    ) -> Result<(), Error> {
        let mut counters = counters.into_iter().peekable();
        while counters.peek().is_some() {
            let mut insert = Query::insert();
            insert.into_table(stream::Entity).columns([stream::Column::Stream, stream::Column::LastSeq]);
            for (name, last) in counters.by_ref().take(BATCH) {
                insert.values_panic([Expr::val(name), Expr::val(last)]);
            }
            insert.on_conflict(
                OnConflict::column(stream::Column::Stream).update_column(stream::Column::LastSeq).to_owned(),
            );
            self.session().execute(&insert).await?;
        }
        Ok(())
    }
}
