//! `kill -9` at each step of a delivery, alone and among others: everything is delivered, what is sent twice was in hand at
//! the kill, and each user's events keep their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use lumo_bridge::clock::Clock;
use lumo_simulator::{Answer, Received, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{Announced, Bridge, Gate, PATIENCE, Stage, eventually, random_changes, seed};

on_each_database!(a_process_that_is_killed_at_any_step_loses_nothing, one_of_three_killed_at_any_step_loses_nothing);

/// How far the victim's deliveries have come when it is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// They are its own, and nothing of them has reached the receiver.
    Claimed,
    /// The receiver is at work on them.
    Sent,
    /// The receiver has answered, and the transaction that settles them waits for a lock.
    Settling,
}

/// How long the receiver works on a request of the victim, and on one of the others, in milliseconds.
struct Pace {
    victim: AtomicU64,
    others: AtomicU64,
}

const PROCESS: &str = "x-process";
const VICTIM: &str = "victim";
/// What waits for its answer this long is in flight.
const LONG: u64 = 4000;
const SHORT: u64 = 1000;

async fn a_process_that_is_killed_at_any_step_loses_nothing(database: Database) {
    killed_at_each_step(database, 0).await;
}

async fn one_of_three_killed_at_any_step_loses_nothing(database: Database) {
    killed_at_each_step(database, 2).await;
}

async fn killed_at_each_step(database: Database, others: usize) {
    let world = World::live(seed());
    world.seed(40, 200);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(3));
    let pace = Arc::new(Pace { victim: AtomicU64::new(SHORT), others: AtomicU64::new(SHORT) });
    let paced = Arc::clone(&pace);
    stage.receiver.script(move |request| {
        let pace = if is_from_victim(request) { &paced.victim } else { &paced.others };
        Answer::status(200).after(Duration::from_millis(pace.load(Ordering::Relaxed)))
    });
    let mut others: Vec<Bridge> = (0..others).map(|_| stage.daemon()).collect();
    for other in &mut others {
        // The form of the endpoint that was registered last counts, and that is to be the victim's.
        other.until_logged("started", PATIENCE).await;
    }
    let mut held = 0;
    for step in [Step::Claimed, Step::Sent, Step::Settling] {
        held += kill_at(step, &mut stage, &pace).await;
        random_changes(&world, 20);
    }
    pace.others.store(0, Ordering::Relaxed);
    let last = stage.daemon();
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    let duplicates = stage.receiver.duplicates();
    assert!(duplicates <= held, "{duplicates} duplicates of {held} that were in hand");
    for bridge in others.into_iter().chain([last]) {
        bridge.stop().await;
    }
}

/// Starts a process, kills it when its deliveries have come this far, and returns how many were in hand.
async fn kill_at(step: Step, stage: &mut Stage, pace: &Pace) -> usize {
    let gate = Gate::to(stage.receiver.addr()).await;
    let direct = stage.settings.clone();
    stage.settings.endpoint("shop", &format!("http://{}/shop", gate.addr()), &["*", "wallet.balance_changed"]);
    stage.settings.set("callbacks.endpoints.shop.headers", json!({ PROCESS: VICTIM }));
    pace.victim.store(if step == Step::Sent { LONG } else { SHORT }, Ordering::Relaxed);
    if step == Step::Claimed {
        gate.hush();
    }
    let before = stage.receiver.count();
    let from_victim = || {
        let received = stage.receiver.received();
        received[before..].iter().filter(|request| is_from_victim(request)).cloned().collect::<Vec<_>>()
    };
    let victim = stage.daemon();
    let mut lock = None;
    match step {
        Step::Claimed => eventually!(PATIENCE, "a request is on its way", gate.silent() > 0),
        Step::Sent => eventually!(PATIENCE, "a request was received", !from_victim().is_empty()),
        Step::Settling => {
            eventually!(PATIENCE, "a request was received", !from_victim().is_empty());
            let counter = "UPDATE lumo_streams SET last_seq = last_seq WHERE stream = '*'";
            lock = Some(stage.database.hold(counter).await);
            // What is answered from now on cannot be settled.
            let locked = Clock::system().now();
            let pace = TimeDelta::milliseconds(SHORT.cast_signed());
            eventually!(PATIENCE, "a request was answered that cannot be settled", {
                let answered = Clock::system().now() - pace - TimeDelta::milliseconds(300);
                from_victim().iter().any(|request| request.at + pace > locked && request.at < answered)
            });
        }
    }
    victim.kill();
    let held = stage.unrecorded().await;
    assert!(held > 0 || step == Step::Claimed, "nothing was in hand at {step:?}");
    assert!(step != Step::Claimed || from_victim().is_empty(), "what was only claimed was received");
    if let Some(lock) = lock {
        lock.release().await;
    }
    stage.settings = direct;
    held
}

fn is_from_victim(request: &Received) -> bool {
    request.header(PROCESS) == Some(VICTIM)
}
