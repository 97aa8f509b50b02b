//! Pages as large as an answer may be: what the process takes of memory is bounded, whatever the pages of all listings have.

use std::time::Duration;

use lumo_simulator::{Fault, Quirks, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{Stage, seed};

on_each_database!(
    pages_of_sixteen_mebibytes_are_read_and_stored_in_bounded_memory,
    pages_of_three_mebibytes_are_read_and_stored_in_bounded_memory,
);

/// How large the items are. A hundred of them are a little less than 16 MiB, or 3 MiB.
const LARGEST: usize = 165_000;
const LARGE: usize = 30_000;
/// A debug build takes about 55 MiB with pages of any ordinary size, and about 120 MiB here. Copies of whole pages, or pages
/// that are kept side by side, take 250 MiB and more.
const MEMORY: u64 = 192 << 20;

async fn pages_of_sixteen_mebibytes_are_read_and_stored_in_bounded_memory(database: Database) {
    read_and_store(database, LARGEST).await;
}

async fn pages_of_three_mebibytes_are_read_and_stored_in_bounded_memory(database: Database) {
    read_and_store(database, LARGE).await;
}

async fn read_and_store(database: Database, item: usize) {
    let world = World::live(seed());
    world.seed(150, 300);
    for wallet in world.snapshot().wallets.iter().take(100) {
        world.block(wallet.id, "large").unwrap();
    }
    let mut stage = Stage::with(database, world, Quirks::default(), Duration::ZERO).await;
    stage.settings.set("lumo.rate", json!("1000/s"));
    stage.simulator.faults().at_random(1, 1.0, vec![Fault::LargeItems { bytes: item }]);
    let bridge = stage.daemon();
    stage.until_imported().await;
    stage.until_read_again().await;
    assert_eq!(stage.database.count("lumo_user_deposits", &format!("LENGTH(raw) > {}", item - 100)).await, 300);
    let memory = bridge.peak_memory();
    println!("{:?} MiB at most", memory.map(|bytes| bytes >> 20));
    assert!(memory.is_none_or(|bytes| bytes < MEMORY), "{memory:?} bytes at most");
    bridge.stop().await;
}
