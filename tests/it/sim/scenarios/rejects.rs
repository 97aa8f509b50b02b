//! Items that no client can read: everything else goes on as if they were not there.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::Place;
use crate::sim::quirks::{Order, Plan};

const DEPOSITS: Listing = Listing::Deposits;

#[tokio::test]
async fn rounds_are_complete_beside_an_item_that_cannot_be_read() {
    for (order, rows) in [(Order::Newest, 60), (Order::Newest, 400), (Order::Oldest, 400), (Order::Scattered, 400)] {
        let mut scene = Scene::imported(Plan::calm(order, rows)).await;
        let index = scene.change(|world| world.add(DEPOSITS, Place::At(20), None));
        let id = format!("d{}", rows + 1);
        scene.spoil(index, true);
        assert!(scene.proves(Call::Pass(DEPOSITS)).await, "{order:?} {rows}: {:?}", scene.0.steps().last());
        for round in 0..6 {
            assert!(scene.is_green().await, "{order:?} {rows}, round {round}: {:?}", scene.0.steps().last());
        }
        assert!(scene.deposit(&id).await.is_none());
        assert_eq!(scene.told(&id).await, ["sync.item_rejected"], "{order:?} {rows}");
        // No sweep is wanted for its sake.
        assert!(!scene.sweep_is_due().await, "{order:?} {rows}");

        // Another that leaves is marked as missing, and one that joins is stored.
        scene.change(|world| {
            world.remove_at(DEPOSITS, 5);
            world.add(DEPOSITS, Place::Head, None);
        });
        for _ in 0..8 {
            scene.sweep().await;
            scene.tick().await;
        }
        assert_eq!(scene.deposits().await, rows, "{order:?} {rows}: one left, one joined");

        // Once it can be read it is a deposit like any other.
        scene.spoil(index, false);
        scene.settles().await;
        assert!(scene.deposit(&id).await.is_some());
        assert_eq!(scene.told(&id).await, ["sync.item_rejected", "deposit.created"]);
        assert_eq!(scene.rejects(DEPOSITS).await, 0);
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_read_and_is_no_longer_listed_is_forgotten_after_a_full_scan() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 400)).await;
    let index = scene.change(|world| world.add(DEPOSITS, Place::Head, None));
    scene.spoil(index, true);
    scene.tick().await;
    assert_eq!(scene.rejects(DEPOSITS).await, 1);
    scene.change(|world| world.remove_at(DEPOSITS, 0));
    scene.rest(100);
    assert!(scene.proves(Call::Pass(DEPOSITS)).await);
    assert_eq!(scene.rejects(DEPOSITS).await, 0);
    for _ in 0..4 {
        assert!(scene.is_green().await, "{:?}", scene.0.steps().last());
    }
}

#[tokio::test]
async fn a_stored_row_that_cannot_be_read_any_more_is_neither_missing_nor_changed() {
    for order in [Order::Newest, Order::Scattered] {
        let mut scene = Scene::imported(Plan::calm(order, 400)).await;
        scene.spoil(199, true);
        for _ in 0..6 {
            scene.sweep().await;
            assert!(scene.is_green().await, "{order:?}: {:?}", scene.0.steps().last());
        }
        assert!(!scene.missing("d200").await);
        assert_eq!(scene.told("d200").await, ["sync.item_rejected"]);
        scene.spoil(199, false);
        scene.settles().await;
        assert_eq!(scene.rejects(DEPOSITS).await, 0);
    }
}
