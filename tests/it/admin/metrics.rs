//! What `/metrics` tells, as Prometheus would read it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lumo_bridge::clock::Clock;
use lumo_simulator::World;
use reqwest::Method;
use serde_json::json;

use super::{daemon, running};
use crate::database::{Database, on_each_database};
use crate::world::{Gate, PATIENCE, Stage, eventually, seed};

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
            let is_ours = name.starts_with("lumo_bridge_") || name.starts_with("process_");
            assert!(name.starts_with(family) && is_ours, "{line} after {family}");
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
    assert!(samples.keys().any(|name| name.starts_with("lumo_bridge_build_info{version=")));
    if cfg!(target_os = "linux") {
        assert!(value("process_resident_memory_bytes") > 1_000_000.0);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_cpu_seconds_total") > 0.0);
        assert!(value("process_open_fds") > 3.0 && value("process_open_fds") < value("process_max_fds"));
        let age = Clock::system().now().timestamp() as f64 - value("process_start_time_seconds");
        assert!((-2.0..PATIENCE.as_secs_f64()).contains(&age), "{age}");
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_series_is_there_before_anything_is_counted() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    for listing in ["wallets", "blocked", "deposits"] {
        stage.settings.set(&format!("sync.{listing}.schedule"), json!("@yearly"));
    }
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    let samples = samples(&client.text("/metrics").await);
    for name in [
        r#"lumo_bridge_deliveries{endpoint="shop",state="dead"}"#,
        r#"lumo_bridge_delivery_attempts_total{endpoint="shop",outcome="timeout"}"#,
        r#"lumo_bridge_delivery_attempt_duration_seconds_bucket{endpoint="shop",le="+Inf"}"#,
        r#"lumo_bridge_deliveries_given_up_total{endpoint="shop"}"#,
        r#"lumo_bridge_callbacks_filtered_total{endpoint="shop"}"#,
        r#"lumo_bridge_detected_to_accepted_seconds_count{endpoint="shop"}"#,
        r#"lumo_bridge_endpoint_state{endpoint="shop",state="failing"}"#,
        r#"lumo_bridge_lumo_requests_total{lane="sweep",outcome="unauthorized"}"#,
        r#"lumo_bridge_store_transactions_total{name="sync.page",outcome="failed"}"#,
        r#"lumo_bridge_store_transaction_retries_total{name="retention.events"}"#,
        r#"lumo_bridge_sync_pass_duration_seconds_count{listing="wallets",outcome="cancelled"}"#,
        r#"lumo_bridge_sync_rows_total{listing="deposits",change="rejected"}"#,
        "lumo_bridge_watch_requests_total",
    ] {
        assert_eq!(samples.get(name), Some(&0.0), "{name} in {samples:#?}");
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_silent_is_not_waited_for() {
    let mut stage = Stage::new(Database::postgres().await, World::live(seed())).await;
    let (gate, url) = Gate::to_database(stage.database.url()).await;
    stage.settings.set("database.url", json!(url));
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    eventually!(PATIENCE, "it is ready", client.get("/readyz").await.status == 200);
    gate.hush();
    let asked = Instant::now();
    let ready = client.get("/readyz").await;
    assert_eq!((ready.status, &ready.body["problem"]), (503, &json!("the database does not answer")));
    assert!(ready.body["findings"][0]["hint"].as_str().unwrap().contains("`database.url`"), "{ready:?}");
    let status = client.get("/api/status").await;
    let error = &status.body["error"];
    assert_eq!((status.status, &error["code"]), (503, &json!("database_unavailable")), "{status:?}");
    // A connection that was waited for in vain may be found broken before another one is silent.
    assert!(error["message"].as_str().unwrap().contains("database") && error["hint"].is_string(), "{status:?}");
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?} for both", asked.elapsed());
    let asked = Instant::now();
    let samples = samples(&client.text("/metrics").await);
    assert!(asked.elapsed() < Duration::from_secs(7), "{:?} for the metrics", asked.elapsed());
    assert_eq!(samples.get("lumo_bridge_ready"), Some(&0.0));
    assert!(samples.contains_key("lumo_bridge_sync_leads"), "{samples:#?}");
    assert!(!samples.keys().any(|name| name.starts_with("lumo_bridge_deliveries{")), "{samples:#?}");
    gate.open();
    eventually!(PATIENCE, "it is ready again", client.get("/readyz").await.status == 200);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_metrics_is_answered_to_whom_asks_for_it() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;
    let ask = async |accept: &str| {
        let answer = client.request(Method::GET, "/metrics").header("accept", accept).send().await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, answer.text().await.unwrap())
    };
    let (kind, classic) = ask("*/*").await;
    assert_eq!(kind, "text/plain; version=0.0.4");
    let of_family = |text: &str, line: &str| text.lines().any(|found| found == line);
    assert!(of_family(&classic, "# TYPE lumo_bridge_watch_requests_total counter"), "{classic}");
    assert!(!classic.contains("# EOF"), "{classic}");
    let (kind, open) = ask("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5").await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(of_family(&open, "# TYPE lumo_bridge_watch_requests counter"), "{open}");
    assert!(of_family(&open, "# TYPE lumo_bridge_build info"), "{open}");
    assert!(open.ends_with("# EOF\n"), "{open}");
    let names = |text: &str| -> BTreeSet<String> {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
    };
    // The first rounds may end between the two.
    eventually!(PATIENCE, "the same is shown in either form", {
        names(&ask("*/*").await.1) == names(&ask("application/openmetrics-text").await.1)
    });
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
