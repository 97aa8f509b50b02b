//! Lumo wants to be left alone: what `status` says meanwhile, and how soon reading goes on.

use std::time::{Duration, Instant};

use lumo_simulator::{Fault, RetryAfter, World};
use serde_json::json;

use super::json;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, eventually, seed};

on_each_database!(status_says_how_fast_the_daemon_reads_and_until_when_it_waits);

async fn status_says_how_fast_the_daemon_reads_and_until_when_it_waits(database: Database) {
    let mut stage = Stage::new(database, World::new(seed())).await;
    stage.settings.set("lumo.rate", json!("20/s"));
    let away = Fault::Status { code: 503, retry_after: Some(RetryAfter::Seconds(600)) };
    stage.simulator.faults().inject(1_000, away);
    let daemon = stage.daemon();
    let deadline = Instant::now() + PATIENCE;
    let told = loop {
        let status = stage.command(&["status"]).await;
        let words = status.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.contains("Lumo asked us to wait") {
            break words;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let document = json(&stage.command(&["status", "--json"]).await);
    assert!(told.contains("Lumo asked us to wait (429 or 503) until 2"), "{told}");
    assert!(told.contains("; reading at 10 of 20 requests a second"), "{told}");
    let speed = &document["speed"];
    assert_eq!((&speed["rate"], &speed["ceiling"]), (&json!(10.0), &json!(20.0)), "{document}");
    assert!(speed["waits_until"].is_string(), "{document}");
    daemon.stop().await;
}

/// How soon a deposit is stored that came while requests were refused, on a busy machine: after the longest wait that is
/// kept without a word from the server, and a round.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_while_requests_were_refused_is_stored_soon_after() {
    let world = World::live(seed());
    world.seed(20, 200);
    let mut stage = Stage::new(Database::sqlite().await, world.clone()).await;
    stage.settings.set("lumo.rate", json!("20/s"));
    let mut daemon = stage.daemon();
    stage.until_imported().await;
    let refusals = vec![
        Fault::Status { code: 503, retry_after: Some(RetryAfter::Seconds(1)) },
        Fault::Status { code: 503, retry_after: None },
        Fault::Status { code: 429, retry_after: None },
    ];
    stage.simulator.faults().at_random(1, 1.0, refusals);
    eventually!(PATIENCE, "some requests were refused", stage.simulator.faults().injected() >= 10);
    world.add_deposit_for("later", "1.5").expect("a deposit");
    stage.simulator.faults().clear();
    let over = Instant::now();
    let stored = "SELECT COUNT(*) FROM lumo_user_deposits WHERE external_id = 'later'";
    stage.database.until_at_least(1, PATIENCE, stored).await;
    assert!(over.elapsed() < SOON, "stored after {:?}", over.elapsed());
    daemon.until_logged("reading at 20 requests a second again", PATIENCE).await;
    daemon.stop().await;
}
