//! `status` while Lumo wants to be left alone.

use std::time::{Duration, Instant};

use lumo_simulator::{Fault, RetryAfter, World};
use serde_json::json;

use super::json;
use crate::database::{Database, on_each_database};
use crate::world::{PATIENCE, Stage, seed};

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
