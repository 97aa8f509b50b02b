//! Checks whether a daemon is alive, by the locks that processes hold and not by the lease in the table.

use crate::store::db::process_locks::{instance, is_locked};
use crate::store::{Error, Store};

impl Store {
    /// Whether the holder of a lease, or any process that delivers, is known to be alive. False if that cannot be
    /// determined.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn knows_living(&self, holder: Option<u32>) -> Result<bool, Error> {
        if let Some(file) = self.inner.process.lock_file() {
            return Ok(is_locked(file).unwrap_or(false));
        }
        let processes = self.processes().await?.into_iter().map(|row| instance(row.process));
        for process in holder.into_iter().chain(processes) {
            if self.holds_lock(process).await? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
