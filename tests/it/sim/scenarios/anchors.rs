//! What reading the ends of a list alone must and need not find.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::{Kind, Place};
use crate::sim::quirks::{Order, Plan};

const DEPOSITS: Listing = Listing::Deposits;
/// Too many for every tick to read the whole list.
const ROWS: usize = 400;

/// A list of which it is known where new rows join.
async fn known(order: Order) -> Scene {
    let mut scene = Scene::imported(Plan::calm(order, ROWS)).await;
    for _ in 0..4 {
        scene.change(|world| world.burst(DEPOSITS, 5));
        scene.tick().await;
    }
    assert_eq!(scene.deposits().await, ROWS + 20);
    scene
}

#[tokio::test]
async fn new_rows_at_the_end_of_a_long_list_are_found_by_the_next_tick_for_little() {
    for order in [Order::Newest, Order::Oldest] {
        let mut scene = known(order).await;
        for _ in 0..8 {
            scene.change(|world| world.add(DEPOSITS, Place::AsOrdered, None));
            let cost = scene.cost(Call::Tick(DEPOSITS)).await;
            scene.rest(10);
            assert!(cost <= 12, "{order:?}: {cost} requests");
        }
        assert_eq!(scene.deposits().await, ROWS + 28, "{order:?}");
    }
}

#[tokio::test]
async fn scenario_14_a_late_arrival_within_reach_of_the_end_is_found_by_the_next_tick() {
    for depth in [0, 1, 7, 15, 23] {
        let mut scene = known(Order::Newest).await;
        let late = scene.change(|world| world.add(DEPOSITS, Place::At(depth), None)) + 1;
        assert!(scene.is_green().await);
        assert!(scene.deposit(&format!("d{late}")).await.is_some(), "{depth} rows below the head");
    }
}

#[tokio::test]
async fn scenario_14_a_late_arrival_far_from_the_end_is_found_by_the_next_sweep() {
    for order in [Order::Newest, Order::Oldest] {
        let mut scene = known(order).await;
        let late = scene.change(|world| world.add(DEPOSITS, Place::At(200), None)) + 1;
        scene.tick().await;
        scene.sweep().await;
        scene.sweep().await;
        assert_eq!(scene.told(&format!("d{late}")).await, ["deposit.created"]);
    }
}

#[tokio::test]
async fn scenario_15_every_anchor_is_removed() {
    for order in [Order::Newest, Order::Oldest] {
        let mut scene = known(order).await;
        scene.change(|world| {
            for _ in 0..40 {
                let position = if order == Order::Newest { 0 } else { world.len(DEPOSITS) - 1 };
                world.remove_at(DEPOSITS, position);
            }
            world.burst(DEPOSITS, 3);
        });
        scene.tick().await;
        assert_eq!(scene.told("d423").await, ["deposit.created"], "{order:?}");
        scene.settles().await;
    }
}

#[tokio::test]
async fn scenario_15_anchors_trade_places_because_they_change() {
    let mut scene = known(Order::RecentlyChanged).await;
    scene.change(|world| {
        let list = world.list(DEPOSITS);
        for position in [30, 12, 4, 21, 0] {
            world.change(Kind::Deposit, list[position], |state| state.content += 1);
        }
        world.burst(DEPOSITS, 2);
    });
    scene.tick().await;
    assert!(scene.deposit("d422").await.is_some());
    scene.settles().await;
}

#[tokio::test]
async fn scenario_16_an_anchor_moves_to_the_top_with_unknown_rows_beneath() {
    let mut scene = known(Order::RecentlyChanged).await;
    let anchors = scene.change(|world| world.list(DEPOSITS)[..32].to_vec());
    scene.change(|world| world.burst(DEPOSITS, 30));
    scene.change(|world| {
        for anchor in anchors {
            world.change(Kind::Deposit, anchor, |state| state.content += 1);
        }
    });
    assert!(scene.is_green().await);
    assert_eq!(scene.deposits().await, ROWS + 50, "the rows between the old anchors and where they stood");
    scene.settles().await;
}

#[tokio::test]
async fn scenario_17_rows_that_share_their_key_trade_places_with_every_query() {
    let mut scene = Scene::imported(Plan::calm(Order::Ties, 150)).await;
    for _ in 0..6 {
        scene.change(|world| world.burst(DEPOSITS, 4));
        scene.tick().await;
    }
    scene.settles().await;
    assert_eq!(scene.deposits().await, 174);
    assert_eq!(scene.events("deposit.missing").await, 0);
}

#[tokio::test]
async fn an_order_that_changes_with_every_query_calls_nothing_missing() {
    let mut scene = Scene::new(Plan::calm(Order::Unstable, 120)).await;
    for _ in 0..10 {
        scene.tick().await;
        scene.sweep().await;
        scene.rest(30);
    }
    assert_eq!(scene.events("deposit.missing").await, 0);
    assert_eq!(scene.deposits().await, 120);
}
