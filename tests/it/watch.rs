//! Users who are about to pay are looked for between the rounds, whoever wrote their names and however.

use std::time::{Duration, Instant};

use lumo_simulator::{Order, Quirks, World};
use reqwest::Method;
use sea_orm::DbBackend;
use serde_json::json;

use crate::admin::{Client, client::answer};
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(
    deposits_of_watched_users_are_told_between_the_rounds,
    rows_are_foreign_input,
    watches_are_kept_over_http,
    whoever_waits_for_money_is_watched_by_itself,
    a_user_is_watched_by_a_command,
);

/// An API that takes longer for an answer than lies between two reads for watched users, so that these never rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watched_users_take_no_round_of_the_schedule_away() {
    let world = World::live(seed());
    world.seed(30, 60);
    let (database, latency) = (Database::sqlite().await, Duration::from_millis(1_200));
    let mut stage = Stage::with(database, world, Quirks::default(), latency).await;
    stage.settings.set("sync.deposits.schedule", json!("* * * * * *"));
    stage.settings.set("sync.watch.every", json!("1s"));
    let bridge = stage.daemon();
    stage.until_imported().await;
    insert(&stage, "user-000001", &from_now(&stage.database, 60)).await;
    eventually!(PATIENCE, "the user is looked for", {
        stage.command(&["status"]).await.stdout.contains("1 user is watched")
    });
    let rounds = "SELECT COUNT(*) FROM lumo_sync_runs WHERE listing = 'deposits'";
    for _ in 0..4 {
        let before = stage.database.number(rounds).await;
        stage.database.until_at_least(before + 1, Duration::from_secs(40), rounds).await;
    }
    bridge.stop().await;
}

/// As after a database that was locked for longer than a lease lasts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_taken_anew_by_the_same_process_is_no_failure() {
    let stage = stage(Database::sqlite().await, Order::Newest).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    insert(&stage, "user-000001", &from_now(&stage.database, 10)).await;
    stage.database.execute("UPDATE lumo_leases SET epoch = epoch + 1 WHERE resource = 'sync'").await;
    let id = stage.world.add_deposit_for("user-000001", "3").unwrap().id.to_string();
    until_known(&stage, &id).await;
    let log = bridge.log();
    assert!(!log.contains("watched users cannot be looked for") && !log.contains("another process"), "{log}");
    bridge.stop().await;
}

/// A company whose deposits no round reads after the first import.
async fn stage(database: Database, order: Order) -> Stage {
    let world = World::live(seed());
    world.seed(300, 1_200);
    let quirks = Quirks { order, ..Quirks::default() };
    let mut stage = Stage::with(database, world, quirks, Duration::ZERO).await;
    stage.settings.set("sync.deposits.schedule", json!("0 0 0 1 1 *"));
    stage.settings.set("sync.sweep.schedule", json!("0 0 0 1 1 *"));
    stage.settings.set("sync.watch.every", json!("1s"));
    stage
}

/// What a merchant's own program writes.
async fn insert(stage: &Stage, user: &str, until: &str) {
    stage.database.execute(&format!("INSERT INTO lumo_watches (external_id, until) VALUES ('{user}', {until})")).await;
}

/// The database's own words for a time from now.
fn from_now(database: &Database, minutes: i32) -> String {
    match database.backend() {
        DbBackend::Sqlite => format!("datetime('now', '{minutes:+} minutes')"),
        DbBackend::Postgres => format!("now() + interval '{minutes} minutes'"),
        _ => format!("UTC_TIMESTAMP() + INTERVAL {minutes} MINUTE"),
    }
}

async fn until_known(stage: &Stage, id: &str) {
    let known = format!("SELECT COUNT(*) FROM lumo_user_deposits WHERE id = '{id}'");
    stage.database.until_at_least(1, PATIENCE, &known).await;
}

