//! Servers that count what they never list, and servers that list the same whatever is asked.

use chrono::TimeDelta;
use lumo_bridge::model::Listing;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::quirks::{Cap, Order, Plan, Total};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const TICK: Call = Call::Tick(DEPOSITS);
const SWEEP: Call = Call::Sweep(DEPOSITS, 100_000);

/// Lets the bridge live for so many rounds, with the sweeps that do not wait for their time. Returns how many requests
/// the last round took, and how many sweeps there were.
async fn live(scene: &mut Scene, rounds: usize) -> (usize, usize) {
    let (mut cost, mut sweeps) = (0, 0);
    for _ in 0..rounds {
        cost = scene.cost(TICK).await;
        scene.rest(10);
        if scene.0.bridge.sweep_is_due(DEPOSITS).await {
            sweeps += 1;
            scene.done(SWEEP).await;
        }
    }
    (cost, sweeps)
}

#[tokio::test]
async fn a_total_that_counts_rows_which_are_never_listed_is_known_to_and_costs_nothing() {
    for hidden in [1, 7, 5_000] {
        for order in [Order::Newest, Order::Oldest, Order::Scattered] {
            let plan = Plan::calm(order, 2_000).with_page(100).with_total(Total::CountsHidden(hidden));
            let mut scene = Scene::new(plan).await;
            let why = format!("{hidden} hidden, {order:?}");
            scene.done(TICK).await;
            assert!(scene.marks(DEPOSITS).await.proved_through.is_some(), "{why}: the import is proved");
            assert!(scene.requests() <= 2_000 / 96 + 20, "{why}: {} requests for the import", scene.requests());
            let (_, sweeps) = live(&mut scene, 12).await;
            assert!(sweeps <= 7, "{why}: {sweeps} sweeps until it was known");
            let (cost, sweeps) = live(&mut scene, 9).await;
            assert_eq!(sweeps, 0, "{why}: sweeps that do not wait for the schedule");
            assert!(cost <= 2, "{why}: {cost} requests for a quiet round");
            assert!(scene.is_green().await, "{why}");
            // One more than that is one that was missed.
            let found = scene.deposits().await;
            scene.change(|world| world.burst(DEPOSITS, 1));
            live(&mut scene, 3).await;
            assert_eq!(scene.deposits().await, found + 1, "{why}");
            let (cost, sweeps) = live(&mut scene, 9).await;
            let log = scene.last_requests(cost);
            assert!(sweeps == 0 && cost <= 2, "{why}: {sweeps} sweeps and {cost} requests afterwards: {log:#?}");
        }
    }
}

/// Where rows join anywhere, such a list is read whole in each round: nothing else would tell that one has joined.
#[tokio::test]
async fn a_total_that_is_too_low_is_known_to_be_and_costs_nothing() {
    for total in [Total::Low(1), Total::Low(500), Total::Capped(10), Total::Zero] {
        for order in [Order::Newest, Order::Oldest] {
            let mut scene = Scene::new(Plan::calm(order, 2_000).with_page(100).with_total(total)).await;
            let why = format!("{total:?}, {order:?}");
            // Where rows join is learned from those that do.
            for _ in 0..14 {
                live(&mut scene, 1).await;
                scene.change(|world| world.burst(DEPOSITS, 1));
            }
            scene.0.age();
            live(&mut scene, 12).await;
            let before = scene.requests();
            let (_, sweeps) = live(&mut scene, 9).await;
            assert_eq!(sweeps, 0, "{why}: sweeps that do not wait for the schedule");
            let requests = scene.requests() - before;
            let log = scene.last_requests(requests);
            assert!(requests <= 2 * 9, "{why}: {requests} requests for nine quiet rounds: {log:#?}");
            let found = scene.deposits().await;
            scene.change(|world| world.burst(DEPOSITS, 1));
            scene.done(TICK).await;
            assert_eq!(scene.deposits().await, found + 1, "{why}: a new one is found in the next round");
        }
    }
}

/// How a list is ordered, how long it is, and by how much its `total` is off: drawn.
fn off_by_any(seed: u64) -> (Order, usize, Total) {
    let mut rng = StdRng::seed_from_u64(seed);
    let rows = rng.random_range(850..1_500);
    if rng.random_bool(0.5) {
        // Small numbers as often as large ones.
        let most = 10_u64.pow(rng.random_range(1..7));
        let order = [Order::Newest, Order::Oldest, Order::Scattered][rng.random_range(0..3)];
        return (order, rows, Total::CountsHidden(rng.random_range(1..most)));
    }
    let order = [Order::Newest, Order::Oldest][rng.random_range(0..2)];
    (order, rows, Total::Low(rng.random_range(1..=u64::try_from(rows).unwrap())))
}

