//! Notes how fast Lumo is asked while that is slower than configured, so that `status`, another process, can say so.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::chain::Chain;
use crate::clock::Clock;
use crate::lifecycle::Stop;
use crate::lumo::Client;
use crate::store::Store;
use crate::sync::Lead;
use crate::view::Speed;

/// How often to look.
const LOOK: Duration = Duration::from_secs(1);
/// How often a note is written that says the same or nearly so.
const NOTE_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn keep_noted(client: Client, store: Store, lead: Arc<Lead>, clock: Clock, stop: Stop) {
    let mut was_reduced = false;
    let mut noted_at: Option<Instant> = None;
    while stop.soft.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        let speed = Speed::new(client.speed(), clock.now());
        match (was_reduced, speed.is_reduced()) {
            (false, true) => tracing::warn!("{speed}"),
            (true, false) => tracing::info!("reading at {} requests a second again", speed.ceiling),
            _ => {}
        }
        was_reduced = speed.is_reduced();
        if !speed.is_reduced() && noted_at.is_none() {
            continue;
        }
        let is_due = !speed.is_reduced() || noted_at.is_none_or(|noted_at| noted_at.elapsed() >= NOTE_EVERY);
        if is_due && lead.is_held() {
            // What is as fast as configured is noted once, and then no more.
            noted_at = speed.is_reduced().then(Instant::now);
            if let Err(error) = note(&store, &speed).await {
                tracing::debug!(error = %error, "speed not noted");
            }
        }
    }
}

async fn note(store: &Store, speed: &Speed) -> Result<(), String> {
    let note = serde_json::to_string(speed).map_err(|error| error.to_string())?;
    store.note_speed(&note).await.map_err(|error| Chain(&error).to_string())
}
