//! The whole way: a company lives, the tables follow, the shop hears of every change once and in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lumo_simulator::{Answer, Received, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::generated::assert_published;
use crate::world::{Announced, PATIENCE, Stage, awkward_changes, eventually, page, random_changes, seed};

on_each_database!(
    the_tables_equal_the_world_and_every_change_is_told_once,
    history_is_announced_when_asked_for,
    balances_are_events_only_where_they_are_named,
    a_block_is_told_whatever_its_reason_looks_like,
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

/// Reasons as a server may list them, and as they are told.
const REASONS: [(&str, Option<&str>); 5] = [
    (r#""ticket \ud83d""#, Some("ticket \u{fffd}")),
    (r#"{"code":7}"#, Some(r#"{"code":7}"#)),
    ("4711", Some("4711")),
    ("[]", Some("[]")),
    ("null", None),
];

/// A server that lists a wallet for each of the reasons, all of them blocked or none.
fn listed(request: &Received, are_blocked: bool) -> Answer {
    let wallet = |(number, (reason, _)): (usize, &(&str, Option<&str>))| {
        let reason = if are_blocked { *reason } else { "null" };
        format!(
            r#"{{"id":"739896b0-4cb3-40bd-9e5c-eed60333{number:04}","companyId":"61644a25-da5a-4317-94e2-3bc1eca8c766",
                "externalId":"user {number}","address":"T{number}HwiU8GCgN9nKAqUzTuRiyUZizzjMjWpc",
                "isBlocked":{are_blocked},"blockReason":{reason},"lastUsdtBalance":0,"lastTrxBalance":0,
                "createdAt":"2025-05-04T10:11:12.345Z"}}"#
        )
    };
    let wallets: Vec<String> = REASONS.iter().enumerate().map(wallet).collect();
    let page = |wallets: &[String]| {
        let listed = page(request, wallets.to_vec()).join(",");
        format!(r#"{{"wallets":[{listed}],"total":{}}}"#, wallets.len())
    };
    let body = match request.path.as_str() {
        "/user-wallets" => page(&wallets),
        "/user-wallets/blocked" if are_blocked => page(&wallets),
        "/user-wallets/blocked" => page(&[]),
        "/user-wallets/deposits" => r#"{"deposits":[],"total":0}"#.to_owned(),
        "/shop" => return Answer::status(200),
        _ => return Answer::status(404),
    };
    Answer { body: body.into_bytes(), ..Answer::status(200) }
}

async fn a_block_is_told_whatever_its_reason_looks_like(database: Database) {
    let mut stage = Stage::new(database, World::new(1)).await;
    let are_blocked = Arc::new(AtomicBool::new(false));
    let shown = Arc::clone(&are_blocked);
    stage.receiver.script(move |request| listed(request, shown.load(Ordering::Relaxed)));
    let base_url = stage.receiver.url("");
    stage.settings.set("lumo.base_url", json!(base_url));
    let bridge = stage.daemon();
    stage.until_imported().await;
    assert_eq!(stage.database.count("lumo_user_wallets", "1 = 1").await, 5);

    are_blocked.store(true, Ordering::Relaxed);
    eventually!(PATIENCE, "each block is told", stage.events().await.len() == REASONS.len());
    stage.until_delivered().await;
    bridge.stop().await;
    assert_eq!(stage.database.count("lumo_user_wallets", "is_blocked").await, 5);
    let mut events = stage.events().await;
    events.sort_by(|one, other| one.stream.cmp(&other.stream));
    for ((number, (_, told)), event) in REASONS.iter().enumerate().zip(&events) {
        assert_eq!((event.kind.as_str(), event.stream.as_str()), ("wallet.blocked", &*format!("user:user {number}")));
        let body = event.json();
        let object = &body["data"]["object"];
        assert_eq!((object["is_blocked"].as_bool(), object["block_reason"].as_str()), (Some(true), *told), "{object}");
        let sent = stage.receiver.received();
        let sent = sent.iter().filter(|request| request.id.as_ref() == Some(&event.id) && request.succeeded());
        assert_eq!(sent.count(), 1, "{object}");
    }
}
