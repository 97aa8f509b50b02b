//! Who reads next: after a process that was killed, after a clock that was wrong, and after a reload.

use chrono::TimeDelta;
use lumo_bridge::clock::Clock;
use lumo_simulator::{Received, World};
use sea_orm::DbBackend;

use crate::database::{Database, on_each_database};
use crate::world::{Announced, PATIENCE, Stage, eventually, seed};

on_each_database!(
    who_is_killed_and_started_again_reads_at_once_whatever_its_lease_says,
    a_lease_until_tomorrow_that_nobody_renews_is_taken,
    a_reload_hands_the_listings_over_within_the_process,
    a_daemon_that_writes_nothing_is_told_from_one_that_is_gone,
);

const READS: &str = "this process reads the listings";
const STANDS_BY: &str = "another process reads the listings";

async fn stage(database: Database) -> Stage {
    let world = World::live(seed());
    world.seed(5, 5);
    Stage::new(database, world).await
}

/// What a clock leaves behind that was ahead by a day.
async fn set_clock_of_lease_ahead(database: &Database) {
    let tomorrow = match database.backend() {
        DbBackend::Sqlite => "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now', '+1 day')",
        DbBackend::MySql => "UTC_TIMESTAMP(6) + INTERVAL 1 DAY",
        _ => "CURRENT_TIMESTAMP + INTERVAL '1 day'",
    };
    database.execute(&format!("UPDATE lumo_leases SET expires_at = {tomorrow}")).await;
}

/// Asserts that what has come since the takeover is stored, and that `shop` receives it.
async fn assert_news_are_told(stage: &Stage, announced: &Announced) {
    stage.until_mirrored().await;
    stage.until_delivered().await;
    stage.assert_told_once_and_in_order(announced).await;
    let is_it = |request: &Received| request.path == "/shop" && request.stream.as_deref() == Some("user:news");
    assert!(stage.receiver.received().iter().any(|request| is_it(request)), "the news did not reach `shop`");
}

async fn who_is_killed_and_started_again_reads_at_once_whatever_its_lease_says(database: Database) {
    let stage = stage(database).await;
    let mut first = stage.daemon();
    stage.until_imported().await;
    first.until_logged(READS, PATIENCE).await;
    first.kill();
    set_clock_of_lease_ahead(&stage.database).await;
    let announced = stage.announced().await;
    stage.world.add_wallet("news");

    let mut second = stage.daemon();
    second.until_logged(READS, PATIENCE).await;
    assert_news_are_told(&stage, &announced).await;
    assert!(!second.log().contains(STANDS_BY), "it waited for its dead predecessor:\n{}", second.log());
    second.stop().await;
}

/// Nothing shows whether its process lives: it was one without a lock.
async fn a_lease_until_tomorrow_that_nobody_renews_is_taken(database: Database) {
    let stage = stage(database).await;
    let first = stage.daemon();
    stage.until_imported().await;
    first.kill();
    set_clock_of_lease_ahead(&stage.database).await;
    stage.database.execute("UPDATE lumo_leases SET process = NULL").await;
    let announced = stage.announced().await;
    stage.world.add_wallet("news");
    let status = stage.command(&["status"]).await.stdout;
    let words = status.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("which no lease lasts to"), "{status}");

    let mut second = stage.daemon();
    second.until_logged(STANDS_BY, PATIENCE).await;
    second.until_logged(READS, PATIENCE).await;
    assert_news_are_told(&stage, &announced).await;
    second.stop().await;
}

async fn a_reload_hands_the_listings_over_within_the_process(database: Database) {
    let mut stage = stage(database).await;
    let file = stage.config_file();
    let mut bridge = stage.daemon_on(&file);
    stage.until_imported().await;
    bridge.until_logged(READS, PATIENCE).await;
    stage.add_endpoint("books", "/books", &["deposit.*"]);
    std::fs::write(&file, stage.settings.to_string()).unwrap();
    bridge.signal("HUP");
    eventually!(PATIENCE, "the second set of parts reads", bridge.log().matches(READS).count() == 2);
    assert!(!bridge.log().contains(STANDS_BY), "there is no other process:\n{}", bridge.log());
    stage.world.add_wallet("news");
    stage.until_mirrored().await;
    bridge.stop().await;
}

/// What `status` says, on one line.
async fn status(stage: &Stage) -> String {
    let finished = stage.command(&["status"]).await;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One that stands still writes as little as one whose disk is full.
async fn a_daemon_that_writes_nothing_is_told_from_one_that_is_gone(database: Database) {
    let stage = stage(database).await;
    let mut bridge = stage.daemon();
    stage.until_imported().await;
    bridge.until_logged(READS, PATIENCE).await;
    bridge.signal("STOP");
    let stopped = Clock::system().now();
    eventually!(PATIENCE, "its lease is over", Clock::system().now() - stopped > TimeDelta::seconds(16));
    let said = status(&stage).await;
    assert!(said.starts_with("A daemon is alive, but has written nothing since "), "{said}");
    assert!(said.contains("A daemon is alive; its lease ended at "), "{said}");
    let watched = stage.command(&["deposit", "watch", "bob", "--for", "1s"]).await;
    assert_eq!(watched.status.code(), Some(1), "{watched:?}");
    assert!(watched.stderr.contains("one is alive and writes nothing: its log says why"), "{watched:?}");

    bridge.kill();
    eventually!(PATIENCE, "it is gone", status(&stage).await.starts_with("No daemon runs since "));
}
