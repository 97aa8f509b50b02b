//! What the API shows and does, on each database.

use std::collections::BTreeSet;

use lumo_simulator::{Answer as Reply, Fault, Operation, World};
use serde_json::{Value, json};

use super::{daemon, running};
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(
    lists_come_page_by_page,
    events_are_found_by_their_deliveries_and_times,
    what_is_done_by_command_is_done_over_http,
    a_sink_is_listed_and_tried_without_an_effect,
    a_replay_sends_what_the_endpoint_wants_unless_it_is_asked_for_more,
);

/// Every item of a list, in pages of this many.
async fn all(client: &super::Client, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let and = if path.contains('?') { '&' } else { '?' };
        let page = client.read(&format!("{path}{and}limit={limit}{after}")).await;
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= limit);
        items.extend(data.iter().cloned());
        match page["next"].as_str() {
            Some(next) => {
                assert_eq!(data.len(), limit, "only the last page may be short");
                after = format!("&after={next}");
            }
            None => return items,
        }
    }
}

async fn lists_come_page_by_page(database: Database) {
    let (stage, bridge, client) = running(database, 5).await;
    // Several of one moment: the order must not depend on it.
    for (path, table) in [
        ("/api/wallets", "lumo_user_wallets"),
        ("/api/deposits", "lumo_user_deposits"),
        ("/api/events", "lumo_events"),
        ("/api/deliveries", "lumo_deliveries"),
    ] {
        let whole = all(&client, path, 500).await;
        assert_eq!(whole.len() as i64, stage.database.count(table, "1 = 1").await, "{path}");
        for limit in [1, 2, 3] {
            assert_eq!(all(&client, path, limit).await, whole, "{path} in pages of {limit}");
        }
        let ids: BTreeSet<&str> = whole.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), whole.len(), "{path}");
    }
    let mine = client.read("/api/deposits?external_id=user%203").await;
    assert_eq!(mine["data"].as_array().unwrap().len(), 1);
    let deposit = &mine["data"][0];
    assert_eq!((&deposit["amount"], &deposit["external_id"]), (&json!("12.345678"), &json!("user 3")));
    let id = deposit["id"].as_str().unwrap();
    let full = client.read(&format!("/api/deposits/{id}")).await;
    assert!(full["raw"].is_object(), "{full}");

    let told = client.read(&format!("/api/events?object_id={id}&type=deposit.created")).await;
    let brief = &told["data"][0];
    let short = json!({ "amount": "12.345678", "currency": "USDT", "status": deposit["status"], "user": "user 3" });
    assert_eq!(brief["object"], short);
    let event = brief["id"].as_str().unwrap();
    let event = client.read(&format!("/api/events/{event}")).await;
    assert_eq!((&event["object"], &event["wanted_by"]), (&short, &json!(["shop"])));
    assert_eq!(event["body"]["data"]["object"]["id"], id);
    let delivery = &event["deliveries"][0];
    assert_eq!((&delivery["state"], &delivery["history"][0]["status"]), (&json!("delivered"), &json!(200)));
    let delivery_id = delivery["id"].as_str().unwrap();
    assert_eq!(client.read(&format!("/api/deliveries/{delivery_id}")).await["history"], delivery["history"]);

    let activity = client.read("/api/activity").await;
    let hours = activity["hours"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    let delivered: i64 = hours.iter().filter_map(|hour| hour["deliveries"]["shop"]["delivered"].as_i64()).sum();
    assert_eq!(delivered, stage.database.count("lumo_deliveries", "1 = 1").await, "{activity}");
    for hour in hours {
        assert!(hour["begins_at"].as_str().unwrap().ends_with(":00:00Z"), "{activity}");
        // Each deposit is one of 12.345678.
        let micros = hour["deposits"].as_i64().unwrap() * 12_345_678;
        let sum = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        let sum = sum.trim_end_matches('0').trim_end_matches('.');
        let volume = if micros == 0 { json!([]) } else { json!([{ "currency": "USDT", "amount": sum }]) };
        assert_eq!(hour["volume"], volume, "{activity}");
        let latency = &hour["latency"];
        assert_eq!(
            latency["deliveries"].as_i64().unwrap_or(0),
            hour["deliveries"]["shop"]["delivered"].as_i64().unwrap_or(0)
        );
        assert!(latency["p50_ms"].as_i64() <= latency["p99_ms"].as_i64(), "{activity}");
    }
    assert!(hours.iter().filter_map(|hour| hour["requests"].as_i64()).sum::<i64>() > 0, "{activity}");
    bridge.stop().await;
}

