//! The simulator over real sockets, as a client and as an operator see it.
//!
//! Each test has a world and a port of its own, so they run side by side.

mod api;
mod control;
mod faults;
mod listing;

use serde_json::Value;

use super::*;
use crate::wire::{self, Reply};

/// A running simulator and the one who talks to it.
struct Fixture {
    simulator: Simulator,
    world: World,
}

impl Fixture {
    async fn start(quirks: Quirks) -> Self {
        let world = World::new(1);
        let simulator = Simulator::start(SimulatorConfig::local(world.clone(), quirks)).await.unwrap();
        Self { simulator, world }
    }

    async fn seeded(quirks: Quirks) -> Self {
        let fixture = Self::start(quirks).await;
        fixture.world.seed(60, 150);
        fixture
    }

    async fn send(&self, method: &str, target: &str, body: &str) -> Reply {
        let key = self.world.api_key();
        wire::send(self.simulator.addr(), method, target, &[("x-api-key", &key)], body).await
    }

    async fn get(&self, target: &str) -> Reply {
        self.send("GET", target, "").await
    }

    /// Pages through a listing the way a client would, and returns the ids in order.
    async fn ids(&self, path: &str, list: &str) -> Vec<String> {
        let mut ids = Vec::new();
        loop {
            let page = self.get(&format!("{path}?limit=25&offset={}", ids.len())).await.json();
            let items = page[list].as_array().unwrap();
            if items.is_empty() {
                return ids;
            }
            ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        }
    }
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

fn count(page: &Value, list: &str) -> usize {
    page[list].as_array().unwrap().len()
}
