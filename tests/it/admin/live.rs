//! Following the events as they are stored.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;

use super::client::{Client, answer};
use super::running;
use crate::database::{Database, on_each_database};
use crate::world::PATIENCE;

on_each_database!(every_event_is_told_once_and_in_order);

/// A stream of events as a reader sees it.
struct Following {
    response: Response,
    text: String,
}

impl Following {
    async fn begin(client: &Client, query: &str) -> Self {
        let response = client.request(Method::GET, &format!("/api/live{query}")).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; none at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((piece, rest)) = self.text.split_once("\n\n") {
                let (piece, rest) = (piece.to_owned(), rest.to_owned());
                self.text = rest;
                let Some(data) = piece.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
                let event: Value = serde_json::from_str(data).unwrap();
                assert!(piece.contains(&format!("id: {}\n", event["seq"])), "{piece}");
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("nothing was told");
            self.text.push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }
}

async fn every_event_is_told_once_and_in_order(database: Database) {
    let (stage, bridge, client) = running(database, 2).await;
    let stored = stage.events().await.len() as i64;
    // One goes along everything that was stored, the other one wants only what is new.
    let mut all = Following::begin(&client, "?after=0").await;
    let mut new = Following::begin(&client, "").await;
    for seq in 1..=stored {
        assert_eq!(all.next().await.unwrap()["seq"], seq);
    }
    for amount in ["1", "2", "3"] {
        let deposit = stage.world.add_deposit_for("user 1", amount).unwrap().id.to_string();
        let (told, again) = (all.next().await.unwrap(), new.next().await.unwrap());
        assert_eq!((told["type"].as_str(), told["object_id"].as_str()), (Some("deposit.created"), Some(&*deposit)));
        assert_eq!(told, again);
    }
    // Who comes back is told what it has missed.
    let last = stored + 3;
    let resumed = client.request(Method::GET, "/api/live").header("last-event-id", (last - 1).to_string());
    let mut resumed = Following { response: resumed.send().await.unwrap(), text: String::new() };
    assert_eq!(resumed.next().await.unwrap()["seq"], last);

    // Readers hold nothing up: the daemon ends, and the streams with it.
    bridge.stop().await;
    assert!(all.next().await.is_none() && new.next().await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_only_so_many_places() {
    let (_stage, bridge, client) = running(Database::sqlite().await, 1).await;
    let mut readers = Vec::new();
    for _ in 0..16 {
        readers.push(Following::begin(&client, "?after=0").await);
    }
    let refused = answer(client.request(Method::GET, "/api/live")).await;
    assert_eq!((refused.status, refused.body["error"]["code"].as_str()), (503, Some("too_many_readers")));
    readers.pop();
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let response = client.request(Method::GET, "/api/live").send().await.unwrap();
        if response.status().as_u16() == 200 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "a place that became free is not given away");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bridge.stop().await;
}
