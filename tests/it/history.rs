//! History for a new endpoint, given by a daemon that is killed again and again while the world goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lumo_simulator::{Answer, World};
use serde_json::{Value, json};

use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, random_changes, seed};

on_each_database!(a_new_endpoint_is_told_of_everything_once_through_kills_while_the_world_goes_on);

const BACKFILLED: &str = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'crm' AND reason = 'backfill'";

async fn a_new_endpoint_is_told_of_everything_once_through_kills_while_the_world_goes_on(database: Database) {
    let world = World::live(seed());
    world.seed(100, 600);
    let mut stage = Stage::new(database, world.clone()).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    random_changes(&world, 30);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    bridge.stop().await;
    let live = stage.events().await.len();
    assert!(live > 0, "the endpoint finds events as well as silent rows");

    stage.add_endpoint("crm", "/crm", &["*"]);
    stage.settings.set("callbacks.endpoints.crm.backfill", json!("all"));
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(5)));
    let check = stage.command(&["check"]).await;
    assert!(check.stdout.contains("all of it is sent when the daemon runs"), "{check:?}");
    for least in [1, 320] {
        let bridge = stage.daemon();
        stage.database.until_at_least(least, PATIENCE, BACKFILLED).await;
        random_changes(&world, 10);
        let status = stage.command(&["status"]).await;
        assert!(status.stdout.contains("crm: history "), "{status:?}");
        bridge.kill();
    }
    let bridge = stage.daemon();
    let done = "SELECT COUNT(*) FROM lumo_endpoints WHERE name = 'crm' AND backfill_done_at IS NOT NULL";
    stage.database.until_at_least(1, PATIENCE, done).await;
    random_changes(&world, 10);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    bridge.stop().await;

    // What each path was told of things as they appeared: by object, the ids of the events.
    let mut told: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for request in stage.receiver.received().iter().filter(|request| request.succeeded()) {
        let body: Value = request.json().expect("a callback is JSON");
        let kind = body["type"].as_str().unwrap();
        if ["wallet.created", "wallet.replaced", "deposit.created"].contains(&kind) {
            let object = body["data"]["object"]["id"].as_str().unwrap().to_owned();
            let id = request.id.clone().unwrap();
            told.entry((request.path.clone(), object)).or_default().insert(id);
        }
        let is_history = request.header("lumo-reason") == Some("backfill") || body["origin"] == "backfill";
        assert!(!is_history || request.path == "/crm", "nobody else is told of history: {body}");
    }
    let rows = "SELECT id FROM lumo_user_wallets WHERE missing_since IS NULL \
                UNION ALL SELECT id FROM lumo_user_deposits WHERE missing_since IS NULL";
    for row in stage.database.rows(rows).await {
        let id = row[0].clone().unwrap();
        let events = told.get(&("/crm".to_owned(), id.clone())).map_or(0, BTreeSet::len);
        assert_eq!(events, 1, "events that told crm of {id}");
    }
    let twice = "SELECT event_id FROM lumo_deliveries WHERE endpoint = 'crm' GROUP BY event_id HAVING COUNT(*) > 1";
    assert!(stage.database.rows(twice).await.is_empty(), "an event was queued twice");
    let again = stage.command(&["status", "--json"]).await;
    let document: Value = serde_json::from_str(&again.stdout).expect("status prints JSON");
    assert!(document["endpoints"][0]["backfill"]["done_at"].is_string(), "{document}");
}
