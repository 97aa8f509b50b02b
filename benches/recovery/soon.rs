//! How soon a new deposit is with the receiver, with and without watched users, and what that asks of the API.

use std::time::Duration;

use chrono::TimeDelta;
use lumo_bridge::clock::Clock;
use lumo_bridge::store::Store;
use lumo_simulator::{Order, Quirks, Receiver, ReceiverConfig, SimulatorConfig, World};

use super::daemon::Daemon;
use super::scene::Scene;

/// Of a request to the API.
const LATENCY: Duration = Duration::from_millis(20);
/// Deposits that are timed, one after another.
const DEPOSITS: u64 = 60;
const QUIET: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// From a deposit being visible at the API until its callback is accepted, of so many watched users; and the requests of a
/// minute in which nothing happens.
pub(crate) async fn deposits(order: Order, watched: usize) -> String {
    let world = World::new(7);
    world.seed(1_000, 100_000);
    let receiver = Receiver::start(ReceiverConfig::local(vec![SECRET.to_owned()])).await.unwrap();
    let (url, quirks) = (receiver.url("/hooks"), Quirks { order, ..Quirks::default() });
    let server = SimulatorConfig { latency: LATENCY, ..SimulatorConfig::local(world.clone(), quirks) };
    let shop = format!("{{ url: '{url}', events: [deposit.created], secrets: [{{ value: {SECRET} }}] }}");
    let scene = Scene::behind(server, format!("callbacks: {{ endpoints: {{ shop: {shop} }} }}")).await;
    scene.import().await;

    let users: Vec<_> =
        world.snapshot().wallets.iter().take(watched.max(1)).map(|one| one.external_id.clone()).collect();
    if watched > 0 {
        let store = Store::open(&scene.config("20/s").database, Vec::new()).await.unwrap();
        let until = Clock::system().now() + TimeDelta::hours(2);
        for user in &users {
            store.watch(&user.parse().unwrap(), until).await.unwrap();
        }
        store.close().await;
    }
    let daemon = Daemon::start(&scene);
    tokio::time::sleep(Duration::from_secs(45)).await;
    let before = scene.simulator.requests().total();
    tokio::time::sleep(QUIET).await;
    let quiet = scene.simulator.requests().total() - before;

    let mut times = Vec::new();
    for number in 0..DEPOSITS {
        // At another moment of the schedule each time; the one before was told when a round began.
        tokio::time::sleep(Duration::from_millis(number * 3_541 % 10_000)).await;
        let user = &users[usize::try_from(number).unwrap() % users.len()];
        let visible = Clock::system().now();
        let id = world.add_deposit_for(user, "12.5").unwrap().id.to_string();
        let is_told = |body: &serde_json::Value| body["data"]["object"]["id"] == id;
        let told = receiver.wait_until(Duration::from_secs(300), |received| {
            received.iter().any(|request| request.json().is_some_and(|body| is_told(&body)))
        });
        assert!(told.await, "a deposit was never told");
        let received = receiver.received();
        let request = received.iter().find(|request| request.json().is_some_and(|body| is_told(&body))).unwrap();
        times.push((request.at - visible).as_seconds_f64());
    }
    drop(daemon);
    times.sort_by(f64::total_cmp);
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    format!("p50 {median:.2} s, at most {last:.2} s ({DEPOSITS} deposits); quiet: {quiet} requests a minute")
}
