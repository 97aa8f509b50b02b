//! Keys, the three changes, and the exactness of what is printed.
//!
//! Amounts are compared as text, in the raw body: parsing it would hide what these tests are about.

use super::*;

#[tokio::test]
async fn the_key_is_taken_from_three_places_and_rotates_at_once() {
    let fixture = Fixture::start(Quirks::default()).await;
    let addr = fixture.simulator.addr();
    let old = fixture.world.api_key();
    let bearer = format!("Bearer {old}");
    let ask = async |target: &str, headers: &[(&str, &str)]| wire::send(addr, "GET", target, headers, "").await.status;
    let in_query = format!("/user-wallets?api_key={old}");
    assert_eq!(ask("/user-wallets", &[("X-API-Key", &old)]).await, 200);
    assert_eq!(ask("/user-wallets", &[("authorization", &bearer)]).await, 200);
    assert_eq!(ask(&in_query, &[]).await, 200);
    assert_eq!(ask("/user-wallets", &[]).await, 401);
    assert_eq!(ask("/user-wallets", &[("X-API-Key", "lb2b_wrong")]).await, 401);

    let new = fixture.world.rotate_key();
    assert!(new.starts_with("lb2b_") && new.len() == 37);
    assert_eq!(ask("/user-wallets", &[("X-API-Key", &old)]).await, 401);
    assert_eq!(ask(&in_query, &[]).await, 401);
    assert_eq!(ask("/user-wallets", &[("X-API-Key", &new)]).await, 200);

    let refused = wire::send(addr, "GET", "/user-wallets", &[], "").await;
    assert_eq!(refused.json()["statusCode"], 401);
    assert!(refused.header("date").is_some());
    assert_eq!(fixture.simulator.requests().of(Operation::ListWallets), 9);
}

#[tokio::test]
async fn creating_a_wallet_is_idempotent() {
    let fixture = Fixture::start(Quirks::default()).await;
    let first = fixture.send("POST", "/user-wallets", r#"{"externalId": "用户 🦊"}"#).await;
    let second = fixture.send("POST", "/user-wallets", r#"{"externalId": "用户 🦊"}"#).await;
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(first.body, second.body);
    assert_eq!(first.json()["id"], fixture.world.wallet_of("用户 🦊").unwrap().id.to_string());
    assert_eq!(first.json()["lastUsdtBalance"], 0);
    assert_eq!(first.json()["blockReason"], Value::Null);
}

#[tokio::test]
async fn bodies_are_checked() {
    let fixture = Fixture::start(Quirks::default()).await;
    let id = fixture.world.add_wallet("1").id;
    for body in ["", "{}", "[]", "not json", r#"{"externalId": 7}"#, r#"{"externalId": ""}"#] {
        assert_eq!(fixture.send("POST", "/user-wallets", body).await.status, 400, "{body}");
        for operation in ["block", "replace"] {
            let target = format!("/user-wallets/{id}/{operation}");
            assert_eq!(fixture.send("POST", &target, body).await.status, 400, "{target} {body}");
        }
    }
    assert_eq!(fixture.world.wallet_count(), 1);
}

#[tokio::test]
async fn blocking_and_replacing_answer_with_the_wallet() {
    let fixture = Fixture::start(Quirks::default()).await;
    let id = fixture.world.add_wallet("1").id;
    let blocked = fixture.send("POST", &format!("/user-wallets/{id}/block"), r#"{"reason": "fraud"}"#).await.json();
    assert_eq!((&blocked["isBlocked"], &blocked["blockReason"]), (&true.into(), &"fraud".into()));

    let target = format!("/user-wallets/{id}/replace");
    let replacement = fixture.send("POST", &target, r#"{"reason": "lost"}"#).await.json();
    assert_ne!(replacement["id"], id.to_string());
    assert_eq!(replacement["externalId"], "1");
    assert_eq!(replacement["isBlocked"], false);
    assert_eq!(fixture.send("POST", &target, r#"{"reason": "lost"}"#).await.status, 409);
}

#[tokio::test]
async fn what_is_unknown_is_not_found() {
    let fixture = Fixture::start(Quirks::default()).await;
    let body = r#"{"reason": "x"}"#;
    for id in ["00000000-0000-4000-8000-000000000000", "not-a-uuid"] {
        assert_eq!(fixture.send("POST", &format!("/user-wallets/{id}/block"), body).await.status, 404);
        assert_eq!(fixture.send("POST", &format!("/user-wallets/{id}/replace"), body).await.status, 404);
    }
    assert_eq!(fixture.get("/elsewhere").await.json()["statusCode"], 404);
    assert_eq!(fixture.send("DELETE", "/user-wallets", "").await.status, 405);
}

#[tokio::test]
async fn amounts_and_balances_reach_the_wire_letter_for_letter() {
    for (name, quirks) in Quirks::presets() {
        let fixture = Fixture::start(quirks).await;
        for amount in ["0.000001", "0.1", "1234567.123456", "100", "12.500000", "123456789012.123456"] {
            let deposit = fixture.world.add_deposit_for(amount, amount).unwrap();
            let wallet = fixture.world.set_balance(deposit.wallet_id, amount, "0.30").unwrap();
            let target = format!("/user-wallets/deposits?externalId={amount}");
            let body = fixture.get(&target).await.body;
            assert!(
                body.contains(&format!(":{amount},")) || body.contains(&format!(":\"{amount}\",")),
                "{name} {body}"
            );
            let body = fixture.get(&format!("/user-wallets?externalId={}", wallet.external_id)).await.body;
            assert!(body.contains(&format!("\"lastUsdtBalance\":{amount},\"lastTrxBalance\":0.30,")), "{name} {body}");
        }
    }
}

#[tokio::test]
async fn latency_is_kept_and_shutdown_ends_the_server() {
    let latency = Duration::from_millis(60);
    let config = SimulatorConfig { latency, ..SimulatorConfig::local(World::new(1), Quirks::default()) };
    let simulator = Simulator::start(config).await.unwrap();
    let (addr, begun) = (simulator.addr(), std::time::Instant::now());
    assert_eq!(wire::send(addr, "GET", "/user-wallets", &[], "").await.status, 401);
    assert!(begun.elapsed() >= latency);
    let idle = tokio::net::TcpStream::connect(addr).await.unwrap();
    simulator.shutdown().await;
    drop(idle);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
