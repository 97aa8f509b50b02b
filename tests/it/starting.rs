//! A start that takes its time: it answers, says what it waits for, and ends when it is told to.

use std::time::Duration;

use lumo_simulator::World;
use sea_orm::DbBackend;
use serde_json::json;

use crate::admin::client::Client;
use crate::database::{Database, Held, on_each_database};
use crate::world::{PATIENCE, Stage, seed};

on_each_database!(a_start_that_waits_for_another_one_to_migrate_answers_and_ends_when_told_to);

/// How soon a process is gone that has nothing to wait for.
const AT_ONCE: Duration = Duration::from_secs(3);

/// What a process that migrates holds.
async fn migrating(database: &Database) -> Held {
    let lock = match database.backend() {
        DbBackend::Sqlite => "CREATE TABLE made_by_another (id INTEGER)",
        DbBackend::MySql => "SELECT GET_LOCK(CONCAT('lumo_migrations/', DATABASE()), 0)",
        _ => "SELECT pg_advisory_xact_lock(1819635055)",
    };
    database.hold(lock).await
}

async fn a_start_that_waits_for_another_one_to_migrate_answers_and_ends_when_told_to(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    if stage.database.is_sqlite() {
        // As whoever came first has left it.
        stage.database.execute("PRAGMA journal_mode = WAL").await;
    }
    let held = migrating(&stage.database).await;
    let mut bridge = stage.daemon();
    bridge.until_logged("another process changes the tables; waiting until it is done", PATIENCE).await;
    let client = Client::of_beginner(&mut bridge).await;
    assert_eq!(client.text("/healthz").await, "ok\n");
    let ready = client.get("/readyz").await;
    assert_eq!(
        (ready.status, ready.body["problem"].as_str()),
        (503, Some("the database is being opened, and its tables brought up to date"))
    );
    let refused = client.get("/api/status").await;
    assert_eq!((refused.status, refused.body["error"]["code"].as_str()), (503, Some("starting")));
    bridge.signal("TERM");
    let finished = bridge.finished(AT_ONCE).await;
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);

    let mut bridge = stage.daemon();
    bridge.until_logged("another process changes the tables; waiting until it is done", PATIENCE).await;
    held.release().await;
    stage.until_imported().await;
    let client = Client::of(&mut bridge).await;
    assert_eq!(client.read("/readyz").await, json!({ "ready": true }));
    assert_eq!(client.text("/healthz").await, "ok\n");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_taken_is_named_with_what_to_do() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, port) = (taken.local_addr().unwrap().to_string(), taken.local_addr().unwrap().port().to_string());
    stage.settings.set("server.listen", json!(address));
    for (command, words, hint) in [
        (&["run"][..], address.as_str(), "set `server.listen`"),
        (&["simulate", "--listen", &address], &address, "`--listen`"),
        (&["callback", "listen", "--port", &port], &port, "`--port`"),
    ] {
        let finished = stage.command(command).await;
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        for part in ["cannot listen on ", words, "Address already in use", hint] {
            assert!(finished.stderr.contains(part), "{part}: {}", finished.stderr);
        }
    }
}
