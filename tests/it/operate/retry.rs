//! `delivery retry` by filter, where endpoints are not called.

use serde_json::json;

use super::{assert_refused, delivered, json};
use crate::database::Database;
use crate::world::{Finished, Stage};

const WAIT: &str = "shop is paused: they wait until `lumo-bridge endpoint resume shop`";

async fn done(stage: &Stage, arguments: &[&str]) -> Finished {
    let finished = stage.command(arguments).await;
    assert_eq!(finished.status.code(), Some(0), "{arguments:?}: {finished:?}");
    finished
}

/// Queues all wallets for an endpoint once more, and gives that up.
async fn give_up(stage: &Stage, endpoint: &str) {
    done(stage, &["event", "replay", "--since", "1d", "--type", "wallet.*", "--endpoint", endpoint, "--any-type"])
        .await;
    skip_replayed(stage, endpoint).await;
}

/// Gives up what is queued for an endpoint once more. Returns the names of these deliveries.
async fn skip_replayed(stage: &Stage, endpoint: &str) -> Vec<String> {
    let sql = format!("SELECT event_id FROM lumo_deliveries WHERE endpoint = '{endpoint}' AND reason = 'replay'");
    let events = stage.database.rows(&sql).await.into_iter().flatten().flatten();
    let ids: Vec<String> = events.map(|event| format!("{event}@{endpoint}")).collect();
    let named: Vec<&str> = ids.iter().map(String::as_str).collect();
    done(stage, &[&["delivery", "skip", "--reason", "by hand"][..], &named[..]].concat()).await;
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_at_a_paused_endpoint_says_that_it_waits() {
    let mut stage = delivered(Database::sqlite().await, 2).await;
    stage.add_endpoint("archive", "/archive", &["sync.*"]);
    done(&stage, &["endpoint", "pause", "shop"]).await;
    let retry = ["delivery", "retry", "--state", "skipped"];
    give_up(&stage, "shop").await;
    let counted = done(&stage, &[&retry[..], &["--dry-run", "--json"]].concat()).await;
    assert_eq!(json(&counted), json!({ "due": 2, "is_dry_run": true, "is_complete": true, "unwanted": 0 }));
    let retried = done(&stage, &retry).await;
    assert_eq!(retried.stderr.trim(), format!("deliveries that are due: 2; {WAIT}"));

    done(&stage, &["endpoint", "resume", "shop", "--skip-held", "--yes"]).await;
    done(&stage, &["endpoint", "pause", "shop"]).await;
    let retried = done(&stage, &[&retry[..], &["--json"]].concat()).await;
    let held = json!([{ "endpoint": "shop", "due": 2, "message": WAIT }]);
    assert_eq!(
        json(&retried),
        json!({ "due": 2, "is_dry_run": false, "is_complete": true, "unwanted": 0, "held": held })
    );

    done(&stage, &["endpoint", "resume", "shop", "--skip-held", "--yes"]).await;
    done(&stage, &["endpoint", "pause", "shop"]).await;
    give_up(&stage, "archive").await;
    let retried = done(&stage, &retry).await;
    let lines: Vec<&str> = retried.stderr.lines().collect();
    let waiting = format!("for shop: 2; {WAIT}");
    let expected = ["deliveries that are due: 4", &waiting, "for the others: 2; they go out while the daemon runs"];
    assert_eq!(lines, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_is_not_run_again_with_types_that_its_events_name_no_more() {
    let mut stage = delivered(Database::sqlite().await, 2).await;
    let sql = "INSERT INTO booked (deposit_id) VALUES (:object_id)";
    let ledger = |events: &[&str]| json!({ "sink": { "sql": sql, "timeout": "2s" }, "events": events });
    stage.settings.set("callbacks.endpoints.ledger", ledger(&["wallet.*"]));
    done(&stage, &["event", "replay", "--since", "1d", "--type", "wallet.*", "--endpoint", "ledger"]).await;
    let ids = skip_replayed(&stage, "ledger").await;
    let retry = ["delivery", "retry", "--state", "skipped", "--dry-run"];
    assert_eq!(done(&stage, &retry).await.stderr.trim(), "deliveries that would be due: 2");

    stage.settings.set("callbacks.endpoints.ledger", ledger(&["deposit.created"]));
    for retry in [&retry[..], &retry[..4]] {
        let retried = done(&stage, retry).await;
        let lines: Vec<&str> = retried.stderr.lines().collect();
        let left_out = "left out, as `events` of the statement ledger do not name their types: 2";
        assert_eq!(lines, ["nothing is made due", left_out]);
    }
    let refused = stage.command(&["delivery", "retry", &ids[0]]).await;
    let words = "ledger is a statement, which is run only with events of the types that its `events` name";
    assert!(refused.status.code() == Some(1) && refused.stdout.contains(words), "{refused:?}");
    assert_eq!(stage.database.count("lumo_deliveries", "state = 'skipped'").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_nobody_knows_is_refused_and_one_that_was_taken_out_is_not() {
    let mut stage = delivered(Database::sqlite().await, 1).await;
    for command in [&["delivery", "list"][..], &["delivery", "retry"]] {
        let refused = stage.command(&[command, &["--endpoint", "shp"]].concat()).await;
        assert_refused(&refused, 1, &["no such endpoint: shp", "did you mean `shop`?"]);
    }
    stage.add_endpoint("archive", "/archive", &["sync.*"]);
    stage.settings.remove("callbacks.endpoints.shop");
    let listed = done(&stage, &["delivery", "list", "--endpoint", "shop"]).await;
    assert!(listed.stdout.contains("@shop"), "{listed:?}");
    done(&stage, &["delivery", "retry", "--endpoint", "shop"]).await;
    done(&stage, &["delivery", "list", "--endpoint", "archive"]).await;
}
