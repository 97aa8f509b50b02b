//! From the commit of a change to its arrival, at a steady rate of changes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::receiver::{Mood, Receiver};
use super::scene::{Database, Scene, first_arrivals, quantile};
use super::table::{Cell, Size};

/// Publishes so many events a second, each in a transaction of its own. Returns when each was committed.
pub(crate) async fn trickle(scene: &mut Scene, per_second: u32, events: usize) -> HashMap<String, Instant> {
    let mut committed = HashMap::new();
    let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for _ in 0..events {
        pace.tick().await;
        let draft = scene.next();
        let id = draft.id.to_string();
        scene.publish_together(vec![draft]).await;
        committed.insert(id, Instant::now());
    }
    committed
}

/// How long each took to arrive at each of the receivers.
fn delays(committed: &HashMap<String, Instant>, receivers: &[Receiver]) -> Vec<Duration> {
    let mut delays = Vec::new();
    for receiver in receivers {
        let arrivals = receiver.take();
        let first = first_arrivals(&arrivals);
        delays.extend(committed.iter().map(|(id, at)| first[id.as_str()].saturating_duration_since(*at)));
    }
    delays
}

fn show(delays: &mut [Duration]) -> String {
    let ms = |share| quantile(delays, share).as_secs_f64() * 1e3;
    let [half, most] = [0.5, 0.99].map(ms);
    format!("p50 {half:.1} ms, p99 {most:.1} ms")
}

/// One endpoint, at two rates.
pub(crate) async fn latency(database: &Database, size: Size) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (rate, work) in [(100, "commit → arrival at 100 events/s"), (400, "commit → arrival at 400 events/s")] {
        let receivers = [Receiver::start()];
        let mut scene = Scene::new(database, 32, &[receivers[0].url()]).await;
        let committed = alongside(&mut scene, &receivers, rate, size.of(rate as usize * 15)).await;
        cells.push(Cell::new(work, show(&mut delays(&committed, &receivers))));
        scene.end().await;
    }
    cells
}

/// Publishes while the bridge delivers, until all of it has arrived. Returns when each was committed.
async fn alongside(
    scene: &mut Scene,
    receivers: &[Receiver],
    per_second: u32,
    events: usize,
) -> HashMap<String, Instant> {
    let delivering = scene.deliver().await;
    // Whatever is done only once is not measured.
    trickle(scene, per_second, 50).await;
    until_all(receivers, 50).await;
    receivers.iter().for_each(|receiver| drop(receiver.take()));
    let committed = trickle(scene, per_second, events).await;
    until_all(receivers, events).await;
    delivering.end().await;
    committed
}

async fn until_all(receivers: &[Receiver], good: usize) {
    for receiver in receivers {
        receiver.until(good).await;
    }
}

/// Eight endpoints that are well, alone and beside one that hangs and one that is dead.
pub(crate) async fn neighbours(database: &Database, size: Size) -> Vec<Cell> {
    let mut p99 = Vec::new();
    for troubled in [false, true] {
        let receivers: Vec<Receiver> = (0..8).map(|_| Receiver::start()).collect();
        let mut urls: Vec<String> = receivers.iter().map(Receiver::url).collect();
        let silent = Receiver::start();
        silent.set(Mood::Silent);
        if troubled {
            urls.push(silent.url());
            urls.push("http://127.0.0.1:9/".to_owned());
        }
        let mut scene = Scene::new(database, 8, &urls).await;
        let committed = alongside(&mut scene, &receivers, 30, size.of(600)).await;
        p99.push(quantile(&mut delays(&committed, &receivers), 0.99).as_secs_f64() * 1e3);
        scene.end().await;
    }
    let [alone, beside] = p99[..] else { return Vec::new() };
    let figure = format!("{:.2} × {alone:.1} ms", beside / alone);
    vec![Cell::new("p99 of eight endpoints beside a hanging and a dead one", figure)]
}
