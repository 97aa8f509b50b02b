//! What `/metrics` tells, as Prometheus would read it.

use std::collections::BTreeMap;

use lumo_simulator::World;
use serde_json::json;

use super::{daemon, running};
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(metrics_tell_of_every_part, runs_of_a_sink_are_counted_like_callbacks);

/// Every sample by its name and labels. Fails on a line that Prometheus would not take.
pub(super) fn samples(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut family) = (BTreeMap::new(), "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            family = name;
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(family) && name.starts_with("lumo_bridge_"), "{line} after {family}");
            let value: f64 = value.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    samples
}

async fn metrics_tell_of_every_part(database: Database) {
    let (stage, bridge, client) = running(database, 3).await;
    let delivered = stage.database.count("lumo_deliveries", "state = 'delivered'").await as f64;
    let accepted = r#"lumo_bridge_delivery_attempts_total{endpoint="shop",outcome="accepted"}"#;
    eventually!(PATIENCE, "every delivery is counted", {
        samples(&client.text("/metrics").await).get(accepted) == Some(&delivered)
    });
    let samples = samples(&client.text("/metrics").await);
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} is not told: {samples:#?}"));

    assert_eq!(value(r#"lumo_bridge_delivery_attempt_duration_seconds_count{endpoint="shop"}"#), delivered);
    assert_eq!(value(r#"lumo_bridge_detected_to_accepted_seconds_count{endpoint="shop"}"#), delivered);
    assert_eq!(value(r#"lumo_bridge_delivery_oldest_wait_seconds{endpoint="shop"}"#), 0.0);
    assert_eq!(value(r#"lumo_bridge_endpoint_hold_until_timestamp_seconds{endpoint="shop"}"#), 0.0);
    assert_eq!(value("lumo_bridge_watched_users"), 0.0);
    assert_eq!(value(r#"lumo_bridge_endpoint_state{endpoint="shop",state="active"}"#), 1.0);
    for listing in ["wallets", "blocked", "deposits"] {
        let age = value(&format!(r#"lumo_bridge_sync_complete_through_age_seconds{{listing="{listing}"}}"#));
        assert!(age < PATIENCE.as_secs_f64(), "{age}");
        assert_eq!(value(&format!(r#"lumo_bridge_sync_stalled{{listing="{listing}"}}"#)), 0.0);
    }
    assert_eq!(value(r#"lumo_bridge_sync_rows_total{listing="wallets",change="appeared"}"#), 3.0);
    assert!(value(r#"lumo_bridge_lumo_requests_total{lane="fresh",outcome="answered"}"#) >= 3.0);
    assert!(value(r#"lumo_bridge_store_transactions_total{name="sync.finish",outcome="committed"}"#) >= 3.0);
    assert_eq!(value("lumo_bridge_sync_leads"), 1.0);
    let rate = value("lumo_bridge_lumo_rate_requests_per_second");
    assert!(rate > 0.0 && rate <= value("lumo_bridge_lumo_rate_ceiling_requests_per_second"), "{rate}");
    assert!(value("lumo_bridge_lumo_wait_seconds") >= 0.0);
    assert!(value("lumo_bridge_process_resident_memory_bytes") > 1_000_000.0);
    assert!(samples.keys().any(|name| name.starts_with("lumo_bridge_build_info{version=")));
    bridge.stop().await;
}

async fn runs_of_a_sink_are_counted_like_callbacks(database: Database) {
    database.execute("CREATE TABLE ledger (event_id varchar(128) NOT NULL)").await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set(
        "callbacks.endpoints.ledger",
        json!({ "sink": { "sql": "INSERT INTO ledger (event_id) VALUES (:event_id)", "timeout": "5s" }, "events": ["*"] }),
    );
    for user in 0..3 {
        stage.world.add_wallet(&format!("user {user}"));
    }
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    stage.until_delivered().await;
    assert_eq!(stage.database.count("ledger", "1 = 1").await, 3);
    let line = r#"lumo_bridge_delivery_attempts_total{endpoint="ledger",outcome="accepted"} 3"#;
    eventually!(PATIENCE, "each run is counted", client.text("/metrics").await.lines().any(|found| found == line));
    let text = client.text("/metrics").await;
    let took = r#"lumo_bridge_delivery_attempt_duration_seconds_count{endpoint="ledger"} 3"#;
    assert!(text.lines().any(|found| found == took), "{text}");
    assert!(!text.contains("sink_runs"), "{text}");
    bridge.stop().await;
}
