//! Decides which process's settings of an endpoint count if processes have different ones, and logs a warning.

use std::time::Duration;

use lumo_bridge_entity::{endpoint, process};
use tokio::time::Instant;

use super::PoolRun;
use crate::deliver::dispatcher::Message;
use crate::store::Error;

/// For how long no live process must have had the registered settings of an endpoint before this process registers its
/// own: the process that had them may be about to start again.
const RECLAIM_AFTER: Duration = Duration::from_secs(20);

impl PoolRun<'_> {
    /// Registers this process's settings for endpoints whose registered settings no live process has any more.
    pub(super) async fn reclaim(
        &mut self,
        rows: &[endpoint::Model],
        processes: &[process::Model],
    ) -> Result<(), Error> {
        let now = Instant::now();
        let is_orphaned = |row: &&endpoint::Model| {
            let own = self.endpoint(&row.name);
            own.is_some_and(|own| self.rivals.is_orphaned(row, own.fingerprint(), processes, now))
        };
        let orphaned: Vec<endpoint::Model> = rows.iter().filter(is_orphaned).cloned().collect();
        self.orphaned_since.retain(|name, _| orphaned.iter().any(|row| row.name == *name));
        let mut due = orphaned;
        due.retain(|row| now - *self.orphaned_since.entry(row.name.clone()).or_insert(now) >= RECLAIM_AFTER);
        if due.is_empty() {
            return Ok(());
        }
        for endpoint in self.pool.store.reclaim_endpoints(&due).await? {
            tracing::warn!(
                %endpoint,
                "the process whose settings of this endpoint counted is gone; those of this process count again"
            );
        }
        Ok(())
    }

    /// Gives up endpoints for which a process that started later has other settings: the settings registered last
    /// count.
    pub(super) fn step_down(&self, rows: &[endpoint::Model], processes: &[process::Model]) {
        for row in rows {
            let (Some(leading), Some(own)) = (self.leading.get(&row.name), self.endpoint(&row.name)) else { continue };
            if self.rivals.is_others(row, own.fingerprint(), processes, Instant::now()) {
                leading.tell(Message::StepDown);
            }
        }
    }

    /// Logs for which endpoints another running process has other settings: once when that is noticed, and once when it
    /// is over. This process before it reloaded its configuration does not count as another one.
    pub(super) fn tell_of_differences(&mut self, processes: &[process::Model]) {
        let now = Instant::now();
        let store = &self.pool.store;
        let others: Vec<&process::Model> = processes.iter().filter(|row| !store.has_number(row.process)).collect();
        for own in &self.pool.endpoints {
            let (endpoint, fingerprint) = (own.name(), own.fingerprint());
            let other = self.rivals.other_settings(endpoint, fingerprint, &others, now);
            let before = match other {
                Some(other) => self.differing.insert(endpoint.clone(), other),
                None => self.differing.remove(endpoint),
            };
            match (before, other) {
                (before, Some(other)) if before != Some(other) => tracing::warn!(
                    %endpoint,
                    "another running process has other settings for this endpoint; those of the one that started, or reloaded, last count"
                ),
                (Some(_), None) => {
                    tracing::info!(%endpoint, "no other running process has other settings for this endpoint any more");
                }
                _ => {}
            }
        }
    }
}
