//! Simulates upkeep: retention, and changes of the configuration.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use rand::RngExt;

use super::world::World;
use crate::model::id::EndpointName;
use crate::store::retention::Cutoffs;

impl World {
    /// Removes old rows. No delivery may be lost by that.
    pub(super) async fn forget_old(&mut self) {
        let now = self.now().utc;
        let mut before = || Some(now - TimeDelta::seconds(self.rng.random_range(0..300)));
        let cutoffs = Cutoffs { events: before(), dead: before(), attempts: before() };
        self.note(format!("what is old is removed: {cutoffs:?}"));
        self.decided.extend(self.pairs(super::oracle::RECORDED).await);
        let needed = self.pairs(NEEDED).await;
        if let Some(cutoff) = cutoffs.attempts {
            let mut walk = self.store.walk_attempts(cutoff).await.unwrap();
            while self.store.forget_attempts(&mut walk, cutoff).await.unwrap().is_some() {}
        }
        let mut walk = self.store.walk_events(1, cutoffs.events.unwrap()).await.unwrap();
        while self.store.forget_events(&mut walk, &cutoffs).await.unwrap().is_some() {}
        self.store.forget_ranges(walk.floor()).await.unwrap();
        let there: BTreeSet<(EndpointName, i64)> = self.pairs(NEEDED).await.into_iter().collect();
        let gone: Vec<_> = needed.into_iter().filter(|delivery| !there.contains(delivery)).collect();
        assert!(gone.is_empty(), "seed {}: removed and not delivered: {gone:?}\n{}", self.seed, self.picture().await);
        self.check().await;
    }

    /// An endpoint is taken out of the configuration, or put back, and every process runs with the new one.
    pub(super) async fn change_configuration(&mut self) {
        let name = self.any_endpoint();
        if !self.removed.remove(&name) {
            self.removed.insert(name.clone());
        }
        self.note(format!("the configuration is without {:?}", self.removed));
        self.reload().await;
    }

    /// Every endpoint is configured again.
    pub(super) async fn put_all_back(&mut self) {
        if !self.removed.is_empty() {
            self.removed.clear();
            self.reload().await;
        }
    }

    /// Drains the running processes while one with the new configuration is running already.
    async fn reload(&mut self) {
        for at in 0..self.processes.len() {
            if self.processes[at].is_alive {
                self.drain(at);
            }
        }
        self.start_process().await;
    }
}

/// Deliveries that are neither done nor given up.
const NEEDED: &str = "SELECT endpoint, seq FROM lumo_undelivered WHERE state NOT IN ('skipped', 'dead')";
