//! What a server may say of how many rows there are.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::Place;
use crate::sim::quirks::{Order, Plan, Total};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);

#[tokio::test]
async fn scenario_11_a_total_that_is_torn_cached_capped_or_zero_loses_nothing() {
    let totals = [Total::Torn(4), Total::Cached(30), Total::Capped(50), Total::Zero];
    for total in totals {
        for order in [Order::Newest, Order::Oldest, Order::Scattered] {
            let mut scene = Scene::new(Plan::calm(order, 130).with_total(total)).await;
            assert!(scene.proves(PASS).await, "{total:?} {order:?}");
            assert_eq!(scene.deposits().await, 130, "{total:?} {order:?}");
            scene.change(|world| {
                world.add(DEPOSITS, Place::AsOrdered, None);
                world.remove_at(DEPOSITS, 7);
            });
            scene.settles().await;
            assert_eq!(scene.deposits().await, 130, "{total:?} {order:?}");
        }
    }
}

/// A total that is a text or below zero is none: the client reads it so.
#[tokio::test]
async fn scenario_11_without_a_total_everything_is_read_and_nothing_proved() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 130).with_total(Total::Missing)).await;
    assert!(!scene.proves(PASS).await);
    assert!(!scene.is_green().await);
    scene.change(|world| world.add(DEPOSITS, Place::Head, None));
    scene.settles().await;
    assert_eq!(scene.deposits().await, 131);
    assert_eq!(scene.told("d131").await, ["deposit.created"]);
}

#[tokio::test]
async fn scenario_11_a_total_that_is_missing_once_is_no_harm() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 300)).await;
    scene.script(|_, nth, _| if nth == 1 { Act::Total(None) } else { Act::Answer });
    scene.tick().await;
    scene.server().drop_script();
    scene.change(|world| world.add(DEPOSITS, Place::Head, None));
    scene.tick().await;
    assert!(scene.deposit("d301").await.is_some());
    scene.settles().await;
}

#[tokio::test]
async fn scenario_12_a_total_that_counts_hidden_rows_hides_nothing_and_costs_little() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 300).with_total(Total::CountsHidden(7))).await;
    assert!(scene.proves(PASS).await);
    assert_eq!(scene.deposits().await, 300);
    assert!(scene.requests() <= 300 / 21 + 8, "{} requests", scene.requests());
    scene.change(|world| world.add(DEPOSITS, Place::Head, None));
    scene.settles().await;
    assert_eq!(scene.deposits().await, 301);
}
