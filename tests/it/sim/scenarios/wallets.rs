//! Wallets that are blocked and replaced, and lists that no longer show them.

use lumo_bridge::model::Listing;
use lumo_bridge::sync::Options;
use tokio_util::sync::CancellationToken;

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::model::{Kind, Place};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Act;

const WALLETS: Listing = Listing::Wallets;

async fn tick_all(scene: &mut Scene) {
    for listing in Listing::ALL {
        scene.done(Call::Tick(listing)).await;
    }
    scene.rest(10);
}

#[tokio::test]
async fn scenario_29_a_wallet_is_replaced_whether_the_old_one_is_listed_or_not() {
    for hidden in [false, true] {
        let mut plan = Plan::calm(Order::Newest, 3).with_wallets(40);
        plan.hides_replaced = hidden;
        let mut scene = Scene::imported(plan).await;
        let new = scene.change(|world| world.replace(17)) + 1;
        tick_all(&mut scene).await;
        assert_eq!(scene.told(&format!("w{new}")).await, ["wallet.replaced"], "hidden: {hidden}");
        scene.settles().await;
        let old = scene.wallet("w18").await.expect("it was imported");
        assert_eq!(old.missing_since.is_some(), hidden);
        assert_eq!(scene.told("w18").await.len(), usize::from(hidden));
    }
}

#[tokio::test]
async fn scenario_30_a_blocked_wallet_that_the_plain_list_leaves_out_is_not_missing() {
    let mut plan = Plan::calm(Order::Newest, 3).with_wallets(40);
    plan.hides_blocked = true;
    let mut scene = Scene::imported(plan).await;
    scene.change(|world| world.change(Kind::Wallet, 17, |state| state.blocked = true));
    for _ in 0..4 {
        tick_all(&mut scene).await;
        scene.done(Call::Sweep(WALLETS, 100_000)).await;
        scene.rest(31);
    }
    assert_eq!(scene.told("w18").await, ["wallet.blocked"]);
    scene.change(|world| world.change(Kind::Wallet, 17, |state| state.blocked = false));
    scene.settles().await;
    assert_eq!(scene.told("w18").await, ["wallet.blocked", "wallet.unblocked"]);
}

#[tokio::test]
async fn a_wallet_that_is_blocked_is_told_with_the_next_tick_wherever_it_is() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 3).with_wallets(400)).await;
    scene.change(|world| world.change(Kind::Wallet, 50, |state| state.blocked = true));
    tick_all(&mut scene).await;
    assert_eq!(scene.told("w51").await, ["wallet.blocked"]);
}

#[tokio::test]
async fn a_wallet_that_leaves_the_blocked_list_is_told_when_that_was_seen_twice() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 3).with_wallets(400)).await;
    scene.change(|world| world.change(Kind::Wallet, 50, |state| state.blocked = true));
    tick_all(&mut scene).await;
    scene.change(|world| world.change(Kind::Wallet, 50, |state| state.blocked = false));
    for _ in 0..3 {
        tick_all(&mut scene).await;
        scene.rest(31);
    }
    assert_eq!(scene.told("w51").await, ["wallet.blocked", "wallet.unblocked"]);
    scene.settles().await;
}

/// A round over all wallets, and one over the blocked ones that begins and ends while the first page of the other is read.
async fn tick_blocked_within_wallets(scene: &Scene) {
    scene.script(|_, nth, _| if nth == 1 { Act::Wait } else { Act::Answer });
    let (server, syncer) = (scene.server(), scene.0.bridge.syncer());
    let (options, stop) = (Options::default(), CancellationToken::new());
    let blocked = async {
        server.waits().await;
        syncer.tick(Listing::Blocked, &options, &stop).await.unwrap();
        server.go_on();
    };
    let (wallets, ()) = tokio::join!(Box::pin(syncer.tick(WALLETS, &options, &stop)), Box::pin(blocked));
    wallets.unwrap();
    server.drop_script();
}

#[tokio::test]
async fn a_blocked_wallet_that_leaves_is_missing_although_all_wallets_are_read_all_the_time() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 3).with_wallets(400)).await;
    scene.change(|world| world.change(Kind::Wallet, 50, |state| state.blocked = true));
    tick_all(&mut scene).await;
    scene.change(|world| world.remove(Kind::Wallet, 50));
    for _ in 0..3 {
        tick_blocked_within_wallets(&scene).await;
        scene.rest(61);
    }
    assert_eq!(scene.told("w51").await, ["wallet.blocked", "wallet.missing"]);
    scene.settles().await;
}

#[tokio::test]
async fn a_wallet_that_is_new_and_already_blocked_is_stored_once() {
    let mut plan = Plan::calm(Order::Newest, 3).with_wallets(40);
    plan.hides_blocked = true;
    let mut scene = Scene::imported(plan).await;
    let new = scene.change(|world| world.add(Listing::Blocked, Place::Head, None)) + 1;
    tick_all(&mut scene).await;
    scene.settles().await;
    assert_eq!(scene.told(&format!("w{new}")).await, ["wallet.created", "wallet.blocked"]);
}

#[tokio::test]
async fn a_round_that_a_blocked_wallet_keeps_from_being_complete_says_so() {
    let mut plan = Plan::calm(Order::Scattered, 3).with_wallets(1_200);
    plan.hides_blocked = true;
    let mut scene = Scene::imported(plan).await;
    scene.change(|world| world.add(Listing::Blocked, Place::Head, None));
    scene.done(Call::Tick(Listing::Blocked)).await;
    scene.rest(10);
    let Ended::Done(report) = scene.done(Call::Tick(WALLETS)).await else { panic!("not done") };
    let said = "a new wallet is blocked, and until the list is read whole it is not known whether `total` counts it; a sweep \
                reads the list";
    assert_eq!(report.doubt.as_deref(), Some(said));
    scene.done(Call::Sweep(WALLETS, 100_000)).await;
    scene.rest(10);
    let Ended::Done(report) = scene.done(Call::Tick(WALLETS)).await else { panic!("not done") };
    assert_eq!(report.doubt, None);
}
