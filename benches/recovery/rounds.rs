//! What a round costs after one that failed.

use chrono::TimeDelta;
use lumo_bridge::clock::Clock;
use lumo_bridge::model::Listing;
use lumo_bridge::sync::Options;
use lumo_simulator::{Fault, Operation, Order, Quirks, World};
use tokio_util::sync::CancellationToken;

use super::scene::Scene;

pub(crate) async fn after_a_failed_one() -> String {
    let world = World::new(7);
    world.seed(1_000, 100_000);
    let scene = Scene::new(world, Quirks { order: Order::Newest, ..Quirks::default() }).await;
    scene.import().await;
    // Whatever was created last is older than what is read for being young.
    let clock = Clock::manual(Clock::system().now() + TimeDelta::days(30));
    let engine = scene.engine(clock.clone()).await;
    let round = async || {
        clock.advance(TimeDelta::seconds(10));
        let before = scene.simulator.requests().total();
        let ended = engine.tick(Listing::Deposits, &Options::default(), &CancellationToken::new()).await;
        (scene.simulator.requests().total() - before, ended.is_ok())
    };
    let mut quiet = 0;
    for _ in 0..10 {
        quiet = round().await.0;
    }
    scene.simulator.faults().inject_on(Operation::ListDeposits, 1, Fault::Status { code: 404, retry_after: None });
    let (_, failed) = (round().await, scene.simulator.faults().waiting());
    assert_eq!(failed, 0, "the round met its fault");
    let (after, complete) = round().await;
    assert!(complete, "the round after the failed one failed as well");
    format!("{after} ({quiet} in a quiet round before)")
}
