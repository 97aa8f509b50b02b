//! Signals: what is in hand is finished, what is not is kept, and the process is gone when it should be.

use std::time::{Duration, Instant};

use lumo_simulator::{Answer, Quirks, World};
use serde_json::{Value, json};

use crate::database::{Database, on_each_database};
use crate::world::{Announced, Bridge, PATIENCE, Stage, seed};

on_each_database!(
    sigterm_lets_deliveries_in_flight_finish,
    sigint_lets_deliveries_in_flight_finish,
    sigterm_during_a_first_import_ends_it_at_once_and_keeps_what_was_read,
);

/// The time to drain, and a little.
const DRAINED: Duration = Duration::from_secs(12);
/// How soon a process is gone that has nothing to wait for.
const AT_ONCE: Duration = Duration::from_secs(3);

async fn sigterm_lets_deliveries_in_flight_finish(database: Database) {
    lets_deliveries_in_flight_finish(database, "TERM").await;
}

async fn sigint_lets_deliveries_in_flight_finish(database: Database) {
    lets_deliveries_in_flight_finish(database, "INT").await;
}

async fn lets_deliveries_in_flight_finish(database: Database, signal: &str) {
    let stage = announcing(database).await;
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_secs(1)));
    let bridge = stage.daemon();
    assert!(stage.receiver.wait_for(5, PATIENCE).await);
    bridge.signal(signal);
    let finished = bridge.finished(DRAINED).await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);

    let received = i64::try_from(stage.receiver.count()).unwrap();
    let in_state = async |state: &str| stage.database.count("lumo_deliveries", &format!("state = '{state}'")).await;
    assert_eq!(in_state("delivered").await, received, "what was in flight is settled");
    assert_eq!(in_state("sending").await, 0, "nothing is left to a lease");
    assert!(in_state("pending").await > 0, "the signal came before the end");

    stage.receiver.unscript();
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0, "what was in flight is not sent again");
    bridge.stop().await;
}

async fn sigterm_during_a_first_import_ends_it_at_once_and_keeps_what_was_read(database: Database) {
    let world = World::live(seed());
    world.seed(200, 200);
    let mut stage = Stage::with(database, world, Quirks::default(), Duration::from_millis(200)).await;
    stage.settings.set("lumo.page_size", json!(10));
    let bridge = stage.daemon();
    let rows = "SELECT COUNT(*) FROM lumo_user_wallets";
    stage.database.until_at_least(20, PATIENCE, rows).await;
    bridge.signal("TERM");
    let finished = bridge.finished(AT_ONCE).await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let stored = stage.database.number(rows).await;
    assert!((20..200).contains(&stored), "{stored} rows");
    assert_eq!(stage.database.count("lumo_sync_runs", "listing = 'wallets' AND outcome = 'cancelled'").await, 1);
    assert_eq!(stage.database.count("lumo_sync_state", "listing = 'wallets' AND import_done_at IS NOT NULL").await, 0);
    let is_line = |line: &&str| line.contains("the first import goes on") && line.contains("listing=wallets");
    let said: Vec<&str> = finished.stderr.lines().filter(is_line).collect();
    assert!(matches!(said[..], [line] if line.contains("rows=") && line.contains("total=200")), "{}", finished.stderr);
    let status = stage.command(&["status", "--json"]).await.stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    let wallets = &status["listings"][0];
    assert_eq!((&wallets["state"], &wallets["last_total"]), (&json!("importing"), &json!(200)), "{status}");
    assert_eq!(wallets["rows"], json!(stored), "{status}");
    let status = stage.command(&["status"]).await.stdout;
    let words = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("wallets: the first import of 200 rows is running since "), "{status}");

    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.assert_mirrored().await;
    assert_eq!(stage.events().await.len(), 0, "an import in two parts is as silent as one in one");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
    let (_stage, mut bridge) = hanging().await;
    bridge.signal("TERM");
    bridge.until_logged("stopping", AT_ONCE).await;
    bridge.signal("TERM");
    let finished = bridge.finished(AT_ONCE).await;
    assert!(finished.stderr.contains("second signal"), "{}", finished.stderr);
    assert!(finished.status.code().is_some(), "it ended by itself: {:?}", finished.status);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_to_drain_is_limited() {
    let (_stage, bridge) = hanging().await;
    let start = Instant::now();
    bridge.signal("TERM");
    let finished = bridge.finished(DRAINED).await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(start.elapsed() >= Duration::from_secs(9), "it did not wait for what was in flight");
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

/// Everything that there is will be announced.
async fn announcing(database: Database) -> Stage {
    let world = World::live(seed());
    world.seed(40, 60);
    let mut stage = Stage::new(database, world).await;
    stage.announce_history();
    stage
}

/// A daemon with deliveries in flight to a receiver that does not answer.
async fn hanging() -> (Stage, Bridge) {
    let mut stage = announcing(Database::sqlite().await).await;
    stage.settings.set("callbacks.defaults.timeout", json!("60s"));
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_secs(60)));
    let bridge = stage.daemon();
    assert!(stage.receiver.wait_for(1, PATIENCE).await);
    (stage, bridge)
}
