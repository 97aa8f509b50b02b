//! The mirror: wallets and deposits as rows.
//!
//! A page costs one query of ids and fingerprints; whole rows are read, and locked, only where something differs. New rows
//! are inserted plainly: if another process was faster the key refuses them and the transaction runs again with what that
//! one stored. Changed rows are locked before they are compared, so no change can slip in between.

mod deposit;
mod wallet;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{deposit as deposits, wallet as wallets};
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, Iterable, QueryFilter, QueryOrder, QuerySelect, TryGetable,
    Value,
};

use super::{Error, Store, Tx};
use crate::model::Amount;
use crate::model::diff::{Change, Head, Record, Stored};
use crate::model::facts::Predecessor;
use crate::model::id::{ExternalId, WalletId};
use crate::model::record::Wallet;

/// Rows in one statement; with 20 columns far below the 32,766 parameters that SQLite takes.
const ROWS: usize = 200;

/// A record that has a table.
pub trait Mirrored: Record<Id: Into<Value> + TryGetable> {
    type Entity: EntityTrait;

    const ID: <Self::Entity as EntityTrait>::Column;
    const FINGERPRINT: <Self::Entity as EntityTrait>::Column;
    const MISSING_SINCE: <Self::Entity as EntityTrait>::Column;

    /// The row of one entity.
    fn stored(model: <Self::Entity as EntityTrait>::Model) -> Stored<Self>;

    /// The values of a row, in the order of the entity's columns.
    fn values(stored: Stored<Self>, backend: DbBackend) -> Vec<Value>;
}

impl Store {
    /// What is stored of these records, in brief.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn heads<R: Mirrored>(&self, records: &[R]) -> Result<HashMap<R::Id, Head>, Error> {
        if records.is_empty() {
            return Ok(HashMap::new());
        }
        let ids = records.iter().map(|record| record.id().clone());
        let rows: Vec<(R::Id, i64, Option<DateTime<Utc>>)> = R::Entity::find()
            .select_only()
            .columns([R::ID, R::FINGERPRINT, R::MISSING_SINCE])
            .filter(R::ID.is_in(padded(ids)))
            .into_tuple()
            .all(self.read())
            .await?;
        let head = |fingerprint, missing: Option<_>| Head { fingerprint, missing: missing.is_some() };
        Ok(rows.into_iter().map(|(id, fingerprint, missing)| (id, head(fingerprint, missing))).collect())
    }
}

