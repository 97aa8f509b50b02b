//! Several processes on one database.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use lumo_bridge::model::Listing;
use lumo_simulator::{Answer, Fault, Operation, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, eventually, random_changes, seed};

on_each_database!(
    two_processes_share_the_deliveries_without_sending_anything_twice,
    a_pass_that_fails_does_not_undo_the_import_that_another_process_has_finished,
);

async fn two_processes_share_the_deliveries_without_sending_anything_twice(database: Database) {
    let world = World::live(seed());
    world.seed(60, 240);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(3));
    // On a busy machine an answer may be late; one that is too late is asked for again, and rightly.
    stage.settings.set("callbacks.defaults.timeout", json!("60s"));
    // Who starts first must not be done before the other one has begun, however long that takes to start.
    let seen = Mutex::new(BTreeSet::new());
    stage.receiver.script(move |request| {
        let mut seen = seen.lock().unwrap();
        seen.insert(request.header("x-process").map(str::to_owned));
        Answer::status(200).after(Duration::from_millis(if seen.len() == 2 { 40 } else { 1000 }))
    });
    // Both start on an empty database, at the same time.
    let bridges = ["a", "b"].map(|name| {
        stage.settings.set("callbacks.endpoints.shop.headers", json!({ "x-process": name }));
        stage.daemon()
    });
    stage.until_imported().await;
    random_changes(&world, 100);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0);
    let mut by_process: HashMap<String, usize> = HashMap::new();
    for request in stage.receiver.received() {
        *by_process.entry(request.header("x-process").unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(by_process.len(), 2, "both have delivered: {by_process:?}");
    for bridge in bridges {
        bridge.stop().await;
    }
}

/// A pass keeps what it read of the progress when it began; another process may have come further meanwhile.
async fn a_pass_that_fails_does_not_undo_the_import_that_another_process_has_finished(database: Database) {
    let world = World::live(seed());
    world.seed(20, 60);
    let mut stage = Stage::new(database, world).await;
    stage.settings.set("lumo.page_size", json!(20));
    let (slow, quick) = (stage.parts().await, stage.parts().await);
    let faults = stage.simulator.faults();
    faults.inject_on(Operation::ListDeposits, 1, Fault::Hang { time: Duration::from_secs(3) });
    let failing = slow.pass(Listing::Deposits);
    let other = async {
        eventually!(PATIENCE, "the slow one waits for its first page", faults.waiting() == 0);
        quick.pass(Listing::Deposits).await.expect("pass failed");
        assert_eq!(stage.database.count("lumo_sync_state", IMPORTED).await, 1);
        faults.inject_on(Operation::ListDeposits, 100, Fault::Status { code: 500, retry_after: None });
    };
    let (failed, ()) = tokio::join!(failing, other);
    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(stage.database.count("lumo_sync_state", IMPORTED).await, 1, "the import is still done");
}

const IMPORTED: &str = "listing = 'deposits' AND import_done_at IS NOT NULL";
