//! Delivering, with the clock in hand: when it is tried again, when it is given up, what waits for what.

mod acks;
mod filter;
mod order;
mod outage;
mod shared;
mod sink;
mod woken;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::actor::Actor;
use lumo_simulator::{Answer, World};
use serde_json::json;

use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Parts, Stage, eventually, seed};

on_each_database!(
    a_failing_delivery_is_retried_by_the_schedule_and_then_dead_and_listed,
    retry_after_holds_the_whole_endpoint,
    a_410_suspends_the_endpoint_and_no_other,
);

/// A company of that many users without deposits, all announced to `shop`, and the bridge with a clock that stands.
async fn announced_users(stage: &mut Stage, users: usize) -> Parts {
    stage.announce_history();
    for user in 0..users {
        stage.world.add_wallet(&format!("user {user}"));
    }
    let parts = stage.parts_with_standing_clock().await;
    parts.sync().await;
    parts
}

async fn one_waiting_for(stage: &Stage, at: DateTime<Utc>) {
    let sql = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'retrying'";
    stage.database.until_at_least(1, PATIENCE, sql).await;
    assert_eq!(time(stage, "SELECT next_attempt_at FROM lumo_deliveries WHERE state = 'retrying'").await, at);
}

/// A time, whose spelling is the database's.
async fn time(stage: &Stage, sql: &str) -> DateTime<Utc> {
    let text = stage.database.value(sql).await;
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

async fn a_failing_delivery_is_retried_by_the_schedule_and_then_dead_and_listed(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    let waits = [5, 30, 120];
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["5s", "30s", "2m"], "jitter": 0.0 }));
    let refuses_one = |request: &lumo_simulator::Received| match request.stream.as_deref() {
        Some("user:user 0") => Answer { body: b"try later".to_vec(), ..Answer::status(500) },
        _ => Answer::status(200),
    };
    stage.receiver.script(refuses_one);
    let parts = announced_users(&mut stage, 1).await;
    let delivering = parts.deliver().await;

    for (attempts, wait) in (1..).zip(waits) {
        eventually!(PATIENCE, "an attempt is settled", {
            stage.database.count("lumo_delivery_attempts", "status = 500").await == attempts
        });
        one_waiting_for(&stage, parts.clock.now() + TimeDelta::seconds(wait)).await;
        assert_eq!(stage.database.count("lumo_undelivered", "state = 'retrying' AND last_status = 500").await, 1);
        // Others are taken, so that it is the delivery that fails, and not its receiver.
        stage.world.add_wallet(&format!("friend {attempts}"));
        parts.sync().await;
        let taken = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
        stage.database.until_at_least(attempts, PATIENCE, taken).await;
        parts.clock.advance(TimeDelta::seconds(wait));
    }
    let dead = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'dead' AND attempts = 4 AND next_attempt_at IS NULL";
    stage.database.until_at_least(1, PATIENCE, dead).await;
    let received = stage.receiver.received();
    let refused: Vec<_> = received.iter().filter(|one| one.stream.as_deref() == Some("user:user 0")).collect();
    let attempts: Vec<_> = refused.iter().map(|request| request.attempt).collect();
    assert_eq!(attempts, [Some(1), Some(2), Some(3), Some(4)]);
    assert_eq!(stage.receiver.distinct(), 4, "every attempt has the same id");
    assert_eq!(stage.database.count("lumo_undelivered", "state = 'dead'").await, 1, "what is dead is listed");
    assert_eq!(stage.database.count("lumo_delivery_attempts", "response_body = 'try later'").await, 4);

    // The user's next event passes what is dead.
    stage.receiver.unscript();
    stage.world.add_deposit_for("user 0", "1").unwrap();
    parts.sync().await;
    assert!(stage.receiver.wait_for(8, PATIENCE).await);
    delivering.stop().await;
    assert_eq!(stage.database.count("lumo_deliveries", "state = 'delivered'").await, 4);
}

