//! What is known to have changed is read at the rate that is free.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::{Kind, Status};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const BLOCKED: Listing = Listing::Blocked;
const TICK: Call = Call::Tick(DEPOSITS);

/// Lets a request take as long as at 20 a second, give or take what the server takes by itself.
fn at_the_default_rate(scene: &Scene) {
    scene.script(|world, _, _| {
        world.pass_time(TimeDelta::milliseconds(30));
        Act::Answer
    });
}

/// Rounds every so many seconds, and what is asked between them, for so long.
async fn live(scene: &mut Scene, listing: Listing, every: i64, seconds: i64) {
    let end = scene.0.bridge.clock.now() + TimeDelta::seconds(seconds);
    let mut due = scene.0.bridge.clock.now();
    while scene.0.bridge.clock.now() < end {
        if scene.0.bridge.clock.now() >= due {
            scene.done(Call::Tick(listing)).await;
            due += TimeDelta::seconds(every);
        }
        scene.0.bridge.follow_up(listing).await;
        scene.0.bridge.pass_time(TimeDelta::milliseconds(500));
    }
}

/// How many seconds after a time each event of a type was made, in order.
async fn noticed(scene: &Scene, kind: &str, since: DateTime<Utc>) -> Vec<f64> {
    let events = scene.0.oracle.tables.events(0).await;
    let made = |body: &str| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        body["timestamp"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap()
    };
    let events = events.iter().filter(|event| event.kind == kind);
    events.map(|event| (made(&event.body) - since).as_seconds_f64()).collect()
}

/// Confirms these deposits, all at once. Returns when.
fn confirm(scene: &mut Scene, deposits: Range<usize>) -> DateTime<Utc> {
    at_the_default_rate(scene);
    scene.change(|world| {
        for index in deposits {
            world.change(Kind::Deposit, index, |state| state.status = Status::Confirmed);
        }
    });
    scene.0.bridge.clock.now()
}

/// In a list of so many rows, so many old deposits that were new all along are confirmed at once. Returns when each was
/// noticed, and how many requests were made until then.
async fn confirmed_at_once(rows: usize, changes: usize, page: u32) -> (Vec<f64>, usize) {
    let mut plan = Plan::calm(Order::Newest, rows).with_page(page);
    plan.young = changes;
    let mut scene = Scene::imported(plan).await;
    // Old enough not to be read for being young.
    scene.rest(8 * 86_400);
    scene.tick().await;
    let since = confirm(&mut scene, rows - changes..rows);
    let before = scene.requests();
    live(&mut scene, DEPOSITS, 10, 80).await;
    (noticed(&scene, "deposit.status_changed", since).await, scene.requests() - before)
}

#[tokio::test]
async fn a_thousand_deposits_that_change_at_once_are_noticed_as_fast_as_the_rate_allows() {
    let (noticed, _) = confirmed_at_once(12_000, 1_000, 25).await;
    assert_eq!(noticed.len(), 1_000);
    let (p50, max) = (noticed[500], noticed[999]);
    assert!(p50 <= 30.0 && max <= 70.0, "half after {p50} s, all after {max} s");
}

#[tokio::test]
async fn where_the_list_has_fewer_pages_than_users_are_to_be_asked_about_the_pages_are_read() {
    let (noticed, requests) = confirmed_at_once(2_000, 300, 100).await;
    assert_eq!(noticed.len(), 300);
    assert!(noticed[299] <= 15.0, "all after {} s", noticed[299]);
    assert!(requests <= 80, "{requests} requests in 80 seconds");
}

#[tokio::test]
async fn five_hundred_wallets_that_are_unblocked_are_noticed_within_a_minute() {
    for wallets in [1_500, 14_000] {
        let mut scene = Scene::new(Plan::calm(Order::Newest, 3).with_wallets(wallets).with_page(25)).await;
        scene.change(|world| {
            for index in 0..1_150 {
                world.change(Kind::Wallet, index, |state| state.blocked = true);
            }
        });
        for listing in Listing::ALL {
            scene.done(Call::Pass(listing)).await;
        }
        scene.rest(30);
        for _ in 0..2 {
            scene.done(Call::Tick(Listing::Wallets)).await;
            scene.done(Call::Tick(BLOCKED)).await;
            scene.rest(30);
        }
        at_the_default_rate(&scene);
        scene.change(|world| {
            for index in (0..1_000).step_by(2) {
                world.change(Kind::Wallet, index, |state| state.blocked = false);
            }
        });
        let since = scene.0.bridge.clock.now();
        live(&mut scene, BLOCKED, 30, 62).await;
        let noticed = noticed(&scene, "wallet.unblocked", since).await;
        assert_eq!(noticed.len(), 500, "of {wallets} wallets");
        assert!(noticed[499] <= 60.0, "of {wallets} wallets, all after {} s", noticed[499]);
        assert_eq!(scene.events("wallet.missing").await, 0);
    }
}

#[tokio::test]
async fn a_list_of_new_deposits_that_is_too_long_for_one_round_is_read_on_by_the_next() {
    let mut plan = Plan::calm(Order::Newest, 1_500);
    plan.young = 700;
    let mut scene = Scene::imported(plan).await;
    scene.rest(8 * 86_400);
    scene.change(|world| world.change(Kind::Deposit, 810, |state| state.status = Status::Confirmed));
    for _ in 0..4 {
        scene.tick().await;
    }
    assert_eq!(scene.told("d811").await, ["deposit.status_changed"]);
    // And again: while the list lies still, a look at its first page is enough to notice.
    scene.tick().await;
    scene.tick().await;
    assert!(scene.cost(TICK).await <= 2);
    scene.rest(10);
    scene.change(|world| world.change(Kind::Deposit, 1_400, |state| state.status = Status::Confirmed));
    for _ in 0..4 {
        scene.tick().await;
    }
    assert_eq!(scene.told("d1401").await, ["deposit.status_changed"]);
}

#[tokio::test]
async fn a_thousand_deposits_that_lay_still_and_change_at_once_are_noticed_as_fast() {
    let mut plan = Plan::calm(Order::Newest, 12_000).with_page(100);
    plan.young = 1_000;
    let mut scene = Scene::imported(plan).await;
    scene.rest(8 * 86_400);
    for _ in 0..40 {
        scene.tick().await;
    }
    let since = confirm(&mut scene, 11_000..12_000);
    live(&mut scene, DEPOSITS, 10, 80).await;
    let noticed = noticed(&scene, "deposit.status_changed", since).await;
    assert_eq!(noticed.len(), 1_000);
    assert!(
        noticed[500] <= 30.0 && noticed[999] <= 70.0,
        "half after {} s, all after {} s",
        noticed[500],
        noticed[999]
    );
}
