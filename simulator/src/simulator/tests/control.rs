//! The control side, as another process uses it: no key, JSON in and out.
//!
//! What is changed here is looked up in the world, and the other way round.

use super::*;

#[tokio::test]
async fn a_world_is_changed_from_outside() {
    let fixture = Fixture::start(Quirks::default()).await;
    let post = async |target: &str, body: &str| {
        let reply = fixture.send("POST", &format!("/_control{target}"), body).await;
        assert_eq!(reply.status, 200, "{target} {}", reply.body);
        reply
    };
    let wallet = post("/wallets", r#"{"external_id": "42"}"#).await.json();
    let id = wallet["id"].as_str().unwrap();
    let deposit = post("/deposits", r#"{"external_id": "42", "amount": 12.500000}"#).await;
    assert!(deposit.body.contains("\"amount\":12.500000"));
    post("/deposits", &format!(r#"{{"wallet_id": "{id}", "amount": "0.1"}}"#)).await;
    post("/deposits", &format!(r#"{{"wallet_id": "{id}"}}"#)).await;
    let deposit_id = deposit.json()["id"].as_str().unwrap().to_owned();
    let changed = post(&format!("/deposits/{deposit_id}/status"), r#"{"status": "confirmed"}"#).await.json();
    assert_eq!(changed["status"], "confirmed");
    post(&format!("/wallets/{id}/balance"), r#"{"usdt": "1.50", "trx": 2}"#).await;
    assert_eq!(post(&format!("/wallets/{id}/block"), r#"{"reason": "x"}"#).await.json()["block_reason"], "x");
    assert_eq!(post(&format!("/wallets/{id}/unblock"), "").await.json()["block_reason"], Value::Null);
    let other = post(&format!("/wallets/{id}/replace"), r#"{"reason": "lost"}"#).await.json();
    assert_ne!(other["id"], id);

    let snapshot = fixture.get("/_control/snapshot").await;
    assert_eq!((count(&snapshot.json(), "wallets"), count(&snapshot.json(), "deposits")), (2, 3));
    assert!(snapshot.body.contains("\"usdt_balance\":1.50"));
    assert_eq!(fixture.send("DELETE", &format!("/_control/deposits/{deposit_id}"), "").await.status, 200);
    assert_eq!(fixture.send("DELETE", &format!("/_control/wallets/{id}"), "").await.status, 200);
    assert_eq!((fixture.world.wallet_count(), fixture.world.deposit_count()), (1, 2));
    assert!(post("/step", "").await.json()["step"].is_string());
}

#[tokio::test]
async fn keys_faults_and_counters_are_reached_without_a_key() {
    let fixture = Fixture::start(Quirks::default()).await;
    let addr = fixture.simulator.addr();
    let key = wire::send(addr, "POST", "/_control/key", &[], "").await.json();
    assert_eq!(key["api_key"], fixture.world.api_key());
    let fault = r#"{"fault": {"kind": "status", "code": 500}, "times": 2, "operation": "list_wallets"}"#;
    let counts = wire::send(addr, "POST", "/_control/faults", &[], fault).await.json();
    assert_eq!((&counts["waiting"], &counts["injected"]), (&2.into(), &0.into()));
    assert_eq!(fixture.get("/user-wallets").await.status, 500);
    let counts = wire::send(addr, "DELETE", "/_control/faults", &[], "").await.json();
    assert_eq!((&counts["waiting"], &counts["injected"]), (&0.into(), &1.into()));
    let random = r#"{"random": {"probability": 1, "seed": 3, "faults": [{"kind": "html_page"}]}}"#;
    wire::send(addr, "POST", "/_control/faults", &[], random).await;
    assert!(fixture.get("/user-wallets").await.body.starts_with("<!doctype"));
    let requests = wire::send(addr, "GET", "/_control/requests", &[], "").await.json();
    assert_eq!(requests[1], serde_json::json!({"operation": "list_wallets", "count": 2}));
    assert_eq!(fixture.simulator.requests().total(), 2);
}

#[tokio::test]
async fn life_starts_and_stops() {
    let fixture = Fixture::start(Quirks::default()).await;
    let started = fixture.send("POST", "/_control/life", r#"{"per_second": 500}"#).await.json();
    assert_eq!(started["per_second"], 500.0);
    let alive = async {
        while fixture.world.deposit_count() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), alive).await.unwrap();
    assert_eq!(fixture.simulator.life().per_second(), Some(500.0));
    let stopped = fixture.send("POST", "/_control/life", r#"{"per_second": 0}"#).await.json();
    assert_eq!(stopped["per_second"], Value::Null);
    assert_eq!(fixture.simulator.life().per_second(), None);
}

#[tokio::test]
async fn mistakes_are_named() {
    let fixture = Fixture::start(Quirks::default()).await;
    let refused = async |target: &str, body: &str, status: u16| {
        let reply = fixture.send("POST", &format!("/_control{target}"), body).await;
        assert_eq!(reply.status, status, "{target} {}", reply.body);
        reply.json()["message"].as_str().unwrap().to_owned()
    };
    let message = refused("/wallets", r#"{"externalId": "42"}"#, 400).await;
    assert!(message.contains("unknown field `externalId`"), "{message}");
    assert_eq!(refused("/deposits", "{}", 400).await, "either external_id or wallet_id is needed");
    assert!(refused("/deposits", r#"{"external_id": "1", "amount": "lots"}"#, 400).await.contains("decimal"));
    refused("/faults", r#"{"fault": {"kind": "earthquake"}}"#, 400).await;
    refused("/faults", "{}", 400).await;
    refused("/life", r#"{"per_second": -1}"#, 400).await;
    refused("/wallets/x/unblock", "", 404).await;
    refused("/nothing", "", 404).await;
    refused("/snapshot", "", 405).await;
    assert_eq!(fixture.world.wallet_count(), 0);
}