async fn events_are_found_by_their_deliveries_and_times(database: Database) {
    let (_stage, bridge, client) = running(database, 3).await;
    client.post("/api/endpoints/shop/pause", &json!({})).await;
    client.post("/api/events/replay", &json!({ "endpoint": "shop", "external_id": "user 2" })).await;
    let whole = all(&client, "/api/events", 500).await;
    let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
    let object = text(&whole[0], "object_id");
    for which in
        ["endpoint=shop", "endpoint=none", "state=held", "state=delivered&type=wallet.created", "external_id=user%202"]
    {
        let deliveries = all(&client, &format!("/api/deliveries?{which}"), 500).await;
        let ids: BTreeSet<String> = deliveries.iter().map(|one| text(one, "event_id")).collect();
        assert_eq!(ids.is_empty(), which == "endpoint=none", "{which}");
        let expected: Vec<_> = whole.iter().filter(|event| ids.contains(&text(event, "id"))).cloned().collect();
        for limit in [1, 2, 500] {
            assert_eq!(all(&client, &format!("/api/events?{which}"), limit).await, expected, "{which}, by {limit}");
        }
        let about = all(&client, &format!("/api/events?{which}&object_id={object}"), 500).await;
        let expected: Vec<_> = expected.into_iter().filter(|event| event["object_id"] == object.as_str()).collect();
        assert_eq!(about, expected, "{which}, about {object}");
    }
    let deliveries = all(&client, "/api/deliveries", 500).await;
    let held: Vec<_> = deliveries.iter().filter(|one| one["state"] == "held").cloned().collect();
    assert_eq!(all(&client, "/api/deliveries?waiting=true", 1).await, held);
    assert!(!held.is_empty() && held.len() < deliveries.len(), "{deliveries:?}");
    for both in ["waiting=true&state=dead", "waiting=true&undelivered=true"] {
        assert_eq!(client.get(&format!("/api/deliveries?{both}")).await.status, 400, "{both}");
    }
    for delivery in &deliveries {
        let event = whole.iter().find(|event| event["id"] == delivery["event_id"]).unwrap();
        assert_eq!(delivery["object"], event["object"], "{delivery}");
    }
    let time = |item: &Value| text(item, "detected_at").parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    for event in &whole {
        let until = text(event, "detected_at");
        let expected: Vec<_> = whole.iter().filter(|one| time(one) < time(event)).cloned().collect();
        for which in ["", "&endpoint=shop"] {
            assert_eq!(
                all(&client, &format!("/api/events?until={until}{which}"), 500).await,
                expected,
                "{until}{which}"
            );
        }
        let deliveries = all(&client, &format!("/api/deliveries?until={until}"), 500).await;
        assert_eq!(deliveries.len(), expected.len(), "{until}");
    }
    bridge.stop().await;
}

