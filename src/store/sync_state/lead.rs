//! Gives leases: one process at a time does a job, and its writes are fenced.
//!
//! A lease alone is not enough: a process that was suspended for longer than its lease does not know that another took
//! over. So each new leader gets a number of its own, the epoch, and every transaction of the job checks under a lock
//! whether its epoch is still the present one. A leader that lost the lease can commit nothing.

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge_entity::lease;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect,
    Statement,
};

use crate::model::account::Identity;
use crate::store::{Error, Store, Tx};

/// The owner in a lease that was given up.
const NOBODY: &str = "";

/// The fencing token of a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    pub resource: &'static str,
    /// Grows with every new leader.
    pub epoch: i64,
}

/// The holder of a lease and its end, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub owner: String,
    pub epoch: i64,
    pub expires_at: DateTime<Utc>,
    /// The process, if it holds a process lock.
    pub process: Option<u32>,
}

impl Holder {
    /// Whether the lease is held at this time.
    #[must_use]
    pub fn is_held(&self, now: DateTime<Utc>) -> bool {
        !self.is_given_up() && self.expires_at > now
    }

    /// Whether its holder gave the lease up, or it was taken from it.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.owner == NOBODY
    }
}

impl From<lease::Model> for Holder {
    fn from(row: lease::Model) -> Self {
        let lease::Model { owner, epoch, expires_at, process, .. } = row;
        Self { owner, epoch, expires_at, process: process.and_then(|process| u32::try_from(process).ok()) }
    }
}

impl Store {
    /// Takes the lease, or renews it for another `lease`; none if another process has it. A leader that renews in time
    /// keeps its fence. One whose lease had ended gets a new fence, even if no other took it in between.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lead(
        &self,
        resource: &'static str,
        owner: &str,
        lease: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Option<Fence>, Error> {
        let of_another = |row: &lease::Model| row.expires_at > now && row.owner != owner && row.owner != NOBODY;
        // Standbys poll often, and must not hold up the leader, so this reads without a lock first.
        if lease::Entity::find_by_id(resource).one(self.read()).await?.as_ref().is_some_and(of_another) {
            return Ok(None);
        }
        self.tx("lease.lead", |tx| async move {
            let held = lease::Entity::find_by_id(resource).lock_exclusive().one(tx.session()).await?;
            if held.as_ref().is_some_and(of_another) {
                return Ok(None);
            }
            let expires_at = now + lease;
            let Some(held) = held else {
                let process = tx.store().inner.process.shown().map(i64::from);
                let row = lease::Model {
                    resource: resource.to_owned(),
                    owner: owner.to_owned(),
                    epoch: 1,
                    expires_at,
                    process,
                };
                lease::Entity::insert(lease::ActiveModel::from(row)).exec_without_returning(tx.session()).await?;
                return Ok(Some(Fence { resource, epoch: 1 }));
            };
            let kept = held.owner == owner && held.expires_at > now;
            let epoch = if kept { held.epoch } else { held.epoch.saturating_add(1) };
            Ok(Some(tx.take_lease(Fence { resource, epoch }, owner, expires_at).await?))
        })
        .await
    }

    /// Takes the lease from a holder whose key is refused or of another company, for a process whose key is of `found`.
    /// None unless the tables belong to `found`, and one of the two is recorded. Clears the record of another company.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn relieve(
        &self,
        (resource, seen): (&'static str, &Holder),
        found: &Identity,
        owner: &str,
        lease: TimeDelta,
        now: DateTime<Utc>,
    ) -> Result<Option<Fence>, Error> {
        self.tx("lease.relieve", |tx| async move {
            let held = lease::Entity::find_by_id(resource).lock_exclusive().one(tx.session()).await?;
            if held.map(Holder::from).as_ref() != Some(seen) || !tx.is_misread(found).await? {
                return Ok(None);
            }
            let fence = Fence { resource, epoch: seen.epoch.saturating_add(1) };
            Ok(Some(tx.take_lease(fence, owner, now + lease).await?))
        })
        .await
    }

