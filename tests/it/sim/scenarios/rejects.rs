//! Items that no client can read: everything else goes on as if they were not there.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::{Kind, Place, State, Status};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Logged;

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

/// How many requests for the rows of this user were made so far.
fn asked_about(scene: &Scene, user: &str) -> usize {
    let is_such = |logged: &&Logged| logged.asked.external_id.as_deref() == Some(user);
    scene.server().live().log.iter().filter(is_such).count()
}

#[tokio::test]
async fn a_row_that_cannot_be_read_where_it_is_now_is_not_asked_for_in_every_round() {
    let mut scene = Scene::imported(Plan::calm(Order::Scattered, 400).with_wallets(30)).await;
    let block = |state: &mut State| state.blocked = true;
    scene.change(|world| world.change(Kind::Wallet, 7, block));
    scene.done(Call::Tick(Listing::Blocked)).await;
    assert_eq!(scene.told("w8").await, ["wallet.blocked"]);
    // It is no longer blocked, the deposit is no longer new, and neither can be read.
    scene.change(|world| {
        world.change(Kind::Wallet, 7, |state| (state.blocked, state.spoiled) = (false, true));
        world.change(Kind::Deposit, 399, |state| (state.status, state.spoiled) = (Status::Confirmed, true));
    });
    let round = async |scene: &mut Scene| {
        for listing in Listing::ALL {
            scene.done(Call::Tick(listing)).await;
        }
        scene.rest(40);
    };
    for _ in 0..2 {
        round(&mut scene).await;
    }
    let before = [asked_about(&scene, "u8"), asked_about(&scene, "u400")];
    for _ in 0..4 {
        round(&mut scene).await;
    }
    assert_eq!([asked_about(&scene, "u8"), asked_about(&scene, "u400")], before, "{:#?}", scene.0.steps());
    scene.change(|world| {
        world.change(Kind::Wallet, 7, |state| state.spoiled = false);
        world.change(Kind::Deposit, 399, |state| state.spoiled = false);
    });
    scene.settles().await;
}
