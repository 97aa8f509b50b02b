//! Tracks the heartbeats of other processes, and decides whose endpoints may be claimed.
//!
//! Pure.

use std::collections::HashMap;
use std::time::Duration;

use lumo_bridge_entity::{endpoint, process};
use tokio::time::Instant;

use crate::model::id::EndpointName;

/// A process whose heartbeat has not changed for this long is removed from the table.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);
/// A process runs if its heartbeat was seen to change within this time.
const RUNS_FOR: Duration = Duration::from_secs(10);

pub(in crate::deliver) struct Rivals {
    own: i64,
    seen: HashMap<i64, LastBeat>,
}

/// A process as it was last seen.
struct LastBeat {
    beat: i64,
    since: Instant,
    /// Whether it was seen to change. The row of a process that was killed stays, and does not.
    has_changed: bool,
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
            let first = LastBeat { beat: row.beat, since: now, has_changed: false };
            let seen = self.seen.entry(row.process).or_insert(first);
            if seen.beat != row.beat {
                *seen = LastBeat { beat: row.beat, since: now, has_changed: true };
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
        let is_silent = |other: i64| self.seen.get(&other).is_some_and(|seen| seen.is_silent(row, now));
        let lives = |other: &&process::Model| other.process != self.own && !is_silent(other.process);
        processes.iter().filter(lives).any(|other| settings_in(other, &row.name) == Some(row.fingerprint))
    }

    /// The fingerprint of another process's settings of an endpoint, if that process certainly runs and has others than
    /// those with this fingerprint.
    pub(in crate::deliver) fn other_settings(
        &self,
        endpoint: &EndpointName,
        fingerprint: i64,
        processes: &[&process::Model],
        now: Instant,
    ) -> Option<i64> {
        let runs = |other: i64| {
            let seen = self.seen.get(&other).filter(|seen| other != self.own && seen.has_changed);
            seen.is_some_and(|seen| now.saturating_duration_since(seen.since) <= RUNS_FOR)
        };
        let running = processes.iter().filter(|other| runs(other.process));
        running.filter_map(|other| settings_in(other, endpoint)).find(|other| *other != fingerprint)
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

/// The fingerprint of a process's settings of an endpoint, if it has the endpoint.
fn settings_in(process: &process::Model, endpoint: &EndpointName) -> Option<i64> {
    let known: HashMap<String, i64> = serde_json::from_str(&process.endpoints).unwrap_or_default();
    known.get(endpoint.as_str()).copied()
}

impl LastBeat {
    /// Whether its heartbeat has not changed for longer than the endpoint's lease.
    fn is_silent(&self, row: &endpoint::Model, now: Instant) -> bool {
        let lease = Duration::from_millis(u64::try_from(row.lease_ms).unwrap_or(0));
        now.saturating_duration_since(self.since) > lease
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const OWN: i64 = 1;

    fn row(process: i64, beat: i64, shop: i64) -> process::Model {
        let endpoints = format!(r#"{{"shop": {shop}}}"#);
        process::Model { process, beat, started_at: DateTime::UNIX_EPOCH, endpoints }
    }

    #[test]
    fn settings_differ_only_from_those_of_a_process_whose_heartbeat_goes_on() {
        let (mut rivals, start) = (Rivals::new(OWN), Instant::now());
        let shop: EndpointName = "shop".parse().unwrap();
        let mut other = |second: u64, rows: &[process::Model]| {
            let now = start + Duration::from_secs(second);
            rivals.observe(rows, now);
            rivals.other_settings(&shop, 7, &rows.iter().collect::<Vec<_>>(), now)
        };
        // The row of this process, of one that was killed, and of one that has the same settings.
        assert_eq!(other(0, &[row(OWN, 1, 8), row(2, 40, 9), row(3, 1, 7)]), None);
        assert_eq!(other(3, &[row(OWN, 2, 8), row(2, 40, 9), row(3, 2, 7)]), None);
        let with_another = |beat| [row(OWN, 3, 8), row(2, 40, 9), row(3, 3, 7), row(4, beat, 5)];
        assert_eq!(other(4, &with_another(1)), None, "it may have been killed as well");
        assert_eq!(other(7, &with_another(2)), Some(5));
        assert_eq!(other(17, &with_another(2)), Some(5));
        assert_eq!(other(18, &with_another(2)), None, "it is silent");
        assert_eq!(other(19, &with_another(3)), Some(5));
        assert_eq!(other(20, &[row(OWN, 3, 8), row(4, 3, 7)]), None, "it has been started anew with the same settings");
    }
}
