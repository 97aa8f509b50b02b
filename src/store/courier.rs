//! Whose leases are whose: a process shows the others that it lives, and takes back what the dead have left.
//!
//! Every lease ends by itself. But the process that held it may be known to be dead long before: each that delivers holds a
//! lock of its own for as long as it lives, which the database (or, for an SQLite file, the system) drops the moment it
//! dies. Whoever finds a lease whose process has no lock takes it back. Where a lock cannot be told, leases end as always.

use std::collections::HashSet;
use std::fs::File;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, State};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect, Statement};

use super::patience::Patient;
use super::{Config, Error, Store, connect};
use crate::model::id::EndpointName;
use crate::setting::open_private;

/// How often, and how long at most, a process waits for another that has only just started beside an SQLite file.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS: u32 = 500;

/// The first half of the locks' names in PostgreSQL, where a lock is a number for all programs of a database.
const NAMESPACE: i64 = 0x6c75_6d6f;

/// A process that delivers.
pub struct Roll {
    store: Store,
    sign: Sign,
    /// Processes that had no lock when it was last looked.
    absent: HashSet<u32>,
}

/// What shows that the process lives.
enum Sign {
    /// A lock that belongs to a session of the database.
    Session(Patient),
    /// The lock on a file beside the database, which all that deliver share. Who could have it alone as it came was the only
    /// one; whether another has died since cannot be told.
    File { lock: File, alone: bool, shared: bool },
    /// Nothing: there is no place for a file.
    None,
}

impl Store {
    /// Shows from now on that this process lives. Beside an SQLite file it waits for another one that came first and still
    /// takes everybody else for dead.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn enroll(&self, config: &Config) -> Result<Roll, Error> {
        let sign = match self.backend() {
            DbBackend::Sqlite => lock_beside(config).unwrap_or(Sign::None),
            _ => Sign::Session(Patient::new(connect::single(config, connect::Absent::Refuse).await?)),
        };
        let mut roll = Roll { store: self.clone(), sign, absent: HashSet::new() };
        roll.sign_in().await?;
        for _ in 0..LOOKS {
            if !matches!(roll.sign, Sign::File { alone: false, shared: false, .. }) {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            roll.sign_in().await?;
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
        self.sign_in().await?;
        let taken = self.take_from_the_dead(endpoints, at_once, now).await;
        if let Sign::File { lock, alone, .. } = &mut self.sign
            && std::mem::take(alone)
        {
            // Nothing is claimed yet, so whoever gets in between does no harm.
            drop(lock.unlock());
        }
        self.sign_in().await?;
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
            if instance != self.store.inner.instance && !self.lives(instance).await? {
                dead.insert(instance);
            }
        }
        let sure: Vec<u32> =
            dead.iter().filter(|instance| at_once || self.absent.contains(instance)).copied().collect();
        self.absent = dead;
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

    /// Takes the lock, again if its session was lost.
    async fn sign_in(&mut self) -> Result<(), Error> {
        let session = match &mut self.sign {
            Sign::Session(session) => session,
            Sign::None => return Ok(()),
            Sign::File { lock, alone, shared } => {
                *shared = *shared || (!*alone && lock.try_lock_shared().is_ok());
                return Ok(());
            }
        };
        let own = self.store.inner.instance;
        let sql = match self.store.backend() {
            DbBackend::Postgres => format!(
                "SELECT CASE WHEN EXISTS (SELECT 1 FROM pg_locks WHERE {} AND pid = pg_backend_pid()) THEN true \
                 ELSE pg_try_advisory_lock({}) END",
                held(own),
                key(own)
            ),
            _ => format!("SELECT GET_LOCK('{}', 0)", name(own)),
        };
        session.query_one_raw(Statement::from_string(self.store.backend(), sql)).await?;
        Ok(())
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
        let session = match &self.sign {
            Sign::Session(session) => session,
            Sign::File { alone, .. } => return Ok(!alone),
            Sign::None => return Ok(true),
        };
        let sql = match self.store.backend() {
            DbBackend::Postgres => format!("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {})", held(instance)),
            _ => format!("SELECT IS_USED_LOCK('{}') IS NOT NULL", name(instance)),
        };
        let row = session.query_one_raw(Statement::from_string(self.store.backend(), sql)).await?;
        // What cannot be told counts as alive.
        Ok(row.map(|row| row.try_get_by_index::<bool>(0)).transpose()?.unwrap_or(true))
    }
}

fn key(instance: u32) -> i64 {
    NAMESPACE << 32 | i64::from(instance)
}

/// How PostgreSQL lists the lock.
fn held(instance: u32) -> String {
    format!(
        "locktype = 'advisory' AND objsubid = 1 AND classid = {NAMESPACE} AND objid = {instance} AND granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
}

fn name(instance: u32) -> String {
    format!("lumo-bridge-{instance:08x}")
}

/// The lock on a file beside an SQLite database; none if the place does not allow it.
fn lock_beside(config: &Config) -> Option<Sign> {
    let path = connect::file_of(config)?;
    let mut name = path.file_name()?.to_owned();
    name.push("-courier");
    let lock = open_private(&path.with_file_name(name)).ok()?;
    let alone = lock.try_lock().is_ok();
    Some(Sign::File { lock, alone, shared: false })
}
