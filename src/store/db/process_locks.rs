//! Holds the lock of this process while it delivers, and detects which other processes are dead.
//!
//! A process that holds its [lock](crate::store::db::process) is alive. For an SQLite database the lock is on a file
//! beside it, `<file>-courier`. The system releases that lock when the process dies.

use std::collections::{HashMap, HashSet};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::DropGuard;

use crate::setting::open_private;
use crate::store::{Config, Error, Store, connect, process};

/// Pause, and number of tries, while a process waits for another one that has just started on the same SQLite file.
const RETRY_EVERY: Duration = Duration::from_millis(20);
const MAX_TRIES: u32 = 500;
/// A process is dead if it has had no lock for this long. One that lives opens a lost session again sooner.
const GONE_AFTER: Duration = Duration::from_secs(4);
/// How often a process tries to get the file's lock exclusively when it starts. A command that looks whether the file is
/// locked holds the lock for a moment.
const EXCLUSIVE_TRIES: u32 = 3;

/// The lock of this process and its view of the others' locks. Other processes see this one as alive until this is
/// dropped.
pub struct ProcessLocks {
    store: Store,
    file: Option<FileLock>,
    _session: Arc<DropGuard>,
    /// Since when processes have had no lock.
    absent: HashMap<i64, Instant>,
    has_checked: bool,
}

/// The lock on a file beside an SQLite database, shared by all processes that deliver. A process that gets it
/// exclusively when it starts is the only one. Later deaths of other processes cannot be detected.
struct FileLock {
    lock: File,
    alone: bool,
    shared: bool,
}

impl Store {
    /// Takes this process's lock and starts to listen for events that others append to the log. For an SQLite file it
    /// waits until a process that started first has dealt with the dead ones.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn hold_process_lock(&self, config: &Config) -> Result<ProcessLocks, Error> {
        let session = self.keep_session(config).await?;
        let mut file = lock_beside(config);
        for _ in 1..EXCLUSIVE_TRIES {
            let Some(file) = file.as_mut().filter(|file| !file.alone) else { break };
            tokio::time::sleep(RETRY_EVERY).await;
            file.alone = file.lock.try_lock().is_ok();
        }
        let mut locks =
            ProcessLocks { store: self.clone(), file, _session: session, absent: HashMap::new(), has_checked: false };
        locks.take_file_lock();
        for _ in 0..MAX_TRIES {
            if !matches!(locks.file, Some(FileLock { alone: false, shared: false, .. })) {
                break;
            }
            tokio::time::sleep(RETRY_EVERY).await;
            locks.take_file_lock();
        }
        Ok(locks)
    }
}

impl ProcessLocks {
    /// The processes that are certainly dead: without a lock in the first check of this process, or for a while in later
    /// ones, because a living process can lose its session for a moment. While this process has lost its own lock, no other
    /// is dead for having none: a server that was restarted has ended the sessions of all.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn dead(&mut self, processes: &[i64], now: DateTime<Utc>) -> Result<HashSet<i64>, Error> {
        self.take_file_lock();
        let is_first = !std::mem::replace(&mut self.has_checked, true);
        if is_first && self.file.as_ref().is_some_and(|file| file.alone) {
            self.store.depose_others(now).await?;
        }
        if self.store.holds_lock(self.store.inner.process.instance()).await? == Some(false) {
            self.absent.clear();
            return Ok(HashSet::new());
        }
        let (now, mut absent) = (Instant::now(), HashMap::new());
        for process in processes {
            if !self.lives(instance(*process)).await? {
                absent.insert(*process, self.absent.get(process).copied().unwrap_or(now));
            }
        }
        self.absent = absent;
        let is_sure = |since: Instant| is_first || now.saturating_duration_since(since) >= GONE_AFTER;
        Ok(self.absent.iter().filter(|(_, since)| is_sure(**since)).map(|(process, _)| *process).collect())
    }

    /// Shares the file lock: the dead processes have been dealt with, so others may run beside this one.
    pub fn admit_others(&mut self) {
        if let Some(FileLock { lock, alone, .. }) = &mut self.file
            && std::mem::take(alone)
        {
            // This process leads nothing yet, so a process that gets the lock in between does no harm.
            drop(lock.unlock());
        }
        self.take_file_lock();
    }

    /// Takes the shared lock on the file, unless this process holds one.
    fn take_file_lock(&mut self) {
        if let Some(FileLock { lock, alone, shared }) = &mut self.file {
            *shared = *shared || (!*alone && lock.try_lock_shared().is_ok());
            self.store.inner.process.show(*alone || *shared);
        }
    }

    async fn lives(&self, instance: u32) -> Result<bool, Error> {
        match &self.file {
            // A process without a lock may be alive.
            Some(FileLock { alone: true, .. }) => {
                Ok(instance == process::UNKNOWN || self.store.is_own_process(instance))
            }
            _ => self.store.lives(instance).await,
        }
    }
}

/// The number of a process's lock: the upper half of the process's number.
pub(in crate::store) fn instance(process: i64) -> u32 {
    u32::try_from((process >> 32) & i64::from(u32::MAX)).unwrap_or(process::UNKNOWN)
}

/// The file beside an SQLite database that processes lock.
pub(in crate::store) fn lock_file(config: &Config) -> Option<PathBuf> {
    let path = connect::file_of(config)?;
    let mut name = path.file_name()?.to_owned();
    name.push("-courier");
    Some(path.with_file_name(name))
}

/// Whether any process holds the lock on the file, which this takes for a moment to find out. None if that cannot be
/// determined.
pub(in crate::store) fn is_locked(file: &Path) -> Option<bool> {
    let lock = match File::open(file) {
        Ok(lock) => lock,
        Err(error) => return (error.kind() == io::ErrorKind::NotFound).then_some(false),
    };
    match lock.try_lock() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

/// The lock on a file beside an SQLite database; none if the file cannot be created or opened.
fn lock_beside(config: &Config) -> Option<FileLock> {
    let lock = open_private(&lock_file(config)?).ok()?;
    let alone = lock.try_lock().is_ok();
    Some(FileLock { lock, alone, shared: false })
}
