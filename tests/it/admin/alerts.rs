//! The table of alerts in docs/operations.md: each line of it fires in the state that it is for.

use std::collections::{BTreeMap, BTreeSet};

use lumo_simulator::{Answer as Reply, World};
use serde_json::json;

use super::client::Client;
use super::daemon;
use super::metrics::samples;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(
    a_start_with_a_refused_key_is_told_everywhere,
    a_start_without_an_api_is_told_everywhere_and_after_a_restart,
    a_process_that_stands_by_judges_by_the_tables,
);

/// The conditions of the table, as PromQL, without what the text says about how long they must hold.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let guide = std::fs::read_to_string(path).expect("docs/operations.md");
    let rows = guide.lines().skip_while(|line| !line.starts_with("| when | means |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).expect("a condition").to_owned()).collect()
}

/// Whether a condition of the form `[time() - ]name[{label="value"}] operator number` holds for any sample.
fn holds(condition: &str, samples: &BTreeMap<String, f64>) -> bool {
    let (subject, rest) = match condition.strip_prefix("time() - ") {
        Some(rest) => (true, rest),
        None => (false, condition),
    };
    let words: Vec<&str> = rest.rsplitn(3, ' ').collect();
    let [bound, operator, selector] = words[..] else { panic!("not understood: {condition}") };
    let bound: f64 = bound.parse().expect("a number");
    let (name, label) =
        selector.split_once('{').map_or((selector, None), |(name, label)| (name, label.strip_suffix('}')));
    let now = lumo_bridge::clock::Clock::system().now().timestamp() as f64;
    let selected = samples.iter().filter(|(sample, _)| {
        let (of, labels) = sample.split_once('{').unwrap_or((sample, ""));
        of == name && label.is_none_or(|label| labels.contains(label))
    });
    selected.map(|(_, value)| if subject { now - value } else { *value }).any(|value| match operator {
        "==" => value == bound,
        ">" => value > bound,
        _ => panic!("not understood: {condition}"),
    })
}

#[test]
fn conditions_are_read_as_prometheus_reads_them() {
    let samples = samples(
        "# TYPE lumo_bridge_a gauge\nlumo_bridge_a{listing=\"wallets\"} 0\nlumo_bridge_a{listing=\"deposits\"} 7\n",
    );
    for (condition, expected) in [
        ("lumo_bridge_a == 1", false),
        ("lumo_bridge_a == 7", true),
        ("lumo_bridge_a > 0", true),
        ("lumo_bridge_a{listing=\"wallets\"} > 0", false),
        ("lumo_bridge_a{listing=\"deposits\"} > 6", true),
        ("time() - lumo_bridge_a > 600", true),
        ("lumo_bridge_b == 0", false),
    ] {
        assert_eq!(holds(condition, &samples), expected, "{condition}");
    }
}

async fn fires(client: &Client, condition: &str) {
    assert!(documented().contains(condition), "`{condition}` is not in the table");
    eventually!(PATIENCE, format!("{condition} fires"), holds(condition, &samples(&client.text("/metrics").await)));
}

const READY: &str = "lumo_bridge_ready == 0";
const UNAUTHORIZED: &str = "lumo_bridge_sync_unauthorized == 1";
const WRONG_ACCOUNT: &str = "lumo_bridge_account_accepted == 0";
const STALLED: &str = "lumo_bridge_sync_stalled == 1";
const INCOMPLETE: &str = "time() - lumo_bridge_sync_complete_through_timestamp_seconds > 600";
const UNREAD: &str = "time() - lumo_bridge_sync_last_round_timestamp_seconds > 600";
const UNPROVED: &str = "time() - lumo_bridge_sync_proved_through_timestamp_seconds > 86400";
const GAP: &str = "lumo_bridge_sync_gap_rows > 0";
const REJECTS: &str = "lumo_bridge_sync_rejects > 0";
const HELD: &str = "lumo_bridge_sync_removals_held > 0";
const FAILING: &str = r#"lumo_bridge_endpoint_state{state="failing"} == 1"#;
const SUSPENDED: &str = r#"lumo_bridge_endpoint_state{state="suspended"} == 1"#;
const DEAD: &str = r#"lumo_bridge_deliveries{state="dead"} > 0"#;
const WAITING: &str = "lumo_bridge_delivery_oldest_wait_seconds > 900";
/// Prometheus's own, of a target that does not answer.
const GONE: &str = "up == 0";

#[test]
fn every_line_of_the_table_has_a_test() {
    let tested = [
        GONE,
        READY,
        UNAUTHORIZED,
        WRONG_ACCOUNT,
        STALLED,
        INCOMPLETE,
        UNREAD,
        UNPROVED,
        GAP,
        REJECTS,
        HELD,
        FAILING,
        SUSPENDED,
        DEAD,
        WAITING,
    ];
    assert_eq!(documented(), tested.iter().map(|condition| (*condition).to_owned()).collect());
}

/// What `/readyz` says is wrong.
async fn problem(client: &Client) -> String {
    let answer = client.get("/readyz").await;
    assert_eq!((answer.status, &answer.body["ready"]), (503, &json!(false)), "{answer:?}");
    answer.body["problem"].as_str().expect("a sentence").to_owned()
}

async fn first_line(stage: &Stage) -> String {
    let finished = stage.command(&["status"]).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    finished.stdout.lines().next().unwrap_or_default().to_owned()
}

/// A stage with an endpoint that hears of trouble.
async fn stage(database: Database) -> Stage {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.world.seed(5, 5);
    stage.add_endpoint("ops", "/ops", &["sync.*"]);
    stage
}

async fn until_told(stage: &Stage, kind: &str) {
    let of_kind = |all: &[std::sync::Arc<lumo_simulator::Received>]| {
        all.iter().any(|request| request.path == "/ops" && request.event_type.as_deref() == Some(kind))
    };
    assert!(stage.receiver.wait_until(PATIENCE, of_kind).await, "{kind} is not told");
}

async fn a_start_with_a_refused_key_is_told_everywhere(database: Database) {
    let mut stage = stage(database).await;
    stage.world.rotate_key();
    let (bridge, client) = daemon(&mut stage).await;
    // Before that the tables are made.
    eventually!(PATIENCE, "it is not ready from the start, and says why", {
        let first = problem(&client).await;
        first.contains("the first import has not begun") || first.starts_with("Lumo refuses the API key")
    });
    fires(&client, UNAUTHORIZED).await;
    fires(&client, READY).await;
    until_told(&stage, "sync.unauthorized").await;
    let said = problem(&client).await;
    assert!(said.starts_with("Lumo refuses the API key since "), "{said}");
    let line = first_line(&stage).await;
    assert!(line.starts_with("Lumo refuses the API key since "), "{line}");
    bridge.stop().await;
}

async fn a_start_without_an_api_is_told_everywhere_and_after_a_restart(database: Database) {
    let mut stage = stage(database).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let reachable = stage.simulator.base_url();
    stage.settings.set("lumo.base_url", json!(format!("http://{closed}")));
    let (bridge, client) = daemon(&mut stage).await;
    fires(&client, READY).await;
    // Nobody has to wait for the five minutes: the first attempt was long ago.
    stage
        .database
        .until_at_least(3, PATIENCE, "SELECT COUNT(*) FROM lumo_sync_state WHERE first_run_at IS NOT NULL")
        .await;
    stage.database.execute("UPDATE lumo_sync_state SET first_run_at = '2026-01-01 00:00:00.000000'").await;
    fires(&client, STALLED).await;
    until_told(&stage, "sync.stalled").await;
    stage
        .database
        .until_at_least(3, PATIENCE, "SELECT COUNT(*) FROM lumo_sync_state WHERE stalled_since IS NOT NULL")
        .await;
    let said = problem(&client).await;
    assert!(said.contains("not complete since 2026-01-01T00:00:00Z: page not read: Lumo is unavailable"), "{said}");
    assert!(said.contains(&format!("no connection: http://{closed} cannot be reached")), "{said}");
    let line = first_line(&stage).await;
    assert!(line.contains("not complete since 2026-01-01T00:00:00Z"), "{line}");
    bridge.stop().await;

    // The next process knows it before it has tried anything.
    for listing in ["wallets", "blocked", "deposits"] {
        stage.settings.set(&format!("sync.{listing}.schedule"), json!("@yearly"));
    }
    let (bridge, client) = daemon(&mut stage).await;
    let said = problem(&client).await;
    assert!(said.contains("not complete since 2026-01-01T00:00:00Z: page not read: Lumo is unavailable"), "{said}");
    bridge.stop().await;

    for listing in ["wallets", "blocked", "deposits"] {
        stage.settings.set(&format!("sync.{listing}.schedule"), json!("*/1 * * * * *"));
    }
    stage.settings.set("lumo.base_url", json!(reachable));
    let (bridge, client) = daemon(&mut stage).await;
    eventually!(PATIENCE, "it is ready", client.get("/readyz").await.status == 200);
    assert!(!holds(STALLED, &samples(&client.text("/metrics").await)));
    assert!(!holds(READY, &samples(&client.text("/metrics").await)));
    until_told(&stage, "sync.recovered").await;
    bridge.stop().await;
}

async fn a_process_that_stands_by_judges_by_the_tables(database: Database) {
    let mut stage = stage(database).await;
    stage.world.rotate_key();
    let (first, leading) = daemon(&mut stage).await;
    fires(&leading, UNAUTHORIZED).await;
    let (second, standing_by) = daemon(&mut stage).await;
    let said = problem(&standing_by).await;
    assert!(said.starts_with("Lumo refuses the API key since "), "{said}");
    fires(&standing_by, UNAUTHORIZED).await;
    let leads = |text: &str| samples(text).get("lumo_bridge_sync_leads").copied();
    assert_eq!(leads(&standing_by.text("/metrics").await), Some(0.0), "another process reads");
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_companys_key_is_told_everywhere() {
    const OTHER: &str = "lb2b_00000000000000000000000000000002";
    let mut stage = stage(Database::sqlite().await).await;
    assert_eq!(stage.command(&["sync"]).await.status.code(), Some(0));
    stage.simulator.add_company(World::live(seed().wrapping_add(1)).with_api_key(OTHER));
    stage.settings.set("lumo.api_key", json!({ "value": OTHER }));
    let (bridge, client) = daemon(&mut stage).await;
    fires(&client, WRONG_ACCOUNT).await;
    fires(&client, READY).await;
    until_told(&stage, "sync.wrong_account").await;
    let said = problem(&client).await;
    assert!(said.starts_with("The API key belongs to company "), "{said}");
    let account = client.get("/api/account").await;
    assert_eq!(account.body["company_id"], stage.world.company().to_string(), "{account:?}");
    assert!(account.body["wrong"]["since"].is_string(), "{account:?}");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mark_that_is_too_old_fires_its_line() {
    let mut stage = stage(Database::sqlite().await).await;
    for listing in ["wallets", "blocked", "deposits"] {
        // Nobody corrects what is written below.
        stage.settings.set(&format!("sync.{listing}.schedule"), json!("@yearly"));
    }
    stage.settings.set("sync.sweep.schedule", json!("@yearly"));
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    eventually!(PATIENCE, "it is ready", client.get("/readyz").await.status == 200);
    let quiet = samples(&client.text("/metrics").await);
    for condition in documented() {
        assert!(!holds(&condition, &quiet), "{condition} fires where nothing is wrong");
    }
    for (column, value, condition) in [
        ("complete_through", "'2026-01-01 00:00:00.000000'", INCOMPLETE),
        ("last_run_at", "'2026-01-01 00:00:00.000000'", UNREAD),
        ("proved_through", "'2026-01-01 00:00:00.000000'", UNPROVED),
        ("gap", "3", GAP),
        ("removals_held", "3", HELD),
    ] {
        stage.database.execute(&format!("UPDATE lumo_sync_state SET {column} = {value}")).await;
        fires(&client, condition).await;
    }
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_cannot_be_read_fires_its_line() {
    let mut stage = stage(Database::sqlite().await).await;
    stage.world.add_wallet("tab\there");
    let (bridge, client) = daemon(&mut stage).await;
    fires(&client, REJECTS).await;
    eventually!(PATIENCE, "it is ready all the same", client.get("/readyz").await.status == 200);
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_of_a_receiver_fires_its_line() {
    let mut stage = stage(Database::sqlite().await).await;
    stage.settings.set("callbacks.defaults.retry.schedule", json!(["100ms"]));
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    let refuse = |stage: &Stage, status: fn(&str) -> u16| {
        stage.receiver.script(move |request| Reply::status(status(&String::from_utf8_lossy(&request.body))));
    };
    refuse(&stage, |body| if body.contains("unlucky") { 422 } else { 200 });
    stage.world.add_wallet("unlucky");
    let refused = "SELECT COUNT(*) FROM lumo_delivery_attempts WHERE status = 422";
    stage.database.until_at_least(1, PATIENCE, refused).await;
    stage.world.add_wallet("lucky");
    fires(&client, DEAD).await;
    refuse(&stage, |_| 500);
    for user in 0..60 {
        stage.world.add_wallet(&format!("user {user}"));
    }
    fires(&client, FAILING).await;
    stage.database.execute("UPDATE lumo_events SET detected_at = '2026-01-01 00:00:00.000000'").await;
    fires(&client, WAITING).await;
    refuse(&stage, |_| 410);
    fires(&client, SUSPENDED).await;
    assert_eq!(client.get("/readyz").await.status, 200, "a receiver's trouble is not the bridge's");
    let line = first_line(&stage).await;
    assert!(line.starts_with("shop is suspended since "), "{line}");
    let base = client.base.clone();
    bridge.stop().await;
    // What Prometheus calls `up == 0`: nobody answers.
    assert!(std::net::TcpStream::connect(base.trim_start_matches("http://")).is_err(), "{GONE}");
}
