//! What trouble costs: a bridge that is killed, and an endpoint that is bad for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::receiver::{Arrival, Mood, Receiver};
use super::scene::{Database, Scene, first_arrivals};
use super::table::{Cell, Size};

/// `kill -9` in the middle, and a restart at once.
pub(crate) async fn kill(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    let mut scene = Scene::new(database, 32, &[receiver.url()]).await;
    let events = size.of(5_000);
    scene.publish(events).await;
    let daemon = scene.daemon();
    receiver.until(events / 2).await;
    drop(daemon);
    let restarted = Instant::now();
    let daemon = scene.daemon();
    while scene.count("state <> 'delivered'").await > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(daemon);
    let arrivals = receiver.take();
    scene.check(&arrivals);
    let last = first_arrivals(&arrivals).into_values().max().unwrap().saturating_duration_since(restarted);
    let twice = arrivals.len() - events;
    scene.end().await;
    let figure = format!("last after {:.1} s, {twice} twice", last.as_secs_f64());
    vec![Cell::new("`kill -9` among 5,000 deliveries, restart", figure)]
}

/// Bad for ten seconds, then well.
pub(crate) async fn bad(database: &Database, size: Size) -> Vec<Cell> {
    let receiver = Receiver::start();
    let mut scene = Scene::new(database, 32, &[receiver.url()]).await;
    let daemon = scene.daemon();
    scene.publish(200).await;
    receiver.until(200).await;
    receiver.set(Mood::Bad);
    let fell_ill = Instant::now();
    let events = size.of(3_000);
    scene.publish(events).await;
    tokio::time::sleep_until((fell_ill + Duration::from_secs(10)).into()).await;
    receiver.set(Mood::Good);
    let well = Instant::now();
    receiver.until(events + 200).await;
    drop(daemon);
    let arrivals = receiver.take();
    scene.check(&arrivals);
    let last = arrivals.iter().map(|arrival| arrival.at).max().unwrap().saturating_duration_since(well);
    let probes = probes(&arrivals);
    scene.end().await;
    let figure = format!("all in order {:.1} s after it is well, {probes}", last.as_secs_f64());
    vec![Cell::new("endpoint bad for 10 s", figure)]
}

/// The requests to an endpoint that was found to fail: all of the bad ones that did not come with the first.
fn probes(arrivals: &[Arrival]) -> String {
    let bad: Vec<Instant> = arrivals.iter().filter(|arrival| !arrival.good).map(|arrival| arrival.at).collect();
    let Some(first) = bad.iter().min() else { return "never asked meanwhile".to_owned() };
    let mut in_second: HashMap<u64, usize> = HashMap::new();
    for at in &bad {
        *in_second.entry(at.duration_since(*first).as_secs()).or_default() += 1;
    }
    let at_first = in_second.remove(&0).unwrap_or_default();
    let most = in_second.values().max().copied().unwrap_or_default();
    format!("{at_first} requests in its first second, then at most {most}/s")
}
