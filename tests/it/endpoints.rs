//! Endpoints that come, go and change while the daemon is down: nothing is lost, nothing is told to whom it is not for.

use std::collections::BTreeSet;
use std::time::Duration;

use lumo_simulator::{Answer, Received, Verdict, World};
use serde_json::{Value, json};

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, eventually, seed};

on_each_database!(
    what_waits_for_a_removed_endpoint_is_held_and_goes_out_in_order_once_it_is_put_back,
    what_waits_goes_to_the_new_address_with_the_new_secret_and_new_patterns_hold_from_now_on,
    a_renamed_endpoint_is_a_new_one_and_what_waited_for_the_old_one_can_be_given_up,
    what_commands_publish_before_any_daemon_has_run_is_delivered_by_the_first,
);

const RECLAIMED: &str = "those of this process count again";

const OTHER_SECRET: &str = "whsec_YW5vdGhlciBzZWNyZXQgdGhhdCBub2JvZHkga25vd3M=";

/// The ids that the receiver accepted on a path, the first time each, in that order.
fn accepted(stage: &Stage, path: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let received = stage.receiver.received();
    let accepted = received.iter().filter(|request| request.path == path && request.succeeded());
    let ids = accepted.map(|request| request.id.clone().expect("a callback has an id"));
    ids.filter(|id| seen.insert(id.clone())).collect()
}

fn requests(stage: &Stage, path: &str) -> usize {
    stage.receiver.received().iter().filter(|request| request.path == path).count()
}

/// Ids of the events in the endpoint's deliveries, in their order.
async fn queued(stage: &Stage, endpoint: &str) -> Vec<String> {
    let sql = format!("SELECT event_id FROM lumo_deliveries WHERE endpoint = '{endpoint}' ORDER BY seq");
    stage.database.rows(&sql).await.into_iter().map(|row| row[0].clone().unwrap()).collect()
}

async fn until_told(stage: &Stage, endpoint: &str, events: usize) {
    let sql = format!("SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = '{endpoint}' AND state = 'delivered'");
    stage.database.until_at_least(i64::try_from(events).unwrap(), PATIENCE, &sql).await;
}

/// How `status` shows an endpoint.
async fn status(stage: &Stage, endpoint: &str) -> Value {
    let finished = stage.command(&["status", "--json"]).await;
    let document: Value = serde_json::from_str(&finished.stdout).expect("status prints JSON");
    let all = document["endpoints"].as_array().expect("a list").clone();
    all.into_iter().find(|one| one["name"] == endpoint).expect("the endpoint is shown")
}

async fn held(stage: &Stage, endpoint: &str) -> i64 {
    stage.database.count("lumo_undelivered", &format!("endpoint = '{endpoint}' AND state = 'held'")).await
}

async fn what_waits_for_a_removed_endpoint_is_held_and_goes_out_in_order_once_it_is_put_back(database: Database) {
    let world = World::live(seed());
    let mut stage = Stage::new(database, world.clone()).await;
    stage.add_endpoint("crm", "/old", &["*"]);
    // It never answers, so its callbacks are in the hands of the process when that dies.
    stage.receiver.script(|request| match request.path.as_str() {
        "/old" => Answer::status(200).after(Duration::from_secs(3600)),
        _ => Answer::status(200),
    });
    stage.settings.set("callbacks.defaults.timeout", json!("60s"));
    let bridge = stage.daemon();
    stage.until_imported().await;
    for user in ["ann", "bob"] {
        world.add_wallet(user);
        world.add_deposit_for(user, "1").expect("a deposit");
        world.add_deposit_for(user, "2").expect("a deposit");
    }
    until_told(&stage, "shop", 6).await;
    let hangs = |all: &[std::sync::Arc<Received>]| all.iter().filter(|request| request.path == "/old").count() == 2;
    assert!(stage.receiver.wait_until(PATIENCE, hangs).await, "both users' first callbacks are under way");
    bridge.kill();
    let waiting = queued(&stage, "crm").await;
    assert_eq!(waiting.len(), 6);

    stage.settings.remove("callbacks.endpoints.crm");
    let bridge = stage.daemon();
    // The process that died still counts until it is known to be dead.
    let removed = "SELECT COUNT(*) FROM lumo_endpoints WHERE name = 'crm' AND removed_at IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, removed).await;
    for user in ["ann", "bob"] {
        world.add_deposit_for(user, "3").expect("a deposit");
    }
    until_told(&stage, "shop", 8).await;
    assert_eq!(queued(&stage, "crm").await, waiting, "nothing is queued for it");
    assert_eq!((held(&stage, "crm").await, requests(&stage, "/old")), (6, 2), "all of it is held, nobody is called");
    let shown = status(&stage, "crm").await;
    assert_eq!((&shown["is_configured"], &shown["waiting"]), (&json!(false), &json!(6)));
    assert!(shown["removed_at"].is_string(), "{shown}");
    bridge.stop().await;

    stage.add_endpoint("crm", "/new", &["*"]);
    let mut bridge = stage.daemon();
    bridge.until_logged("endpoint is configured again", PATIENCE).await;
    world.add_deposit_for("ann", "4").expect("a deposit");
    until_told(&stage, "crm", 7).await;
    until_told(&stage, "shop", 9).await;
    let told: BTreeSet<_> = accepted(&stage, "/new").into_iter().collect();
    let all = queued(&stage, "crm").await;
    assert_eq!(all[..6], waiting, "what was published meanwhile is not for it");
    assert_eq!(told, all.into_iter().collect(), "what waited, and what is new");
    let inversions = stage.receiver.order_violations().inversions;
    assert!(inversions.is_empty(), "out of order: {inversions:#?}");
    assert!(status(&stage, "crm").await["removed_at"].is_null());
    assert_eq!(held(&stage, "crm").await, 0);
    bridge.stop().await;
}

