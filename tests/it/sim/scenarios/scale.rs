//! Long lists: what they may cost, and what nobody can keep up with.

use chrono::TimeDelta;
use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::Place;
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);
const TICK: Call = Call::Tick(DEPOSITS);

/// A list in no order of time, of which that is known.
async fn scattered(rows: usize) -> Scene {
    let mut scene = Scene::imported(Plan::calm(Order::Scattered, rows).with_page(100)).await;
    for _ in 0..3 {
        scene.change(|world| world.burst(DEPOSITS, 6));
        scene.tick().await;
        scene.sweep().await;
    }
    assert_eq!(scene.deposits().await, rows + 18);
    scene
}

#[tokio::test]
async fn scenario_18_one_row_anywhere_in_a_long_scattered_list_is_found_for_little() {
    let mut scene = scattered(6_000).await;
    let sweep = scene.cost(Call::Sweep(DEPOSITS, 100_000)).await;
    scene.rest(10);
    for _ in 0..4 {
        let found = scene.deposits().await;
        scene.change(|world| world.add(DEPOSITS, Place::AsOrdered, None));
        let cost = scene.cost(TICK).await;
        scene.rest(10);
        assert_eq!(scene.deposits().await, found + 1);
        assert!(cost <= sweep / 2, "{cost} requests, and {sweep} for a whole sweep");
    }
    assert!(scene.cost(TICK).await <= 12, "a quiet tick");
}

#[tokio::test]
async fn what_a_sweep_learned_of_a_scattered_list_survives_a_restart() {
    let mut scene = scattered(6_000).await;
    let sweep = scene.cost(Call::Sweep(DEPOSITS, 100_000)).await;
    scene.rest(10);
    for _ in 0..3 {
        scene.0.bridge.kill();
        let found = scene.deposits().await;
        scene.change(|world| world.add(DEPOSITS, Place::AsOrdered, None));
        let cost = scene.cost(TICK).await;
        scene.rest(10);
        assert_eq!(scene.deposits().await, found + 1, "by the first round of the new process");
        assert!(cost <= sweep / 2, "{cost} requests, and {sweep} for a whole sweep");
    }
}

#[tokio::test]
async fn scenario_19_a_row_whose_arrival_is_masked_by_a_removal_is_found_within_two_sweeps() {
    let mut scene = scattered(600).await;
    let new = scene.change(|world| {
        world.remove_at(DEPOSITS, 10);
        world.add(DEPOSITS, Place::At(300), None)
    });
    scene.tick().await;
    scene.sweep().await;
    scene.sweep().await;
    assert_eq!(scene.told(&format!("d{}", new + 1)).await, ["deposit.created"]);
    scene.settles().await;
}

#[tokio::test]
async fn rows_that_leave_a_few_at_a_time_are_not_gone_all_at_once() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 150)).await;
    for _ in 0..6 {
        for _ in 0..8 {
            scene.change(|world| world.remove_at(DEPOSITS, 20));
        }
        // A list this short is read whole; those of the rounds before wait for their second answer meanwhile.
        scene.tick().await;
    }
    for _ in 0..4 {
        scene.rest(31);
        scene.tick().await;
    }
    assert_eq!((scene.deposits().await, scene.events("deposit.missing").await), (102, 48));
    scene.settles().await;
}

#[tokio::test]
async fn scenario_28_most_of_all_rows_are_absent_at_once() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 120)).await;
    scene.change(|world| {
        (0..70).for_each(|_| {
            world.remove_at(DEPOSITS, 25);
        })
    });
    for _ in 0..4 {
        scene.tick().await;
        scene.sweep().await;
        scene.rest(31);
    }
    assert_eq!(scene.events("deposit.missing").await, 0, "so many at once are taken for a mistake of the server");
    assert_eq!(scene.held().await, Some(70));
    assert_eq!(scene.events("sync.removals_held").await, 1);
    // And it was one.
    scene.change(|world| (0..120).for_each(|index| world.bring_back(crate::sim::model::Kind::Deposit, index)));
    scene.settles().await;
    assert_eq!(scene.deposits().await, 120);
    assert_eq!(scene.events("deposit.missing").await, 0);
    assert_eq!(scene.events("deposit.updated").await, 0);
    assert_eq!((scene.held().await, scene.events("sync.recovered").await), (None, 1));
}

#[tokio::test]
async fn scenario_33_a_long_first_import_tells_nothing_of_what_was_there() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 5_000).with_page(500)).await;
    scene.before_request(5, |world| {
        // Not in the same second as the import began: the server's clock has whole ones.
        world.pass_time(TimeDelta::seconds(2));
        world.add(DEPOSITS, Place::Head, None);
    });
    scene.done(PASS).await;
    scene.rest(10);
    scene.tick().await;
    assert_eq!(scene.deposits().await, 5_001);
    assert_eq!(scene.events("deposit.created").await, 1);
    assert_eq!(scene.told("d5001").await, ["deposit.created"], "what came during the import is news");
}

#[tokio::test]
async fn scenario_35_the_clock_steps_backward() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 60)).await;
    scene.tick().await;
    let before = scene.marks(DEPOSITS).await;
    scene.0.bridge.clock.advance(TimeDelta::hours(-1));
    for round in 0..4 {
        scene.0.bridge.clock.advance(TimeDelta::seconds(10));
        scene.0.timeless(TICK).await;
        scene.server().live().world.add(DEPOSITS, Place::Head, None);
        if round == 2 {
            scene.server().live().world.change(crate::sim::model::Kind::Deposit, 3, |state| state.content = 7);
        }
    }
    scene.0.bridge.clock.advance(TimeDelta::minutes(3));
    scene.0.timeless(TICK).await;
    assert_eq!(scene.deposits().await, 64);
    assert_eq!(scene.told("d4").await, ["deposit.updated"]);
    let after = scene.marks(DEPOSITS).await;
    assert!(after.complete_through >= before.complete_through, "a mark never goes back");
}

#[tokio::test]
async fn scenario_36_rows_that_arrive_faster_than_they_are_read_are_never_called_complete() {
    let mut scene = Scene::new(Plan::calm(Order::Oldest, 100).with_page(20)).await;
    scene.script(|world, _, _| {
        world.burst(DEPOSITS, 25);
        Act::Answer
    });
    assert!(!scene.proves(PASS).await);
    let marks = scene.marks(DEPOSITS).await;
    assert_eq!((marks.proved_through, marks.complete_through), (None, None));
    // Once they come slower, all of them are read.
    scene.settles().await;
    assert!(scene.is_green().await);
}