async fn deposits_of_watched_users_are_told_between_the_rounds(database: Database) {
    // What a list tells depends on its order; the last one is read user by user.
    let order = match database.backend() {
        DbBackend::Sqlite => Order::Newest,
        DbBackend::Postgres => Order::Oldest,
        _ => Order::Scattered,
    };
    let stage = stage(database, order).await;
    let bridge = stage.daemon();
    stage.until_imported().await;
    let early = stage.world.add_deposit_for("user-000001", "1").unwrap().id.to_string();
    let rounds = "SELECT COUNT(*) FROM lumo_sync_runs WHERE listing = 'wallets'";
    let before = stage.database.number(rounds).await;
    stage.database.until_at_least(before + 3, PATIENCE, rounds).await;
    assert_eq!(stage.database.count("lumo_user_deposits", &format!("id = '{early}'")).await, 0, "no round reads");

    let minute = from_now(&stage.database, 1);
    for user in ["user-000001", "user-000002", "user-000001"] {
        insert(&stage, user, &minute).await;
    }
    until_known(&stage, &early).await;
    let late = stage.world.add_deposit_for("user-000002", "2.5").unwrap().id.to_string();
    let began = Instant::now();
    until_known(&stage, &late).await;
    assert!(began.elapsed() < PATIENCE);
    stage.until_delivered().await;
    let status = stage.command(&["status"]).await.stdout;
    assert!(status.contains("2 users are watched: their deposits are looked for every 1 s."), "{status}");

    bridge.stop().await;
    let status = stage.command(&["status"]).await.stdout;
    let nobody = "2 users are watched, and nobody looks for their deposits at present.";
    assert!(status.contains(nobody), "{status}");

    stage.database.execute("DELETE FROM lumo_watches").await;
    let status = stage.command(&["status", "--json"]).await.stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert!(status["watching"].is_null(), "{status}");
}

async fn rows_are_foreign_input(database: Database) {
    let stage = stage(database, Order::Newest).await;
    let backend = stage.database.backend();
    let mut bridge = stage.daemon();
    stage.until_imported().await;
    let minute = from_now(&stage.database, 1);
    insert(&stage, "", &minute).await;
    insert(&stage, "two\tlines", &minute).await;
    let late = match backend {
        DbBackend::Sqlite => "'9999-12-31'",
        DbBackend::Postgres => "'infinity'",
        _ => "'9999-12-31 23:59:59'",
    };
    insert(&stage, "user-000001", late).await;
    insert(&stage, "user-000002", &from_now(&stage.database, -1)).await;
    insert(&stage, "user-000003", &from_now(&stage.database, -3 * 24 * 60)).await;
    if backend == DbBackend::Sqlite {
        insert(&stage, &"x".repeat(701), &minute).await;
        insert(&stage, "user-000004", "'tomorrow'").await;
    }
    let id = stage.world.add_deposit_for("user-000001", "3").unwrap().id.to_string();
    until_known(&stage, &id).await;
    let (now, day) = (from_now(&stage.database, 0), from_now(&stage.database, 24 * 60 + 1));
    // On SQLite these are texts, of one form or another.
    let until = if backend == DbBackend::Sqlite { "datetime(until)" } else { "until" };
    let cut = format!("external_id = 'user-000001' AND {until} > {now} AND {until} < {day}");
    eventually!(PATIENCE, "it is cut to a day", stage.database.count("lumo_watches", &cut).await == 1);
    let odd = if backend == DbBackend::Sqlite { 3 } else { 2 };
    let named = "a row of lumo_watches names no user, or no time; it is passed over";
    eventually!(PATIENCE, "odd rows are named", bridge.log().matches(named).count() == odd);
    let id = stage.world.add_deposit_for("user-000001", "4").unwrap().id.to_string();
    until_known(&stage, &id).await;
    assert_eq!(bridge.log().matches(named).count(), odd, "each is named once");
    let status = stage.command(&["status"]).await.stdout;
    assert!(status.contains("1 user is watched"), "{status}");
    assert!(bridge.is_running());
    bridge.stop().await;

    // With the next start what has been over for a day goes.
    let parts = stage.parts().await;
    assert_eq!(parts.store.forget_watches(parts.clock.now()).await.unwrap(), 1);
    assert_eq!(stage.database.count("lumo_watches", "external_id = 'user-000003'").await, 0);
    assert_eq!(stage.database.count("lumo_watches", "external_id = 'user-000002'").await, 1);
    parts.store.close().await;
}

