//! Everything at once, for as long as one likes: a company that changes all the time, a server and a receiver that fail, a
//! key that is rotated, and a bridge that is killed again and again. In the end the tables equal the world, and every change
//! was told once and in order.
//!
//! `tests/soak` lets it run for ten minutes; among the other tests it takes seconds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use lumo_simulator::{Answer, Fault, Quirks, Received, RetryAfter, World};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::restart::temper;
use crate::world::{Announced, Stage, random_changes, seed};

on_each_database!(a_company_in_turmoil_is_mirrored_in_the_end);

/// How many seconds the turmoil lasts.
const SECONDS: &str = "LUMO_TEST_SOAK_SECONDS";

#[derive(Debug, Default)]
struct Tally {
    steps: usize,
    removed: usize,
    faults: u32,
    kills: u32,
    rotations: u32,
}

async fn a_company_in_turmoil_is_mirrored_in_the_end(database: Database) {
    let lasts = std::env::var(SECONDS).map_or(8, |text| text.parse().expect("a number of seconds"));
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let world = World::live(seed);
    world.seed(300, 1_200);
    let presets = ["plain", "newest_first", "scattered", "clamps_at_25", "hides_blocked", "refuses_over_50"];
    let preset = presets[rng.random_range(0..presets.len())];
    let quirks = Quirks::preset(preset).expect("a preset");
    let mut stage = Stage::with(database, world.clone(), quirks, Duration::from_millis(3)).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.timeout", json!("1s"));
    // What left between two sweeps must not be more than is believed to have gone at once.
    stage.settings.set("sync.sweep.schedule", json!("*/20 * * * * *"));
    stage.receiver.script(now_and_then());
    let faults = stage.simulator.faults();

    let mut tally = Tally::default();
    let mut bridge = stage.daemon();
    let until = Instant::now() + Duration::from_secs(lasts);
    while Instant::now() < until {
        let changes = rng.random_range(1..8);
        random_changes(&world, changes);
        tally.steps += changes;
        if rng.random_ratio(1, 20)
            && let Some(deposit) = world.random_deposit()
        {
            world.remove_deposit(deposit.id).expect("it was there");
            tally.removed += 1;
        }
        if rng.random_ratio(1, 5) {
            let times = rng.random_range(1..6);
            faults.inject(times, fault(&mut rng));
            tally.faults += times;
        }
        if rng.random_ratio(1, 60) {
            world.rotate_key();
            tally.rotations += 1;
        }
        if rng.random_ratio(1, 30) {
            bridge.kill();
            tally.kills += 1;
            // Whoever starts it again has heard of the new key.
            stage.settings.set("lumo.api_key", json!({ "value": world.api_key() }));
            bridge = stage.daemon();
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..400))).await;
    }
    faults.clear();
    bridge.kill();
    stage.settings.set("lumo.api_key", json!({ "value": world.api_key() }));
    let bridge = stage.daemon();
    let calm = Instant::now();
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    bridge.stop().await;
    let (wallets, deposits) = (world.wallet_count(), world.deposit_count());
    println!(
        "{preset}, {lasts} s: {tally:?}; equal {} s after it: {wallets} wallets, {deposits} deposits, {} events, {} callbacks, \
         {} of them repeated",
        calm.elapsed().as_secs(),
        stage.events().await.len(),
        stage.receiver.count(),
        stage.receiver.duplicates(),
    );
}

/// A receiver that is in a temper over one event of ten: one that were slower than the company would only be waited for.
fn now_and_then() -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let temper = temper();
    move |request| {
        let mut hasher = DefaultHasher::new();
        ("mood", &request.id).hash(&mut hasher);
        if hasher.finish().is_multiple_of(10) {
            temper(request)
        } else {
            Answer::status(200).after(Duration::from_millis(20))
        }
    }
}

fn fault(rng: &mut StdRng) -> Fault {
    match rng.random_range(0..9) {
        0 => Fault::Status { code: 500, retry_after: None },
        1 => Fault::Status { code: 429, retry_after: Some(RetryAfter::Seconds(1)) },
        2 => Fault::Status { code: 503, retry_after: Some(RetryAfter::Date { seconds: 2 }) },
        3 => Fault::HtmlPage,
        4 => Fault::CutBody,
        5 => Fault::CutJson,
        6 => Fault::Disconnect,
        7 => Fault::DuplicateId,
        _ => Fault::Hang { time: Duration::from_millis(700) },
    }
}
