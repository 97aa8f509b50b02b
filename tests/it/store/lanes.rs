//! The order of a lane, against a model: random publishing, claiming, settling, skipping and crashing at times set by hand, and after
//! every step the table must say what the model says.
//!
//! The model knows the rules as they are promised, and not how the store keeps them: a delivery may go when nothing before it
//! in its lane is unfinished, or when the one right before it has failed and its hold has passed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::id::DeliveryId;
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::skip::Skipped;
use lumo_bridge::store::{Claimed, Store};
use lumo_bridge_entity::delivery::State;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::fixture::{HOLD, LEASE, at, claim, deliveries, draft, migrated, next_due, publish, settled, subscriber};
use crate::database::{Database, on_each_database};

on_each_database!(whatever_happens_a_lane_is_in_order_and_nothing_is_stuck);

const ENDPOINTS: [(&str, Order); 3] = [("all", Order::Endpoint), ("none", Order::None), ("user", Order::User)];
const STREAMS: [&str; 3] = ["user:a", "user:b", "user:c"];
const SEEDS: std::ops::Range<u64> = 0..6;
const STEPS: usize = 100;

/// A delivery as the model knows it.
#[derive(Clone, Debug)]
struct Row {
    endpoint: &'static str,
    lane: Option<&'static str>,
    born: DateTime<Utc>,
    state: State,
    /// The end of the lease, or the next attempt.
    next: DateTime<Utc>,
    hold: Option<DateTime<Utc>>,
    /// Counts the claims; a lease is good while it is the last.
    claims: u32,
}

/// A lease that somebody holds, perhaps no longer rightly.
struct Held {
    claimed: Claimed,
    claims: u32,
}

struct World {
    seed: u64,
    store: Store,
    random: StdRng,
    now: DateTime<Utc>,
    rows: BTreeMap<DeliveryId, Row>,
    held: Vec<Held>,
    published: usize,
}

impl World {
    /// The unfinished one right before this in its lane.
    fn before(&self, id: &DeliveryId) -> Option<&Row> {
        let row = &self.rows[id];
        let lane = row.lane?;
        let same = |other: &&Row| (other.endpoint, other.lane) == (row.endpoint, Some(lane)) && !other.state.is_final();
        self.rows.range(..id.clone()).map(|(_, row)| row).rev().find(same)
    }

    /// When it may go; none if that is up to another.
    fn due(&self, id: &DeliveryId) -> Option<DateTime<Utc>> {
        let row = &self.rows[id];
        match row.state {
            State::Pending => match self.before(id) {
                None => Some(row.born),
                Some(before) => before.hold.map(|until| until.max(row.born)),
            },
            State::Sending | State::Retrying => Some(row.next),
            _ => None,
        }
    }

    fn is_due(&self, id: &DeliveryId) -> bool {
        self.due(id).is_some_and(|due| due <= self.now)
    }

    async fn publish(&mut self) {
        let count = self.random.random_range(1..=2);
        let mut drafts = Vec::new();
        for _ in 0..count {
            self.published += 1;
            let stream = STREAMS[self.random.random_range(0..STREAMS.len())];
            drafts.push(draft(stream, &self.published.to_string()));
        }
        publish(&self.store, &drafts, self.now).await;
        let fresh: Vec<_> = deliveries(&self.store).await.split_off(self.rows.len());
        assert_eq!(fresh.len(), count * ENDPOINTS.len(), "seed {}", self.seed);
        // Queued in the order of the events; each endpoint once per event.
        for (row, number) in fresh.into_iter().zip(0..) {
            let (endpoint, order) = ENDPOINTS[number % ENDPOINTS.len()];
            assert_eq!(row.endpoint.as_str(), endpoint);
            let stream = STREAMS.into_iter().find(|stream| *stream == drafts[number / ENDPOINTS.len()].stream);
            let lane = match order {
                Order::User => stream,
                Order::Endpoint => Some("*"),
                Order::None => None,
            };
            let (born, state) = (self.now, State::Pending);
            self.rows.insert(row.id, Row { endpoint, lane, born, state, next: born, hold: None, claims: 0 });
        }
    }

    async fn claim(&mut self, limit: usize) -> usize {
        let (name, _) = ENDPOINTS[self.random.random_range(0..ENDPOINTS.len())];
        let due: Vec<_> =
            self.rows.keys().filter(|id| self.rows[*id].endpoint == name && self.is_due(id)).cloned().collect();
        let claimed = claim(&self.store, name, limit, self.now).await;
        assert_eq!(claimed.len(), due.len().min(limit), "seed {}: due are {due:?}", self.seed);
        let count = claimed.len();
        for claimed in claimed {
            let id = claimed.lease.delivery().clone();
            assert!(due.contains(&id), "seed {}: {id} is not due", self.seed);
            self.passes_nobody_who_did_not_fail(&id);
            let row = self.rows.get_mut(&id).unwrap();
            row.state = State::Sending;
            row.next = self.now + LEASE;
            row.claims += 1;
            self.held.push(Held { claimed, claims: row.claims });
        }
        count
    }

    /// The promise itself, in other words than [`World::due`].
    fn passes_nobody_who_did_not_fail(&self, id: &DeliveryId) {
        let row = &self.rows[id];
        for (earlier, other) in self.rows.range(..id.clone()).filter(|(_, other)| !other.state.is_final()) {
            let same = row.lane.is_some() && (row.endpoint, row.lane) == (other.endpoint, other.lane);
            let passed = other.hold.is_some_and(|until| until <= self.now);
            assert!(!same || passed, "seed {}: {id} passes {earlier} {other:?} at {}", self.seed, self.now);
        }
    }