impl Tx {
    /// The whole rows of these records, locked until the transaction ends.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stored<R: Mirrored>(&self, records: &[R]) -> Result<HashMap<R::Id, Stored<R>>, Error> {
        if records.is_empty() {
            return Ok(HashMap::new());
        }
        let ids = records.iter().map(|record| record.id().clone());
        let query = R::Entity::find().filter(R::ID.is_in(padded(ids))).order_by_asc(R::ID).lock_exclusive();
        let rows = query.all(self.session()).await?;
        Ok(rows.into_iter().map(|row| R::stored(row)).map(|stored| (stored.record.id().clone(), stored)).collect())
    }

    /// Writes the changes.
    ///
    /// # Errors
    /// [`Error::Collision`] if another writer stored one of the new rows first.
    pub async fn apply<R: Mirrored>(&self, changes: &[Change<R>], now: DateTime<Utc>) -> Result<(), Error> {
        let (mut appeared, mut changed) = (Vec::new(), Vec::new());
        for change in changes {
            let (first_seen_at, rows) = match change {
                Change::Appeared(_) => (now, &mut appeared),
                Change::Changed { old, .. } => (old.first_seen_at, &mut changed),
            };
            let record = change.new_record().clone();
            rows.push(Stored {
                record,
                version: change.version(),
                first_seen_at,
                changed_at: now,
                missing_since: None,
            });
        }
        self.write(appeared, None).await?;
        let columns = <R::Entity as EntityTrait>::Column::iter()
            .filter(|column| column.as_column_ref().1 != R::ID.as_column_ref().1);
        let on_conflict = OnConflict::column(R::ID).update_columns(columns).to_owned();
        self.write(changed, Some(on_conflict)).await
    }

    async fn write<R: Mirrored>(&self, mut rows: Vec<Stored<R>>, on_conflict: Option<OnConflict>) -> Result<(), Error> {
        // Writers that lock in the same order cannot lock each other out.
        rows.sort_by(|a, b| a.record.id().cmp(b.record.id()));
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut insert = Query::insert();
            insert.into_table(R::Entity::default()).columns(<R::Entity as EntityTrait>::Column::iter());
            for row in rows.by_ref().take(ROWS) {
                insert.values_panic(R::values(row, self.backend()).into_iter().map(Expr::val));
            }
            if let Some(on_conflict) = &on_conflict {
                insert.on_conflict(on_conflict.clone());
            }
            self.session().execute(&insert).await?;
        }
        Ok(())
    }

    /// For each of these wallets the newest one that the same user had before it, as far as one is known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn predecessors(&self, wallets: &[&Wallet]) -> Result<HashMap<WalletId, Predecessor>, Error> {
        let users = padded(wallets.iter().map(|wallet| wallet.external_id.clone()));
        let rows: Vec<(ExternalId, WalletId, String, DateTime<Utc>)> = wallets::Entity::find()
            .select_only()
            .columns([
                wallets::Column::ExternalId,
                wallets::Column::Id,
                wallets::Column::Address,
                wallets::Column::CreatedAt,
            ])
            .filter(wallets::Column::ExternalId.is_in(users))
            .order_by_asc(wallets::Column::CreatedAt)
            .into_tuple()
            .all(self.session())
            .await?;
        let mut by_user: HashMap<ExternalId, Vec<Predecessor>> = HashMap::new();
        for (user, id, address, created_at) in rows {
            by_user.entry(user).or_default().push(Predecessor { id, address, created_at });
        }
        let before = |wallet: &Wallet| {
            let all = by_user.get(&wallet.external_id)?;
            let earlier = |known: &&Predecessor| known.created_at < wallet.created_at && known.id != wallet.id;
            all.iter().rev().find(earlier).cloned()
        };
        Ok(wallets.iter().filter_map(|wallet| Some((wallet.id.clone(), before(wallet)?))).collect())
    }

    /// Whose these wallets are, as far as they are known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn owners(
        &self,
        ids: impl IntoIterator<Item = WalletId>,
    ) -> Result<HashMap<WalletId, ExternalId>, Error> {
        let ids = padded(ids);
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(WalletId, ExternalId)> = wallets::Entity::find()
            .select_only()
            .columns([wallets::Column::Id, wallets::Column::ExternalId])
            .filter(wallets::Column::Id.is_in(ids))
            .into_tuple()
            .all(self.session())
            .await?;
        Ok(rows.into_iter().collect())
    }

    /// Gives the deposits of newly known wallets, which came before them and did not name their user, their user.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn adopt_deposits(&self, owners: &HashMap<WalletId, ExternalId>) -> Result<(), Error> {
        let orphans: Vec<WalletId> = deposits::Entity::find()
            .select_only()
            .column(deposits::Column::WalletId)
            .distinct()
            .filter(deposits::Column::WalletId.is_in(padded(owners.keys().cloned())))
            .filter(deposits::Column::ExternalId.is_null())
            .into_tuple()
            .all(self.session())
            .await?;
        for wallet in orphans {
            let Some(owner) = owners.get(&wallet) else { continue };
            deposits::Entity::update_many()
                .col_expr(deposits::Column::ExternalId, Expr::value(owner.clone()))
                .filter(deposits::Column::WalletId.eq(wallet))
                .filter(deposits::Column::ExternalId.is_null())
                .exec(self.session())
                .await?;
        }
        Ok(())
    }
}

/// The values, the last one repeated up to one of few lengths, so that few statement texts exist: databases keep prepared
/// statements by their text, and throwing one out is what costs.
pub(super) fn padded<T: Clone>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    let length = [1, 10, 100, 500].into_iter().find(|length| *length >= values.len());
    if let (Some(length), Some(last)) = (length, values.last().cloned()) {
        values.resize(length, last);
    }
    values
}

/// An exact amount as the driver wants it; see [`Amount`].
fn amount(amount: Option<Amount>, backend: DbBackend) -> Value {
    match (amount, backend) {
        (Some(amount), DbBackend::Sqlite) => amount.as_str().into(),
        (None, DbBackend::Sqlite) => Value::String(None),
        (amount, _) => amount.into(),
    }
}

/// A time that the upstream told, as the driver wants it. A `DateTime<Utc>` is sent to MySQL as a TIMESTAMP, and MariaDB
/// makes NULL of one before 1970 or after 2038, whatever the column could hold.
pub(super) fn time(time: Option<DateTime<Utc>>, backend: DbBackend) -> Value {
    match backend {
        DbBackend::MySql => Value::ChronoDateTime(time.map(|time| time.naive_utc())),
        _ => time.into(),
    }
}
