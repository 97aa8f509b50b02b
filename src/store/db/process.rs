//! Numbers this process, keeps its session open, and finds out whether the process of a lease is alive.
//!
//! Every lease ends by itself. But its holder may be known to be dead long before. Each process holds a lock of its own
//! as long as it lives, in a [session](crate::store::db::session) of its own, and the server releases the lock at once
//! when the process dies. Without such a session nobody can detect that, and leases only end by time.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::store::db::session::{self, Session};
use crate::store::{Config, Error, Store};

/// The number of a process without a lock, in a lease.
pub(in crate::store) const UNKNOWN: u32 = 0;
/// The first half of the lock's number in PostgreSQL, where all programs of a database share the numbers.
const NAMESPACE: i64 = 0x6c75_6d6f;
/// How long a process that ends waits for its session to end.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What other processes see of this one.
pub(in crate::store) struct Process {
    /// The number of its lock.
    instance: u32,
    /// Whether a session can be kept.
    has_session: bool,
    /// The file beside an SQLite database that processes lock.
    lock_file: Option<PathBuf>,
    is_shown: AtomicBool,
    /// The numbers under which it has delivered: a reload begins with a new one.
    numbers: Mutex<HashSet<i64>>,
    /// The session that is kept open while any guard exists.
    kept: Mutex<KeptSession>,
    tasks: TaskTracker,
}

#[derive(Default)]
struct KeptSession {
    stop: CancellationToken,
    guard: Weak<DropGuard>,
}

impl Process {
    pub(in crate::store) fn new(has_session: bool, lock_file: Option<PathBuf>) -> Self {
        let instance = rand::random::<u32>().max(UNKNOWN + 1);
        let (is_shown, kept, tasks) = (AtomicBool::new(false), Mutex::default(), TaskTracker::new());
        Self { instance, has_session, lock_file, is_shown, numbers: Mutex::default(), kept, tasks }
    }

    pub(in crate::store) fn lock_file(&self) -> Option<&Path> {
        self.lock_file.as_deref()
    }

    pub(in crate::store) fn instance(&self) -> u32 {
        self.instance
    }

    /// The number of its lock, while it holds the lock.
    pub(in crate::store) fn shown(&self) -> Option<u32> {
        self.is_shown.load(Ordering::Relaxed).then_some(self.instance)
    }

    pub(in crate::store) fn show(&self, is_shown: bool) {
        self.is_shown.store(is_shown, Ordering::Relaxed);
    }

    /// Notes a number under which it will deliver.
    pub(in crate::store) fn note_number(&self, number: i64) {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).insert(number);
    }

    /// Whether it delivers, or has delivered, under this number.
    pub(in crate::store) fn has_number(&self, number: i64) -> bool {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner).contains(&number)
    }

    /// Ends the session, if there is one.
    pub(in crate::store) async fn end(&self) {
        let stop = self.kept.lock().unwrap_or_else(PoisonError::into_inner).stop.clone();
        stop.cancel();
        self.tasks.close();
        drop(tokio::time::timeout(END_TIMEOUT, self.tasks.wait()).await);
    }
}

impl Store {
    /// Keeps a separate session open, with the process lock, until every guard is dropped.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub(in crate::store) async fn keep_session(&self, config: &Config) -> Result<Arc<DropGuard>, Error> {
        let process = &self.inner.process;
        if let Some(guard) = process.kept.lock().unwrap_or_else(PoisonError::into_inner).guard.upgrade() {
            return Ok(guard);
        }
        let first = if process.has_session { Session::open(self, config).await? } else { Session::None };
        let stop = CancellationToken::new();
        let guard = Arc::new(stop.clone().drop_guard());
        *process.kept.lock().unwrap_or_else(PoisonError::into_inner) =
            KeptSession { stop: stop.clone(), guard: Arc::downgrade(&guard) };
        process.tasks.spawn(session::keep(self.clone(), config.clone(), first, stop));
        Ok(guard)
    }

    /// Whether the process of a lease is alive. If that cannot be determined, it counts as alive.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn lives(&self, process: u32) -> Result<bool, Error> {
        Ok(process == self.inner.process.instance || self.holds_lock(process).await?.unwrap_or(true))
    }

    /// Whether a process holds its lock. None if that cannot be determined.
    ///
    /// # Errors
    /// If the database fails.
    pub(in crate::store) async fn holds_lock(&self, process: u32) -> Result<Option<bool>, Error> {
        let sql = match self.backend() {
            _ if process == UNKNOWN => return Ok(None),
            // A file lock does not show its holder.
            DbBackend::Sqlite => return Ok(None),
            DbBackend::Postgres => format!("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE {})", held(process)),
            _ => format!("SELECT IS_USED_LOCK('{}') IS NOT NULL", name(process)),
        };
        let row = self.read().query_one_raw(Statement::from_string(self.backend(), sql)).await?;
        Ok(row.map(|row| row.try_get_by_index::<bool>(0)).transpose()?)
    }

    /// Whether a lease belongs to this process.
    #[must_use]
    pub fn is_own_process(&self, process: u32) -> bool {
        process == self.inner.process.instance
    }
}

/// The lock's number in PostgreSQL.
pub(in crate::store) fn key(instance: u32) -> i64 {
    NAMESPACE << 32 | i64::from(instance)
}

/// The SQL condition for the lock in PostgreSQL's `pg_locks`.
pub(in crate::store) fn held(instance: u32) -> String {
    format!(
        "locktype = 'advisory' AND objsubid = 1 AND classid = {NAMESPACE} AND objid = {instance} AND granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
}

/// The lock's name in MySQL and MariaDB.
pub(in crate::store) fn name(instance: u32) -> String {
    format!("lumo-bridge-{instance:08x}")
}
