//! What the operator does by command: the real program, its words, its JSON and its exit codes.

mod actions;
mod columns;
mod csv;
mod documents;
mod doubts;
mod reconcile;
mod rejects;
mod removals;
mod replay;
mod retry;
mod search;
mod settled;
mod shapes;
mod skip;
mod speed;
mod tail;
mod trial;
mod words;
mod writes;

use std::sync::Arc;

use lumo_simulator::{Received, World};
use serde_json::Value;

use crate::database::Database;
use crate::world::{Finished, PATIENCE, Stage, seed};

/// A company whose history was announced and delivered to `shop`, with no daemon running.
async fn delivered(database: Database, users: usize) -> Stage {
    let mut stage = Stage::new(database, World::live(seed())).await;
    stage.announce_history();
    for user in 0..users {
        stage.world.add_wallet(&format!("user {user}"));
    }
    let parts = stage.parts().await;
    parts.sync().await;
    let delivering = parts.deliver().await;
    let sql = "SELECT COUNT(*) FROM lumo_deliveries WHERE state = 'delivered'";
    stage.database.until_at_least(i64::try_from(users).unwrap(), PATIENCE, sql).await;
    delivering.stop().await;
    parts.store.close().await;
    stage
}

/// Waits until `ops` has received an event of this type. Returns what it is about.
async fn until_told(stage: &Stage, kind: &str) -> Value {
    let is_it = |request: &Received| request.path == "/ops" && request.event_type.as_deref() == Some(kind);
    let has_come = |all: &[Arc<Received>]| all.iter().any(|request| is_it(request));
    assert!(stage.receiver.wait_until(PATIENCE, has_come).await, "{kind} is not told");
    let received = stage.receiver.received();
    let request = received.iter().find(|request| is_it(request)).expect("it has come");
    request.json().expect("a body of JSON")["data"]["object"].clone()
}

/// What a command printed, which is one JSON document.
fn json(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:?}"))
}

/// Asserts that a command failed with these words.
fn assert_refused(finished: &Finished, code: i32, words: &[&str]) {
    assert_eq!(finished.status.code(), Some(code), "{finished:?}");
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is not said: {}", finished.stderr);
    }
}
