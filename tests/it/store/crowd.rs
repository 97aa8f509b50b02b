//! Many processes at once: while some publish, others claim and settle, and in the end nothing is left and nothing was done
//! by two.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::id::DeliveryId;
use lumo_bridge::model::retry::Verdict;
use lumo_bridge::model::subscriber::Order;
use lumo_bridge::store::{Claimed, Settlement, Store};
use lumo_bridge_entity::delivery::State;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::fixture::{at, config, draft, endpoint, migrated, publish, settled, subscriber};
use crate::database::{Database, on_each_database};

on_each_database!(a_crowd_of_processes_delivers_everything_once_and_in_order);

const ENDPOINTS: [(&str, Order); 2] = [("erp", Order::Endpoint), ("shop", Order::User)];
const PUBLISHERS: usize = 3;
const WORKERS_PER_ENDPOINT: u64 = 3;
const ROUNDS: usize = 25;
/// Longer than the test by far: no lease ends, and nobody passes a failing delivery.
const FOREVER: Duration = Duration::from_secs(100 * 24 * 3600);

/// What all of them share: a clock that moves whenever somebody looks at it, and a list of what is under way.
#[derive(Default)]
struct Shared {
    clock: AtomicI64,
    publishing: AtomicUsize,
    lanes: Mutex<Lanes>,
}

#[derive(Default)]
struct Lanes {
    under_way: HashMap<(&'static str, String), DeliveryId>,
    ended: HashMap<(&'static str, String), DeliveryId>,
    /// Of each endpoint, what was accepted.
    accepted: HashSet<DeliveryId>,
    dead: usize,
}

impl Shared {
    fn now(&self) -> DateTime<Utc> {
        at(0) + TimeDelta::milliseconds(self.clock.fetch_add(1, Ordering::Relaxed))
    }
}

impl Lanes {
    fn begin(&mut self, lane: (&'static str, String), id: &DeliveryId) {
        if let Some(ended) = self.ended.get(&lane) {
            assert!(ended < id, "{id} comes after {ended} in {lane:?}");
        }
        let other = self.under_way.insert(lane.clone(), id.clone());
        assert_eq!(other, None, "{id} is under way beside it in {lane:?}");
    }

    fn end(&mut self, lane: (&'static str, String), id: &DeliveryId, verdict: Verdict) {
        assert_eq!(self.under_way.remove(&lane).as_ref(), Some(id));
        match verdict {
            Verdict::RetryAt(_) => return,
            Verdict::Done => assert!(self.accepted.insert(id.clone()), "{id} was accepted twice"),
            Verdict::Dead => self.dead += 1,
        }
        self.ended.insert(lane, id.clone());
    }
}

fn lane(name: &'static str, claimed: &Claimed) -> (&'static str, String) {
    let body: serde_json::Value = serde_json::from_str(&claimed.body).unwrap();
    (name, if name == "erp" { String::new() } else { body["stream"].as_str().unwrap().to_owned() })
}

async fn publisher(store: Store, shared: Arc<Shared>, number: usize) {
    for round in 0..ROUNDS {
        let name = |event: usize| {
            draft(&format!("user:{}", (number + event * round) % 5), &format!("{number} {round} {event}"))
        };
        let drafts: Vec<_> = (0..3).map(name).collect();
        publish(&store, &drafts, shared.now()).await;
    }
    shared.publishing.fetch_sub(1, Ordering::SeqCst);
}

/// Claims, sends and settles until nobody publishes and nothing is left.
async fn worker(store: Store, shared: Arc<Shared>, name: &'static str, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        let over = shared.publishing.load(Ordering::SeqCst) == 0;
        let limit = random.random_range(1..=6);
        let claimed = store.claim(&endpoint(name), limit, FOREVER, shared.now()).await.unwrap();
        assert!(claimed.len() <= limit);
        if claimed.is_empty() {
            let left = store.undelivered().await.unwrap();
            let left = left.iter().any(|count| count.endpoint.as_str() == name && count.state != State::Dead);
            if over && !left {
                return;
            }
            // Somebody else has what is left.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let lanes: Vec<_> =
            claimed.iter().map(|claimed| (lane(name, claimed), claimed.lease.delivery().clone())).collect();
        for (lane, id) in &lanes {
            shared.lanes.lock().unwrap().begin(lane.clone(), id);
        }
        tokio::task::yield_now().await;
        let now = shared.now();
        let mut settlements: Vec<Settlement> = Vec::new();
        for (claimed, (lane, id)) in claimed.into_iter().zip(lanes) {
            let verdict = match random.random_range(0..12) {
                0 => Verdict::RetryAt(now + TimeDelta::milliseconds(20)),
                1 => Verdict::Dead,
                _ => Verdict::Done,
            };
            // Before it is settled: afterwards it may be another's at once.
            shared.lanes.lock().unwrap().end(lane, &id, verdict);
            settlements.push(Settlement { max_hold: FOREVER, ..settled(claimed, name, verdict, now) });
        }
        assert_eq!(store.settle(&settlements, now).await.unwrap().lost, [], "a lease was lost");
    }
}

async fn a_crowd_of_processes_delivers_everything_once_and_in_order(database: Database) {
    let subscribers = ENDPOINTS.map(|(name, order)| subscriber(name, &["*"], order));
    let first = migrated(&database, &subscribers).await;
    let second = Store::open(&config(&database), subscribers.to_vec()).await.unwrap();
    let shared = Arc::new(Shared { publishing: AtomicUsize::new(PUBLISHERS), ..Shared::default() });
    let mut tasks = JoinSet::new();
    let store = |number: u64| if number.is_multiple_of(2) { first.clone() } else { second.clone() };
    for number in 0..PUBLISHERS {
        tasks.spawn(publisher(store(number as u64), Arc::clone(&shared), number));
    }
    for (name, _) in ENDPOINTS {
        for number in 0..WORKERS_PER_ENDPOINT {
            tasks.spawn(worker(store(number), Arc::clone(&shared), name, number));
        }
    }
    tokio::time::timeout(Duration::from_secs(120), tasks.join_all()).await.expect("something is stuck");

    let (accepted, dead) = {
        let lanes = shared.lanes.lock().unwrap();
        (lanes.accepted.len(), lanes.dead)
    };
    assert_eq!(accepted + dead, PUBLISHERS * ROUNDS * 3 * ENDPOINTS.len());
    let delivered = database.count("lumo_deliveries", "state = 'delivered'").await;
    assert_eq!(usize::try_from(delivered).unwrap(), accepted);
    assert_eq!(database.count("lumo_deliveries", "state NOT IN ('delivered', 'dead')").await, 0);
}
