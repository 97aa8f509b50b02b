//! Writes wallets and deposits as rows, and reads them back: the mirror.
//!
//! A page costs one query of ids and fingerprints. Whole rows are read and locked only if something differs. New rows
//! are inserted without a check: if another process was faster, the key refuses them, and the transaction runs again
//! with the rows that it stored. Changed rows are locked before they are compared, so no change can happen in between.

pub(in crate::store) mod blocks;
pub(in crate::store) mod counter;
mod deposit;
pub(in crate::store) mod empty;
mod heads;
pub(in crate::store) mod ingest;
mod many;
pub(in crate::store) mod row_counts;
pub(in crate::store) mod statuses;
pub(in crate::store) mod vanish;
mod wallet;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{deposit as deposits, wallet as wallets};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect, TryGetable, Value};

use many::Existing;
pub(super) use many::{among, at_once, insert_rows};

use super::{Error, Store, Tx};
use crate::model::Amount;
use crate::model::diff::{Change, Record, Stored};
use crate::model::facts::Predecessor;
use crate::model::id::{CompanyId, ExternalId, WalletId};
use crate::model::record::Wallet;

/// The columns of a row that never change.
const FIXED: Existing = Existing::Overwrite { except: &["id", "row_no", "first_seen_at", "former_company_id"] };

/// A record that has a table.
pub trait Mirrored: Record<Id: Into<Value> + TryGetable> {
    type Entity: EntityTrait;

    const ID: <Self::Entity as EntityTrait>::Column;
    const FINGERPRINT: <Self::Entity as EntityTrait>::Column;
    const MISSING_SINCE: <Self::Entity as EntityTrait>::Column;
    const EXTERNAL_ID: <Self::Entity as EntityTrait>::Column;
    const CREATED_AT: <Self::Entity as EntityTrait>::Column;
    const FIRST_SEEN_AT: <Self::Entity as EntityTrait>::Column;
    const ROW_NO: <Self::Entity as EntityTrait>::Column;
    const FORMER_COMPANY: <Self::Entity as EntityTrait>::Column;
    /// The counter of the table's rows.
    const COUNTER: &'static str;

    /// The row of one entity.
    fn stored(model: <Self::Entity as EntityTrait>::Model) -> Stored<Self>;

    /// The values of a row, in the order of the entity's columns.
    fn values(stored: Stored<Self>, backend: DbBackend) -> Vec<Value>;
}