async fn watches_are_kept_over_http(database: Database) {
    let mut stage = stage(database, Order::Newest).await;
    stage.settings.set("server.listen", json!("127.0.0.1:0"));
    stage.settings.set("sync.watch.most", json!(2));
    let mut bridge = stage.daemon();
    let client = Client::of(&mut bridge).await;
    stage.until_imported().await;
    let watch = async |user: &str, time: serde_json::Value| {
        client.post("/api/watches", &json!({ "externalId": user, "for": time })).await
    };
    let first = watch("user-000001", json!("10m")).await;
    assert_eq!((first.status, &first.body["external_id"]), (200, &json!("user-000001")));
    assert_eq!(client.post("/api/watches", &json!({ "externalId": "a b/ü" })).await.status, 200);
    let full = watch("user-000003", json!("1m")).await;
    assert_eq!((full.status, full.body["error"]["code"].as_str()), (429, Some("too_many_watches")));
    assert_eq!(watch("user-000001", json!("1m")).await.status, 200, "who is watched already takes no place");
    for time in ["0s", "25h"] {
        let refused = watch("user-000001", json!(time)).await;
        assert_eq!((refused.status, refused.body["error"]["code"].as_str()), (400, Some("bad_request")), "{time}");
    }
    let id = stage.world.add_deposit_for("user-000001", "3").unwrap().id.to_string();
    until_known(&stage, &id).await;
    let metrics = client.text("/metrics").await;
    assert!(metrics.contains("lumo_bridge_watched_users 2\n"), "{metrics}");
    let requests = metrics.lines().find_map(|line| line.strip_prefix("lumo_bridge_watch_requests_total "));
    assert!(requests.unwrap().parse::<u64>().unwrap() > 0);

    let listed = client.read("/api/watches").await;
    let users: Vec<_> = listed["data"].as_array().unwrap().iter().map(|one| one["external_id"].as_str()).collect();
    assert_eq!(users, [Some("a b/ü"), Some("user-000001")], "whose watch lasts longest comes first");
    let remove = |user: &str| client.request(Method::DELETE, "/api/watches").query(&[("external_id", user)]);
    for (user, was_watched) in [("a b/ü", true), ("user-000001", true), ("user-000001", false)] {
        let removed = answer(remove(user)).await;
        assert_eq!((removed.status, &removed.body["was_watched"]), (200, &json!(was_watched)), "{user}");
    }
    assert_eq!(stage.database.count("lumo_watches", "1 = 1").await, 0);
    bridge.stop().await;
}

async fn whoever_waits_for_money_is_watched_by_itself(database: Database) {
    let mut stage = stage(database, Order::Newest).await;
    stage.settings.set("lumo.settled_statuses", json!(["confirmed"]));
    let bridge = stage.daemon();
    stage.until_imported().await;
    insert(&stage, "user-000001", &from_now(&stage.database, 1)).await;
    let deposit = stage.world.add_deposit_for("user-000001", "3").unwrap().id;
    until_known(&stage, &deposit.to_string()).await;
    stage.database.execute("DELETE FROM lumo_watches").await;
    stage.world.set_deposit_status(deposit, "confirmed").unwrap();
    let kind = stage.database.quote("type");
    let settled = format!("SELECT COUNT(*) FROM lumo_events WHERE {kind} = 'deposit.settled'");
    stage.database.until_at_least(1, PATIENCE, &settled).await;
    stage.until_delivered().await;
    bridge.stop().await;
}

async fn a_user_is_watched_by_a_command(database: Database) {
    let stage = stage(database, Order::Newest).await;
    stage.command(&["migrate", "up"]).await;
    let nobody = stage.command(&["deposit", "watch", "user-000001"]).await;
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(nobody.stderr.contains("no daemon reads the lists, so nobody would look"), "{nobody:?}");
    let long = stage.command(&["deposit", "watch", "user-000001", "--for", "25h"]).await;
    assert_eq!(long.status.code(), Some(2), "{long:?}");

    let bridge = stage.daemon();
    stage.until_imported().await;
    let mut watching = stage.start(&["deposit", "watch", "user-000001", "--for", "10m"]);
    watching.until_logged("deposits of user-000001 are looked for every 1 s until", PATIENCE).await;
    let mut told = stage.start(&["deposit", "watch", "user-000001", "--for", "9m", "--json"]);
    told.until_logged("deposits of user-000001 are looked for", PATIENCE).await;
    let id = stage.world.add_deposit_for("user-000001", "3.25").unwrap().id.to_string();
    stage.world.add_deposit_for("user-000002", "4").unwrap();
    until_known(&stage, &id).await;
    let finished = stage.command(&["deposit", "watch", "user-000009", "--for", "1s"]).await;
    assert_eq!((finished.status.code(), finished.stdout.as_str()), (Some(0), ""), "{finished:?}");
    assert!(finished.stderr.contains("nothing happened"), "{finished:?}");
    for command in [&told, &watching] {
        eventually!(PATIENCE, "it is printed", command.output().contains(&id));
    }
    told.signal("INT");
    let finished = told.finished(PATIENCE).await;
    let line: serde_json::Value = serde_json::from_str(finished.stdout.trim()).unwrap();
    assert_eq!((&line["type"], &line["object_id"]), (&json!("deposit.created"), &json!(id)), "{finished:?}");
    assert_eq!(line["body"]["data"]["object"]["amount"], "3.25");
    watching.signal("INT");
    let finished = watching.finished(PATIENCE).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert!(
        matches!(lines.as_slice(), [line] if line.contains("deposit.created") && line.contains("3.25 USDT  new") && line.ends_with(&format!("{id}  user-000001"))),
        "{finished:?}"
    );
    assert_eq!(stage.database.count("lumo_watches", "1 = 1").await, 0, "it takes its own watch away");
    bridge.stop().await;
}
