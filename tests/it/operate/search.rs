//! A payment is looked for by what its payer knows: the transaction, or the address that was paid to.

use lumo_simulator::World;
use serde_json::Value;

use super::json;
use crate::admin::{Client, daemon};
use crate::database::{Database, on_each_database};
use crate::world::{Stage, seed};

on_each_database!(a_payment_is_found_by_command_and_over_http);

const ELSEWHERE: &str = "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb";

fn ids(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// Asserts that a list with this filter has these rows and no others, as text and as JSON. An empty one is said.
async fn assert_listed(stage: &Stage, list: [&str; 2], filter: [&str; 2], expected: &[&str]) {
    let arguments = [list, filter].concat();
    let text = stage.command(&arguments).await;
    assert_eq!(text.status.code(), Some(0), "{arguments:?}: {text:?}");
    for id in expected {
        assert!(text.stdout.contains(id), "{arguments:?}: {text:?}");
    }
    if expected.is_empty() {
        assert!(text.stdout.is_empty() && text.stderr.contains(&format!("no {}s", list[0])), "{arguments:?}: {text:?}");
    }
    let document = json(&stage.command(&[&arguments[..], &["--json"]].concat()).await);
    assert_eq!(ids(&document), expected, "{arguments:?}");
}

async fn assert_answered(client: &Client, path: &str, expected: &[&str]) {
    let page = client.read(path).await;
    assert_eq!(ids(&page["data"]), expected, "{path}");
}

async fn a_payment_is_found_by_command_and_over_http(database: Database) {
    const DEPOSITS: [&str; 2] = ["deposit", "list"];
    const WALLETS: [&str; 2] = ["wallet", "list"];
    let mut stage = Stage::new(database, World::live(seed())).await;
    let paid = stage.world.add_deposit_for("ann", "1").unwrap();
    let other = stage.world.add_deposit_for("bob", "2").unwrap();
    let synced = stage.command(&["sync"]).await;
    assert_eq!(synced.status.code(), Some(0), "{synced:?}");
    let (id, other) = (paid.id.to_string(), other.id.to_string());
    let column = |table: &str, column: &str| format!("SELECT {column} FROM {table} WHERE external_id = 'ann'");
    let hash = stage.database.value(&column("lumo_user_deposits", "tx_hash")).await;
    let address = stage.database.value(&column("lumo_user_deposits", "address")).await;
    let wallet = stage.database.value(&column("lumo_user_wallets", "id")).await;
    let (upper, lower) = (hash.to_uppercase(), hash.to_lowercase());
    let unknown = "0".repeat(64);

    for hash in [&hash, &upper, &lower] {
        assert_listed(&stage, DEPOSITS, ["--tx-hash", hash], &[&id]).await;
    }
    assert_listed(&stage, DEPOSITS, ["--tx-hash", &unknown], &[]).await;
    for (list, known) in [(DEPOSITS, &id), (WALLETS, &wallet)] {
        assert_listed(&stage, list, ["--address", &address], &[known]).await;
        assert_listed(&stage, list, ["--address", ELSEWHERE], &[]).await;
    }

    let (bridge, client) = daemon(&mut stage).await;
    for hash in [&hash, &upper, &lower] {
        assert_answered(&client, &format!("/api/deposits?tx_hash={hash}"), &[&id]).await;
    }
    assert_answered(&client, &format!("/api/deposits?tx_hash={unknown}"), &[]).await;
    for (path, known) in [("/api/deposits", &id), ("/api/wallets", &wallet)] {
        assert_answered(&client, &format!("{path}?address={address}"), &[known]).await;
        assert_answered(&client, &format!("{path}?address={ELSEWHERE}"), &[]).await;
    }
    assert_answered(&client, &format!("/api/deposits?tx_hash={hash}&address={address}"), &[&id]).await;
    assert_answered(&client, &format!("/api/deposits?tx_hash={hash}&address={ELSEWHERE}"), &[]).await;
    assert_answered(&client, &format!("/api/deposits?external_id=bob&address={address}"), &[]).await;
    assert_answered(&client, "/api/deposits?external_id=bob", &[&other]).await;
    bridge.stop().await;
}
