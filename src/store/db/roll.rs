//! Whether other processes live: a process shows that it does, and looks who is dead.
//!
//! Whoever has a [lock](crate::store::db::process) lives. Beside an SQLite file the lock is on another file, `<file>-courier`, which the
//! system drops as the process dies.

use std::collections::HashSet;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::DropGuard;

use crate::setting::open_private;
use crate::store::{Config, Error, Store, connect, process};

/// How often, and how many times, a process waits for another that has only just started beside an SQLite file.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const MAX_LOOKS: u32 = 500;

/// A process that delivers. Others see that it lives until this is dropped.
pub struct Roll {
    store: Store,
    file: Option<FileLock>,
    _session: Arc<DropGuard>,
    /// Processes that had no lock when it was last looked.
    absent: HashSet<i64>,
    looked: bool,
}

/// The lock on a file beside an SQLite database, which all that deliver share. Who could have it alone as it came was the only
/// one; whether another has died since cannot be told.
struct FileLock {
    lock: File,
    alone: bool,
    shared: bool,
}

impl Store {
    /// Shows from now on that this process lives, and hears what others append to the log. Beside an SQLite file it waits for
    /// another process that came first and still takes everybody else for dead.
    ///
    /// # Errors
    /// If the database cannot be reached.
    pub async fn enroll(&self, config: &Config) -> Result<Roll, Error> {
        let session = self.keep_session(config).await?;
        let file = lock_beside(config);
        let mut roll = Roll { store: self.clone(), file, _session: session, absent: HashSet::new(), looked: false };
        roll.sign_in();
        for _ in 0..MAX_LOOKS {
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
    /// Those of the processes that are dead for sure: found without a lock twice, or once at the first look, as a session can
    /// be lost for a moment by a process that lives.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn dead(&mut self, processes: &[i64], now: DateTime<Utc>) -> Result<HashSet<i64>, Error> {
        self.sign_in();
        let is_first = !std::mem::replace(&mut self.looked, true);
        if is_first && self.file.as_ref().is_some_and(|file| file.alone) {
            self.store.depose_others(now).await?;
        }
        let mut absent = HashSet::new();
        for process in processes {
            if !self.lives(instance(*process)).await? {
                absent.insert(*process);
            }
        }
        let sure = absent.iter().filter(|process| is_first || self.absent.contains(process)).copied().collect();
        self.absent = absent;
        Ok(sure)
    }

    /// The dead are dealt with: from now on other processes may live beside this one.
    pub fn admit_others(&mut self) {
        if let Some(FileLock { lock, alone, .. }) = &mut self.file
            && std::mem::take(alone)
        {
            // Nothing is led yet that another could take, so whoever gets in between does no harm.
            drop(lock.unlock());
        }
        self.sign_in();
    }

    /// Takes the lock on the file, unless it is held.
    fn sign_in(&mut self) {
        if let Some(FileLock { lock, alone, shared }) = &mut self.file {
            *shared = *shared || (!*alone && lock.try_lock_shared().is_ok());
            self.store.inner.process.show(*alone || *shared);
        }
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

/// The number of the lock that a process has, as its own number says.
pub(in crate::store) fn instance(process: i64) -> u32 {
    u32::try_from((process >> 32) & i64::from(u32::MAX)).unwrap_or(process::UNKNOWN)
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
