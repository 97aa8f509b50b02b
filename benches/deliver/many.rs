//! Many endpoints, and endpoints that want little.

use std::time::{Duration, Instant};

use super::moment::trickle;
use super::process::cpu_time;
use super::receiver::Receiver;
use super::scene::{Database, Scene, rate};
use super::table::{Cell, Size};

const TEN: usize = 10;
const HUNDRED: usize = 100;
/// Events a second.
const PACE: u32 = 100;

/// Ten endpoints that all want all of it, as a share of the same requests raw.
pub(crate) async fn ten(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    let mut scene = Scene::new(database, 32, &vec![receiver.url(); TEN]).await;
    let events = size.of(5_000);
    scene.post(events * TEN, 32 * TEN).await;
    let raw = rate(&receiver.take());
    scene.publish(events).await;
    let daemon = scene.daemon();
    receiver.until(events * TEN).await;
    drop(daemon);
    let share = rate(&receiver.take()) / raw;
    scene.end().await;
    vec![Cell::new("the same to ten endpoints, all deliveries", format!("{:.0} % of {raw:.0}/s", share * 100.0))]
}

/// What the bridge itself uses of a core for endpoints that want nothing of what is published.
pub(crate) async fn idle(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    let scene =
        async |endpoints| Scene::wanting(database, 32, &vec![receiver.url(); endpoints], &["wallet.replaced"]).await;
    let hundred = used(scene(HUNDRED).await, size).await;
    let one = used(scene(1).await, size).await;
    let percent = |share: f64| format!("{:.1} % of a core", share * 100.0);
    vec![
        Cell::new("100 endpoints that want none of 100 events/s", percent(hundred)),
        Cell::new("one such endpoint", percent(one)),
    ]
}

/// The share of a core that the bridge uses while others publish.
async fn used(mut scene: Scene, size: Size) -> f64 {
    let daemon = scene.daemon();
    // Started, and done with what was there.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (began, before) = (Instant::now(), cpu_time(daemon.id()));
    trickle(&mut scene, PACE, size.of(1_500)).await;
    let used = (cpu_time(daemon.id()) - before).as_secs_f64() / began.elapsed().as_secs_f64();
    drop(daemon);
    scene.end().await;
    used
}
