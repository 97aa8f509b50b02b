//! Acknowledgement by row, with a receiver that answers first and works later, or never.

use std::time::Duration;

use chrono::TimeDelta;
use lumo_simulator::{Answer, World};
use serde_json::{Value, json};

use super::announced_users;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(
    a_delivery_is_finished_by_the_row_and_the_next_waits_for_it,
    what_is_never_acknowledged_is_sent_by_the_schedule_and_then_dead,
    a_restart_goes_on_waiting_and_sends_nothing_twice,
    what_was_acknowledged_before_its_answer_came_is_not_sent_again_after_a_kill,
    where_no_row_is_asked_for_any_more_the_answer_is_enough,
    the_log_says_that_no_row_is_asked_for_any_more_and_suspects_no_clock,
);

fn by_row(within: &str) -> Value {
    json!({ "mode": "row", "within": within })
}

/// What a receiver commits with its work, for what it was sent: all of it, or the first so many.
async fn acknowledge(stage: &Stage, limit: usize) {
    let sent = "SELECT event_id, endpoint FROM lumo_deliveries d WHERE attempts > 0 \
                AND NOT EXISTS (SELECT 1 FROM lumo_acks a WHERE a.event_id = d.event_id) ORDER BY seq";
    for row in stage.database.rows(sent).await.into_iter().take(limit) {
        let [event, endpoint] = &row[..] else { panic!("{row:?}") };
        let (event, endpoint) = (event.as_deref().unwrap(), endpoint.as_deref().unwrap());
        let sql = format!("INSERT INTO lumo_acks (event_id, endpoint) VALUES ('{event}', '{endpoint}')");
        stage.database.execute(&sql).await;
    }
}

const DELIVERED: &str = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
const ANSWERED: &str = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'awaiting_ack' AND attempts = 1";

async fn a_delivery_is_finished_by_the_row_and_the_next_waits_for_it(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.endpoints.shop.ack", by_row("10m"));
    stage.settings.set("callbacks.endpoints.shop.concurrency", json!(1));
    let parts = announced_users(&mut stage, 3).await;
    for user in ["user 0", "user 1", "user 2"] {
        stage.world.add_deposit_for(user, "1.5").unwrap();
    }
    parts.sync().await;
    let delivering = parts.deliver().await;
    // One after the other, as what waits for its row is in nobody's way, except in its own lane.
    stage.database.until_at_least(3, PATIENCE, ANSWERED).await;
    assert_eq!(stage.receiver.count(), 3);
    acknowledge(&stage, usize::MAX).await;
    stage.database.until_at_least(3, PATIENCE, DELIVERED).await;
    stage.database.until_at_least(3, PATIENCE, ANSWERED).await;
    acknowledge(&stage, usize::MAX).await;
    stage.database.until_at_least(6, PATIENCE, DELIVERED).await;
    delivering.stop().await;
    assert_eq!((stage.receiver.count(), stage.receiver.duplicates()), (6, 0));
}

async fn what_is_never_acknowledged_is_sent_by_the_schedule_and_then_dead(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.endpoints.shop.ack", by_row("10m"));
    stage.settings.set("callbacks.defaults.retry", json!({ "schedule": ["30s"], "jitter": 0.0 }));
    // Also where the clock of the bridge, which signs, has run ahead.
    stage.receiver.script(|_| Answer::status(200));
    let parts = announced_users(&mut stage, 1).await;
    let delivering = parts.deliver().await;
    stage.database.until_at_least(1, PATIENCE, ANSWERED).await;
    parts.clock.advance(TimeDelta::minutes(10));
    let failed = "SELECT COUNT(*) FROM lumo_undelivered WHERE state = 'retrying' AND attempts = 1 AND last_status = 200 \
                  AND last_error = 'not acknowledged within 10m'";
    stage.database.until_at_least(1, PATIENCE, failed).await;
    assert_eq!(stage.receiver.count(), 1);
    parts.clock.advance(TimeDelta::seconds(30));
    assert!(stage.receiver.wait_for(2, PATIENCE).await, "it is not sent again");
    stage.database.until_at_least(1, PATIENCE, &ANSWERED.replace("attempts = 1", "attempts = 2")).await;
    parts.clock.advance(TimeDelta::minutes(10));
    let dead = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'dead' AND attempts = 2";
    stage.database.until_at_least(1, PATIENCE, dead).await;
    delivering.stop().await;
    let history = "error = 'not acknowledged within 10m' AND status = 200";
    assert_eq!(stage.database.count("lumo_delivery_attempts", history).await, 2);
    assert_eq!(stage.database.count("lumo_endpoints", "state = 'active' AND consecutive_failures = 0").await, 1);
}

