//! `event replay`.

use serde_json::json;

use super::{assert_refused, delivered, json};
use crate::database::{Database, on_each_database};
use crate::world::PATIENCE;

on_each_database!(a_replay_is_delivered_with_the_same_ids);

async fn a_replay_is_delivered_with_the_same_ids(database: Database) {
    let mut stage = delivered(database, 3).await;
    // It wants none of them.
    stage.add_endpoint("archive", "/archive", &["sync.*"]);
    let since = ["event", "replay", "--since", "1d", "--type", "wallet.*", "--endpoint", "archive"];
    let rehearsed = stage.command(&[&since[..], &["--dry-run", "--json"]].concat()).await;
    let expected = |queued: u64, unfinished: u64, is_dry_run: bool| {
        json!({
            "endpoint": "archive", "queued": queued, "unfinished": unfinished, "is_dry_run": is_dry_run,
            "is_complete": true,
        })
    };
    assert_eq!(json(&rehearsed), expected(3, 0, true));
    assert_eq!(stage.database.count("lumo_deliveries", "reason = 'replay'").await, 0);

    let replayed = stage.command(&since).await;
    assert_eq!(replayed.status.code(), Some(0), "{replayed:?}");
    assert!(replayed.stderr.contains("events queued for archive: 3"), "{}", replayed.stderr);
    let again = stage.command(&[&since[..], &["--json"]].concat()).await;
    assert_eq!(json(&again), expected(0, 3, false), "what is on its way is not queued twice");

    let bridge = stage.daemon();
    let sql = "SELECT COUNT(*) FROM lumo_deliveries WHERE reason = 'replay' AND state = 'delivered'";
    stage.database.until_at_least(3, PATIENCE, sql).await;
    bridge.stop().await;
    let received = stage.receiver.received();
    let ids = |path: &str| {
        let ids = received.iter().filter(|request| request.path == path).map(|request| request.id.clone().unwrap());
        ids.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ids("/archive"), ids("/shop"), "the same events under the same ids");
    let reasons: Vec<_> = received.iter().filter(|request| request.path == "/archive").collect();
    assert!(reasons.iter().all(|request| request.header("lumo-reason") == Some("replay")));

    let id = ids("/shop").pop_first().unwrap();
    let one = stage.command(&["event", "replay", "--id", &id, "--endpoint", "shop", "--json"]).await;
    assert_eq!(json(&one)["queued"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_cannot_be_says_why() {
    let stage = delivered(Database::sqlite().await, 1).await;
    for (arguments, code, words) in [
        (&["--endpoint", "shop"][..], 2, &["not said which events", "`--since`"][..]),
        (&["--endpoint", "shp", "--since", "1d"], 1, &["no such endpoint: shp", "did you mean `shop`?"]),
        (&["--endpoint", "shop", "--id", "evt_strange"], 1, &["no such event: evt_strange", "event list"]),
        (&["--endpoint", "shop", "--type", "deposit.create"], 2, &["--type: `deposit.create`", "`deposit.created`?"]),
        (&["--endpoint", "shop", "--since", "1h", "--until", "2h"], 2, &["`--since` is not before `--until`"]),
        (&["--endpoint", "shop", "--id", "evt_1", "--since", "1h"], 2, &["cannot be used with"]),
        (&["--since", "1h"], 2, &["--endpoint <NAME>"]),
    ] {
        assert_refused(&stage.command(&[&["event", "replay"], arguments].concat()).await, code, words);
    }
    assert_eq!(stage.database.count("lumo_deliveries", "reason = 'replay'").await, 0);
    let none = stage.command(&["event", "replay", "--endpoint", "shop", "--external-id", "nobody"]).await;
    assert_eq!(none.status.code(), Some(0), "{none:?}");
    assert!(none.stderr.contains("no event matches"), "{}", none.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_to_a_paused_endpoint_says_that_it_waits() {
    let stage = delivered(Database::sqlite().await, 1).await;
    let paused = stage.command(&["endpoint", "pause", "shop"]).await;
    assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    let replayed = stage.command(&["event", "replay", "--endpoint", "shop", "--since", "1d"]).await;
    let words = "events queued for shop: 1; shop is paused: they wait until `lumo-bridge endpoint resume shop`";
    assert!(replayed.stderr.contains(words), "{}", replayed.stderr);
}