/// Also after a day, when a total that is untrue is not believed any more.
#[tokio::test]
async fn a_total_that_is_off_by_any_number_costs_a_quiet_round_two_requests() {
    for seed in 0..16 {
        let (order, rows, total) = off_by_any(seed);
        let why = format!("seed {seed}: {order:?}, {rows} rows, {total:?}");
        let mut scene = Scene::new(Plan::calm(order, rows).with_page(100).with_total(total)).await;
        for _ in 0..14 {
            live(&mut scene, 1).await;
            if order != Order::Scattered {
                scene.change(|world| world.burst(DEPOSITS, 1));
            }
        }
        scene.0.age();
        scene.sweep().await;
        live(&mut scene, 12).await;
        for round in 0..9 {
            let (cost, sweeps) = live(&mut scene, 1).await;
            let log = scene.last_requests(cost);
            assert!(sweeps == 0 && cost <= 2, "{why}, round {round}: {sweeps} sweeps, {cost} requests: {log:#?}");
        }
        let found = scene.deposits().await;
        scene.change(|world| world.burst(DEPOSITS, 1));
        live(&mut scene, 3).await;
        assert_eq!(scene.deposits().await, found + 1, "{why}");
    }
}

#[tokio::test]
async fn a_short_list_whose_total_counts_a_row_too_many_takes_a_request_for_each_page() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 60).with_total(Total::CountsHidden(1))).await;
    scene.done(TICK).await;
    let (_, sweeps) = live(&mut scene, 12).await;
    assert_eq!(sweeps, 0);
    let (cost, _) = live(&mut scene, 1).await;
    assert!(cost <= 3, "{cost} requests for three pages");
    scene.settles().await;
}

#[tokio::test]
async fn a_total_that_becomes_true_again_is_believed_again() {
    let plan = Plan::calm(Order::Newest, 2_000).with_page(100).with_total(Total::CountsHidden(3));
    let mut scene = Scene::new(plan).await;
    live(&mut scene, 20).await;
    scene.server().live().quirks.iter_mut().for_each(|quirks| quirks.total = Total::True);
    live(&mut scene, 3).await;
    scene.sweep().await;
    let (cost, sweeps) = live(&mut scene, 9).await;
    assert!(sweeps == 0 && cost <= 2, "{sweeps} sweeps, {cost} requests");
    scene.settles().await;
}

#[tokio::test]
async fn a_surplus_that_no_sweep_explains_is_swept_for_once() {
    // Single rows prove no end.
    let plan = Plan::calm(Order::Newest, 220).with_cap(Cap::Silent(1)).with_total(Total::CountsHidden(2));
    let mut scene = Scene::new(plan).await;
    scene.done(TICK).await;
    let (_, sweeps) = live(&mut scene, 12).await;
    assert!(sweeps <= 2, "{sweeps} sweeps");
}

#[tokio::test]
async fn a_server_that_answers_the_same_rows_at_every_offset_is_recognised_after_three_requests() {
    for rows in [1, 2, 3, 25] {
        let mut scene = Scene::new(Plan::calm(Order::Newest, 60)).await;
        scene.script(move |_, _, _| Act::Mock(rows));
        for _ in 0..4 {
            let before = scene.requests();
            let ended = scene.done(TICK).await;
            let Ended::Done(report) = ended else { panic!("{ended:?}") };
            assert_eq!(scene.requests() - before, 3, "{rows} rows");
            assert_eq!(
                report.doubt.as_deref(),
                Some(
                    "the server answers the same rows at every offset, as the vendor's documentation mock does; they are \
                     stored, and nothing is called complete"
                )
            );
            assert!(!scene.0.bridge.sweep_is_due(DEPOSITS).await);
            scene.rest(10);
        }
        assert_eq!(scene.deposits().await, usize::try_from(rows).unwrap());
        let marks = scene.marks(DEPOSITS).await;
        assert_eq!((marks.complete_through, marks.proved_through), (None, None), "{rows} rows");
        scene.settles().await;
        assert_eq!(scene.deposits().await, 60);
    }
}

#[tokio::test]
async fn a_list_into_which_as_many_rows_move_as_it_is_read_further_is_no_mock() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 100).with_cap(Cap::Silent(5))).await;
    scene.script(|world, nth, _| {
        if nth == 2 {
            world.pass_time(TimeDelta::milliseconds(1));
            world.burst(DEPOSITS, 1);
        }
        Act::Answer
    });
    assert!(scene.proves(Call::Pass(DEPOSITS)).await);
    scene.settles().await;
    assert_eq!(scene.deposits().await, 101);
}