/// A stage whose endpoint `crm` at `/old` refuses everything: five users' wallets wait for it. No daemon runs.
async fn refused_by_crm(database: Database, events: &[&str]) -> Stage {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.defaults.retry.schedule", json!(["1h", "1h"]));
    stage.add_endpoint("crm", "/old", events);
    stage.settings.set("callbacks.endpoints.crm.secrets", json!([{ "value": OTHER_SECRET }]));
    stage.receiver.script(|request| Answer::status(if request.path == "/old" { 500 } else { 200 }));
    let bridge = stage.daemon();
    stage.until_imported().await;
    for user in 0..5 {
        stage.world.add_wallet(&format!("user {user}"));
    }
    until_told(&stage, "shop", 5).await;
    let failing = "SELECT COUNT(*) FROM lumo_endpoints WHERE name = 'crm' AND state = 'failing'";
    stage.database.until_at_least(1, PATIENCE, failing).await;
    bridge.stop().await;
    assert_eq!(held(&stage, "crm").await, 5);
    stage
}

async fn what_waits_goes_to_the_new_address_with_the_new_secret_and_new_patterns_hold_from_now_on(database: Database) {
    let mut stage = refused_by_crm(database, &["wallet.*"]).await;
    let waiting = queued(&stage, "crm").await;
    stage.add_endpoint("crm", "/new", &["deposit.*"]);
    let before = requests(&stage, "/old");
    let bridge = stage.daemon();
    until_told(&stage, "crm", 5).await;
    stage.world.add_wallet("later");
    stage.world.add_deposit_for("later", "1").expect("a deposit");
    until_told(&stage, "shop", 7).await;
    until_told(&stage, "crm", 6).await;
    let all = queued(&stage, "crm").await;
    assert_eq!(all[..5], waiting);
    assert_eq!(all.len(), 6, "the new wallet is not for it, the deposit is");
    assert_eq!(accepted(&stage, "/new").into_iter().collect::<BTreeSet<_>>(), all.into_iter().collect());
    for request in stage.receiver.received().iter().filter(|request| request.path == "/new") {
        assert!(matches!(request.verdict, Verdict::Verified), "{:?}", request.verdict);
    }
    assert_eq!(requests(&stage, "/old"), before, "nobody is called at the old address");
    bridge.stop().await;
}

async fn a_renamed_endpoint_is_a_new_one_and_what_waited_for_the_old_one_can_be_given_up(database: Database) {
    let mut stage = refused_by_crm(database, &["*"]).await;
    stage.settings.remove("callbacks.endpoints.crm");
    stage.add_endpoint("sales", "/sales", &["*"]);
    let bridge = stage.daemon();
    stage.until_read_again().await;
    stage.world.add_deposit_for("user 1", "1").expect("a deposit");
    until_told(&stage, "sales", 1).await;
    assert_eq!(queued(&stage, "sales").await.len(), 1, "it hears what is new, not what was before");
    assert_eq!((held(&stage, "crm").await, queued(&stage, "crm").await.len()), (5, 5));

    let given_up = stage.command(&["endpoint", "resume", "crm", "--skip-held", "--yes"]).await;
    assert_eq!(given_up.status.code(), Some(0), "{given_up:?}");
    assert!(given_up.stderr.contains("deliveries to crm that were skipped: 5"), "{}", given_up.stderr);
    assert!(given_up.stderr.contains("crm is not configured"), "{}", given_up.stderr);
    assert_eq!(held(&stage, "crm").await, 0);
    bridge.stop().await;
}

/// Whoever publishes makes the endpoints known that are to receive it.
async fn what_commands_publish_before_any_daemon_has_run_is_delivered_by_the_first(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.world.add_wallet("ann");
    stage.world.add_deposit_for("ann", "1").unwrap();
    for command in [&["wallet", "create", "bob"][..], &["sync"]] {
        let finished = stage.command(command).await;
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    }
    assert_eq!(stage.events().await.len(), 3, "two wallets and a deposit");
    let bridge = stage.daemon();
    assert!(stage.receiver.wait_for(3, PATIENCE).await, "they are told to nobody");
    stage.until_imported().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    bridge.stop().await;
}

/// As where a new version is rolled out beside the old one, and taken back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_endpoint_wants_is_decided_anew_once_the_process_that_decided_is_gone() {
    let world = World::new(seed());
    world.add_wallet("user");
    let mut stage = Stage::new(Database::postgres().await, world.clone()).await;
    let mut first = stage.daemon();
    stage.until_imported().await;
    stage.settings.set("callbacks.endpoints.shop.events", json!(["deposit.settled"]));
    let second = stage.daemon();
    let narrow = "endpoint = 'shop' AND through_seq IS NULL";
    eventually!(PATIENCE, "the second one decides", stage.database.count("lumo_subscriptions", narrow).await == 1);
    second.stop().await;

    first.until_logged(RECLAIMED, PATIENCE).await;
    world.add_deposit_for("user", "1").expect("a deposit");
    until_told(&stage, "shop", 1).await;
    first.stop().await;
}