async fn what_is_done_by_command_is_done_over_http(database: Database) {
    let (stage, bridge, client) = running(database, 1).await;
    let nothing = json!({});

    let created = client.post("/api/wallets", &json!({ "externalId": "user 2" })).await;
    assert_eq!((created.status, &created.body["external_id"]), (200, &json!("user 2")), "{created:?}");
    let id = created.body["id"].as_str().unwrap().to_owned();
    let blocked = client.post(&format!("/api/wallets/{id}/block"), &json!({ "reason": "stolen" })).await;
    assert_eq!(
        (blocked.status, &blocked.body["is_blocked"], &blocked.body["block_reason"]),
        (200, &json!(true), &json!("stolen"))
    );
    let replaced = client.post(&format!("/api/wallets/{id}/replace"), &json!({ "reason": "stolen" })).await;
    assert_eq!(replaced.status, 200, "{replaced:?}");
    assert_ne!(replaced.body["id"], json!(id));
    stage.simulator.faults().inject_on(Operation::CreateWallet, 1, Fault::CutBody);
    let lost = client.post("/api/wallets", &json!({ "externalId": "user 2" })).await;
    assert_eq!((lost.status, &lost.body["error"]["code"]), (502, &json!("outcome_unknown")), "{lost:?}");
    let message = lost.body["error"]["message"].as_str().unwrap();
    let known = "it is not known whether the API carried out the request to create a wallet for user 2";
    assert!(message.starts_with(known) && lost.body["error"]["hint"].is_string(), "{lost:?}");
    let unknown = client.post("/api/wallets/none/block", &json!({ "reason": "x" })).await;
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (404, &json!("not_found")), "{unknown:?}");

    let wallets = client.read("/api/wallets?external_id=user%202").await;
    let newest = wallets["data"][0]["id"].as_str().unwrap();
    for action in ["block", "replace"] {
        let of_user = client.post(&format!("/api/wallets/user%202/{action}"), &json!({ "reason": "x" })).await;
        let hint = format!("user 2 is a user; its wallet is {newest}");
        assert_eq!((of_user.status, &of_user.body["error"]["hint"]), (404, &json!(hint)), "{of_user:?}");
    }

    stage.world.add_deposit_for("user 2", "7").unwrap();
    let synced = client.post("/api/sync", &json!({ "listing": "deposits" })).await;
    assert_eq!((synced.status, &synced.body["rounds"][0]["outcome"]), (200, &json!("complete")), "{synced:?}");
    assert_eq!(client.read("/api/deposits?external_id=user%202").await["data"][0]["amount"], "7");
    stage.until_delivered().await;

    let tested = client.post("/api/endpoints/shop/test", &nothing).await;
    assert_eq!((tested.status, &tested.body["is_accepted"]), (200, &json!(true)), "{tested:?}");
    let sample = client.post("/api/endpoints/shop/test", &json!({ "event": "deposit.settled" })).await;
    assert_eq!((sample.status, &sample.body["error"]["code"]), (403, &json!("token_required")), "{sample:?}");

    let paused = client.post("/api/endpoints/shop/pause", &nothing).await;
    assert_eq!((paused.status, &paused.body["state"]), (200, &json!("paused")), "{paused:?}");
    let replayed = client.post("/api/events/replay", &json!({ "endpoint": "shop", "external_id": "user 2" })).await;
    assert_eq!(replayed.status, 200, "{replayed:?}");
    let queued = replayed.body["queued"].as_u64().unwrap();
    assert!(queued >= 4, "created, blocked, replaced, deposit: {replayed:?}");
    let waiting = client.read("/api/deliveries?state=held&endpoint=shop").await;
    let waiting = waiting["data"].as_array().unwrap();
    assert_eq!(waiting.len() as u64, queued);

    let last = waiting[0]["id"].as_str().unwrap();
    let skipped = client.post(&format!("/api/deliveries/{last}/skip"), &json!({ "reason": "by hand" })).await;
    assert_eq!((skipped.status, &skipped.body["result"]), (200, &json!("skipped")), "{skipped:?}");
    assert_eq!(client.read(&format!("/api/deliveries/{last}")).await["last_error"], "by hand");

    stage.receiver.script(|_| Reply::status(500));
    assert_eq!(client.post("/api/endpoints/shop/resume", &nothing).await.body["state"], "active");
    let retrying = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'retrying'";
    stage.database.until_at_least(1, PATIENCE, retrying).await;
    stage.receiver.script(|_| Reply::status(200));
    stage.until_delivered().await;

    let given_up = json!({ "state": "skipped", "endpoint": "shop", "dry_run": true });
    let counted = client.post("/api/deliveries/retry", &given_up).await;
    let expected = json!({ "due": 1, "is_dry_run": true, "is_complete": true, "unwanted": 0 });
    assert_eq!((counted.status, &counted.body), (200, &expected), "{counted:?}");
    let given_up = client.read("/api/deliveries?state=skipped").await;
    assert_eq!(given_up["data"][0]["why"], "given up by the operator: by hand");
    for (act, body) in [("retry", &nothing), ("skip", &json!({ "reason": "by hand" }))] {
        let delivered = waiting[1]["id"].as_str().unwrap();
        let done = client.post(&format!("/api/deliveries/{delivered}/{act}"), body).await;
        assert_eq!((done.status, &done.body["error"]["code"]), (409, &json!("conflict")), "{act}: {done:?}");
    }
    eventually!(PATIENCE, "the status tells that nothing waits", {
        let status = client.read("/api/status").await;
        status["endpoints"][0]["waiting"] == 0 && status["endpoints"][0]["state"] == "active"
    });
    assert_eq!(client.post("/api/endpoints/shop/pause", &nothing).await.status, 200);
    client.post("/api/events/replay", &json!({ "endpoint": "shop", "external_id": "user 2" })).await;
    let before = stage.receiver.count();
    let counted = client.post("/api/endpoints/shop/resume", &json!({ "skip_held": true })).await;
    assert_eq!((counted.status, &counted.body["error"]["code"]), (409, &json!("confirmation_needed")), "{counted:?}");
    let message = counted.body["error"]["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("this gives up {queued} callbacks for shop, the oldest of ")), "{message}");
    assert_eq!(stage.database.count("lumo_deliveries", "state = 'held'").await as u64, queued, "nothing was given up");
    let anew = client.post("/api/endpoints/shop/resume", &json!({ "skip_held": true, "yes": true })).await;
    assert_eq!((&anew.body["state"], anew.body["skipped"].as_u64()), (&json!("active"), Some(queued)), "{anew:?}");
    let left = "SELECT COUNT(*) FROM lumo_deliveries WHERE state NOT IN ('delivered', 'skipped')";
    assert_eq!(stage.database.number(left).await, 0);
    assert_eq!(stage.receiver.count(), before);
    stage.assert_mirrored().await;
    bridge.stop().await;
}

