//! Deposits that name their wallet and not their user: what is told of them names the user all the same.

use lumo_bridge::model::Listing;
use lumo_bridge::sync::Options;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::scene::Scene;
use crate::sim::bridge::{Call, Ended};
use crate::sim::model::{Kind, Place, Status, World};
use crate::sim::quirks::{Order, Plan};
use crate::sim::server::{Act, Failure};

const WALLETS: Listing = Listing::Wallets;
const DEPOSITS: Listing = Listing::Deposits;
const PAGE: u32 = 100;
/// A list of one page, and one of more pages than are read whole.
const SHORT: usize = 40;
const LONG: usize = 1_200;
/// Requests that a quiet round takes at most.
const QUIET: usize = 2;

/// After the first import from a server that names no users of deposits.
async fn scene(order: Order, rows: usize) -> Scene {
    let plan = Plan { young: 0, ..Plan::calm(order, rows).with_wallets(rows).with_page(PAGE) };
    let scene = Scene::new(plan).await;
    scene.server().live().hides_users = true;
    let mut scene = scene.import().await;
    for _ in 0..3 {
        scene.done(Call::Tick(WALLETS)).await;
        scene.tick().await;
    }
    scene
}

/// Somebody gets a wallet and pays to it at once. Returns the deposit and the user.
fn somebody_pays(world: &mut World) -> (usize, String) {
    let user = world.add(WALLETS, Place::AsOrdered, None) + 1;
    let deposit = world.add(DEPOSITS, Place::AsOrdered, Some(u64::try_from(user).unwrap()));
    (deposit, format!("u{user}"))
}

fn confirm(scene: &Scene, deposit: usize) {
    scene.change(|world| world.change(Kind::Deposit, deposit, |state| state.status = Status::Confirmed));
}

/// The user that each event of the deposit names.
async fn named(scene: &Scene, deposit: usize) -> Vec<Option<String>> {
    let id = format!("d{}", deposit + 1);
    let events = scene.0.oracle.tables.events(0).await.into_iter().filter(|event| event.object_id == id);
    let user = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        body["data"]["object"]["external_id"].as_str().map(str::to_owned)
    };
    events.map(|event| user(&event.body)).collect()
}

#[tokio::test]
async fn the_first_deposit_of_a_new_user_names_the_user_before_the_next_round_over_the_wallets() {
    // In a long list where rows join anywhere, one round over the wallets may not find a new one.
    let lists = [(Order::Newest, SHORT), (Order::Newest, LONG), (Order::Oldest, SHORT), (Order::Oldest, LONG)];
    for (order, rows) in lists.into_iter().chain([(Order::Scattered, SHORT)]) {
        let mut scene = scene(order, rows).await;
        for number in 0..3 {
            let (deposit, user) = scene.change(somebody_pays);
            scene.tick().await;
            confirm(&scene, deposit);
            for _ in 0..6 {
                scene.tick().await;
            }
            let expected = vec![Some(user); 2];
            assert_eq!(named(&scene, deposit).await, expected, "{order:?}, {rows} rows, number {number}");
        }
        scene.settles().await;
    }
}

#[tokio::test]
async fn the_wallets_are_read_for_news_alone_and_not_for_each_deposit() {
    let mut scene = scene(Order::Newest, LONG).await;
    let before = scene.plain_requests(WALLETS);
    scene.change(|world| {
        for _ in 0..20 {
            somebody_pays(world);
        }
    });
    scene.tick().await;
    assert!(scene.plain_requests(WALLETS) - before <= QUIET, "{:#?}", scene.last_requests(10));

    // A wallet that is never listed.
    let stray = scene.change(|world| world.add(DEPOSITS, Place::AsOrdered, Some(1_000_000)));
    scene.tick().await;
    assert_eq!(named(&scene, stray).await, [None::<String>]);
    scene.0.age();
    for _ in 0..30 {
        scene.tick().await;
    }
    let before = scene.plain_requests(WALLETS);
    for round in 0..24 {
        let requests = scene.cost(Call::Tick(DEPOSITS)).await;
        scene.rest(10);
        assert!(requests <= QUIET, "{requests} requests in round {round}: {:#?}", scene.last_requests(requests));
    }
    assert_eq!(scene.plain_requests(WALLETS), before, "nothing is told, and the wallets are read all the same");
}

#[tokio::test]
async fn a_round_over_the_wallets_that_began_too_early_is_followed_by_another() {
    let scene = scene(Order::Newest, LONG).await;
    scene.script(|_, nth, _| if nth == 1 { Act::Wait } else { Act::Answer });
    let (server, syncer) = (scene.server(), scene.0.bridge.syncer());
    let (options, stop) = (Options::default(), CancellationToken::new());
    let meanwhile = async {
        // The page that it waits for does not have the wallet.
        server.waits().await;
        let paid = scene.change(somebody_pays);
        let go_on = async {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            server.go_on();
        };
        let (deposits, ()) = tokio::join!(Box::pin(syncer.tick(DEPOSITS, &options, &stop)), go_on);
        deposits.unwrap();
        paid
    };
    let (wallets, (deposit, user)) = tokio::join!(Box::pin(syncer.tick(WALLETS, &options, &stop)), Box::pin(meanwhile));
    wallets.unwrap();
    assert_eq!(named(&scene, deposit).await, [Some(user)]);
}

#[tokio::test]
async fn deposits_do_not_depend_on_the_wallets() {
    for act in [Act::Fail(Failure::Status500), Act::Fail(Failure::Unauthorized), Act::Wait] {
        let mut scene = scene(Order::Newest, LONG).await;
        let (deposit, user) = scene.change(somebody_pays);
        let answer = act.clone();
        scene.script(move |_, _, asked| if asked.listing == WALLETS { answer.clone() } else { Act::Answer });
        scene.tick().await;
        assert_eq!(named(&scene, deposit).await, [None::<String>], "{act:?}");

        scene.server().drop_script();
        scene.done(Call::Tick(WALLETS)).await;
        confirm(&scene, deposit);
        scene.tick().await;
        assert_eq!(named(&scene, deposit).await, [None, Some(user)], "{act:?}");
    }
}

#[tokio::test]
async fn a_process_that_dies_while_it_reads_the_wallets_has_told_nothing_yet() {
    let mut scene = scene(Order::Newest, LONG).await;
    let (deposit, user) = scene.change(somebody_pays);
    scene.script(|_, _, asked| if asked.listing == WALLETS { Act::Die } else { Act::Answer });
    let ended = scene.call(Call::Tick(DEPOSITS)).await;
    assert!(matches!(ended, Ended::Died), "{ended:?}");
    assert!(named(&scene, deposit).await.is_empty());
    scene.server().drop_script();
    scene.tick().await;
    assert_eq!(named(&scene, deposit).await, [Some(user)]);
}
