//! Servers that never tell how many rows there are. Nothing is proved of their lists, and nothing may be lost of them.

use lumo_bridge::model::Listing;
use lumo_bridge_entity::run::Outcome;

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::quirks::{Order, Plan, Total};

const DEPOSITS: Listing = Listing::Deposits;
const PAGE: u32 = 100;
/// More than the few pages of which each round reads one more.
const ROWS: usize = 1_200;
/// Requests that a quiet round takes at most.
const QUIET: usize = 2;

fn plan(order: Order) -> Plan {
    Plan::calm(order, ROWS).with_page(PAGE).with_total(Total::Missing)
}

#[tokio::test]
async fn what_joins_an_end_is_found_in_the_next_round_and_what_joins_anywhere_by_the_next_sweep() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        let mut scene = Scene::new(plan(order)).await;
        let mut listed = ROWS;
        for round in 0..40 {
            if round % 3 == 1 {
                let rows = 1 + round % 7;
                scene.change(|world| world.burst(DEPOSITS, rows));
                listed += rows;
            }
            scene.tick().await;
            let is_swept = round % 12 == 11;
            if is_swept {
                scene.sweep().await;
            }
            if order != Order::Scattered || is_swept {
                assert_eq!(scene.deposits().await, listed, "{order:?}, round {round}");
            }
        }
        assert_eq!(scene.events("deposit.created").await, scene.deposits().await - ROWS, "{order:?}");
        let marks = scene.marks(DEPOSITS).await;
        assert_eq!((marks.proved_through, marks.complete_through), (None, None), "{order:?}: nothing is claimed");
    }
}

/// Both ends are read, and what is to be read again.
async fn calm_down(scene: &mut Scene) {
    scene.0.age();
    for _ in 0..30 {
        scene.tick().await;
    }
}

/// Rounds in which nothing happens, and one that finds what has joined.
async fn is_quiet(scene: &mut Scene, why: &str) {
    calm_down(scene).await;
    for round in 0..24 {
        let requests = scene.cost(Call::Tick(DEPOSITS)).await;
        scene.rest(10);
        let log = scene.last_requests(requests);
        assert!(requests <= QUIET, "{why}: {requests} requests in round {round}: {log:#?}");
    }
    let found = scene.deposits().await;
    scene.change(|world| world.burst(DEPOSITS, 1));
    scene.tick().await;
    assert_eq!(scene.deposits().await, found + 1, "{why}");
}

#[tokio::test]
async fn a_quiet_round_over_a_list_whose_rows_join_at_an_end_takes_two_requests() {
    for order in [Order::Newest, Order::Oldest] {
        let mut scene = Scene::new(plan(order)).await;
        for _ in 0..14 {
            scene.tick().await;
            scene.change(|world| world.burst(DEPOSITS, 1));
        }
        is_quiet(&mut scene, &format!("{order:?}")).await;
        // More rows leave than lie between the end and where its reading begins.
        scene.change(|world| {
            (0..120).for_each(|_| {
                world.remove_at(DEPOSITS, 700);
            })
        });
        is_quiet(&mut scene, &format!("{order:?} after removals")).await;
        scene.0.bridge.kill();
        is_quiet(&mut scene, &format!("{order:?} after a restart")).await;
    }
}

#[tokio::test]
async fn the_price_of_a_round_does_not_grow_with_what_has_joined_before() {
    let mut scene = Scene::new(plan(Order::Oldest)).await;
    scene.tick().await;
    scene.sweep().await;
    for round in 1..=12 {
        // Nothing is young by then.
        scene.rest(8 * 86_400);
        scene.change(|world| world.burst(DEPOSITS, 80));
        let before = scene.plain_requests(DEPOSITS);
        scene.tick().await;
        let requests = scene.plain_requests(DEPOSITS) - before;
        assert!(requests <= 6, "{requests} requests in round {round}");
        assert_eq!(scene.deposits().await, ROWS + 80 * round, "round {round}");
    }
}

/// Not even where the operator says so: where the list ends is the server's word alone.
#[tokio::test]
async fn what_leaves_stays_as_listed_until_the_server_tells_a_total() {
    for order in [Order::Newest, Order::Oldest] {
        let mut scene = Scene::new(plan(order)).await;
        scene.tick().await;
        scene.sweep().await;
        let index = scene.change(|world| world.remove_at(DEPOSITS, 450));
        let id = format!("d{}", index + 1);
        for _ in 0..5 {
            scene.tick().await;
            scene.sweep().await;
            scene.rest(31);
        }
        let ended = scene.done(Call::Accept(DEPOSITS)).await;
        let Ended::Done(report) = ended else { panic!("{ended:?}") };
        let said = (report.outcome, report.doubt.as_deref(), report.tally.vanished);
        assert_eq!(said, (Outcome::Incomplete, Some("the server told no total"), 0), "{order:?}");
        assert!(!scene.missing(&id).await, "{order:?}");
        assert_eq!(scene.events("deposit.missing").await, 0, "{order:?}");

        scene.server().live().quirks.iter_mut().for_each(|quirks| quirks.total = Total::True);
        for _ in 0..5 {
            scene.tick().await;
            scene.sweep().await;
            scene.rest(31);
        }
        assert!(scene.missing(&id).await, "{order:?}");
        assert_eq!((scene.deposits().await, scene.events("deposit.missing").await), (ROWS - 1, 1), "{order:?}");
        assert!(scene.is_green().await, "{order:?}");
    }
}
