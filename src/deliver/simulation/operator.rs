//! Simulates operators' commands, and receivers that acknowledge by inserting rows.

use std::collections::BTreeSet;

use lumo_bridge_entity::endpoint::State;
use rand::RngExt;

use super::world::World;
use crate::model::actor::Actor;
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::model::subscriber::Statements;
use crate::store::replay::{ReplayFilter, Types};

impl World {
    pub(super) async fn command(&mut self) {
        let name = self.any_endpoint();
        let now = self.now().utc;
        let command = self.rng.random_range(0..11);
        self.note(format!(
            "{name}: command {}",
            [
                "pause",
                "resume",
                "resume",
                "resume without what waits",
                "skip",
                "skip",
                "retry",
                "retry",
                "replay",
                "other types",
                "configuration"
            ][command]
        ));
        match command {
            0 => drop(self.store.set_endpoint_state(&name, State::Paused, &Actor::API, now).await.unwrap()),
            1 | 2 => drop(self.store.set_endpoint_state(&name, State::Active, &Actor::API, now).await.unwrap()),
            3 => {
                self.note_all(&name).await;
                self.store.skip_all_waiting(&name, &Actor::API, now).await.unwrap();
                self.store.set_endpoint_state(&name, State::Active, &Actor::API, now).await.unwrap();
            }
            4 | 5 => {
                let ids = self.some_events(&name).await;
                self.store.skip_unseen(&ids, "given up", &Actor::API, now).await.unwrap();
            }
            6 | 7 => {
                let ids = self.some_events(&name).await;
                self.store.retry_deliveries(&ids, &Statements::default(), &Actor::API, now).await.unwrap();
            }
            8 => {
                let ids = self.some_events(&name).await.into_iter().map(|id| id.event).collect();
                let filter = ReplayFilter { ids, ..ReplayFilter::default() };
                let mut replay = self.store.begin_replay(filter, name, Types::Any, Actor::API).await.unwrap();
                while self.store.replay(&mut replay, now).await.unwrap().is_some() {}
            }
            9 => {
                if !self.wants_balances.remove(&name) {
                    self.wants_balances.insert(name);
                }
                let alive = self.processes.iter().find(|process| process.is_alive);
                let Some(alive) = alive else { return };
                let (process, subscribers) = (alive.id, self.subscribers(alive.form, &alive.configured));
                let store = self.store.with_subscribers(subscribers);
                store.register_endpoints(process, now).await.unwrap();
            }
            _ => self.change_configuration().await,
        }
        self.tell_all();
        self.check().await;
    }

    async fn all_events(&self) -> Vec<(i64, EventId)> {
        let rows = self.eye.rows("SELECT seq, id FROM lumo_events ORDER BY seq").await;
        rows.iter().map(|row| (row.get("seq"), row.get::<String>("id").parse().unwrap())).collect()
    }

    async fn some_events(&mut self, name: &EndpointName) -> Vec<DeliveryId> {
        let all = self.all_events().await;
        if all.is_empty() {
            return Vec::new();
        }
        let mut chosen = BTreeSet::new();
        for _ in 0..self.rng.random_range(1..4) {
            // The newest events are the ones with most activity.
            let back = self.rng.random_range(0..all.len().min(12));
            chosen.insert(all.len() - 1 - back);
        }
        let mut ids = Vec::new();
        for at in chosen {
            let (seq, event) = all[at].clone();
            self.commanded.insert((name.clone(), seq));
            self.note(format!("… about {seq}"));
            ids.push(DeliveryId { event, endpoint: name.clone() });
        }
        ids
    }

    async fn note_all(&mut self, name: &EndpointName) {
        for (seq, _) in self.all_events().await {
            self.commanded.insert((name.clone(), seq));
        }
    }

    pub(super) async fn resume_suspended(&mut self) {
        let now = self.now().utc;
        for row in self.store.endpoints().await.unwrap() {
            if matches!(row.state, State::Paused | State::Suspended) {
                self.store.set_endpoint_state(&row.name, State::Active, &Actor::API, now).await.unwrap();
                self.tell_all();
            }
        }
    }

    /// Writes into `lumo_acks` for an event that has arrived.
    pub(super) async fn acknowledge_something(&mut self) {
        self.acknowledge(50).await;
    }

    pub(super) async fn acknowledge_all(&mut self) {
        self.acknowledge(100).await;
    }

    async fn acknowledge(&mut self, percent: u32) {
        for name in self
            .endpoints
            .iter()
            .filter(|one| one.ack_within.is_some())
            .map(|one| one.endpoint.clone())
            .collect::<Vec<_>>()
        {
            let receiver = &self.receivers[&name];
            let arrived: Vec<i64> =
                receiver.events.iter().filter(|(_, met)| met.accepted > 0).map(|(seq, _)| *seq).collect();
            for seq in arrived {
                if !self.chance(percent) {
                    continue;
                }
                let sql = format!(
                    "INSERT INTO lumo_acks (event_id, endpoint) SELECT id, '{name}' FROM lumo_events WHERE seq = {seq} \
                     ON CONFLICT DO NOTHING"
                );
                self.eye.execute(&sql).await;
                self.receivers.get_mut(&name).unwrap().events.get_mut(&seq).unwrap().is_acknowledged = true;
            }
        }
    }
}
