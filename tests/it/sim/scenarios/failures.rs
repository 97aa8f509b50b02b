//! Answers that are none.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::model::Place;
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::{Act, Failure};

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);

/// How long is waited, whatever the header says, is for the client's tests.
#[tokio::test]
async fn scenario_22_requests_that_are_too_many_are_asked_again_and_lose_nothing() {
    for retry_after in [None, Some(0), Some(900)] {
        let mut scene = Scene::new(Plan::calm(Order::Newest, 150)).await;
        scene.script(
            move |_, nth, _| {
                if nth % 3 == 0 { Act::Fail(Failure::Throttled(retry_after)) } else { Act::Answer }
            },
        );
        assert!(scene.proves(PASS).await);
        assert_eq!(scene.deposits().await, 150);
    }
}

#[tokio::test]
async fn scenario_22_a_storm_that_does_not_end_stops_the_pass_soon() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 150)).await;
    scene.script(|_, _, _| Act::Fail(Failure::Throttled(None)));
    let before = scene.requests();
    let ended = scene.call(PASS).await;
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    assert!(scene.requests() - before <= 16, "{} requests", scene.requests() - before);
    scene.change(|world| world.add(DEPOSITS, Place::Head, None));
    scene.settles().await;
}

#[tokio::test]
async fn scenario_23_the_key_is_refused_in_the_middle_of_a_sweep_and_restored_later() {
    let mut scene = Scene::imported(Plan::calm(Order::Oldest, 400)).await;
    scene.change(|world| world.add(DEPOSITS, Place::At(390), None));
    scene.done(Call::Sweep(DEPOSITS, 6)).await;
    scene.script(|_, nth, _| if nth > 2 { Act::Fail(Failure::Unauthorized) } else { Act::Answer });
    let before = scene.requests();
    let ended = scene.call(Call::Sweep(DEPOSITS, 100)).await;
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    assert_eq!(scene.requests() - before, 3, "asking again with the same key is of no use");
    scene.rest(120);
    scene.server().drop_script();
    let before = scene.requests();
    assert!(scene.proves(Call::Sweep(DEPOSITS, 100_000)).await);
    assert!(scene.requests() - before < 400 / 21, "it went on from where it stood");
    assert!(scene.deposit("d401").await.is_some());
    scene.settles().await;
}

#[tokio::test]
async fn scenario_24_html_and_half_an_answer_are_asked_for_again() {
    for failure in [Failure::Html, Failure::Truncated, Failure::Timeout, Failure::Status500] {
        let mut scene = Scene::new(Plan::calm(Order::Newest, 150)).await;
        scene.script(move |_, nth, _| if nth % 2 == 1 { Act::Fail(failure) } else { Act::Answer });
        assert!(scene.proves(PASS).await, "{failure:?}");
        assert_eq!(scene.deposits().await, 150);
    }
}