async fn retry_after_holds_the_whole_endpoint(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.defaults.concurrency", json!(2));
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["1s", "1s", "1s"], "jitter": 0.0 }));
    stage.add_endpoint("other", "/other", &["*"]);
    stage.receiver.script(|request| match request.path.as_str() {
        "/shop" => Answer::status(429).with_header("retry-after", "60"),
        _ => Answer::status(200),
    });
    let parts = announced_users(&mut stage, 100).await;
    let delivering = parts.deliver().await;
    let other = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'other' AND state = 'delivered'";
    stage.database.until_at_least(100, PATIENCE, other).await;
    let turned_away = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'shop' AND last_status = 429";
    let shop = || stage.receiver.received().iter().filter(|request| request.path == "/shop").count();
    eventually!(PATIENCE, "what was answered is written", {
        shop() > 0 && stage.database.number(turned_away).await == i64::try_from(shop()).unwrap()
    });
    let hold = time(&stage, "SELECT hold_until FROM lumo_endpoints WHERE name = 'shop'").await;
    assert_eq!(hold, parts.clock.now() + TimeDelta::seconds(60));

    // What was under way when the first answer came is all that was tried.
    let tried = shop();
    assert!((1..=2).contains(&tried), "{tried} deliveries were tried, and two at a time are allowed");
    let untouched = "endpoint = 'shop' AND state IN ('pending', 'retrying') AND attempts = 0";
    assert_eq!(stage.database.count("lumo_deliveries", untouched).await, 100, "to be turned away is no attempt");

    // Still held a moment before the time, however much there is to do; `other` shows that the dispatchers are awake.
    parts.clock.advance(TimeDelta::seconds(59));
    stage.world.add_wallet("one more");
    parts.sync().await;
    stage.database.until_at_least(101, PATIENCE, other).await;
    assert_eq!(shop(), tried);
    stage.receiver.unscript();
    parts.clock.advance(TimeDelta::seconds(1));
    stage.until_delivered().await;
    delivering.stop().await;
    assert_eq!(shop(), tried + 101);
}

async fn a_410_suspends_the_endpoint_and_no_other(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.defaults.concurrency", json!(2));
    stage.add_endpoint("other", "/other", &["*"]);
    stage.receiver.script(|request| Answer::status(if request.path == "/shop" { 410 } else { 200 }));
    let parts = announced_users(&mut stage, 100).await;
    let delivering = parts.deliver().await;
    let suspended = "SELECT COUNT(*) FROM lumo_endpoints WHERE name = 'shop' AND state = 'suspended'";
    stage.database.until_at_least(1, PATIENCE, suspended).await;
    let other = "SELECT COUNT(*) FROM lumo_deliveries WHERE endpoint = 'other' AND state = 'delivered'";
    stage.database.until_at_least(100, PATIENCE, other).await;
    eventually!(PATIENCE, "nothing is in flight", {
        stage.database.count("lumo_deliveries", "state = 'sending'").await == 0
    });
    let shop = || stage.receiver.received().iter().filter(|request| request.path == "/shop").count();
    let tried = shop();
    assert!((1..=2).contains(&tried), "{tried} deliveries were tried, and two at a time are allowed");

    // Nothing more is sent, whatever is due; nothing is lost either.
    parts.clock.advance(TimeDelta::seconds(120));
    stage.world.add_wallet("one more");
    parts.sync().await;
    stage.database.until_at_least(101, PATIENCE, other).await;
    assert_eq!(shop(), tried);
    assert_eq!(stage.database.count("lumo_undelivered", "endpoint = 'shop'").await, 101);
    stage.receiver.unscript();
    let name = "shop".parse().unwrap();
    let active = lumo_bridge_entity::endpoint::State::Active;
    assert!(parts.store.set_endpoint_state(&name, active, &Actor::API, parts.clock.now()).await.unwrap().is_some());
    stage.until_delivered().await;
    delivering.stop().await;
}
