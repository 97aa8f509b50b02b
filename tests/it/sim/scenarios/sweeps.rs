//! When lists are swept, and how often.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::quirks::{Order, Plan};

const DEPOSITS: Listing = Listing::Deposits;

#[tokio::test]
async fn a_scheduled_sweep_runs_once_however_many_look_for_work() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 400)).await;
    let once = scene.cost(Call::Sweep(DEPOSITS, 100_000)).await;
    scene.rest(10);
    for runners in [1, 2, 3] {
        let before = scene.plain_requests(DEPOSITS);
        scene.0.bridge.sweeps_on_schedule(runners, 5).await;
        scene.rest(10);
        assert_eq!(scene.plain_requests(DEPOSITS) - before, once, "{runners} at the same time");
    }
}

#[tokio::test]
async fn a_sweep_that_a_restart_interrupted_counts_as_the_scheduled_one() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 400)).await;
    let once = scene.cost(Call::Sweep(DEPOSITS, 100_000)).await;
    scene.rest(10);
    let before = scene.plain_requests(DEPOSITS);
    scene.done(Call::Sweep(DEPOSITS, 5)).await;
    scene.0.bridge.kill();
    scene.0.bridge.sweeps_on_schedule(2, 5).await;
    let requests = scene.plain_requests(DEPOSITS) - before;
    assert!(requests <= once + 1, "{requests} requests, and {once} for a sweep");
}
