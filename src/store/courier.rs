//! Whose leases are whose: a process shows the others that it lives, and takes back what the dead have left.
//!
//! Whoever finds a lease whose process has no [lock](super::process) takes it back. Beside an SQLite file the lock is on
//! another file, `<file>-courier`, which the system drops as the process dies.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, State};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect};
use tokio_util::sync::DropGuard;

use super::{Config, Error, Store, connect, process};
use crate::model::id::EndpointName;
use crate::setting::open_private;

/// How often, and how long at most, a process waits for another that has only just started beside an SQLite file.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 500;

/// A process that delivers. Others see that it lives until this is dropped.
pub struct Roll {
    store: Store,
    file: Option<FileLock>,
    _session: Arc<DropGuard>,
    /// Processes that had no lock when it was last looked.
    absent: HashSet<u32>,
}

/// The lock on a file beside an SQLite database, which all that deliver share. Who could have it alone as it came was the only
/// one; whether another has died since cannot be told.
struct FileLock {
    lock: File,
    alone: bool,
    shared: bool,
}

impl Store {
    /// Shows from now on that this process lives, and hears of what others queue. Beside an SQLite file it waits for another
    /// process that came first and still takes everybody else for dead.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn enroll(&self, config: &Config) -> Result<Roll, Error> {
        let session = self.keep_session(config).await?;
        let file = lock_beside(config);
        let mut roll = Roll { store: self.clone(), file, _session: session, absent: HashSet::new() };
        roll.sign_in();
        for _ in 0..LOOKS {
            if !matches!(roll.file, Some(FileLock { alone: false, shared: false, .. })) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            roll.sign_in();
        }
        Ok(roll)
    }
}

impl Roll {
    /// Takes back the leases of processes that are dead, which makes what they held due. A process must have been found
    /// dead twice, unless `at_once`: a session can be lost for a moment by a process that lives. Returns how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn take_back(
        &mut self,
        endpoints: &[EndpointName],
        at_once: bool,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        self.sign_in();
        let taken = self.take_from_the_dead(endpoints, at_once, now).await;
        if let Some(FileLock { lock, alone, .. }) = &mut self.file
            && std::mem::take(alone)
        {
            // Nothing is claimed yet, so whoever gets in between does no harm.
            drop(lock.unlock());
        }
        self.sign_in();
        let taken = taken?;
        if taken > 0 {
            self.store.wake();
        }
        Ok(taken)
    }

    async fn take_from_the_dead(
        &mut self,
        endpoints: &[EndpointName],
        at_once: bool,
        now: DateTime<Utc>,
    ) -> Result<u64, Error> {
        let mut dead = HashSet::new();
        for instance in self.holders(endpoints).await? {
            if !self.lives(instance).await? {
                dead.insert(instance);
            }
        }
        let sure: Vec<u32> =
            dead.iter().filter(|instance| at_once || self.absent.contains(instance)).copied().collect();
        self.absent = dead;
        if self.file.as_ref().is_some_and(|file| file.alone) {
            self.store.depose_others(now).await?;
        }
        let mut taken = 0;
        for instance in sure {
            let first = i64::from(instance.cast_signed()) << 32;
            let theirs = || {
                Condition::all()
                    .add(delivery::Column::Endpoint.is_in(endpoints.iter().cloned()))
                    .add(delivery::Column::LeaseToken.between(first, first | i64::from(u32::MAX)))
            };
            taken += self.store.tx("delivery.take_back", |tx| async move { tx.put_back(theirs(), now).await }).await?;
        }
        Ok(taken)
    }

    /// Takes the lock on the file, unless it is held.
    fn sign_in(&mut self) {
        if let Some(FileLock { lock, alone, shared }) = &mut self.file {
            *shared = *shared || (!*alone && lock.try_lock_shared().is_ok());
            self.store.inner.process.show(*alone || *shared);
        }
    }

    /// The processes that hold leases.
    async fn holders(&self, endpoints: &[EndpointName]) -> Result<HashSet<u32>, Error> {
        let mut holders = HashSet::new();
        for endpoint in endpoints {
            // In halves of the token, as far as every database divides alike.
            let tokens: Vec<Option<i64>> = delivery::Entity::find()
                .select_only()
                .column(delivery::Column::LeaseToken)
                .distinct()
                .filter(delivery::Column::Endpoint.eq(endpoint.clone()))
                .filter(delivery::Column::State.eq(State::Sending))
                .filter(delivery::Column::NextAttemptAt.is_not_null())
                .into_tuple()
                .all(self.store.read())
                .await?;
            let instance = |token: i64| u32::try_from((token >> 32) & i64::from(u32::MAX)).ok();
            holders.extend(tokens.into_iter().flatten().filter_map(instance));
        }
        Ok(holders)
    }

    async fn lives(&self, instance: u32) -> Result<bool, Error> {
        match &self.file {
            // What has no lock may live all the same.
            Some(FileLock { alone: true, .. }) => {
                Ok(instance == process::UNKNOWN || self.store.is_own_process(instance))
            }
            _ => self.store.lives(instance).await,
        }
    }
}

/// The lock on a file beside an SQLite database; none if the place does not allow it.
fn lock_beside(config: &Config) -> Option<FileLock> {
    let path = connect::file_of(config)?;
    let mut name = path.file_name()?.to_owned();
    name.push("-courier");
    let lock = open_private(&path.with_file_name(name)).ok()?;
    let alone = lock.try_lock().is_ok();
    Some(FileLock { lock, alone, shared: false })
}
