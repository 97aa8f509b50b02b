//! Rows that come and go between the pages of one walk.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::Place;
use crate::sim::quirks::{Order, Plan};

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);

/// Before the fourth page of a pass over 150 rows this happens; the pass must be proved and have everything.
async fn amid_a_pass(order: Order, change: impl FnOnce(&mut crate::sim::model::World) + Send + 'static) -> Scene {
    let mut scene = Scene::imported(Plan::calm(order, 150)).await;
    // Rows of which the tables know nothing, so that a row lost by the pass is one that is not stored.
    scene.change(|world| {
        for position in [40, 60, 80, 100, 120] {
            world.add(DEPOSITS, Place::At(position), None);
        }
    });
    scene.before_request(4, change);
    assert!(scene.proves(PASS).await, "{order:?}: {:?}", scene.0.steps().last());
    scene
}

#[tokio::test]
async fn scenario_01_one_row_removed_before_the_cursor_and_one_added_behind_it() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        let mut scene = amid_a_pass(order, |world| {
            let before = world.len(DEPOSITS);
            world.remove_at(DEPOSITS, 3);
            world.add(DEPOSITS, Place::At(140), None);
            assert_eq!(world.len(DEPOSITS), before);
        })
        .await;
        assert!(scene.deposit("d156").await.is_some(), "the row behind the cursor");
        scene.settles().await;
    }
}

#[tokio::test]
async fn scenario_02_more_rows_than_pages_share_are_removed_between_two_pages() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        let mut scene = amid_a_pass(order, |world| {
            for _ in 0..9 {
                world.remove_at(DEPOSITS, 5);
            }
        })
        .await;
        scene.settles().await;
    }
}

#[tokio::test]
async fn scenario_03_every_row_of_the_previous_page_is_removed() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        // Three pages of 25 that share 4 rows end at row 67.
        let mut scene = amid_a_pass(order, |world| {
            for _ in 42..67 {
                world.remove_at(DEPOSITS, 42);
            }
        })
        .await;
        scene.settles().await;
    }
}

#[tokio::test]
async fn scenario_13_more_rows_than_a_page_join_at_the_head_between_two_pages() {
    for order in [Order::Newest, Order::Oldest] {
        let mut scene = amid_a_pass(order, |world| {
            for _ in 0..60 {
                world.add(DEPOSITS, Place::Head, None);
            }
        })
        .await;
        scene.settles().await;
        assert_eq!(scene.deposits().await, 215);
    }
}

#[tokio::test]
async fn scenario_31_rows_leave_the_list_of_new_ones_while_it_is_paged() {
    use crate::sim::model::{Kind, Status};

    let mut plan = Plan::calm(Order::Newest, 300);
    plan.young = 300;
    let mut scene = Scene::imported(plan).await;
    // Whatever the list is asked for, each request finds another few confirmed.
    scene.script(|world, nth, _| {
        let from = usize::try_from(nth).unwrap() * 3;
        for index in from..(from + 3).min(300) {
            world.change(Kind::Deposit, index, |state| state.status = Status::Confirmed);
        }
        crate::sim::server::Act::Answer
    });
    for _ in 0..8 {
        scene.tick().await;
    }
    scene.settles().await;
    assert_eq!(scene.deposits().await, 300);
    assert!(scene.events("deposit.status_changed").await > 0);
}

#[tokio::test]
async fn scenario_34_a_window_of_requests_finds_its_seams_broken_in_several_places() {
    for order in [Order::Newest, Order::Oldest, Order::Scattered] {
        let mut plan = Plan::calm(order, 400);
        plan.concurrency = 8;
        let mut scene = Scene::imported(plan).await;
        scene.change(|world| {
            for position in (20..400).step_by(30) {
                world.add(DEPOSITS, Place::At(position), None);
            }
        });
        scene.script(|world, nth, _| {
            // Six rows leave somewhere before what was read, with every fourth request.
            if nth % 4 == 0 && world.len(DEPOSITS) > 200 {
                let at = usize::try_from(nth).unwrap() * 7 % 150;
                for _ in 0..6 {
                    world.remove_at(DEPOSITS, at);
                }
            }
            crate::sim::server::Act::Answer
        });
        assert!(scene.proves(PASS).await, "{order:?}: {:?}", scene.0.steps().last());
        scene.settles().await;
    }
}
