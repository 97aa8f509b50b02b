//! Who is let in, and what is said to those who are not.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use lumo_bridge::model::delivery::State;
use lumo_simulator::World;

use super::client::{Answer, answer};
use super::{daemon, running};
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(times_beyond_the_calendar_are_answered_and_delivering_goes_on);

fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.body["error"]["code"].as_str()), (status, Some(code)), "{answer:?}");
    let error = answer.body["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "hint", "message"]);
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    assert!(error["hint"].is_null() || error["hint"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_only_the_token_opens() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    stage.settings.set("server.token", json!({ "value": "an0ther-s3cret-t0ken" }));
    let (bridge, client) = daemon(&mut stage).await;
    for path in ["/api/status", "/api/openapi.json", "/api/nothing", "/api"] {
        assert_refused(&client.get(path).await, 401, "unauthorized");
        let wrong = client.request(Method::GET, path).header("authorization", "Bearer an0ther-s3cret-t0ke");
        assert_refused(&answer(wrong).await, 401, "unauthorized");
    }
    let right = |host: &'static str| {
        let request = client.request(Method::GET, "/api/status").header("authorization", "Bearer an0ther-s3cret-t0ken");
        request.header("host", host)
    };
    assert_eq!(answer(right("bridge.example")).await.status, 200, "a token opens under any name");
    let test = async |ask: Value| {
        let request =
            client.request(Method::POST, "/api/endpoints/shop/test").header("content-type", "application/json");
        answer(request.header("authorization", "Bearer an0ther-s3cret-t0ken").body(ask.to_string())).await
    };
    let tested = test(json!({ "event": "deposit.settled", "set": { "object.amount": "5" } })).await;
    assert_eq!((tested.status, &tested.body["is_accepted"]), (200, &json!(true)), "{tested:?}");
    assert!(tested.body["event_id"].as_str().unwrap().starts_with("evt_test_"), "{tested:?}");
    let body = stage.receiver.received()[0].json().unwrap();
    assert_eq!((&body["origin"], &body["data"]["object"]["amount"]), (&json!("test"), &json!("5")));
    assert_refused(&test(json!({ "event": "deposit.strange" })).await, 400, "bad_request");
    assert_refused(&test(json!({ "event": "deposit.settled", "set": { "object.id": "x" } })).await, 400, "bad_request");
    assert_eq!(client.text("/healthz").await, "ok\n");
    assert!(client.text("/metrics").await.contains("lumo_bridge_build_info"));
    assert!(!bridge.log().contains("s3cret"));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_readers_opens_every_get_and_nothing_else() {
    let mut stage = Stage::new(Database::sqlite().await, World::live(seed())).await;
    stage.announce_history();
    stage.world.add_wallet("user 0");
    stage.settings.set("server.token", json!({ "value": "an0ther-s3cret-t0ken" }));
    stage.settings.set("server.read_token", json!({ "value": "l00k-but-d0-n0t-t0uch" }));
    let (bridge, client) = daemon(&mut stage).await;
    stage.until_imported().await;
    stage.until_delivered().await;
    let ask = |method: Method, path: &str, token: &str| {
        let request = client.request(method, path).header("authorization", format!("Bearer {token}"));
        request.header("content-type", "application/json").body("{}")
    };
    let document = answer(ask(Method::GET, "/api/openapi.json", "l00k-but-d0-n0t-t0uch")).await.body;
    let (mut read, mut refused) = (0, 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let request = ask(method.clone(), path, "l00k-but-d0-n0t-t0uch");
            if method == Method::GET {
                let response = request.send().await.unwrap();
                assert!([200, 400, 404].contains(&response.status().as_u16()), "{path}: {response:?}");
                assert_eq!(response.headers()["lumo-access"], "read_only");
                read += 1;
            } else {
                assert_refused(&answer(request).await, 403, "read_only");
                refused += 1;
            }
        }
    }
    assert!(read >= 15 && refused >= 12, "{read} {refused}");
    for (method, path) in [(Method::PUT, "/api/status"), (Method::OPTIONS, "/api"), (Method::PATCH, "/api/nothing")] {
        assert_refused(&answer(ask(method, path, "l00k-but-d0-n0t-t0uch")).await, 403, "read_only");
    }
    let head = ask(Method::HEAD, "/api/status", "l00k-but-d0-n0t-t0uch").send().await.unwrap();
    assert_eq!(head.status().as_u16(), 403);
    assert_refused(&answer(ask(Method::POST, "/api/sync", "l00k-but-d0-n0t-t0uc")).await, 401, "unauthorized");
    let whole = ask(Method::POST, "/api/sync", "an0ther-s3cret-t0ken").send().await.unwrap();
    assert_eq!((whole.status().as_u16(), whole.headers().get("lumo-access")), (200, None));

    assert_refused(&client.get("/metrics").await, 401, "unauthorized");
    assert_refused(&answer(ask(Method::GET, "/metrics", "wrong")).await, 401, "unauthorized");
    for token in ["an0ther-s3cret-t0ken", "l00k-but-d0-n0t-t0uch"] {
        let text = ask(Method::GET, "/metrics", token).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("lumo_bridge_build_info"), "{text}");
    }
    assert_eq!(client.text("/healthz").await, "ok\n");
    assert!(client.text("/readyz").await.contains("\"ready\":"));
    let shown = stage.command(&["config", "show"]).await;
    for text in [bridge.log(), shown.stdout + &shown.stderr] {
        assert!(!text.contains("l00k") && !text.contains("s3cret"), "{text}");
    }
    bridge.stop().await;
}

