//! What a minute costs in which nothing happens, and that something is noticed all the same.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::{Kind, Place, Status};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Logged;

const DEPOSITS: Listing = Listing::Deposits;
/// Minutes that are lived through.
const MINUTES: usize = 40;
/// By the schedules as they come there are six rounds over deposits, two over blocked wallets and one over all wallets.
const MOST: usize = 6 + 2 + 1 + 1;
const BLOCKED: usize = 40;

/// A minute by the schedules as they come. Returns how many requests it took.
async fn minute(scene: &mut Scene) -> usize {
    let before = scene.requests();
    for second in (0..60).step_by(10) {
        if second == 0 {
            scene.done(Call::Tick(Listing::Wallets)).await;
        }
        if second % 30 == 0 {
            scene.done(Call::Tick(Listing::Blocked)).await;
        }
        scene.done(Call::Tick(DEPOSITS)).await;
        scene.rest(10);
    }
    scene.requests() - before
}

/// With so many deposits in status `new`, the youngest.
async fn scene(order: Order, new: usize) -> Scene {
    let plan = Plan { young: new, ..Plan::calm(order, 1_200) };
    let mut scene = Scene::new(plan.with_wallets(1_000).with_page(100)).await;
    scene.change(|world| {
        for wallet in 0..BLOCKED {
            world.change(Kind::Wallet, wallet * 20, |state| state.blocked = true);
        }
    });
    for listing in Listing::ALL {
        scene.done(Call::Pass(listing)).await;
        scene.done(Call::Sweep(listing, 100_000)).await;
    }
    scene.rest(10);
    // What the first rounds of a process learn.
    for _ in 0..3 {
        minute(&mut scene).await;
    }
    scene
}

#[tokio::test]
async fn a_minute_in_which_nothing_happens_takes_a_request_for_each_round_and_one_more() {
    // Where rows join anywhere, the rounds do not read the youngest.
    for (order, new) in [(Order::Newest, 3), (Order::Oldest, 3), (Order::Scattered, 0)] {
        let mut scene = scene(order, new).await;
        for number in 0..MINUTES {
            let requests = minute(&mut scene).await;
            let log = scene.last_requests(requests);
            assert!(requests <= MOST, "{order:?}: {requests} requests in minute {number}: {log:#?}");
        }
    }
}

#[tokio::test]
async fn as_long_as_deposits_are_new_that_the_rounds_do_not_read_each_looks_how_many_they_are() {
    let mut scene = scene(Order::Newest, 150).await;
    for number in 0..MINUTES {
        let requests = minute(&mut scene).await;
        let log = scene.last_requests(requests);
        assert!(requests <= MOST + 6, "{requests} requests in minute {number}: {log:#?}");
    }
}

#[tokio::test]
async fn what_happens_after_a_long_rest_is_noticed_as_soon_as_ever() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        let mut scene = scene(order, 3).await;
        let (deposits, wallets) = (scene.deposits().await, scene.events("wallet.created").await);
        let blocked = scene.events("wallet.blocked").await;
        // A deposit that came days ago, and is in status `new` ever since.
        let old = scene.change(|world| {
            let is_new = |index: &usize| world.rows(Kind::Deposit)[*index].now().unwrap().status == Status::New;
            (0..world.rows(Kind::Deposit).len()).find(is_new).unwrap()
        });
        scene.change(|world| {
            world.change(Kind::Deposit, old, |state| state.status = Status::Confirmed);
            world.add(DEPOSITS, Place::AsOrdered, None);
            world.add(Listing::Wallets, Place::AsOrdered, None);
            world.change(Kind::Wallet, 7, |state| state.blocked = true);
        });
        minute(&mut scene).await;
        assert_eq!(scene.deposits().await, deposits + 1, "{order:?}");
        assert_eq!(scene.events("wallet.created").await, wallets + 1, "{order:?}");
        assert_eq!(scene.events("wallet.blocked").await, blocked + 1, "{order:?}");
        let id = format!("d{}", old + 1);
        assert_eq!(scene.told(&id).await, ["deposit.status_changed"], "{order:?}");
        scene.settles().await;
    }
}

#[tokio::test]
async fn rounds_over_a_list_whose_order_is_in_doubt_see_both_ends_and_what_is_new_with_two_requests() {
    let mut scene = scene(Order::Newest, 3).await;
    // In the middle of a list of which the newest comes first.
    scene.change(|world| world.add(DEPOSITS, Place::At(600), None));
    scene.tick().await;
    scene.sweep().await;
    scene.tick().await;
    let before = scene.requests();
    for round in 0..24 {
        let requests = scene.cost(Call::Tick(DEPOSITS)).await;
        assert!(requests <= 2, "round {round}: {:#?}", scene.last_requests(requests));
        scene.rest(10);
    }
    let log = scene.last_requests(scene.requests() - before);
    let heads = log.iter().filter(|logged| logged.asked.is_plain() && logged.asked.offset == 0).count();
    let tails = log.iter().filter(|logged| logged.asked.is_plain() && logged.asked.offset > 0).count();
    let looks = log.iter().filter(|logged| logged.asked.status.is_some()).count();
    assert_eq!((heads, tails, looks), (24, 12, 12));
}

#[tokio::test]
async fn while_a_first_look_at_many_new_deposits_goes_over_rounds_these_prove_the_list_all_the_same() {
    // Of a list in no order nothing else is known after a restart either.
    let plan = Plan { young: 1_100, ..Plan::calm(Order::Newest, 1_200) };
    let mut scene = Scene::imported(plan.with_page(20)).await;
    scene.change(|world| world.add(DEPOSITS, Place::At(600), None));
    scene.tick().await;
    scene.sweep().await;
    scene.0.bridge.kill();
    let before = scene.requests();
    let rounds = [scene.is_green().await, scene.is_green().await, scene.is_green().await];
    let looks = |logged: &&Logged| logged.asked.status.is_some();
    let log = scene.last_requests(scene.requests() - before);
    assert!(log.iter().filter(looks).count() > 40, "more than two rounds can take");
    assert_eq!(rounds, [false, true, true], "the first leaves out the tail");
}
