//! Tracks the heartbeats of other processes, and decides whose endpoints may be claimed.
//!
//! Pure.

use std::collections::HashMap;
use std::time::Duration;

use lumo_bridge_entity::{endpoint, process};
use tokio::time::Instant;

/// A process whose heartbeat has not changed for this long is removed from the table.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

pub(in crate::deliver) struct Rivals {
    own: i64,
    seen: HashMap<i64, LastBeat>,
}

/// A process as it was last seen.
struct LastBeat {
    beat: i64,
    since: Instant,
}

/// Why an endpoint may be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum Claim {
    /// Nobody leads it.
    Free,
    /// The table names this process as the leader, and it does not lead: it never learned the result of its last claim.
    Own,
    /// Its leader has lost its lock, or is no longer in the table.
    Dead,
    /// Its leader has not written a heartbeat for the length of the lease.
    Silent,
}

/// What a process must do about an endpoint that it does not lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliver) enum Duty {
    Take(Claim),
    /// Give up the lead that the table records: the process never learned the result of its last claim, or could not
    /// write that it gave the lead up. While it lives, no other process would claim the endpoint.
    GiveUp,
    Nothing,
}

impl Rivals {
    pub(in crate::deliver) fn new(own: i64) -> Self {
        Self { own, seen: HashMap::new() }
    }

    /// Records the table of processes. Returns those to be removed from it.
    pub(in crate::deliver) fn observe(&mut self, processes: &[process::Model], now: Instant) -> Vec<i64> {
        self.seen.retain(|process, _| processes.iter().any(|row| row.process == *process));
        for row in processes {
            let seen = self.seen.entry(row.process).or_insert(LastBeat { beat: row.beat, since: now });
            if seen.beat != row.beat {
                *seen = LastBeat { beat: row.beat, since: now };
            }
        }
        self.silent_for(FORGOTTEN_AFTER, now).collect()
    }

    fn silent_for(&self, time: Duration, now: Instant) -> impl Iterator<Item = i64> {
        let is_silent = move |(process, seen): (&i64, &LastBeat)| {
            (*process != self.own && now.saturating_duration_since(seen.since) > time).then_some(*process)
        };
        self.seen.iter().filter_map(is_silent)
    }

    /// Whether no other process has written a heartbeat within this time.
    pub(in crate::deliver) fn is_alone(&self, within: Duration, now: Instant) -> bool {
        let others = self.seen.iter().filter(|(process, _)| **process != self.own);
        !others.into_iter().any(|(_, seen)| now.saturating_duration_since(seen.since) < within)
    }

    /// What to do about an endpoint that is configured here and that this process does not lead. `fingerprint`
    /// identifies this process's settings of the endpoint, and `dead` are processes without a lock.
    pub(in crate::deliver) fn duty(
        &self,
        row: &endpoint::Model,
        fingerprint: i64,
        processes: &[process::Model],
        dead: &[i64],
        now: Instant,
    ) -> Duty {
        if !self.is_others(row, fingerprint, processes, now) {
            return self.claim(row, dead, now).map_or(Duty::Nothing, Duty::Take);
        }
        if row.process == Some(self.own) { Duty::GiveUp } else { Duty::Nothing }
    }

    /// Whether another process should lead the endpoint, because it has the registered settings and this one does not.
    pub(in crate::deliver) fn is_others(
        &self,
        row: &endpoint::Model,
        fingerprint: i64,
        processes: &[process::Model],
        now: Instant,
    ) -> bool {
        row.fingerprint != fingerprint && self.have(row, processes, now)
    }

    /// Whether the settings in the table are not those of this process, and no live process has them any more.
    pub(in crate::deliver) fn is_orphaned(
        &self,
        row: &endpoint::Model,
        fingerprint: i64,
        processes: &[process::Model],
        now: Instant,
    ) -> bool {
        row.removed_at.is_none() && row.fingerprint != fingerprint && !self.have(row, processes, now)
    }

    /// Whether another live process has the endpoint with the settings in the table.
    fn have(&self, row: &endpoint::Model, processes: &[process::Model], now: Instant) -> bool {
        let has = |text: &str| {
            let known: HashMap<String, i64> = serde_json::from_str(text).unwrap_or_default();
            known.get(row.name.as_str()) == Some(&row.fingerprint)
        };
        let is_silent = |other: i64| self.seen.get(&other).is_some_and(|seen| seen.is_silent(row, now));
        let lives = |other: &&process::Model| other.process != self.own && !is_silent(other.process);
        processes.iter().filter(lives).any(|other| has(&other.endpoints))
    }

    /// Why the endpoint may be claimed; none if it may not.
    fn claim(&self, row: &endpoint::Model, dead: &[i64], now: Instant) -> Option<Claim> {
        let Some(leader) = row.process else { return Some(Claim::Free) };
        if leader == self.own {
            return Some(Claim::Own);
        }
        let Some(seen) = self.seen.get(&leader).filter(|_| !dead.contains(&leader)) else { return Some(Claim::Dead) };
        seen.is_silent(row, now).then_some(Claim::Silent)
    }
}

impl LastBeat {
    /// Whether its heartbeat has not changed for longer than the endpoint's lease.
    fn is_silent(&self, row: &endpoint::Model, now: Instant) -> bool {
        let lease = Duration::from_millis(u64::try_from(row.lease_ms).unwrap_or(0));
        now.saturating_duration_since(self.since) > lease
    }
}
