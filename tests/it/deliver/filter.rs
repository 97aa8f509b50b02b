//! `when` of an endpoint: what it rejects is recorded and never sent, and what it cannot judge is not passed over.

use std::fs;

use lumo_simulator::World;
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(only_events_for_which_it_is_true_are_sent, what_it_cannot_judge_waits_for_another_expression);

/// How many deliveries to an endpoint are in a state.
async fn count(stage: &Stage, endpoint: &str, state: &str) -> i64 {
    stage.database.count("lumo_deliveries", &format!("endpoint = '{endpoint}' AND state = '{state}'")).await
}

async fn only_events_for_which_it_is_true_are_sent(database: Database) {
    database.execute("CREATE TABLE booked (deposit_id varchar(128), amount decimal(40, 18))").await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    let created = &["deposit.created"];
    stage.add_endpoint("large", "/large", created);
    stage
        .settings
        .set("callbacks.endpoints.large.when", json!("data.object.amount >= 10 and data.object.currency == 'USDT'"));
    let sink = json!({
        "sink": { "sql": "INSERT INTO booked VALUES (:object_id, :amount)", "timeout": "2s" },
        "events": created,
        "when": "data.object.external_id in ['bob', 'eve'] and data.object.amount != 10.000000000000000001",
    });
    stage.settings.set("callbacks.endpoints.books", sink);
    let bridge = stage.daemon();
    stage.until_imported().await;
    for (user, amount) in [
        ("bob", "9.999999999999999999"),
        ("bob", "10"),
        ("bob", "10.000000000000000001"),
        ("eve", "10.5"),
        ("eve", "0.000001"),
        ("mallory", "12345678901234567890.1"),
    ] {
        stage.world.add_deposit_for(user, amount).unwrap();
    }
    stage.until_mirrored().await;
    let settled = "endpoint IN ('large', 'books') AND state IN ('delivered', 'filtered')";
    eventually!(PATIENCE, "all is decided", stage.database.count("lumo_deliveries", settled).await == 12);
    bridge.stop().await;

    assert_eq!((count(&stage, "large", "delivered").await, count(&stage, "large", "filtered").await), (4, 2));
    assert_eq!((count(&stage, "books", "delivered").await, count(&stage, "books", "filtered").await), (4, 2));
    let amounts: Vec<String> = stage
        .receiver
        .received()
        .iter()
        .filter(|request| request.path == "/large")
        .map(|request| request.json().unwrap()["data"]["object"]["amount"].as_str().unwrap().to_owned())
        .collect();
    let mut sorted = amounts.clone();
    sorted.sort();
    assert_eq!(sorted, ["10", "10.000000000000000001", "10.5", "12345678901234567890.1"]);
    assert_eq!(stage.database.count("booked", "1 = 1").await, 4);

    let listed = stage.command(&["delivery", "list", "--endpoint", "large", "--state", "filtered", "--json"]).await;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let id = format!("{}@large", listed[0]["event_id"].as_str().unwrap());
    let shown = stage.command(&["delivery", "show", &id]).await.stdout;
    assert!(shown.contains("not sent: `when` of large was false for it"), "{shown}");
    let retried = stage.command(&["delivery", "retry", &id]).await;
    assert!(retried.stdout.contains("left out by `when` of its endpoint; nothing was changed"), "{retried:?}");
    let status = stage.command(&["status"]).await.stdout;
    assert!(!status.contains("waiting"), "what is left out waits for nothing: {status}");
}

async fn what_it_cannot_judge_waits_for_another_expression(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.add_endpoint("fees", "/fees", &["deposit.created"]);
    stage.settings.set("callbacks.endpoints.fees.retry", json!({ "schedule": ["1s", "1h"], "jitter": 0 }));
    stage.settings.set("callbacks.endpoints.fees.when", json!("data.upstream.fee > 1"));
    let checked = stage.command(&["check"]).await;
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    let finding = "`when`: `data.upstream.fee` is not there, with a sample of deposit.created";
    assert!(checked.stdout.contains(finding), "{checked:?}");

    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    for amount in ["1", "20"] {
        stage.world.add_deposit_for("bob", amount).unwrap();
    }
    stage.until_mirrored().await;
    let retrying = "endpoint = 'fees' AND attempts = 2 AND last_error LIKE '`when`: `data.upstream.fee` is not there%'";
    eventually!(PATIENCE, "it is tried by the schedule", stage.database.count("lumo_deliveries", retrying).await == 1);
    assert_eq!(count(&stage, "fees", "filtered").await, 0, "what cannot be judged is not rejected");
    assert!(!stage.receiver.received().iter().any(|request| request.path == "/fees"));

    // With another expression the first is judged when its time comes, and what stood behind it as well.
    stage.settings.set("callbacks.endpoints.fees.when", json!("data.object.amount > 10"));
    fs::write(&file, stage.settings.to_string()).unwrap();
    bridge.signal("HUP");
    bridge.until_logged("configuration reloaded; it is in force", PATIENCE).await;
    let waiting = "SELECT id FROM lumo_events WHERE id IN (SELECT event_id FROM lumo_deliveries \
                   WHERE endpoint = 'fees' AND attempts = 2)";
    let id = format!("{}@fees", stage.database.value(waiting).await);
    let retried = stage.command(&["delivery", "retry", &id]).await;
    assert_eq!(retried.status.code(), Some(0), "{retried:?}");
    let done = || async { (count(&stage, "fees", "filtered").await, count(&stage, "fees", "delivered").await) };
    eventually!(PATIENCE, "both are judged anew", done().await == (1, 1));
    bridge.stop().await;
    let received = stage.receiver.received();
    let amounts: Vec<_> = received.iter().filter(|request| request.path == "/fees").collect();
    assert_eq!(amounts.len(), 1);
    assert_eq!(amounts[0].json().unwrap()["data"]["object"]["amount"], "20");
}