async fn a_restart_goes_on_waiting_and_sends_nothing_twice(database: Database) {
    let world = World::live(seed());
    world.seed(5, 5);
    let mut stage = Stage::new(database, world).await;
    stage.announce_history();
    stage.settings.set("callbacks.endpoints.shop.ack", by_row("10m"));
    let bridge = stage.daemon();
    stage.until_imported().await;
    // One of each user: what is answered holds the lane.
    let users = stage.database.number("SELECT COUNT(DISTINCT stream) FROM lumo_events").await;
    stage.database.until_at_least(users, PATIENCE, ANSWERED).await;
    bridge.kill();
    // One row is written while nobody looks.
    acknowledge(&stage, 1).await;
    let bridge = stage.daemon();
    stage.database.until_at_least(1, PATIENCE, DELIVERED).await;
    eventually!(PATIENCE, "all is acknowledged", {
        acknowledge(&stage, usize::MAX).await;
        stage.database.count("lumo_deliveries", "state <> 'delivered'").await == 0
    });
    bridge.stop().await;
    let events = usize::try_from(stage.database.number("SELECT COUNT(*) FROM lumo_events").await).unwrap();
    assert_eq!((stage.receiver.distinct(), stage.receiver.duplicates()), (events, 0));
}

async fn what_was_acknowledged_before_its_answer_came_is_not_sent_again_after_a_kill(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set("callbacks.endpoints.shop.ack", by_row("10m"));
    stage.settings.set("callbacks.defaults.timeout", json!("60s"));
    for user in ["ann", "bob"] {
        stage.world.add_wallet(user);
    }
    stage.receiver.script(|request| {
        let is_slow = request.stream.as_deref() == Some("user:ann");
        Answer::status(200).after(Duration::from_secs(if is_slow { 3600 } else { 0 }))
    });
    let bridge = stage.daemon();
    // The other one is answered, so the position passes, and what is under way gets a row.
    stage.database.until_at_least(1, PATIENCE, ANSWERED).await;
    let under_way = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'sending'";
    let is_first = stage.database.number("SELECT seq FROM lumo_events WHERE external_id = 'ann'").await == 1;
    if !is_first {
        // Nothing comes after it yet.
        stage.world.add_wallet("carl");
    }
    stage.database.until_at_least(1, PATIENCE, under_way).await;
    bridge.kill();
    let done = "INSERT INTO lumo_acks (event_id, endpoint) SELECT id, 'shop' FROM lumo_events";
    stage.database.execute(done).await;
    stage.receiver.unscript();
    let events = stage.database.number("SELECT COUNT(*) FROM lumo_events").await;
    let bridge = stage.daemon();
    stage.database.until_at_least(events, PATIENCE, DELIVERED).await;
    bridge.stop().await;
    assert_eq!((stage.receiver.count(), stage.receiver.duplicates()), (usize::try_from(events).unwrap(), 0));
    let recorded = stage.database.count("lumo_delivery_attempts", "result = 'delivered'").await;
    assert_eq!(recorded, events, "the attempt whose answer nobody saw is recorded, too");
}

async fn where_no_row_is_asked_for_any_more_the_answer_is_enough(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.settings.set("callbacks.endpoints.shop.ack", by_row("10m"));
    let parts = announced_users(&mut stage, 2).await;
    let delivering = parts.deliver().await;
    stage.database.until_at_least(2, PATIENCE, ANSWERED).await;
    delivering.stop().await;
    stage.settings.set("callbacks.endpoints.shop.ack", Value::Null);
    let delivering = stage.parts_with_standing_clock().await.deliver().await;
    stage.database.until_at_least(2, PATIENCE, DELIVERED).await;
    delivering.stop().await;
    assert_eq!(stage.receiver.count(), 2);
}

async fn the_log_says_that_no_row_is_asked_for_any_more_and_suspects_no_clock(database: Database) {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    stage.settings.set("callbacks.endpoints.shop.ack", by_row("10m"));
    stage.world.add_wallet("ann");
    let bridge = stage.daemon();
    stage.database.until_at_least(1, PATIENCE, ANSWERED).await;
    bridge.stop().await;
    stage.settings.set("callbacks.endpoints.shop.ack", Value::Null);
    let mut bridge = stage.daemon();
    bridge.until_logged("`ack` is not configured any more, so the answer is enough", PATIENCE).await;
    stage.database.until_at_least(1, PATIENCE, DELIVERED).await;
    let log = bridge.log();
    assert!(!log.contains("clock"), "{log}");
    bridge.stop().await;
    assert_eq!(stage.receiver.count(), 1);
}
