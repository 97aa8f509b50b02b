//! Many rows that leave at once or one after the other, and servers that only seem to have lost them.

use lumo_bridge::model::Listing;
use lumo_bridge::sync::learn::shrinkage::shrunk;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::{Kind, Place};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;

fn remove(scene: &Scene, rows: usize, at: usize) {
    scene.change(|world| {
        for _ in 0..rows {
            world.remove_at(DEPOSITS, at);
        }
    });
}

#[tokio::test]
async fn a_hundred_of_three_thousand_rows_that_leave_at_once_are_marked_in_portions() {
    for order in [Order::Newest, Order::Scattered] {
        let mut scene = Scene::imported(Plan::calm(order, 3_000).with_page(250)).await;
        remove(&scene, 100, 1_000);
        scene.sweep().await;
        let held = scene.held().await.expect("more than a portion of 30 left");
        assert!((70..100).contains(&held), "{order:?}: {held}");
        for _ in 0..24 {
            scene.rest(21);
            assert!(scene.is_green().await, "{order:?}: what left is no reason to be incomplete");
        }
        assert_eq!((scene.deposits().await, scene.held().await), (2_900, None), "{order:?}");
        assert_eq!(scene.events("deposit.missing").await, 100, "{order:?}");
        assert_eq!(scene.events("sync.removals_held").await, 1, "{order:?}");
        assert_eq!(scene.events("sync.recovered").await, 1, "{order:?}");
    }
}

/// How many transactions of this name were committed.
fn transactions(scene: &Scene, name: &str) -> u64 {
    let (mut registry, mut text) = (Registry::default(), String::new());
    scene.0.bridge.store().meters().register(&mut registry);
    encode(&mut text, &registry).unwrap();
    let start = format!("lumo_bridge_store_transactions_total{{name=\"{name}\",outcome=\"committed\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_rows_of_a_user_are_marked_in_one_transaction() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 400)).await;
    scene.change(|world| {
        for _ in 0..3 {
            world.add(DEPOSITS, Place::Head, Some(7));
        }
    });
    scene.tick().await;
    assert_eq!(scene.deposits().await, 403);
    remove(&scene, 3, 0);
    scene.sweep().await;
    let before = transactions(&scene, "sync.vanish");
    for _ in 0..6 {
        scene.rest(21);
        scene.tick().await;
    }
    assert_eq!((scene.deposits().await, scene.events("deposit.missing").await), (400, 3));
    assert_eq!(transactions(&scene, "sync.vanish") - before, 1);
}

#[tokio::test]
async fn rows_that_leave_all_the_time_are_all_marked_whoever_takes_over() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 1_500).with_page(250)).await;
    for round in 0..18 {
        // Two each second.
        remove(&scene, 20, 300);
        scene.tick().await;
        if round % 4 == 3 {
            scene.0.bridge.kill();
        }
        if round % 6 == 5 {
            scene.sweep().await;
        }
    }
    for _ in 0..5 {
        scene.sweep().await;
        for _ in 0..12 {
            scene.rest(21);
            scene.tick().await;
        }
    }
    assert_eq!((scene.deposits().await, scene.held().await), (1_140, None));
    assert_eq!(scene.events("deposit.missing").await, 360);
}

#[tokio::test]
async fn a_server_that_lists_nothing_for_an_hour_makes_nothing_missing() {
    let mut plan = Plan::calm(Order::Newest, 400);
    plan.young = 100;
    let mut scene = Scene::imported(plan).await;
    scene.script(|_, _, _| Act::Nothing);
    for _ in 0..60 {
        scene.tick().await;
        scene.rest(50);
    }
    assert_eq!((scene.events("deposit.missing").await, scene.deposits().await), (0, 400));
    assert_eq!(scene.held().await, Some(400));
    assert_eq!(scene.events("sync.removals_held").await, 1, "it is reported once");
    scene.server().drop_script();
    scene.settles().await;
    assert_eq!((scene.events("deposit.missing").await, scene.held().await), (0, None));
    assert_eq!(scene.events("deposit.updated").await + scene.events("deposit.created").await, 0);
    // `total` told of rows that were not known to be listed; the sweep that this calls for explains them.
    let mut is_green = false;
    for _ in 0..4 {
        is_green = scene.is_green().await;
        scene.sweep().await;
    }
    assert!(is_green, "{:?}", scene.0.steps());
}

#[tokio::test]
async fn what_the_operator_accepts_is_marked_at_once() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 400)).await;
    remove(&scene, 300, 50);
    scene.sweep().await;
    assert_eq!((scene.held().await, scene.deposits().await), (Some(300), 400));
    scene.rest(31);
    scene.done(Call::Accept(DEPOSITS)).await;
    scene.rest(10);
    assert_eq!((scene.held().await, scene.deposits().await), (None, 100));
    assert_eq!(scene.events("deposit.missing").await, 300);
    for _ in 0..4 {
        assert!(scene.is_green().await);
    }
    // The guard is as watchful as before.
    remove(&scene, 60, 20);
    scene.sweep().await;
    assert_eq!((scene.held().await, scene.deposits().await), (Some(60), 100));
}

