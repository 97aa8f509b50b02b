//! Pages that are smaller than was asked for, refused, empty or exactly full.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::quirks::{Cap, Order, Plan};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);

#[tokio::test]
async fn scenario_04_pages_are_cut_below_at_and_just_above_what_they_share() {
    for cap in [3, 4, 5, 6] {
        let mut scene = Scene::new(Plan::calm(Order::Newest, 60).with_cap(Cap::Silent(cap))).await;
        assert!(scene.proves(PASS).await, "cap {cap}");
        assert_eq!(scene.deposits().await, 60, "cap {cap}");
    }
}

#[tokio::test]
async fn scenario_04_pages_of_one_row_are_read_to_the_end_and_prove_nothing() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 30).with_cap(Cap::Silent(1))).await;
    assert!(!scene.proves(PASS).await);
    assert!(!scene.is_green().await);
    assert_eq!(scene.deposits().await, 30);
}

#[tokio::test]
async fn scenario_05_the_size_of_pages_changes_amid_a_pass() {
    for caps in [(25, 10), (10, 25), (7, 5), (25, 2)] {
        let mut scene = Scene::new(Plan::calm(Order::Oldest, 200)).await;
        scene.script(move |_, nth, _| Act::Cut(if nth < 5 { caps.0 } else { caps.1 }));
        assert!(scene.proves(PASS).await, "{caps:?}");
        assert_eq!(scene.deposits().await, 200, "{caps:?}");
    }
}

#[tokio::test]
async fn scenario_06_a_limit_that_is_too_large_is_refused() {
    for status in [400, 413, 422] {
        let mut scene = Scene::new(Plan::calm(Order::Newest, 100).with_cap(Cap::Refused(9, status))).await;
        assert!(scene.proves(PASS).await, "{status}");
        assert_eq!(scene.deposits().await, 100);
        let before = scene.requests();
        scene.tick().await;
        let server = scene.server();
        let live = server.live();
        let limits = live.log[before..].iter().map(|logged| logged.asked.limit);
        assert!(limits.into_iter().all(|limit| limit <= 9), "what was refused is remembered");
    }
}

#[tokio::test]
async fn scenario_07_the_last_page_is_exactly_full() {
    for rows in [25, 46, 67, 24, 26] {
        let mut scene = Scene::new(Plan::calm(Order::Newest, rows)).await;
        assert!(scene.proves(PASS).await, "{rows}");
        assert_eq!(scene.deposits().await, rows);
        assert!(scene.requests() <= rows / 21 + 3, "{rows} rows took {} requests", scene.requests());
    }
}

#[tokio::test]
async fn scenario_08_an_empty_list_is_proved_to_be_empty() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 0)).await;
    assert!(scene.proves(PASS).await);
    assert!(scene.is_green().await);
    assert!(scene.requests() <= 6);
}

#[tokio::test]
async fn scenario_08_a_list_that_fits_one_page_empties() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 10)).await;
    assert_eq!(scene.deposits().await, 10);
    scene.change(|world| {
        (0..10).for_each(|_| {
            world.remove_at(DEPOSITS, 0);
        })
    });
    scene.settles().await;
    assert_eq!(scene.deposits().await, 0);
    assert_eq!(scene.events("deposit.missing").await, 10);
}

#[tokio::test]
async fn scenario_09_an_empty_page_stands_in_the_middle() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 150)).await;
    scene.script(|_, nth, _| if nth == 3 { Act::Empty } else { Act::Answer });
    assert!(scene.proves(PASS).await);
    assert_eq!(scene.deposits().await, 150);
}

#[tokio::test]
async fn scenario_10_a_page_in_the_middle_is_one_row_short() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 150)).await;
    scene.script(|_, nth, _| if nth == 3 { Act::Short } else { Act::Answer });
    assert!(scene.proves(PASS).await);
    assert_eq!(scene.deposits().await, 150);
}