/// Where no other token is set, nobody on this machine may change anything over HTTP.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_readers_alone_makes_the_api_read_only() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    stage.settings.set("server.read_token", json!({ "value": "l00k-but-d0-n0t-t0uch" }));
    let file = stage.config_file();
    stage.settings.set("server.listen", "127.0.0.1:0".into());
    std::fs::write(&file, stage.settings.to_string()).unwrap();
    let mut bridge = stage.daemon_on(&file);
    let client = super::Client::of(&mut bridge).await;
    let status = |token: &str| {
        let request = client.request(Method::GET, "/api/status").header("authorization", format!("Bearer {token}"));
        // None where the connection was closed just then: one that is kept open ends with what was in force before.
        async move { request.send().await.ok().map(|response| response.status().as_u16()) }
    };
    assert_refused(&client.get("/api/status").await, 401, "unauthorized");
    assert_refused(&client.post("/api/sync", &json!({})).await, 401, "unauthorized");
    assert_eq!(status("l00k-but-d0-n0t-t0uch").await, Some(200));

    stage.settings.set("server.read_token", json!({ "value": "s0mething-else-n0w" }));
    std::fs::write(&file, stage.settings.to_string()).unwrap();
    bridge.signal("HUP");
    bridge.until_logged("configuration reloaded; it is in force", PATIENCE).await;
    eventually!(PATIENCE, "the new one opens", status("s0mething-else-n0w").await == Some(200));
    eventually!(PATIENCE, "the old one does not", status("l00k-but-d0-n0t-t0uch").await == Some(401));
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_answered_says_why() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;

    let foreign = client.request(Method::GET, "/api/status").header("host", "evil.example");
    assert_refused(&answer(foreign).await, 403, "foreign_host");
    let form = client.request(Method::POST, "/api/sync").header("content-type", "text/plain").body("{}");
    assert_refused(&answer(form).await, 415, "not_json");
    assert_refused(&answer(client.request(Method::POST, "/api/sync")).await, 415, "not_json");

    assert_refused(&client.get("/api/nothing").await, 404, "no_such_path");
    assert_refused(&client.get("/nothing").await, 404, "no_such_path");
    assert_refused(&client.post("/api/status", &json!({})).await, 405, "method_not_allowed");
    assert_refused(&client.get("/api/events/evt_none").await, 404, "not_found");
    assert_refused(&client.get("/api/wallets?after=none").await, 400, "bad_request");
    for query in
        ["limit=0", "limit=501", "limit=x", "no_such=1", "since=yesterday", "state=odd", "state=dead&undelivered=true"]
    {
        let refused = client.get(&format!("/api/deliveries?{query}")).await;
        assert_refused(&refused, 400, "bad_request");
    }
    let odd = client.get("/api/deliveries?state=odd").await;
    let message = odd.body["error"]["message"].as_str().unwrap();
    for state in State::ALL {
        assert_eq!(client.get(&format!("/api/deliveries?state={state}")).await.status, 200, "{state}");
        assert!(message.contains(&format!("`{state}`")), "{state}: {message}");
    }
    assert_refused(&client.get(&format!("/api/wallets/{}", "x".repeat(200))).await, 400, "bad_request");
    for (path, body) in [
        ("/api/wallets", json!({})),
        ("/api/wallets", json!({ "externalId": 1 })),
        ("/api/wallets", json!({ "externalId": "" })),
        ("/api/wallets", json!({ "externalId": "1", "more": true })),
        ("/api/deliveries/evt_1@shop/skip", json!({ "reason": "" })),
        ("/api/deliveries/evt_1@shop/skip", json!({ "reason": "a\u{0}b" })),
        ("/api/deliveries/dlv_1/skip", json!({ "reason": "x" })),
        ("/api/deliveries/retry", json!({})),
        ("/api/deliveries/retry", json!({ "state": "pending" })),
        ("/api/events/replay", json!({ "endpoint": "shop" })),
        ("/api/events/replay", json!({ "endpoint": "shop", "since": "1h", "until": "2h" })),
        ("/api/events/replay", json!({ "endpoint": "shop", "types": ["deposit.create"] })),
        ("/api/sync", json!([])),
    ] {
        assert_refused(&client.post(path, &body).await, 400, "bad_request");
    }
    let large = json!({ "externalId": "x".repeat(70_000) });
    assert_refused(&client.post("/api/wallets", &large).await, 413, "too_large");
    let named = client.post("/api/endpoints/shpo/pause", &json!({})).await;
    assert_refused(&named, 404, "not_found");
    assert_eq!(named.body["error"]["hint"], "did you mean `shop`?");
    assert_refused(&client.post("/api/deliveries/evt_none%40shop/retry", &json!({})).await, 404, "not_found");
    bridge.stop().await;
}