#[tokio::test]
async fn a_command_beside_the_daemon_lets_removals_through() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 400)).await;
    remove(&scene, 300, 50);
    scene.sweep().await;
    scene.rest(31);
    let mut rival = scene.0.bridge.rival();
    assert!(matches!(rival.accept_as_guest(DEPOSITS).await, crate::sim::bridge::Ended::Done(_)));
    assert_eq!((scene.held().await, scene.deposits().await), (None, 100));
    for _ in 0..4 {
        assert!(scene.is_green().await, "the daemon takes note of it: {:?}", scene.0.steps().last());
    }
    scene.sweep().await;
    assert_eq!(scene.held().await, None);
    assert!(!scene.sweep_is_due().await);
    scene.change(|world| world.add(DEPOSITS, Place::Head, None));
    scene.settles().await;
}

/// Rounds that are as complete as ever, with the sweeps that do not wait for their time. Returns how many sweeps there were.
async fn live(scene: &mut Scene, rounds: usize) -> usize {
    let mut sweeps = 0;
    for _ in 0..rounds {
        scene.tick().await;
        if scene.sweep_is_due().await {
            sweeps += 1;
            scene.sweep().await;
        }
    }
    sweeps
}

/// What `status` says of rows that seem to have left.
async fn seems_gone(scene: &Scene) -> Option<(u64, i64, i64)> {
    let progress = scene.0.bridge.store().progress(DEPOSITS).await.unwrap();
    shrunk(&progress, scene.0.bridge.clock.now()).map(|shrunk| (shrunk.rows, shrunk.total, shrunk.listed))
}

#[tokio::test]
async fn a_long_list_that_comes_back_with_half_of_its_rows_is_looked_at_once_and_soon() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        let plan = Plan { young: 0, ..Plan::calm(order, 1_720) };
        let mut scene = Scene::imported(plan.with_page(100)).await;
        assert_eq!(live(&mut scene, 8).await, 0, "{order:?}: nothing happens");
        // What is left has more pages than are read in turn.
        remove(&scene, 900, 400);
        scene.tick().await;
        assert_eq!(seems_gone(&scene).await, None, "{order:?}: one round may be mistaken");
        scene.tick().await;
        assert_eq!(seems_gone(&scene).await, Some((900, 820, 1_720)), "{order:?}");
        assert_eq!(live(&mut scene, 1).await, 1, "{order:?}: a sweep that does not wait for its time");
        assert_eq!((seems_gone(&scene).await, scene.held().await), (None, Some(900)), "{order:?}");
        assert_eq!(live(&mut scene, 40).await, 0, "{order:?}: it is known");
        assert_eq!((scene.deposits().await, scene.events("deposit.missing").await), (1_720, 0), "{order:?}");
        for round in 0..9 {
            let cost = scene.cost(Call::Tick(DEPOSITS)).await;
            scene.rest(10);
            let log = scene.last_requests(cost);
            assert!(cost <= 2, "{order:?}, round {round}: {cost} requests: {log:#?}");
        }
    }
}

#[tokio::test]
async fn a_list_that_comes_back_with_a_few_of_its_pages_is_said_or_held_within_three_rounds() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        let mut scene = Scene::imported(Plan::calm(order, 1_600).with_page(100)).await;
        live(&mut scene, 8).await;
        remove(&scene, 1_200, 200);
        let sweeps = live(&mut scene, 3).await;
        assert_eq!((sweeps <= 1, scene.held().await), (true, Some(1_200)), "{order:?}: {sweeps} sweeps");
        assert_eq!(live(&mut scene, 40).await, 0, "{order:?}");
    }
}

#[tokio::test]
async fn a_total_that_falls_while_every_row_is_listed_is_looked_at_once() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 1_600).with_page(100)).await;
    live(&mut scene, 8).await;
    scene.script(|_, _, asked| if asked.is_plain() { Act::Total(Some(400)) } else { Act::Answer });
    let sweeps = live(&mut scene, 40).await;
    assert!(sweeps <= 1, "{sweeps} sweeps");
    assert_eq!((scene.held().await, scene.events("deposit.missing").await), (None, 0));
}

#[tokio::test]
async fn a_list_that_lives_is_not_looked_at_before_its_time() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 1_600).with_page(100)).await;
    for round in 0..30 {
        // Some of those that leave and join in each round.
        remove(&scene, 2, 700);
        scene.change(|world| world.burst(DEPOSITS, 1 + round % 4));
        assert_eq!((live(&mut scene, 1).await, seems_gone(&scene).await), (0, None), "round {round}");
    }
}

#[tokio::test]
async fn a_row_that_could_not_be_read_at_first_is_not_among_the_removals_that_are_accepted() {
    let mut scene = Scene::imported(Plan::calm(Order::RecentlyChanged, 400).with_page(100)).await;
    scene.spoil(10, true);
    // So it is in the middle, and moves ahead of the second reading once it can be read again.
    scene.change(|world| (100..300).for_each(|row| world.change(Kind::Deposit, row, |state| state.content += 1)));
    let mut heads = 0;
    scene.script(move |world, _, asked| {
        heads += usize::from(asked.offset == 0);
        if heads == 2 && asked.offset > 0 {
            world.change(Kind::Deposit, 10, |state| state.spoiled = false);
            heads += 1;
        }
        Act::Answer
    });
    scene.done(Call::Accept(DEPOSITS)).await;
    scene.server().drop_script();
    assert_eq!((scene.deposits().await, scene.events("deposit.missing").await), (400, 0));
    scene.settles().await;
}
