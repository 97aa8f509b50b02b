//! A throttled API, a killed bridge, and pages as large as they may be.

use std::time::{Duration, Instant};

use lumo_simulator::{Fault, Quirks, RetryAfter, World};

use super::daemon::Daemon;
use super::scene::{DEFAULT_RATE, Scene};

const PATIENT: Duration = Duration::from_secs(600);
const THROTTLED: Duration = Duration::from_secs(60);
const KILLS: usize = 5;

/// A first import, which takes every request that it may make.
pub(crate) async fn throttled() -> String {
    let world = World::new(7);
    world.seed(1_000, 400_000);
    let scene = Scene::new(world, Quirks::default()).await;
    let daemon = Daemon::start(&scene);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let refusal = Fault::Status { code: 429, retry_after: Some(RetryAfter::Seconds(1)) };
    scene.simulator.faults().at_random(1, 1.0, vec![refusal]);
    tokio::time::sleep(THROTTLED).await;
    scene.simulator.faults().clear();
    let well = Instant::now();
    let (mut half, mut whole) = (None, None);
    while whole.is_none() && well.elapsed() < PATIENT {
        let (before, began) = (scene.simulator.requests().total(), Instant::now());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let requests = scene.simulator.requests().total() - before;
        let rate = requests as f64 / began.elapsed().as_secs_f64();
        let reaches = |share: f64| rate >= share * DEFAULT_RATE as f64;
        let since = (began - well).as_secs_f64();
        half = half.or_else(|| reaches(0.45).then_some(since));
        whole = whole.or_else(|| reaches(0.9).then_some(since));
    }
    drop(daemon);
    let shown = |time: Option<f64>| time.map_or_else(|| "never".to_owned(), |time| format!("{time:.0} s"));
    format!("half the rate after {}, whole after {}", shown(half), shown(whole))
}

/// From the kill to the new process's lease, by its number in the table.
pub(crate) async fn takeover() -> String {
    let world = World::new(7);
    world.seed(100, 1_000);
    let scene = Scene::new(world, Quirks::default()).await;
    scene.import().await;
    let epoch = async || scene.numbers("SELECT epoch FROM lumo_leases WHERE resource = 'sync'").await.first().copied();
    let mut daemon = Daemon::start(&scene);
    let mut times = Vec::new();
    for _ in 0..KILLS {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let before = epoch().await.unwrap();
        drop(daemon);
        let killed = Instant::now();
        daemon = Daemon::start(&scene);
        while epoch().await.is_none_or(|epoch| epoch <= before) {
            assert!(killed.elapsed() < PATIENT, "nobody reads");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        times.push(killed.elapsed());
    }
    drop(daemon);
    times.sort();
    let longest = times.last().unwrap().as_secs_f64();
    format!("{:.2} s at most ({KILLS} kills)", longest)
}

/// A first import whose pages have nearly 16 MiB, as their items are large.
pub(crate) async fn memory() -> String {
    let world = World::new(7);
    world.seed(500, 1_500);
    let scene = Scene::new(world, Quirks::default()).await;
    scene.simulator.faults().at_random(1, 1.0, vec![Fault::LargeItems { bytes: 165_000 }]);
    let daemon = Daemon::start(&scene);
    scene.until("SELECT count(*) FROM lumo_user_deposits", 1_500, PATIENT).await;
    let peak = daemon.resident_peak();
    drop(daemon);
    format!("{peak:.0} MiB")
}
