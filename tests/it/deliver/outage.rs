//! A receiver that is down, and a clock that was ahead: what waits comes through.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use lumo_simulator::{Answer, World};
use serde_json::json;

use super::announced_users;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, seed};

on_each_database!(
    nothing_dies_of_an_outage_however_short_the_schedule,
    a_receiver_that_refuses_some_for_good_gets_the_others,
    what_is_refused_for_good_keeps_its_attempts_however_often_others_succeed,
    no_wait_that_a_clock_ahead_has_made_is_believed,
);

async fn nothing_dies_of_an_outage_however_short_the_schedule(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["50ms"], "jitter": 0.0 }));
    // With one request at a time, each of the five failures that open the circuit could be the same delivery's.
    stage.settings.set("callbacks.defaults.concurrency", json!(1));
    for user in 0..12 {
        stage.world.add_wallet(&format!("user {user}"));
    }
    stage.receiver.script(|_| Answer::status(503));
    let bridge = stage.daemon();
    let failing = "SELECT COUNT(*) FROM lumo_endpoints WHERE state = 'failing'";
    stage.database.until_at_least(1, PATIENCE, failing).await;
    let before = stage.receiver.count();
    assert!(stage.receiver.wait_for(before + 3, PATIENCE).await, "it is probed");
    bridge.kill();
    // A resume while it is still down gives nothing up either.
    assert_eq!(stage.command(&["endpoint", "resume", "shop"]).await.status.code(), Some(0));
    let bridge = stage.daemon();
    stage.database.until_at_least(1, PATIENCE, failing).await;
    let before = stage.receiver.count();
    assert!(stage.receiver.wait_for(before + 2, PATIENCE).await, "it is probed again");
    assert_eq!(stage.database.count("lumo_exceptions", "state = 'dead'").await, 0);
    stage.receiver.unscript();
    stage.until_delivered().await;
    bridge.stop().await;
    assert_eq!(stage.database.count("lumo_deliveries", "state = 'delivered'").await, 12);
}

/// The oldest are those that it refuses, so whatever is tried first fails.
async fn a_receiver_that_refuses_some_for_good_gets_the_others(database: Database) {
    const REFUSED: usize = 8;
    let mut stage = Stage::new(database, World::new(1)).await;
    stage.announce_history();
    stage.settings.set("callbacks.defaults.concurrency", json!(1));
    let users: Vec<String> = (0..12).map(|number| format!("user {number:02}")).collect();
    for user in &users {
        stage.world.add_wallet(user);
    }
    let refused: Vec<String> = users.iter().take(REFUSED).map(|user| format!("user:{user}")).collect();
    stage.receiver.script(move |request| {
        let is_refused = request.stream.as_ref().is_some_and(|stream| refused.contains(stream));
        Answer::status(if is_refused { 400 } else { 204 })
    });
    let bridge = stage.daemon();
    let delivered = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
    stage.database.until_at_least(4, PATIENCE, delivered).await;
    bridge.stop().await;
    let tried = "state = 'retrying' AND last_status = 400";
    let tried = stage.database.count("lumo_exceptions", tried).await;
    assert!(tried >= 5, "{tried} of the others were tried");
}

/// Each success in between ends the failing, and what failed is tried again.
async fn what_is_refused_for_good_keeps_its_attempts_however_often_others_succeed(database: Database) {
    const REFUSED: i64 = 6;
    let mut stage = Stage::new(database, World::new(1)).await;
    stage.announce_history();
    let schedule = ["10ms", "10ms", "10ms", "10ms", "10ms", "1h", "1h", "1h"];
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": schedule, "jitter": 0.0 }));
    stage.settings.set("callbacks.defaults.concurrency", json!(1));
    for user in 0..REFUSED {
        stage.world.add_wallet(&format!("refused {user}"));
    }
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    stage.receiver.script(move |request| {
        let is_refused = request.stream.as_ref().is_some_and(|stream| stream.starts_with("user:refused"));
        Answer::status(if down.load(Ordering::Relaxed) {
            503
        } else if is_refused {
            400
        } else {
            204
        })
    });
    let bridge = stage.daemon();
    let delivered = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
    let mut taken = 0;
    loop {
        taken += 1;
        stage.world.add_wallet(&format!("taken {taken}"));
        stage.database.until_at_least(taken, PATIENCE, delivered).await;
        if stage.database.count("lumo_exceptions", "tries > 5").await == REFUSED {
            break;
        }
    }
    is_down.store(true, Ordering::Relaxed);
    stage.world.add_wallet("before the repair");
    let failing = "SELECT COUNT(*) FROM lumo_endpoints WHERE state = 'failing'";
    stage.database.until_at_least(1, PATIENCE, failing).await;
    is_down.store(false, Ordering::Relaxed);
    stage.database.until_at_least(taken + 1, PATIENCE, delivered).await;
    stage.world.add_wallet("after the repair");
    stage.database.until_at_least(taken + 2, PATIENCE, delivered).await;
    bridge.stop().await;
    assert_eq!(stage.database.count("lumo_exceptions", "state = 'retrying' AND tries = 6").await, REFUSED);
}

async fn no_wait_that_a_clock_ahead_has_made_is_believed(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["10s", "1h"], "jitter": 0.0 }));
    stage.settings.set("callbacks.defaults.concurrency", json!(1));
    // One is refused, and with the next one the receiver asks not to be called.
    stage.receiver.script(|request| match request.attempt {
        Some(1) if request.stream.as_deref() == Some("user:user 0") => Answer::status(500),
        _ => Answer::status(503).with_header("retry-after", "600"),
    });
    let ahead = announced_users(&mut stage, 3).await;
    ahead.clock.advance(TimeDelta::days(2 * 365));
    for user in 0..3 {
        stage.world.add_deposit_for(&format!("user {user}"), "1.5").unwrap();
    }
    ahead.sync().await;
    let delivering = ahead.deliver().await;
    stage
        .database
        .until_at_least(1, PATIENCE, "SELECT COUNT(*) FROM lumo_endpoints WHERE hold_until > '2028-01-01'")
        .await;
    delivering.stop().await;
    drop(ahead);
    let held = "hold_until > '2028-01-01' AND next_attempt_at > '2028-01-01'";
    assert!(stage.database.count("lumo_exceptions", held).await >= 1);

    stage.receiver.unscript();
    let mut bridge = stage.daemon();
    stage.until_delivered().await;
    bridge.until_logged("waits longer than the settings allow are cut short", Duration::from_secs(5)).await;
    bridge.stop().await;
    for user in 0..3 {
        let stream = format!("user:user {user}");
        let received = stage.receiver.received();
        let accepted = received.iter().filter(|one| one.stream.as_deref() == Some(&stream) && one.answered == 200);
        let order: Vec<_> = accepted.map(|one| one.sequence.unwrap()).collect();
        assert_eq!(order, [1, 2], "{stream}");
    }
}
