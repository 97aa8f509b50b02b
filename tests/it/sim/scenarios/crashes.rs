//! Processes that die, and processes that only believe they lead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lumo_bridge::model::Listing;
use lumo_bridge::sync::Milestone;

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::model::{Kind, Place};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);
const TICK: Call = Call::Tick(DEPOSITS);

/// Something new, something changed, something gone.
fn news(scene: &Scene) {
    scene.change(|world| {
        world.burst(DEPOSITS, 30);
        world.change(Kind::Deposit, 3, |state| state.content = 9);
        world.remove_at(DEPOSITS, 60);
    });
}

/// Lets the process die when it passes such a milestone for the nth time from now, and as often in a row.
fn die_at(scene: &Scene, milestone: fn(&Milestone) -> bool, nth: usize, times: usize) -> Arc<AtomicUsize> {
    let passed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&passed);
    scene.server().die_when(move |at| {
        milestone(at) && {
            let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
            number >= nth && number < nth + times
        }
    });
    passed
}

/// Dies at each such milestone of a pass in turn, each time with news, and gets over it.
async fn dies_at_each(milestone: fn(&Milestone) -> bool, call: Call) {
    let mut at_least_once = false;
    for nth in 1..=6 {
        let mut scene = Scene::imported(Plan::calm(Order::Newest, 120)).await;
        news(&scene);
        die_at(&scene, milestone, nth, 1);
        let ended = scene.call(call).await;
        at_least_once |= matches!(ended, Ended::Died);
        scene.settles().await;
        assert_eq!(scene.deposits().await, 149);
        assert_eq!(scene.events("deposit.created").await, 30);
        assert_eq!(scene.told("d4").await, ["deposit.updated"]);
    }
    assert!(at_least_once, "no such milestone was passed");
}

#[tokio::test]
async fn scenario_20_it_dies_after_an_answer_and_before_it_is_stored() {
    dies_at_each(|at| matches!(at, Milestone::PageRead), PASS).await;
    dies_at_each(|at| matches!(at, Milestone::PageRead), TICK).await;
}

#[tokio::test]
async fn scenario_20_it_dies_between_two_pages_that_are_stored() {
    dies_at_each(|at| matches!(at, Milestone::PageStored), PASS).await;
    dies_at_each(|at| matches!(at, Milestone::PageStored), TICK).await;
}

#[tokio::test]
async fn scenario_20_it_dies_when_the_rows_are_stored_and_the_anchors_are_not() {
    dies_at_each(|at| matches!(at, Milestone::Finished), PASS).await;
    dies_at_each(|at| matches!(at, Milestone::Finished), TICK).await;
}

#[tokio::test]
async fn scenario_20_it_dies_twice_in_a_row_at_the_same_page() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 120)).await;
    news(&scene);
    die_at(&scene, |at| matches!(at, Milestone::PageRead), 1, 2);
    assert!(matches!(scene.call(PASS).await, Ended::Died));
    assert!(matches!(scene.call(PASS).await, Ended::Died));
    scene.settles().await;
    assert_eq!(scene.events("deposit.created").await, 30);
}

#[tokio::test]
async fn scenario_20_it_dies_while_it_waits_for_an_answer() {
    for call in [PASS, TICK, Call::Sweep(DEPOSITS, 100)] {
        let mut scene = Scene::imported(Plan::calm(Order::Oldest, 400)).await;
        news(&scene);
        scene.script(|_, nth, _| if nth == 2 { Act::Die } else { Act::Answer });
        scene.call(call).await;
        scene.settles().await;
        assert_eq!(scene.deposits().await, 429);
    }
}

#[tokio::test]
async fn a_sweep_goes_on_after_the_process_died() {
    let mut scene = Scene::imported(Plan::calm(Order::Oldest, 400)).await;
    let gone = scene.change(|world| world.remove_at(DEPOSITS, 5)) + 1;
    for _ in 0..3 {
        scene.done(Call::Sweep(DEPOSITS, 5)).await;
        scene.0.bridge.kill();
        scene.rest(10);
    }
    let before = scene.requests();
    assert!(scene.proves(Call::Sweep(DEPOSITS, 100_000)).await);
    let last = scene.requests() - before;
    assert!(last <= 10, "{last} requests for the rest of a sweep of 20");
    scene.settles().await;
    assert!(scene.missing(&format!("d{gone}")).await);
}

/// The second one takes over while the first is in the middle of a page; what the first stores then must not be kept.
#[tokio::test]
async fn scenario_21_one_that_leads_no_more_stores_nothing() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 120)).await;
    let mut rival = scene.0.bridge.rival();
    assert!(scene.0.bridge.lead("one").await);
    assert!(!rival.lead("other").await, "one is enough");
    scene.change(|world| world.add(DEPOSITS, Place::Head, None));
    scene.script(|_, nth, _| if nth == 1 { Act::Wait } else { Act::Answer });
    let server = scene.server();
    let taken_over = async {
        server.waits().await;
        // Longer than the lease.
        server.live().world.pass_time(chrono::TimeDelta::seconds(60));
        assert!(rival.lead("other").await);
        server.go_on();
    };
    let (ended, ()) = tokio::join!(Box::pin(scene.call(PASS)), taken_over);
    assert!(matches!(&ended, Ended::Failed(error) if error.is_fenced()), "{ended:?}");
    assert!(scene.deposit("d121").await.is_none(), "nothing of it was kept");
    let ended = rival.call(TICK).await;
    assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
    assert_eq!(scene.told("d121").await, ["deposit.created"]);
    // The first one comes back, and finds the work done.
    rival.kill();
    scene.rest(600);
    assert!(scene.0.bridge.lead("one").await);
    scene.settles().await;
    assert_eq!(scene.told("d121").await, ["deposit.created"]);
}
