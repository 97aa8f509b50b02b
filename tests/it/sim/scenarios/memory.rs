//! What was learned survives whatever goes wrong: the round after it costs what any round costs.

use lumo_bridge::model::Listing;
use lumo_bridge::sync::Milestone;

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::{Act, Failure};

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);
const TICK: Call = Call::Tick(DEPOSITS);
const ORDERS: [Order; 2] = [Order::Newest, Order::Oldest];
/// Twenty pages.
const ROWS: usize = 2_000;
/// What a round may cost in which a row joins, however long the list is.
const ONE_ROUND: usize = 4;

/// A long list of which it is known where new rows join.
async fn long(order: Order) -> Scene {
    let mut scene = Scene::imported(Plan::calm(order, ROWS).with_page(100)).await;
    for _ in 0..9 {
        scene.change(|world| world.burst(DEPOSITS, 3));
        scene.tick().await;
    }
    assert_eq!(scene.deposits().await, ROWS + 27);
    scene
}

/// A row joins, and the next round finds it for little.
async fn goes_on_as_before(scene: &mut Scene, why: &str) {
    let listed = scene.change(|world| {
        world.burst(DEPOSITS, 1);
        world.len(DEPOSITS)
    });
    let before = scene.marks(DEPOSITS).await.complete_through;
    let cost = scene.cost(TICK).await;
    scene.rest(10);
    assert!(cost <= ONE_ROUND, "{why}: {cost} requests");
    assert_eq!(scene.deposits().await, listed, "{why}");
    assert!(scene.marks(DEPOSITS).await.complete_through > before, "{why}");
}

#[tokio::test]
async fn the_round_after_a_failed_one_costs_what_any_round_costs() {
    let failures = [Failure::Refused(404), Failure::Unauthorized, Failure::Status500, Failure::Throttled(None)];
    for order in ORDERS {
        for failure in failures {
            let mut scene = long(order).await;
            // So many that one page is not enough, where it is the second request that fails.
            for (nth_that_fails, rows) in [(1, 1), (2, 75)] {
                scene.change(|world| world.burst(DEPOSITS, rows));
                scene.script(move |_, nth, _| if nth >= nth_that_fails { Act::Fail(failure) } else { Act::Answer });
                let ended = scene.call(TICK).await;
                let why = format!("{order:?}, {failure:?} from request {nth_that_fails} on");
                assert!(matches!(ended, Ended::Failed(_)), "{why}: {ended:?}");
                scene.server().drop_script();
                scene.rest(10);
                goes_on_as_before(&mut scene, &why).await;
            }
        }
    }
}

#[tokio::test]
async fn the_round_after_a_full_pass_that_failed_costs_what_any_round_costs() {
    for order in ORDERS {
        let mut scene = long(order).await;
        for nth_that_fails in [1, 2, 10, 21] {
            let fails = move |nth: u64| nth >= nth_that_fails;
            scene.script(move |_, nth, _| if fails(nth) { Act::Fail(Failure::Refused(404)) } else { Act::Answer });
            let ended = scene.call(PASS).await;
            assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
            scene.server().drop_script();
            scene.rest(10);
            goes_on_as_before(&mut scene, &format!("{order:?}, request {nth_that_fails}")).await;
        }
    }
}

#[tokio::test]
async fn the_round_after_another_process_has_read_the_list_costs_what_any_round_costs() {
    for order in ORDERS {
        let mut scene = long(order).await;
        assert!(scene.0.bridge.lead("daemon").await);
        for call in [TICK, PASS] {
            let mut guest = scene.0.bridge.rival();
            assert!(!guest.lead("command").await);
            let ended = guest.call(call).await;
            assert!(matches!(ended, Ended::Done(_)), "{ended:?}");
            goes_on_as_before(&mut scene, &format!("{order:?}, {call:?}")).await;
            // A command that fails forgets as little.
            scene.script(|_, nth, _| if nth > 3 { Act::Fail(Failure::Unauthorized) } else { Act::Answer });
            let ended = guest.call(call).await;
            assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
            scene.server().drop_script();
            goes_on_as_before(&mut scene, &format!("{order:?}, {call:?} that failed")).await;
        }
    }
}

#[tokio::test]
async fn a_guest_leaves_the_marks_and_the_troubles_to_the_one_that_leads() {
    let mut scene = long(Order::Newest).await;
    assert!(scene.0.bridge.lead("daemon").await);
    let before = scene.0.oracle.tables.state(DEPOSITS).await;
    let mut guest = scene.0.bridge.rival();
    assert!(!guest.lead("command").await);
    guest.call(PASS).await;
    scene.script(|_, _, _| Act::Fail(Failure::Unauthorized));
    guest.call(PASS).await;
    assert_eq!(scene.0.oracle.tables.state(DEPOSITS).await, before);
    assert_eq!(scene.events("sync.unauthorized").await, 0, "the key of a guest may be another one");
}

#[tokio::test]
async fn the_round_after_a_crash_or_a_reload_costs_what_any_round_costs() {
    for order in ORDERS {
        let mut scene = long(order).await;
        for milestone in [Milestone::PageRead, Milestone::PageStored, Milestone::Finished] {
            scene.change(|world| world.burst(DEPOSITS, 1));
            scene.server().die_when(move |at| *at == milestone);
            let ended = scene.call(TICK).await;
            assert!(matches!(ended, Ended::Died), "{ended:?}");
            scene.server().drop_script();
            scene.rest(10);
            goes_on_as_before(&mut scene, &format!("{order:?}, {milestone:?}")).await;
        }
        // A reload is a new process that reads what the old one stored.
        scene.0.bridge.kill();
        goes_on_as_before(&mut scene, &format!("{order:?}, a reload")).await;
    }
}

#[tokio::test]
async fn a_row_that_waits_for_its_second_answer_waits_on_when_a_round_fails() {
    let mut scene = long(Order::Newest).await;
    let gone = scene.change(|world| world.remove_at(DEPOSITS, 500)) + 1;
    scene.sweep().await;
    scene.tick().await;
    for _ in 0..3 {
        scene.script(|_, _, _| Act::Fail(Failure::Refused(404)));
        scene.call(TICK).await;
        scene.server().drop_script();
        scene.rest(10);
    }
    scene.tick().await;
    assert!(scene.missing(&format!("d{gone}")).await, "the second answer is 40 seconds after the first");
}

#[tokio::test]
async fn a_row_whose_absence_was_confirmed_is_missing_also_where_the_round_fails_afterwards() {
    let mut scene = long(Order::Newest).await;
    let gone = [500, 600].map(|position| scene.change(|world| world.remove_at(DEPOSITS, position)) + 1);
    scene.sweep().await;
    scene.tick().await;
    scene.rest(31);
    let mut asked = 0;
    scene.script(move |_, _, asked_for| {
        asked += usize::from(asked_for.external_id.is_some());
        if asked > 1 { Act::Fail(Failure::Status500) } else { Act::Answer }
    });
    assert!(matches!(scene.call(TICK).await, Ended::Failed(_)));
    assert_eq!(scene.events("deposit.missing").await, 1);
    scene.server().drop_script();
    scene.tick().await;
    for id in gone {
        assert!(scene.missing(&format!("d{id}")).await, "d{id}");
    }
}
