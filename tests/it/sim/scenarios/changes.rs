//! Rows that change, go and come back, and servers that do not agree with themselves about it.

use lumo_bridge::model::Listing;

use super::scene::Scene;
use crate::sim::bridge::Call;
use crate::sim::model::{Kind, Moment, Status};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::Act;

const DEPOSITS: Listing = Listing::Deposits;
const PASS: Call = Call::Pass(DEPOSITS);

/// A deposit that is in status `new` from the beginning, and its id.
const YOUNG: usize = 58;
const ID: &str = "d59";

/// Sets its status.
fn status(scene: &Scene, status: Status) -> Moment {
    scene.change(|world| {
        world.change(Kind::Deposit, YOUNG, |state| state.status = status);
        world.now()
    })
}

#[tokio::test]
async fn scenario_25_the_same_id_is_on_two_pages_with_different_content() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 60)).await;
    // The row at position 23 is on the first page and on the second, and changes between the two.
    scene.before_request(2, |world| {
        let index = world.list(DEPOSITS)[23];
        world.change(Kind::Deposit, index, |state| state.content = 5);
    });
    assert!(scene.proves(PASS).await);
    let id = scene.change(|world| {
        let index = world.list(DEPOSITS)[23];
        world.row(DEPOSITS, index).id()
    });
    assert_eq!(scene.told(&id).await, ["deposit.updated"]);
    scene.settles().await;
}

/// The client gives an id that stands twice in a page with different content as one that it cannot read.
#[tokio::test]
async fn scenario_25_an_item_that_cannot_be_read_is_no_row_and_hinders_no_proof() {
    let mut scene = Scene::new(Plan::calm(Order::Newest, 60)).await;
    scene.spoil(24, true);
    assert!(scene.proves(PASS).await);
    assert_eq!((scene.deposits().await, scene.rejects(Listing::Deposits).await), (59, 1));
    scene.spoil(24, false);
    scene.settles().await;
    assert_eq!((scene.deposits().await, scene.rejects(Listing::Deposits).await), (60, 0));
    assert_eq!(scene.told("d25").await, ["sync.item_rejected", "deposit.created"]);
    assert_eq!(scene.events("deposit.missing").await, 0);
}

#[tokio::test]
async fn scenario_26_a_status_that_flips_between_two_reads_is_told_once_or_not_at_all() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 60)).await;
    status(&scene, Status::Confirming);
    scene.tick().await;
    assert_eq!(scene.told(ID).await, ["deposit.status_changed"]);
    status(&scene, Status::New);
    status(&scene, Status::Confirming);
    scene.tick().await;
    scene.settles().await;
    assert_eq!(scene.told(ID).await.len(), 1);
}

#[tokio::test]
async fn scenario_26_replicas_that_disagree_make_no_events() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 60)).await;
    let changed = status(&scene, Status::Confirming);
    scene.tick().await;
    for _ in 0..4 {
        scene.script(move |_, _, _| Act::AsOf(changed - 1));
        scene.tick().await;
        scene.server().drop_script();
        scene.tick().await;
    }
    assert_eq!(scene.told(ID).await, ["deposit.status_changed"]);
    scene.settles().await;
}

#[tokio::test]
async fn scenario_26_a_status_that_went_back_is_told_once_it_was_seen_twice() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 60)).await;
    status(&scene, Status::Confirming);
    scene.tick().await;
    status(&scene, Status::New);
    scene.tick().await;
    assert_eq!(scene.told(ID).await.len(), 1, "not at first sight");
    scene.rest(31);
    scene.tick().await;
    assert_eq!(scene.told(ID).await.len(), 2);
    scene.settles().await;
}

#[tokio::test]
async fn scenario_27_a_row_is_removed_and_found_missing_and_comes_back() {
    for order in [Order::Newest, Order::Scattered] {
        let mut scene = Scene::imported(Plan::calm(order, 60)).await;
        let index = scene.change(|world| world.remove_at(DEPOSITS, 20));
        let id = format!("d{}", index + 1);
        scene.pass().await;
        assert!(!scene.missing(&id).await, "not before it was looked for twice");
        scene.settles().await;
        assert!(scene.missing(&id).await);
        assert_eq!(scene.told(&id).await, ["deposit.missing"]);
        scene.change(|world| world.bring_back(Kind::Deposit, index));
        scene.settles().await;
        assert!(!scene.missing(&id).await);
        assert_eq!(scene.told(&id).await, ["deposit.missing", "deposit.updated"]);
    }
}

#[tokio::test]
async fn a_row_that_comes_back_before_it_was_looked_for_was_never_missing() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 60)).await;
    let index = scene.change(|world| world.remove_at(DEPOSITS, 20));
    scene.pass().await;
    scene.change(|world| world.bring_back(Kind::Deposit, index));
    scene.settles().await;
    assert_eq!(scene.told(&format!("d{}", index + 1)).await, [""; 0]);
}

/// That texts and numbers survive whatever they look like is for the client's tests; here, content of every kind is a change
/// that is told once, and content that comes back is another.
#[tokio::test]
async fn scenario_32_members_that_come_and_change_and_go_are_told_one_by_one() {
    let mut scene = Scene::imported(Plan::calm(Order::Newest, 40)).await;
    for content in [1, 2, 0, 2] {
        scene.change(|world| world.change(Kind::Deposit, 5, |state| state.content = content));
        scene.tick().await;
    }
    assert_eq!(scene.told("d6").await, ["deposit.updated"; 4]);
    assert_eq!(scene.deposit("d6").await.map(|row| row.version), Some(5));
}
