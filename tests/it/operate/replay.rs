//! `event replay`.

use lumo_simulator::World;
use serde_json::json;

use super::{assert_refused, delivered, json};
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, seed};

on_each_database!(a_replay_is_delivered_with_the_same_ids, a_statement_gets_no_event_that_it_does_not_name);

async fn a_replay_is_delivered_with_the_same_ids(database: Database) {
    let mut stage = delivered(database, 3).await;
    // It wants none of them.
    stage.add_endpoint("archive", "/archive", &["sync.*"]);
    let wanted = ["event", "replay", "--since", "1d", "--type", "wallet.*", "--endpoint", "archive"];
    let since = [&wanted[..], &["--any-type"]].concat();
    let left_out = stage.command(&wanted).await;
    assert_eq!(left_out.status.code(), Some(0), "{left_out:?}");
    let words = "nothing is queued for archive, as its `events` do not name the types of these 3 events; `--any-type` \
                 sends them all the same";
    assert_eq!(left_out.stderr.trim(), words);
    let rehearsed = stage.command(&[&since[..], &["--dry-run", "--json"]].concat()).await;
    let expected = |queued: u64, unfinished: u64, is_dry_run: bool| {
        json!({
            "endpoint": "archive", "queued": queued, "unfinished": unfinished, "unwanted": 0,
            "is_dry_run": is_dry_run, "is_complete": true,
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
    // Who names an event wants that one sent.
    let one = stage.command(&["event", "replay", "--id", &id, "--endpoint", "archive"]).await;
    let words = "nothing is queued for archive, as its `events` do not name the type of this event; `--any-type` sends it \
                 all the same";
    assert_eq!((one.status.code(), one.stderr.trim()), (Some(1), words));
}

/// The replay of the documents, with the name of an endpoint that books: deposits that are not settled are no money.
async fn a_statement_gets_no_event_that_it_does_not_name(database: Database) {
    database.execute("CREATE TABLE booked (deposit_id varchar(128) NOT NULL)").await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    let sql = "INSERT INTO booked (deposit_id) VALUES (:object_id)";
    let ledger = json!({ "sink": { "sql": sql, "timeout": "2s" }, "events": ["deposit.settled"] });
    stage.settings.set("callbacks.endpoints", json!({ "ledger": ledger }));
    stage.world.add_wallet("bob");
    let paid = stage.world.add_deposit_for("bob", "1").unwrap().id;
    stage.world.add_deposit_for("bob", "2").unwrap();
    stage.world.set_deposit_status(paid, "confirmed").unwrap();
    let bridge = stage.daemon();
    stage.database.until_at_least(1, PATIENCE, "SELECT COUNT(*) FROM booked").await;
    stage.until_imported().await;
    stage.until_delivered().await;

    let kind = stage.database.quote("type");
    let deposits = format!("{kind} LIKE 'deposit.%' AND {kind} <> 'deposit.settled'");
    let others = stage.database.count("lumo_events", &deposits).await;
    assert!(others >= 2, "both were announced: {others}");
    let replay = ["event", "replay", "--since", "2d", "--type", "deposit.*", "--endpoint", "ledger"];
    let counted = stage.command(&[&replay[..], &["--dry-run"]].concat()).await;
    let left_out = format!("left out, as `events` of ledger do not name their types: {others}");
    let lines: Vec<&str> = counted.stderr.lines().collect();
    assert_eq!(lines, ["events that would be queued for ledger: 1", &left_out]);
    let replayed = stage.command(&[&replay[..], &["--json"]].concat()).await;
    assert_eq!((json(&replayed)["queued"].as_i64(), json(&replayed)["unwanted"].as_i64()), (Some(1), Some(others)));
    let words = "ledger is a statement, which is run only with events of the types that its `events` name";
    assert_refused(
        &stage.command(&[&replay[..], &["--any-type"]].concat()).await,
        2,
        &[words, "leave `--any-type` out"],
    );
    stage.database.until_at_least(2, PATIENCE, "SELECT COUNT(*) FROM booked").await;
    stage.until_delivered().await;
    bridge.stop().await;
    assert_eq!(stage.database.count("booked", &format!("deposit_id = '{paid}'")).await, 2, "it has no key here");
    assert_eq!(stage.database.count("booked", "1 = 1").await, 2);
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
