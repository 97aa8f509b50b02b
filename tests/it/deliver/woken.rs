//! Commands wake the daemon: it never looks at the table unasked here, so what is delivered was called for.

use lumo_simulator::{Answer, World};
use serde_json::json;

use crate::database::Database;
use crate::world::{PATIENCE, Stage, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_in_other_processes_wake_the_dispatchers() {
    let mut stage = Stage::new(Database::postgres().await, World::live(seed())).await;
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["1h"], "jitter": 0.0 }));
    let parts = stage.parts().await;
    parts.sync().await;
    let delivering = parts.deliver().await;
    let command = async |arguments: &[&str]| {
        let finished = stage.command(arguments).await;
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    };
    let received = async |count: usize, what: &str| {
        assert!(stage.receiver.wait_for(count, PATIENCE).await, "not delivered: {what}");
    };

    command(&["wallet", "create", "bob"]).await;
    received(1, "what a command stored").await;
    stage.until_delivered().await;
    let replay = ["event", "replay", "--since", "1d", "--endpoint", "shop"];
    command(&replay).await;
    received(2, "a replay").await;
    stage.until_delivered().await;
    command(&["endpoint", "pause", "shop"]).await;
    command(&replay).await;
    command(&["endpoint", "resume", "shop"]).await;
    received(3, "what had waited for a paused endpoint").await;
    stage.until_delivered().await;

    stage.receiver.script(|_| Answer::status(500));
    command(&replay).await;
    received(4, "an attempt that fails").await;
    let retrying = "SELECT event_id || '@' || endpoint FROM lumo_deliveries WHERE state = 'retrying'";
    stage.database.until("the failure is settled", PATIENCE, retrying, |rows| rows.len() == 1).await;
    stage.receiver.script(|_| Answer::status(200));
    command(&["delivery", "retry", &stage.database.value(retrying).await]).await;
    received(5, "a retry by hand").await;
    stage.until_delivered().await;
    delivering.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_listens() {
    let stage = Stage::new(Database::postgres().await, World::live(seed())).await;
    let bridge = stage.daemon();
    let ears = "SELECT COUNT(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND query LIKE 'LISTEN \"lumo_queued_%'";
    stage.database.until_at_least(1, PATIENCE, ears).await;
    bridge.stop().await;
}
