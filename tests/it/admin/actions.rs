//! What is done over HTTP and on the dashboard is recorded under their names.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, answer};
use super::running;
use crate::database::{Database, on_each_database};
use crate::store::actions::actions;

on_each_database!(what_is_done_over_http_is_recorded_with_who_said_to_do_it);

/// A `POST` of a caller that calls itself so.
async fn post(client: &Client, path: &str, body: &Value, actor: Option<&str>) -> u16 {
    let mut request = client.request(Method::POST, path).header("content-type", "application/json");
    if let Some(actor) = actor {
        request = request.header("lumo-actor", actor);
    }
    answer(request.body(body.to_string())).await.status
}

async fn what_is_done_over_http_is_recorded_with_who_said_to_do_it(database: Database) {
    let (stage, bridge, client) = running(database, 2).await;
    let nothing = json!({});
    let wallet = stage.world.wallet_of("user 0").unwrap().id.to_string();
    let other = stage.world.wallet_of("user 1").unwrap().id.to_string();
    let event = stage.database.value("SELECT MIN(id) FROM lumo_events").await;
    let delivery = format!("{event}@shop");
    let replay = json!({ "endpoint": "shop", "ids": [event] });
    let (dashboard, stranger) = (Some("dashboard"), Some("cli:root"));
    let mut expected: Vec<String> = Vec::new();
    for (path, body, actor, left) in [
        ("/api/endpoints/shop/pause", &nothing, dashboard, Some("dashboard pause shop".to_owned())),
        ("/api/endpoints/shop/pause", &nothing, None, None),
        ("/api/endpoints/none/pause", &nothing, None, None),
        ("/api/events/replay", &replay, stranger, Some(format!("api replay {delivery}"))),
        (
            &format!("/api/deliveries/{delivery}/skip"),
            &json!({ "reason": "by hand" }),
            dashboard,
            Some(format!("dashboard skip {delivery} by hand")),
        ),
        (&format!("/api/deliveries/{delivery}/retry"), &nothing, None, Some(format!("api retry {delivery}"))),
        ("/api/endpoints/shop/resume", &nothing, Some("Dashboard"), Some("api resume shop".to_owned())),
        ("/api/endpoints/shop/test", &nothing, dashboard, Some("dashboard test shop".to_owned())),
        (
            &format!("/api/wallets/{wallet}/block"),
            &json!({ "reason": "stolen" }),
            None,
            Some(format!("api block {wallet} stolen")),
        ),
        (
            &format!("/api/wallets/{other}/replace"),
            &json!({ "reason": "leaked" }),
            dashboard,
            Some(format!("dashboard replace {other} leaked")),
        ),
        ("/api/wallets", &json!({ "externalId": "user 1" }), None, None),
        ("/api/sync", &json!({ "listing": "wallets" }), None, None),
        ("/api/watches", &json!({ "externalId": "user 1" }), None, None),
    ] {
        let status = post(&client, path, body, actor).await;
        expected.extend(left);
        assert_eq!(actions(&stage.database).await, expected, "{path}: {status}");
    }
    stage.until_delivered().await;

    let whole = client.read("/api/actions").await;
    let words = |action: &Value| {
        let words = ["actor", "action", "object", "reason"].map(|name| action[name].as_str());
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    let listed: Vec<String> = whole["data"].as_array().unwrap().iter().rev().map(words).collect();
    assert_eq!(listed, expected, "the newest first");
    let (mut pages, mut after) = (Vec::new(), String::new());
    loop {
        let page = client.read(&format!("/api/actions?limit=3{after}")).await;
        pages.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(&Value::from(pages), &whole["data"]);
    assert_eq!(client.get("/api/actions?after=x").await.status, 400);

    let shown = client.read(&format!("/api/events/{event}")).await;
    let about: Vec<String> = shown["actions"].as_array().unwrap().iter().map(words).collect();
    assert_eq!(about, [&expected[3], &expected[2], &expected[1]].map(String::as_str));
    bridge.stop().await;
}