async fn a_sink_is_listed_and_tried_without_an_effect(database: Database) {
    database.execute("CREATE TABLE ledger (event_id varchar(128) NOT NULL)").await;
    let mut stage = Stage::new(database, World::live(seed())).await;
    let sink = |sql: &str| json!({ "sink": { "sql": sql, "timeout": "2s" }, "events": ["deposit.*"] });
    let right = sink("INSERT INTO ledger (event_id) VALUES (:event_id)");
    stage
        .settings
        .set("callbacks.endpoints", json!({ "ledger": right, "wrong": sink("INSERT INTO ledgre VALUES (1)") }));
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;

    let listed = client.read("/api/endpoints").await;
    let names: Vec<_> = listed["data"].as_array().unwrap().iter().map(|endpoint| &endpoint["name"]).collect();
    assert_eq!(names, ["ledger", "wrong"], "{listed}");
    let tried = client.post("/api/endpoints/ledger/test", &json!({})).await;
    let is = |key: &str| tried.body[key].clone();
    assert_eq!((tried.status, is("is_accepted"), is("is_undone")), (200, json!(true), json!(true)), "{tried:?}");
    assert_eq!((is("status"), is("origin")), (Value::Null, json!("a statement in the database")), "{tried:?}");
    assert_eq!(stage.database.count("ledger", "1 = 1").await, 0);
    let tried = client.post("/api/endpoints/wrong/test", &json!({})).await;
    assert_eq!((tried.status, &tried.body["is_accepted"]), (200, &json!(false)), "{tried:?}");
    assert!(tried.body["error"].as_str().unwrap().contains("ledgre"), "{tried:?}");
    bridge.stop().await;
}

async fn a_replay_sends_what_the_endpoint_wants_unless_it_is_asked_for_more(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.add_endpoint("shop", "/shop", &["wallet.*"]);
    let sink = json!({ "sql": "INSERT INTO ledger (event_id) VALUES (:event_id)", "timeout": "2s" });
    stage.settings.set("callbacks.endpoints.ledger", json!({ "sink": sink, "events": ["wallet.blocked"] }));
    stage.world.add_wallet("bob");
    stage.world.add_deposit_for("bob", "1").unwrap();
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    stage.until_delivered().await;
    let events = stage.database.count("lumo_events", "1 = 1").await;
    let replay = async |endpoint: &str, any_type: bool| {
        let asked = json!({ "endpoint": endpoint, "since": "1d", "dry_run": true, "any_type": any_type });
        client.post("/api/events/replay", &asked).await
    };
    let counts = |answer: &super::client::Answer| {
        ["queued", "unwanted"].map(|count| answer.body[count].as_i64().unwrap_or_else(|| panic!("{answer:?}")))
    };
    let [wanted, unwanted] = counts(&replay("shop", false).await);
    assert!(wanted >= 1 && unwanted >= 1 && wanted + unwanted == events, "{wanted} and {unwanted} of {events}");
    assert_eq!(counts(&replay("shop", true).await), [events, 0]);
    assert_eq!(counts(&replay("ledger", false).await), [0, events]);
    let refused = replay("ledger", true).await;
    let words = "ledger is a statement, which is run only with events of the types that its `events` name";
    assert_eq!((refused.status, &refused.body["error"]["message"]), (400, &json!(words)), "{refused:?}");
    let deposit = stage.database.value("SELECT MIN(id) FROM lumo_events WHERE object_kind = 'deposit'").await;
    let named = client.post("/api/events/replay", &json!({ "endpoint": "shop", "ids": [deposit] })).await;
    assert_eq!((named.status, counts(&named)), (200, [0, 1]), "{named:?}");
    bridge.stop().await;
}
