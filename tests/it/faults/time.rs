//! Clocks that are stepped, with deliveries under way, and a server whose clock is wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use lumo_simulator::{Answer, Received, World};
use serde_json::{Value, json};

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, eventually, page, seed};

on_each_database!(a_clock_that_jumps_ahead_loses_nothing, a_clock_that_goes_back_loses_nothing);

/// Less than a receiver tolerates in a timestamp, and more than a lease lasts.
const JUMP: TimeDelta = TimeDelta::minutes(4);

fn company(users: usize) -> World {
    let world = World::live(seed());
    for user in 0..users {
        world.add_wallet(&format!("user {user}"));
        world.add_deposit_for(&format!("user {user}"), "1").expect("a deposit");
    }
    world
}

/// By the calendar every request seems to have been under way for too long.
async fn a_clock_that_jumps_ahead_loses_nothing(database: Database) {
    let mut stage = Stage::new(database, company(20)).await;
    stage.announce_history();
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(400)));
    let parts = stage.parts_with_standing_clock().await;
    parts.sync().await;
    let delivering = parts.deliver().await;
    assert!(stage.receiver.wait_for(5, PATIENCE).await);
    parts.clock.advance(JUMP);
    stage.until_delivered().await;
    delivering.stop().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0, "its own requests are its own");
}

/// What was due is due again when the clock has come back to where it was; what is new need not wait for that.
async fn a_clock_that_goes_back_loses_nothing(database: Database) {
    let mut stage = Stage::new(database, company(20)).await;
    stage.announce_history();
    stage.receiver.script(|_| Answer::status(200).after(Duration::from_millis(400)));
    let parts = stage.parts_with_standing_clock().await;
    parts.sync().await;
    let delivering = parts.deliver().await;
    assert!(stage.receiver.wait_for(5, PATIENCE).await);
    parts.clock.advance(-JUMP);
    stage.world.add_wallet("somebody new");
    parts.sync().await;
    let newcomer = "user:somebody new";
    eventually!(PATIENCE, "what is new is told", {
        stage.receiver.received().iter().any(|request| request.stream.as_deref() == Some(newcomer))
    });
    parts.clock.advance(JUMP);
    stage.until_delivered().await;
    delivering.stop().await;
    stage.assert_told_once_and_in_order(&Announced::default()).await;
    assert_eq!(stage.receiver.duplicates(), 0, "no lease has ended");
}

/// What a server lists whose clock shows 1970: three wallets, none of them blocked, and so many deposits.
fn listed_in_1970(request: &Received, deposits: usize) -> Answer {
    let created_at = "2025-05-04T10:11:12.345Z";
    let wallet = |number: usize| {
        json!({
            "id": format!("739896b0-4cb3-40bd-9e5c-eed60333{number:04}"),
            "companyId": "61644a25-da5a-4317-94e2-3bc1eca8c766",
            "externalId": format!("user {number}"),
            "address": format!("T{number}HwiU8GCgN9nKAqUzTuRiyUZizzjMjWpc"),
            "isBlocked": false,
            "lastUsdtBalance": 0,
            "lastTrxBalance": 0,
            "createdAt": created_at,
        })
    };
    let deposit =
        |number: usize| json!({ "id": format!("d-{number}"), "externalId": "user 1", "createdAt": created_at });
    let listed = |all: Vec<Value>| page(request, all);
    let answered = match request.path.as_str() {
        "/user-wallets" => json!({ "wallets": listed((1..=3).map(wallet).collect()), "total": 3 }),
        "/user-wallets/blocked" => json!({ "wallets": [], "total": 0 }),
        "/user-wallets/deposits" => {
            json!({ "deposits": listed((1..=deposits).map(deposit).collect()), "total": deposits })
        }
        "/shop" => return Answer::status(200),
        _ => return Answer::status(404),
    };
    let answer = Answer { body: answered.to_string().into_bytes(), ..Answer::status(200) };
    answer.with_header("date", "Thu, 01 Jan 1970 00:00:00 GMT")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_shows_1970_makes_no_news_of_history_and_is_named_once() {
    const NAMED: &str = "Lumo's clock (its `Date` header) and this machine's are more than 5 minutes apart";
    let mut stage = Stage::new(Database::sqlite().await, World::new(1)).await;
    let deposits = Arc::new(AtomicUsize::new(3));
    let listed = Arc::clone(&deposits);
    stage.receiver.script(move |request| listed_in_1970(request, listed.load(Ordering::Relaxed)));
    let base_url = stage.receiver.url("");
    stage.settings.set("lumo.base_url", json!(base_url));
    let mut bridge = stage.daemon();
    stage.until_imported().await;
    bridge.until_logged(NAMED, PATIENCE).await;
    stage.until_read_again().await;
    assert_eq!(stage.database.count("lumo_user_deposits", "1 = 1").await, 3);
    assert_eq!(stage.events().await.len(), 0, "what was there is told to nobody");

    deposits.store(4, Ordering::Relaxed);
    eventually!(PATIENCE, "what is new is told", stage.events().await.len() == 1);
    let event = stage.events().await.remove(0);
    assert_eq!((event.kind.as_str(), event.json()["origin"].as_str()), ("deposit.created", Some("live")));
    assert_eq!(bridge.log().matches(NAMED).count(), 1, "{}", bridge.log());
    bridge.stop().await;
}
