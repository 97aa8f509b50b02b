//! Columns that stay empty because the configuration does not know where Lumo keeps what belongs there.

use lumo_bridge::clock::Clock;
use lumo_bridge::model::fingerprint::fingerprint;
use lumo_bridge::model::record::Deposit;
use lumo_simulator::World;
use serde_json::json;

use super::json;
use crate::database::{Database, on_each_database};
use crate::store::fixture::{deposit, ingest};
use crate::world::{Stage, seed};

on_each_database!(what_stays_empty_is_named_with_what_looks_like_it);

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn listed(number: usize) -> Deposit {
    let id = format!("d{number}");
    let raw = json!({ "id": id, "status": "new", "amount": "5", "chain": { "txn": { "hash": HASH } } }).to_string();
    Deposit { amount: "5".parse().ok(), fingerprint: fingerprint(&raw), raw: raw.into(), ..deposit(&id) }
}

/// What was printed, without the breaks of its lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn what_stays_empty_is_named_with_what_looks_like_it(database: Database) {
    let stage = Stage::new(database, World::new(seed())).await;
    let parts = stage.parts().await;
    let deposits: Vec<Deposit> = (0..20).map(listed).collect();
    ingest(&parts.store, &deposits[..19], Clock::system().now()).await;
    let status = stage.command(&["status"]).await;
    assert!(!words(&status.stdout).contains("is empty in all"), "too few to tell: {status:?}");

    ingest(&parts.store, &deposits[19..], Clock::system().now()).await;
    parts.store.close().await;
    let sentence =
        "`tx_hash` is empty in all of the newest 20 deposits; `chain.txn.hash` of the listed items looks like it";
    let hint = "set `lumo.deposit_fields.tx_hash: [chain.txn.hash]`";
    for command in ["status", "check"] {
        let told = words(&stage.command(&[command]).await.stdout);
        assert!(told.contains(sentence) && told.contains(hint), "{command}: {told}");
        assert!(told.contains("`currency`") && !told.contains("`amount`") && !told.contains("`status`"), "{told}");
    }
    let document = json(&stage.command(&["status", "--json"]).await);
    let columns = document["empty_columns"].as_array().unwrap();
    let hash = columns.iter().find(|column| column["column"] == "tx_hash").unwrap();
    assert_eq!(hash, &json!({ "column": "tx_hash", "rows": 20, "candidates": ["chain.txn.hash"] }), "{document}");
}
