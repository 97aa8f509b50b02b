//! Simulates leadership: processes write heartbeats and claim endpoints without a leader.

use std::collections::{BTreeMap, BTreeSet};

use lumo_bridge_entity::endpoint;
use rand::RngExt;

use super::Situation;
use super::bridge::{FAILURES, Job, Running};
use super::world::{LEASE, World};
use crate::deliver::machine::{Input, Machine};
use crate::deliver::pool::rivals::{Claim, Duty};
use crate::model::id::EndpointName;

impl World {
    pub(super) async fn show_life(&mut self) {
        for at in 0..self.processes.len() {
            if !self.processes[at].is_alive || (!self.is_calm && self.chance(40)) {
                continue;
            }
            let now = self.now();
            let process = &mut self.processes[at];
            let known = known(&process.configured, process.form);
            self.store.beat(process.id, process.beat + 1, &known, now.utc).await.unwrap();
            (process.beat, process.beat_at) = (process.beat + 1, now.instant);
            for running in process.machines.values_mut() {
                running.jobs.push(Job::Tell(Input::Lease(now.instant + LEASE)));
            }
        }
    }

    /// Lets processes check for commands and for endpoints without a leader.
    pub(super) async fn look_around(&mut self) {
        for at in 0..self.processes.len() {
            if self.processes[at].is_alive && (self.is_calm || self.chance(60)) {
                self.check_endpoints(at).await;
            }
        }
    }

    async fn check_endpoints(&mut self, at: usize) {
        let now = self.now();
        let process = &mut self.processes[at];
        let last = self.store.last_seq().await.unwrap();
        for position in self.store.positions().await.unwrap() {
            if let Some(running) = process.machines.get_mut(&position.endpoint) {
                running.jobs.push(Job::Tell(Input::Snapshot { revision: position.revision, last }));
            }
        }
        self.look_at_the_end(at).await;
        let process = &mut self.processes[at];
        if process.is_draining {
            return;
        }
        let (own, form) = (process.id, process.form);
        let processes = self.store.processes().await.unwrap();
        process.rivals.observe(&processes, now.instant);
        let dead: Vec<i64> = self.processes.iter().filter(|other| !other.is_alive).map(|other| other.id).collect();
        let dead = if self.is_calm || self.chance(50) { dead } else { Vec::new() };
        let rows = self.store.endpoints().await.unwrap();
        for row in rows.clone() {
            let process = &mut self.processes[at];
            if !process.configured.contains(&row.name) {
                continue;
            }
            if let Some(running) = process.machines.get_mut(&row.name) {
                if process.rivals.is_others(&row, form, &processes, now.instant) {
                    running.jobs.push(Job::Tell(Input::Drain));
                }
                continue;
            }
            if row.removed_at.is_some() {
                continue;
            }
            let claim = match process.rivals.duty(&row, form, &processes, &dead, now.instant) {
                Duty::Take(claim) => claim,
                Duty::GiveUp => {
                    self.store.give_up_lead(&row.name, own, now.utc).await.unwrap();
                    continue;
                }
                Duty::Nothing => continue,
            };
            let taken = self.store.take_lead(&row.name, own, row.process, claim == Claim::Dead, now.utc).await.unwrap();
            if !self.is_calm && self.chance(FAILURES) {
                continue;
            }
            let Some(position) = taken else { continue };
            self.note(format!("process {own} leads {}: {claim:?}", row.name));
            if claim == Claim::Dead {
                self.came_up(Situation::TakenOver);
            }
            let lease_until = self.processes[at].beat_at + LEASE;
            let settings = self.settings(&row.name).clone();
            let machine = Machine::new(settings, &position, &row, lease_until, self.rng.random(), now);
            let jobs = vec![Job::Tell(Input::Tick)];
            self.processes[at].machines.insert(row.name, Running { machine, jobs });
            self.check().await;
        }
        let process = &self.processes[at];
        let is_orphaned = |row: &&endpoint::Model| {
            process.configured.contains(&row.name) && process.rivals.is_orphaned(row, form, &processes, now.instant)
        };
        let orphaned: Vec<endpoint::Model> = rows.iter().filter(is_orphaned).cloned().collect();
        let store = self.store.with_subscribers(self.subscribers(form, &process.configured));
        if !orphaned.is_empty() {
            let reclaimed = store.reclaim_endpoints(&orphaned).await.unwrap();
            self.note(format!("process {own} has its settings count again: {reclaimed:?}"));
            self.check().await;
        }
        let removed = store.remove_endpoints(own, now.utc).await.unwrap();
        if !removed.is_empty() {
            self.note(format!("removed: {removed:?}"));
            self.check().await;
        }
    }
}

impl World {
    /// Lets a process read the end of the log for all of its endpoints; the result may be lost.
    async fn look_at_the_end(&mut self, at: usize) {
        let through = self.store.last_seq().await.unwrap();
        let from = std::mem::replace(&mut self.processes[at].looked, through);
        let wanting = self.store.wanting(from, through).await.unwrap();
        for name in self.processes[at].machines.keys().cloned().collect::<Vec<_>>() {
            if !self.is_calm && self.chance(20) {
                continue;
            }
            let input = if wanting.contains(&name) { Input::Appended } else { Input::Passed { from, through } };
            self.processes[at].machines.get_mut(&name).unwrap().jobs.push(Job::Tell(input));
        }
    }
}

/// The endpoints of a configuration, as other processes read them.
pub(super) fn known(configured: &BTreeSet<EndpointName>, form: i64) -> String {
    let known: BTreeMap<_, _> = configured.iter().map(|name| (name.as_str(), form)).collect();
    serde_json::to_string(&known).unwrap()
}
