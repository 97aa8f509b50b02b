//! Why a round is not complete, in words: each sentence where it is true, and none once it is not any more.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::model::Place;
use crate::sim::quirks::{Cap, Order, Plan, Total};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);
const TICK: Call = Call::Tick(DEPOSITS);

/// Why this was not complete.
async fn doubt(scene: &mut Scene, call: Call) -> Option<String> {
    let ended = scene.done(call).await;
    scene.rest(10);
    let Ended::Done(report) = ended else { panic!("{ended:?}") };
    report.doubt
}

#[tokio::test]
async fn a_server_that_tells_no_total_is_said_to() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 130).with_total(Total::Missing)).await;
    for call in [PASS, TICK, TICK] {
        assert_eq!(doubt(&mut scene, call).await.as_deref(), Some("the server told no total"), "{call:?}");
    }
}

/// What is never told is not untrue.
#[tokio::test]
async fn a_server_that_has_told_no_total_for_days_is_still_said_to_tell_none() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 300).with_total(Total::Missing)).await;
    for _ in 0..3 {
        doubt(&mut scene, PASS).await;
        scene.sweep().await;
        scene.rest(100_000);
    }
    for call in [TICK, TICK, PASS] {
        assert_eq!(doubt(&mut scene, call).await.as_deref(), Some("the server told no total"), "{call:?}");
    }
}

#[tokio::test]
async fn pages_of_one_row_are_said_to_prove_nothing() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 30).with_cap(Cap::Silent(1))).await;
    let said = "the server gives one row a page, which leaves no overlap to prove anything with";
    assert_eq!(doubt(&mut scene, PASS).await.as_deref(), Some(said));
}

#[tokio::test]
async fn a_list_without_an_end_is_said_to_have_none() {
    let mut scene = Scene::new(Plan::calm(Order::Oldest, 100).with_page(20)).await;
    scene.script(|world, _, _| {
        world.burst(DEPOSITS, 25);
        Act::Answer
    });
    let said = "rows arrive faster than pages are read, or `total` counts rows that are never listed";
    assert_eq!(doubt(&mut scene, PASS).await.as_deref(), Some(said));
    scene.server().drop_script();
    scene.settles().await;
    assert_eq!(doubt(&mut scene, TICK).await, None);
}

/// Rows that join far from the end where rows join.
#[tokio::test]
async fn how_many_rows_were_not_found_is_said_until_a_sweep_has_found_them() {
    for (late, said) in [
        (1, "`total` counts 1 more row than was found; a sweep looks for it"),
        (3, "`total` counts 3 more rows than were found; a sweep looks for them"),
    ] {
        let mut scene = Scene::imported(Plan::calm(Order::Newest, 400)).await;
        for _ in 0..4 {
            scene.change(|world| world.burst(DEPOSITS, 5));
            scene.tick().await;
        }
        scene.change(|world| {
            for _ in 0..late {
                world.add(DEPOSITS, Place::At(200), None);
            }
        });
        assert_eq!(doubt(&mut scene, TICK).await.as_deref(), Some(said));
        scene.sweep().await;
        scene.sweep().await;
        assert_eq!(scene.deposits().await, 420 + late);
        assert_eq!(doubt(&mut scene, TICK).await, None, "{late} late");
    }
}

/// A total that falls all the time is none that counts more.
#[tokio::test]
async fn rows_that_leave_while_a_scattered_list_is_looked_at_are_said_to() {
    let mut scene = Scene::imported(Plan::calm(Order::Scattered, 2_000).with_page(100)).await;
    for _ in 0..3 {
        scene.change(|world| world.burst(DEPOSITS, 6));
        scene.tick().await;
        scene.sweep().await;
    }
    assert_eq!(doubt(&mut scene, TICK).await, None);
    scene.script(|world, _, _| {
        world.remove_at(DEPOSITS, 1_000);
        Act::Answer
    });
    let said = "rows leave the list all the time, which hides those that join it; the sweep finds them";
    assert_eq!(doubt(&mut scene, TICK).await.as_deref(), Some(said));
}