impl Store {
    /// Whether any of these wallets is not stored.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lacks_wallets(&self, ids: &[WalletId]) -> Result<bool, Error> {
        let mut ids = ids.to_vec();
        ids.sort();
        ids.dedup();
        for chunk in ids.chunks(at_once(self.backend())) {
            let stored: Vec<WalletId> = wallets::Entity::find()
                .select_only()
                .column(wallets::Column::Id)
                .filter(among(self.backend(), wallets::Column::Id, chunk.iter().cloned()))
                .into_tuple()
                .all(self.read())
                .await?;
            if stored.len() < chunk.len() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Tx {
    /// The rows of these ids, locked until the transaction ends.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn stored<R: Mirrored>(&self, mut ids: Vec<R::Id>) -> Result<HashMap<R::Id, Stored<R>>, Error> {
        // Locking in one order prevents deadlocks.
        ids.sort();
        let mut stored = HashMap::new();
        for chunk in ids.chunks(at_once(self.backend())) {
            let known = among(self.backend(), R::ID, chunk.iter().cloned());
            let query = R::Entity::find().filter(known).order_by_asc(R::ID).lock_exclusive();
            let rows = query.all(self.session()).await?;
            let by_id = |row| {
                let stored = R::stored(row);
                (stored.record.id().clone(), stored)
            };
            stored.extend(rows.into_iter().map(by_id));
        }
        Ok(stored)
    }

    /// Writes the changes. `last` is the last row number, if the counter is locked already.
    ///
    /// # Errors
    /// [`Error::Collision`] if another writer stored one of the new rows first.
    pub async fn apply<R: Mirrored>(
        &self,
        changes: &[Change<R>],
        last: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let (mut appeared, mut changed) = (Vec::new(), Vec::new());
        for change in changes {
            let (first_seen_at, row_no, missing_since, rows) = match change {
                Change::Appeared(_) => (now, 0, None, &mut appeared),
                Change::Changed { old, .. } => (old.first_seen_at, old.row_no, None, &mut changed),
                Change::Vanished(old) => (old.first_seen_at, old.row_no, Some(now), &mut changed),
            };
            let record = change.record().clone();
            rows.push(Stored {
                record,
                version: change.version(),
                first_seen_at,
                changed_at: now,
                missing_since,
                row_no,
            });
        }
        if !appeared.is_empty() {
            let mut last = match last {
                Some(last) => last,
                None => self.lock_counter(R::COUNTER).await?,
            };
            for row in &mut appeared {
                last += 1;
                row.row_no = last;
            }
            self.save_counters([(R::COUNTER.to_owned(), last)]).await?;
            self.write(appeared, Existing::Refuse).await?;
        }
        self.write(changed, FIXED).await
    }

    async fn write<R: Mirrored>(&self, mut rows: Vec<Stored<R>>, existing: Existing) -> Result<(), Error> {
        // Locking in one order prevents deadlocks.
        rows.sort_by(|a, b| a.record.id().cmp(b.record.id()));
        let rows = rows.into_iter().map(|row| R::values(row, self.backend())).collect();
        Ok(many::write::<R::Entity>(self.session(), R::ID, rows, existing).await?)
    }

    /// For each of these wallets, the newest one that the same user had before it, if known.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn predecessors(&self, wallets: &[&Wallet]) -> Result<HashMap<WalletId, Predecessor>, Error> {
        let mut users: Vec<ExternalId> = wallets.iter().map(|wallet| wallet.external_id.clone()).collect();
        users.sort();
        users.dedup();
        // Users of different companies may have the same name.
        type Known = (CompanyId, ExternalId, WalletId, Option<String>, DateTime<Utc>);

        let mut by_user: HashMap<(CompanyId, ExternalId), Vec<Predecessor>> = HashMap::new();
        for chunk in users.chunks(at_once(self.backend())) {
            let rows: Vec<Known> = wallets::Entity::find()
                .select_only()
                .columns([
                    wallets::Column::CompanyId,
                    wallets::Column::ExternalId,
                    wallets::Column::Id,
                    wallets::Column::Address,
                    wallets::Column::CreatedAt,
                ])
                .filter(among(self.backend(), wallets::Column::ExternalId, chunk.iter().cloned()))
                .order_by_asc(wallets::Column::CreatedAt)
                .into_tuple()
                .all(self.session())
                .await?;
            for (company, user, id, address, created_at) in rows {
                by_user.entry((company, user)).or_default().push(Predecessor { id, address, created_at });
            }
        }
        let before = |wallet: &Wallet| {
            let all = by_user.get(&(wallet.company_id.clone(), wallet.external_id.clone()))?;
            let earlier = |known: &&Predecessor| known.created_at < wallet.created_at && known.id != wallet.id;
            all.iter().rev().find(earlier).cloned()
        };
        Ok(wallets.iter().filter_map(|wallet| Some((wallet.id.clone(), before(wallet)?))).collect())
    }

    /// The users of these wallets, as far as the wallets are stored.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn owners(
        &self,
        ids: impl IntoIterator<Item = WalletId>,
    ) -> Result<HashMap<WalletId, ExternalId>, Error> {
        let mut ids: Vec<WalletId> = ids.into_iter().collect();
        ids.sort();
        ids.dedup();
        let mut owners = HashMap::new();
        for chunk in ids.chunks(at_once(self.backend())) {
            let rows: Vec<(WalletId, ExternalId)> = wallets::Entity::find()
                .select_only()
                .columns([wallets::Column::Id, wallets::Column::ExternalId])
                .filter(among(self.backend(), wallets::Column::Id, chunk.iter().cloned()))
                .into_tuple()
                .all(self.session())
                .await?;
            owners.extend(rows);
        }
        Ok(owners)
    }

    /// Sets the user of deposits that came before their wallet and did not name their user.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn adopt_deposits(&self, owners: &HashMap<WalletId, ExternalId>) -> Result<(), Error> {
        let wallets: Vec<WalletId> = owners.keys().cloned().collect();
        let mut orphans: Vec<WalletId> = Vec::new();
        for chunk in wallets.chunks(at_once(self.backend())) {
            let query = deposits::Entity::find()
                .select_only()
                .column(deposits::Column::WalletId)
                .distinct()
                .filter(among(self.backend(), deposits::Column::WalletId, chunk.iter().cloned()))
                .filter(deposits::Column::ExternalId.is_null());
            orphans.extend(query.into_tuple::<WalletId>().all(self.session()).await?);
        }
        // Locking in one order prevents deadlocks.
        orphans.sort();
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

/// An exact amount as a value for the driver; see [`Amount`].
pub(super) fn amount(amount: Option<Amount>, backend: DbBackend) -> Value {
    match (amount, backend) {
        (Some(amount), DbBackend::Sqlite) => amount.as_str().into(),
        (None, DbBackend::Sqlite) => Value::String(None),
        (amount, _) => amount.into(),
    }
}
