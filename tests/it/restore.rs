//! A database that is put back to an earlier state: what it no longer knows is told again, and nothing under the id of
//! another fact.

use std::sync::Arc;

use lumo_simulator::{Received, World};

use crate::database::{Database, on_each_database};
use crate::world::{Stage, seed};

on_each_database!(what_a_backup_does_not_know_is_found_again_and_no_id_stands_for_two_facts);

/// All tables but those that tell which process does what, and the migrations' own.
const TABLES: [&str; 12] = [
    "lumo_delivery_attempts",
    "lumo_endpoints",
    "lumo_events",
    "lumo_exceptions",
    "lumo_meta",
    "lumo_positions",
    "lumo_streams",
    "lumo_subscriptions",
    "lumo_sync_runs",
    "lumo_sync_state",
    "lumo_user_deposits",
    "lumo_user_wallets",
];

async fn back_up(database: &Database) {
    for table in TABLES {
        database.execute(&format!("CREATE TABLE backup_{table} AS SELECT * FROM {table}")).await;
    }
}

async fn restore(database: &Database) {
    for table in TABLES {
        database.execute(&format!("DELETE FROM {table}")).await;
        database.execute(&format!("INSERT INTO {table} SELECT * FROM backup_{table}")).await;
    }
}

/// Runs the bridge until all is stored and told, and returns what was.
async fn told(stage: &Stage) -> Vec<Arc<Received>> {
    let before = stage.receiver.count();
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.until_mirrored().await;
    stage.until_delivered().await;
    bridge.stop().await;
    stage.receiver.received().split_off(before)
}

fn id<'a>(told: &'a [Arc<Received>], kind: &str) -> &'a str {
    let of: Vec<_> = told.iter().filter(|one| one.event_type.as_deref() == Some(kind)).collect();
    assert_eq!(of.len(), 1, "{kind} was told {} times", of.len());
    of[0].id.as_deref().unwrap()
}

async fn what_a_backup_does_not_know_is_found_again_and_no_id_stands_for_two_facts(database: Database) {
    let world = World::live(seed());
    world.seed(20, 40);
    let stage = Stage::new(database, world.clone()).await;
    told(&stage).await;
    back_up(&stage.database).await;

    let wallet = world.wallet_of("user-000001").unwrap().id;
    world.set_balance(wallet, "5", "0").unwrap();
    world.add_deposit_for("user-000002", "1").unwrap();
    let first = told(&stage).await;

    restore(&stage.database).await;
    let noted = stage.command(&["migrate", "restored"]).await;
    assert!(noted.status.success(), "{}", noted.stderr);
    world.set_balance(wallet, "9", "0").unwrap();
    let again = told(&stage).await;

    assert_eq!(id(&first, "deposit.created"), id(&again, "deposit.created"));
    assert_ne!(id(&first, "wallet.balance_changed"), id(&again, "wallet.balance_changed"), "5 is not 9");
}
