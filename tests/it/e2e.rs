//! The whole way: a company lives, the tables follow, the shop hears of every change once and in order.

use lumo_simulator::World;
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::generated::assert_published;
use crate::world::{Announced, PATIENCE, Stage, awkward_changes, random_changes, seed};

on_each_database!(
    the_tables_equal_the_world_and_every_change_is_told_once,
    history_is_announced_when_asked_for,
    balances_are_events_only_where_they_are_named,
);

async fn the_tables_equal_the_world_and_every_change_is_told_once(database: Database) {
    let world = World::live(seed());
    world.seed(2_000, 10_000);
    let stage = Stage::new(database, world.clone()).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.assert_mirrored().await;
    assert_eq!(stage.events().await.len(), 0, "a silent import says nothing");
    let announced = stage.announced().await;

    random_changes(&world, 150);
    awkward_changes(&world);
    stage.until_read_again().await;
    random_changes(&world, 150);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&announced).await;

    // Nothing goes on where nothing happens.
    let events = stage.events().await.len();
    assert!(events > 200, "only {events} events");
    stage.events().await.iter().for_each(|event| assert_published(&event.json()));
    stage.until_read_again().await;
    assert_eq!(stage.events().await.len(), events);
    assert_eq!(stage.receiver.duplicates(), 0, "no callback failed, so none came twice");
    bridge.stop().await;
}

async fn history_is_announced_when_asked_for(database: Database) {
    let world = World::live(seed());
    world.seed(50, 200);
    // Each of them is announced as blocked as well.
    let blocked_at_first = world.snapshot().wallets.iter().filter(|wallet| wallet.block_reason.is_some()).count();
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    let bridge = stage.daemon();
    stage.until_imported().await;
    random_changes(&world, 40);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    let events = stage.events().await;
    let origin = |name: &str| events.iter().filter(|event| event.json()["origin"] == name).count();
    assert_eq!(origin("import"), 250 + blocked_at_first);
    assert_eq!(origin("import") + origin("live"), events.len());
    bridge.stop().await;
}

async fn balances_are_events_only_where_they_are_named(database: Database) {
    let world = World::live(seed());
    world.seed(20, 20);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.settings.set("callbacks.endpoints.shop.events", json!(["*"]));
    let bridge = stage.daemon();
    stage.until_imported().await;
    let wallet = world.random_wallet().unwrap();
    world.set_balance(wallet.id, "17.000001", "3").unwrap();
    stage.until_mirrored().await;
    world.block(wallet.id, "after the balance").unwrap();
    stage.until_mirrored().await;
    stage.until_delivered().await;
    let kinds: Vec<String> = stage.events().await.into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["wallet.blocked"]);
    assert!(stage.receiver.wait_for(1, PATIENCE).await);
    bridge.stop().await;
}
