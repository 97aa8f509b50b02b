//! Several processes on one database.

use std::time::Duration;

use lumo_bridge::model::Listing;
use lumo_simulator::{Answer, Fault, Operation, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, eventually, random_changes, seed};

on_each_database!(
    one_of_two_processes_delivers_and_the_other_goes_on_after_it,
    a_lead_that_was_left_on_record_goes_to_the_process_with_the_form_that_counts,
    a_pass_that_fails_does_not_undo_the_import_that_another_process_has_finished,
);

async fn one_of_two_processes_delivers_and_the_other_goes_on_after_it(database: Database) {
    let world = World::live(seed());
    world.seed(60, 240);
    let mut stage = Stage::new(database, world.clone()).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(3));
    // On a busy machine an answer may be late; one that is too late is asked for again, and rightly.
    stage.settings.set("callbacks.defaults.timeout", json!("60s"));
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(20)));
    // Both start on an empty database, at the same time.
    let bridges = ["a", "b"].map(|name| {
        stage.settings.set("callbacks.endpoints.shop.headers", json!({ "x-process": name }));
        (name, stage.daemon())
    });
    assert!(stage.receiver.wait_for(20, PATIENCE).await);
    let leader = |stage: &Stage| {
        let last = stage.receiver.received().pop().unwrap();
        last.header("x-process").unwrap().to_owned()
    };
    let first = leader(&stage);
    let (mut leading, mut waiting): (Vec<_>, Vec<_>) = bridges.into_iter().partition(|(name, _)| *name == first);
    leading.remove(0).1.stop().await;
    stage.until_imported().await;
    random_changes(&world, 100);
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0);
    assert_ne!(leader(&stage), first, "the other goes on");
    waiting.remove(0).1.stop().await;
}

async fn a_lead_that_was_left_on_record_goes_to_the_process_with_the_form_that_counts(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    let led = |by: &str| format!("SELECT COUNT(*) FROM lumo_endpoints WHERE process {by}");
    stage.settings.set("callbacks.endpoints.shop.headers", json!({ "x-process": "first" }));
    let first = stage.daemon();
    stage.until_imported().await;
    stage.database.until_at_least(1, PATIENCE, &led("IS NOT NULL")).await;
    let process = stage.database.value("SELECT process FROM lumo_endpoints").await;
    stage.settings.set("callbacks.endpoints.shop.headers", json!({ "x-process": "second" }));
    stage.settings.set("callbacks.endpoints.shop.timeout", json!("20s"));
    let mut second = stage.daemon();
    stage.database.until_at_least(1, PATIENCE, &led(&format!("<> {process}"))).await;

    // As if the first one had taken the lead, and the answer of the database had been lost.
    stage.database.execute(&format!("UPDATE lumo_endpoints SET process = {process}")).await;
    stage.database.execute("UPDATE lumo_positions SET epoch = epoch + 1, revision = revision + 1").await;
    second.until_logged("another process delivers to the endpoint now", PATIENCE).await;
    stage.world.add_wallet("ann");
    let delivered = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
    stage.database.until_at_least(1, PATIENCE, delivered).await;
    assert_eq!(stage.receiver.received()[0].header("x-process"), Some("second"));
    first.stop().await;
    second.stop().await;
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