/// A time zone moves a time beyond the years that the drivers can encode, and they encode no leap second as one. Six such
/// questions once took every connection.
async fn times_beyond_the_calendar_are_answered_and_delivering_goes_on(database: Database) {
    let (stage, bridge, client) = running(database, 3).await;
    for path in ["deposits", "wallets", "events"] {
        for since in ["0000-01-01T00:00:00%2B23:59", "2016-12-31T23:59:60Z", "9999-12-31T23:59:59-23:59"] {
            let answer = client.get(&format!("/api/{path}?since={since}")).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let is_empty = answer.body["data"].as_array().map(Vec::is_empty);
            assert_eq!(is_empty, Some(since.starts_with('9')), "{path} since {since}: {answer:?}");
        }
    }
    stage.world.add_deposit_for("someone", "1.5").expect("a deposit");
    stage.until_mirrored().await;
    stage.until_delivered().await;
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_another_site_gets_nothing_from_a_browser() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;
    let host = client.base.strip_prefix("http://").unwrap().to_owned();
    let ask = |name: &'static str, value: &str| client.request(Method::GET, "/api/status").header(name, value);
    for request in [
        ask("sec-fetch-site", "cross-site"),
        ask("sec-fetch-site", "same-site"),
        ask("origin", "http://evil.example"),
        ask("origin", "null"),
    ] {
        assert_refused(&answer(request).await, 403, "foreign_site");
    }
    for request in
        [ask("sec-fetch-site", "same-origin"), ask("sec-fetch-site", "none"), ask("origin", &format!("http://{host}"))]
    {
        assert_eq!(answer(request).await.status, 200);
    }
    assert_eq!(client.text("/healthz").await, "ok\n");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_of_another_origin_may_read_an_answer() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;
    for method in [Method::GET, Method::OPTIONS] {
        let request = client.request(method, "/api/status").header("origin", "http://evil.example");
        let response = request.header("access-control-request-method", "POST").send().await.unwrap();
        let names: Vec<_> = response.headers().keys().map(|name| name.as_str().to_owned()).collect();
        assert!(!names.iter().any(|name| name.starts_with("access-control-")), "{names:?}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
    bridge.stop().await;
}

/// A caller that sends half a request is not waited for when the daemon is to end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_holds_nothing_up() {
    let mut stage = Stage::new(Database::sqlite().await, World::new(seed())).await;
    let (bridge, client) = daemon(&mut stage).await;
    let mut idle = TcpStream::connect(client.base.strip_prefix("http://").unwrap()).await.unwrap();
    idle.write_all(b"POST /api/sync HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n").await.unwrap();
    let status: Value = client.read("/api/status").await;
    assert_eq!(status["listings"].as_array().map(Vec::len), Some(3));
    bridge.stop().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.ok();
    assert!(!rest.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}