    /// The present holder of the lease, or the last one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn holder(&self, resource: &str) -> Result<Option<Holder>, Error> {
        Ok(lease::Entity::find_by_id(resource).one(self.read()).await?.map(Holder::from))
    }

    /// Ends the lease of a holder that no longer renews it. Returns false if the lease has changed since it was seen.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn depose(&self, resource: &'static str, seen: &Holder, now: DateTime<Utc>) -> Result<bool, Error> {
        self.tx("lease.depose", |tx| async move {
            let held = lease::Entity::find_by_id(resource).lock_exclusive().one(tx.session()).await?;
            if held.map(Holder::from).as_ref() != Some(seen) {
                return Ok(false);
            }
            tx.end_leases(Condition::all().add(lease::Column::Resource.eq(resource)), now).await?;
            Ok(true)
        })
        .await
    }

    /// Ends the leases of all other processes that had a lock: they are dead, because the caller holds the lock
    /// exclusively.
    ///
    /// # Errors
    /// If the database fails.
    pub(in crate::store) async fn depose_others(&self, now: DateTime<Utc>) -> Result<(), Error> {
        let own = i64::from(self.inner.process.instance());
        let others = || Condition::all().add(lease::Column::Process.ne(own));
        self.tx("lease.depose", |tx| async move { tx.end_leases(others(), now).await }).await
    }

    /// Gives up the lease, so that another process need not wait for its end. Does nothing if it was lost already.
    ///
    /// # Errors
    /// If the database fails; the lease ends by itself then.
    pub async fn resign(&self, fence: Fence, owner: &str, now: DateTime<Utc>) -> Result<(), Error> {
        let own = || {
            Condition::all()
                .add(lease::Column::Resource.eq(fence.resource))
                .add(lease::Column::Owner.eq(owner))
                .add(lease::Column::Epoch.eq(fence.epoch))
        };
        self.tx("lease.resign", |tx| async move { tx.end_leases(own(), now).await }).await
    }
}

impl Tx {
    /// Makes this process the owner of an existing lease.
    async fn take_lease(&self, fence: Fence, owner: &str, expires_at: DateTime<Utc>) -> Result<Fence, Error> {
        lease::Entity::update_many()
            .set(lease::ActiveModel {
                owner: Set(owner.to_owned()),
                epoch: Set(fence.epoch),
                expires_at: Set(expires_at),
                process: Set(self.store().inner.process.shown().map(i64::from)),
                ..Default::default()
            })
            .filter(lease::Column::Resource.eq(fence.resource))
            .exec(self.session())
            .await?;
        Ok(fence)
    }

    /// Ends leases. They then have no owner, whatever end they have, because a clock that is wrong now may be right
    /// again.
    async fn end_leases(&self, which: Condition, now: DateTime<Utc>) -> Result<(), Error> {
        lease::Entity::update_many()
            .col_expr(lease::Column::Owner, Expr::value(NOBODY))
            .col_expr(lease::Column::ExpiresAt, Expr::value(now))
            .filter(which)
            .exec(self.session())
            .await?;
        Ok(())
    }

    /// Locks the lease, so that the fence stays valid until the transaction ends. Comes before every other lock.
    pub(in crate::store) async fn hold(&self, fence: Option<Fence>) -> Result<(), Error> {
        let Some(fence) = fence else { return Ok(()) };
        let epoch: Option<i64> = match self.backend() {
            // MariaDB does not know FOR SHARE, which is all that the builder writes.
            DbBackend::MySql => {
                let sql = "SELECT epoch FROM lumo_leases WHERE resource = ? LOCK IN SHARE MODE";
                let statement = Statement::from_sql_and_values(DbBackend::MySql, sql, [fence.resource.into()]);
                let row = self.session().query_one_raw(statement).await?;
                row.map(|row| row.try_get("", "epoch")).transpose()?
            }
            _ => {
                let query = lease::Entity::find_by_id(fence.resource).lock_shared();
                query.one(self.session()).await?.map(|row| row.epoch)
            }
        };
        if epoch == Some(fence.epoch) { Ok(()) } else { Err(Error::Fenced) }
    }
}
