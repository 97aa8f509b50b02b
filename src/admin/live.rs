//! `/api/live`: events as they are stored, as server-sent events, for a page that shows them or a script that follows.
//!
//! Each reader goes along the numbers of the events at its own pace, so nothing is kept for it here and none is left out;
//! one that reads too slowly or not at all has its connection dropped by [`super::stall`], and goes on from the last id
//! that it has when it comes back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::route::{Route, inline, none};
use super::{Admin, Problem};
use crate::chain::Chain;
use crate::view::Event;

/// Readers at a time.
pub(super) const READERS: usize = 16;
/// Events in one look.
const BATCH: u64 = 100;
/// How often to look without being told of anything: other processes store events, too.
const LOOK: Duration = Duration::from_secs(1);
/// How long nothing is said at most, so that both sides notice when the other is gone.
const SILENCE: Duration = Duration::from_secs(15);
/// Begins the stream: how soon to come back after it broke.
const GREETING: &str = "retry: 3000\n\n";

pub(super) fn routes() -> Vec<Route> {
    vec![Route {
        method: Method::GET,
        path: "/api/live",
        summary: "Follow the events as they are stored; each has its `seq` as id, and `Last-Event-ID` counts like `after`",
        handler: routing::get(live),
        query: inline::<From>,
        body: none,
        answer: none,
    }]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct From {
    /// The `seq` of the last event that is known; left out, only what is stored from now on is told.
    after: Option<i64>,
}

struct Reader {
    admin: Admin,
    /// The last event that was told.
    after: i64,
    appended: watch::Receiver<()>,
    last_said: Instant,
    waiting: VecDeque<Bytes>,
    _place: OwnedSemaphorePermit,
}

async fn live(
    State(admin): State<Admin>,
    headers: HeaderMap,
    from: Result<Query<From>, QueryRejection>,
) -> Result<Response, Problem> {
    let known = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after = match from?.0.after.or(known) {
        Some(seq) => seq,
        None => admin.store.last_seq().await?,
    };
    let place = Arc::clone(&admin.0.readers).try_acquire_owned().map_err(|_| Problem::too_many_readers())?;
    let appended = admin.store.appended();
    let waiting = VecDeque::from([Bytes::from_static(GREETING.as_bytes())]);
    let reader = Reader { admin, after, appended, last_said: Instant::now(), waiting, _place: place };
    let body = Body::from_stream(stream::unfold(reader, Reader::say));
    Ok(([(CONTENT_TYPE, "text/event-stream")], body).into_response())
}

impl Reader {
    /// The next piece of the stream; none when it is to end.
    async fn say(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(piece) = self.waiting.pop_front() {
                self.last_said = Instant::now();
                return Some((Ok(piece), self));
            }
            // Before the look, so that nothing is missed between it and the wait.
            self.appended.mark_unchanged();
            match self.admin.store.events_after(self.after, BATCH).await {
                Ok(rows) => {
                    self.after = rows.last().map_or(self.after, |row| row.seq);
                    self.waiting.extend(rows.iter().filter_map(|row| piece(&Event::brief(row))));
                }
                Err(error) => {
                    // Each reader comes back after a moment, and fails again.
                    if error.is_outage() {
                        tracing::debug!(error = %Chain(&error), "events not followed; readers come back by themselves");
                    } else {
                        tracing::warn!(error = %Chain(&error), "events cannot be followed; readers come back by themselves");
                    }
                    return None;
                }
            }
            if self.waiting.is_empty() {
                if self.last_said.elapsed() >= SILENCE {
                    self.waiting.push_back(Bytes::from_static(b":\n\n"));
                    continue;
                }
                tokio::select! {
                    () = self.admin.stop.cancelled() => return None,
                    () = tokio::time::sleep(LOOK) => {}
                    changed = self.appended.changed() => changed.ok()?,
                }
            }
        }
    }
}

fn piece(event: &Event) -> Option<Bytes> {
    let json = serde_json::to_string(event).ok()?;
    Some(format!("id: {}\ndata: {json}\n\n", event.seq).into())
}