    async fn settle(&mut self, verdict: Verdict) {
        if self.held.is_empty() {
            return;
        }
        let index = self.random.random_range(0..self.held.len());
        let Held { claimed, claims } = self.held.swap_remove(index);
        let id = claimed.lease.delivery().clone();
        let row = self.rows.get_mut(&id).unwrap();
        let good = row.state == State::Sending && row.claims == claims;
        let settlement = settled(claimed, row.endpoint, verdict, self.now);
        let lost = self.store.settle(&[settlement], self.now).await.unwrap().lost;
        assert_eq!(lost.is_empty(), good, "seed {}: {id} {row:?}", self.seed);
        if !good {
            return;
        }
        match verdict {
            Verdict::Done => row.state = State::Delivered,
            Verdict::Dead => row.state = State::Dead,
            Verdict::RetryAt(next) => {
                row.state = State::Retrying;
                row.next = next;
                row.hold = row.hold.or(Some(self.now + TimeDelta::from_std(HOLD).unwrap()));
            }
        }
    }

    /// The operator gives up one of them, mostly one that can be.
    async fn skip(&mut self) {
        let any = self.random.random_ratio(1, 5);
        let mut some: Vec<_> = self.rows.iter_mut().filter(|(_, row)| any || !row.state.is_final()).collect();
        if some.is_empty() {
            return;
        }
        let (id, row) = some.swap_remove(self.random.random_range(0..some.len()));
        let skipped = self.store.skip_delivery(id, "skipped", self.now).await.unwrap();
        let untouched = row.state.is_final() || row.state == State::Sending;
        let expected = if untouched { Skipped::Untouched(row.state) } else { Skipped::Skipped };
        assert_eq!(skipped, expected, "seed {}: {id} {row:?}", self.seed);
        if !untouched {
            row.state = State::Skipped;
        }
    }

    fn verdict(&mut self) -> Verdict {
        match self.random.random_range(0..10) {
            0..4 => Verdict::Done,
            4..9 => Verdict::RetryAt(self.now + TimeDelta::seconds(self.random.random_range(1..25))),
            _ => Verdict::Dead,
        }
    }

    async fn step(&mut self) {
        match self.random.random_range(0..13) {
            0 => self.publish().await,
            12 => self.skip().await,
            1..6 => {
                let limit = self.random.random_range(1..=4);
                self.claim(limit).await;
            }
            6..10 => {
                let verdict = self.verdict();
                self.settle(verdict).await;
            }
            10 => self.now += TimeDelta::seconds(self.random.random_range(1..8)),
            _ => self.now += TimeDelta::seconds(self.random.random_range(8..80)),
        }
    }

    /// The table says what the model says.
    async fn check(&self) {
        let stored = deliveries(&self.store).await;
        assert_eq!(stored.len(), self.rows.len());
        for row in stored {
            let (expected, due) = (&self.rows[&row.id], self.due(&row.id));
            let story = format!("seed {}, now {}: {row:?}, expected {expected:?} due {due:?}", self.seed, self.now);
            assert_eq!(row.state, expected.state, "{story}");
            let same = match (row.next_attempt_at, due) {
                (None, None) => true,
                (Some(stored), Some(due)) => stored == due || (stored <= self.now && due <= self.now),
                _ => false,
            };
            assert!(same, "{story}");
        }
        for (name, _) in ENDPOINTS {
            let next = next_due(&self.store, name).await;
            let due = |id: &DeliveryId| (self.rows[id].endpoint == name).then(|| self.due(id)).flatten();
            let expected = self.rows.keys().filter_map(due).min();
            let reached = |time: Option<DateTime<Utc>>| time.map(|time| time.max(self.now));
            assert_eq!(reached(next), reached(expected), "seed {}: {name}", self.seed);
        }
    }

    /// From now on every receiver accepts; whoever held a lease has died.
    async fn finish(&mut self) {
        self.held.clear();
        for _ in 0..self.rows.len() * 20 {
            let Some(next) = self.rows.keys().filter_map(|id| self.due(id)).min() else { break };
            self.now = self.now.max(next);
            self.claim(usize::MAX >> 1).await;
            while !self.held.is_empty() {
                self.settle(Verdict::Done).await;
            }
            self.check().await;
        }
        let stuck: Vec<_> = self.rows.iter().filter(|(_, row)| !row.state.is_final()).collect();
        assert!(stuck.is_empty(), "seed {}: {stuck:?}", self.seed);
        let counts = self.store.undelivered().await.unwrap();
        assert!(
            counts.iter().all(|count| matches!(count.state, State::Dead | State::Skipped)),
            "seed {}: {counts:?}",
            self.seed
        );
    }
}

async fn whatever_happens_a_lane_is_in_order_and_nothing_is_stuck(database: Database) {
    let store = migrated(&database, &ENDPOINTS.map(|(name, order)| subscriber(name, &["*"], order))).await;
    for seed in SEEDS {
        for table in ["lumo_deliveries", "lumo_events", "lumo_delivery_attempts"] {
            database.execute(&format!("DELETE FROM {table}")).await;
        }
        database.execute("UPDATE lumo_streams SET last_seq = 0").await;
        let (random, now) = (StdRng::seed_from_u64(seed), at(0));
        let store = store.clone();
        let mut world = World { seed, store, random, now, rows: BTreeMap::new(), held: Vec::new(), published: 0 };
        for _ in 0..STEPS {
            world.step().await;
            world.check().await;
        }
        world.finish().await;
    }
}
