//! `kill -9` at any moment, over and over: nothing is lost, nothing is told twice under two names, and the order of each
//! user's events holds.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Duration;

use lumo_simulator::{Answer, Quirks, Received, World};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, random_changes, seed};

on_each_database!(a_process_that_is_killed_over_and_over_loses_nothing);

/// Kills while the listings are read for the first time, and then while callbacks are sent.
const ROUNDS: [Half; 6] =
    [Half::Reading, Half::Reading, Half::Reading, Half::Delivering, Half::Delivering, Half::Delivering];

#[derive(Clone, Copy, PartialEq)]
enum Half {
    Reading,
    Delivering,
}

async fn a_process_that_is_killed_over_and_over_loses_nothing(database: Database) {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::live(seed);
    world.seed(150, 450);
    let mut stage = Stage::with(database, world.clone(), Quirks::default(), Duration::from_millis(30)).await;
    stage.announce_history();
    stage.settings.set("lumo.page_size", json!(20));
    // A lease lasts as long as the timeout and a margin; what a killed process held is sent again after it.
    stage.settings.set("callbacks.defaults.timeout", json!("1s"));
    stage.receiver.script(temper());

    let (mut rows, mut unfinished, mut held) = (0, 0, 0);
    for half in ROUNDS {
        let bridge = stage.daemon();
        match half {
            Half::Reading => {
                rows += rng.random_range(40..150);
                let sql = "SELECT (SELECT COUNT(*) FROM lumo_user_wallets) + (SELECT COUNT(*) FROM lumo_user_deposits)";
                stage.database.until_at_least(rows, PATIENCE, sql).await;
            }
            Half::Delivering => {
                let until = stage.receiver.count() + rng.random_range(10..50);
                assert!(stage.receiver.wait_for(until, PATIENCE).await, "callbacks have stopped");
            }
        }
        bridge.kill();
        match half {
            Half::Reading => {
                let done = stage.database.count("lumo_sync_state", "import_done_at IS NOT NULL").await;
                unfinished += i64::from(done < 3);
            }
            Half::Delivering => held += stage.unrecorded().await,
        }
        random_changes(&world, 40);
    }
    assert!(unfinished > 0, "no kill hit a first import");
    assert!(held > 0, "no kill hit a delivery");

    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert!(stage.receiver.duplicates() > 0, "a receiver of this temper is asked more than once");
    bridge.stop().await;
}

/// A receiver that refuses some events at first, lets others wait longer than the timeout, and takes its time over all. It counts
/// for itself how often it was asked: a probe that fails is no attempt, so the number that comes along need not rise.
pub(crate) fn temper() -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let asked: Mutex<HashMap<Option<String>, u32>> = Mutex::default();
    move |request| {
        let mut hasher = DefaultHasher::new();
        request.id.hash(&mut hasher);
        let mut asked = asked.lock().unwrap();
        let times = asked.entry(request.id.clone()).or_default();
        *times += 1;
        match hasher.finish() % 20 {
            0..=2 if *times <= 2 => Answer::status(500),
            3 if *times == 1 => Answer::status(503).with_header("retry-after", "1"),
            4 if *times == 1 => Answer::status(200).after(Duration::from_millis(1500)),
            _ => Answer::status(200).after(Duration::from_millis(20)),
        }
    }
}
