//! Lists of a few pages: a quiet round is as cheap as that of a long list, and everything is noticed sooner.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::{Kind, Place};
use crate::sim::quirks::{Order, Plan};

const DEPOSITS: Listing = Listing::Deposits;
const PAGE: usize = 100;
const PAGES: [usize; 4] = [2, 3, 5, 8];
const ORDERS: [Order; 3] = [Order::Newest, Order::Oldest, Order::Scattered];
/// Requests that a quiet round takes at most.
const QUIET: usize = 2;

async fn scene(order: Order, pages: usize) -> Scene {
    // Where rows join anywhere, the rounds do not read the youngest, and look at those in status `new` besides.
    let young = if order == Order::Scattered { 0 } else { 3 };
    let plan = Plan { young, ..Plan::calm(order, pages * PAGE - 30) };
    let mut scene = Scene::new(plan.with_page(u32::try_from(PAGE).unwrap())).await;
    scene.done(Call::Pass(DEPOSITS)).await;
    scene.done(Call::Sweep(DEPOSITS, 100_000)).await;
    for _ in 0..3 {
        round(&mut scene).await;
    }
    scene
}

/// Returns how many requests it took.
async fn round(scene: &mut Scene) -> usize {
    let before = scene.requests();
    scene.done(Call::Tick(DEPOSITS)).await;
    scene.rest(10);
    scene.requests() - before
}

#[tokio::test]
async fn a_quiet_round_takes_two_requests() {
    for (order, pages) in ORDERS.into_iter().flat_map(|order| PAGES.map(|pages| (order, pages))) {
        let mut scene = scene(order, pages).await;
        for number in 0..24 {
            let requests = round(&mut scene).await;
            let log = scene.last_requests(requests);
            assert!(requests <= QUIET, "{order:?}, {pages} pages: {requests} requests in round {number}: {log:#?}");
        }
        assert!(scene.is_green().await);
    }
}

#[tokio::test]
async fn a_row_that_changes_is_noticed_once_each_page_had_its_turn() {
    for (order, pages) in ORDERS.into_iter().flat_map(|order| PAGES.map(|pages| (order, pages))) {
        let mut scene = scene(order, pages).await;
        let rows = pages * PAGE - 30;
        for row in (0..rows).step_by(rows / 7) {
            let before = scene.events("deposit.updated").await;
            scene.change(|world| world.change(Kind::Deposit, row, |state| state.content += 1));
            // One round may look at the other end instead.
            for _ in 0..=pages {
                round(&mut scene).await;
            }
            assert_eq!(scene.events("deposit.updated").await, before + 1, "{order:?}, {pages} pages, row {row}");
        }
    }
}

#[tokio::test]
async fn a_row_that_leaves_is_missing_soon_whether_or_not_another_joins() {
    for (order, pages) in ORDERS.into_iter().flat_map(|order| PAGES.map(|pages| (order, pages))) {
        for joins in [false, true] {
            let mut scene = scene(order, pages).await;
            scene.change(|world| {
                world.remove_at(DEPOSITS, pages * PAGE / 2);
                if joins {
                    // Near an end it would cast doubt on the order.
                    let middle = Place::At(pages * PAGE / 3);
                    world.add(DEPOSITS, if order == Order::Scattered { middle } else { Place::AsOrdered }, None);
                }
            });
            // Where rows join anywhere and the count stays as it was, each page has its turn first.
            let turns = if joins && order == Order::Scattered { pages } else { 0 };
            for _ in 0..6 + turns {
                round(&mut scene).await;
            }
            assert_eq!(scene.events("deposit.missing").await, 1, "{order:?}, {pages} pages, another joins: {joins}");
            assert_eq!(scene.events("deposit.created").await, usize::from(joins), "{order:?}, {pages} pages");
            // Neither the marks nor the price of a round suffers. Where rows join anywhere, the one that did is still `new`, and
            // is looked at besides.
            let most = QUIET + usize::from(joins && order == Order::Scattered);
            for _ in 0..6 {
                let requests = round(&mut scene).await;
                let log = scene.last_requests(requests);
                assert!(requests <= most, "{order:?}, {pages} pages, another joins: {joins}: {log:#?}");
            }
            assert!(scene.is_green().await);
        }
    }
}
