//! Makes one attempt: an HTTP callback, or a run of a sink's statement.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tracing::Instrument;
use tracing::field::Empty;

use super::machine::{Report, Sending, SinkEnd};
use crate::callback::{Attempt, Callback, Endpoint, Sender};
use crate::clock::Clock;
use crate::model::retry::Outcome;
use crate::model::sink::Sink;
use crate::store::delivery::{Failure, GroupCommit, SinkRun};
use crate::store::{self, Store};

/// Where an endpoint's events go.
#[derive(Clone)]
pub(super) struct Destination {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) sender: Sender,
    pub(super) store: Store,
    pub(super) clock: Clock,
}

impl Destination {
    /// Sends one callback, within the endpoint's timeout.
    pub(super) async fn send(&self, sending: Sending) -> Report {
        let Sending { event, attempt, reason } = sending;
        let span = tracing::debug_span!(
            "deliver.attempt",
            event.id = %event.id,
            event.name = %event.kind,
            endpoint = %self.endpoint.name(),
            attempt,
            reason = reason.as_str(),
            http.response.status_code = Empty,
            "error.type" = Empty,
        );
        let started_at = self.clock.now();
        let callback = Callback {
            event_id: &event.id,
            event_type: &event.kind,
            attempt,
            reason: reason.as_str(),
            body: &event.body,
        };
        let sent = self.sender.send(&self.endpoint, &callback, started_at).instrument(span.clone()).await;
        let Attempt { outcome, duration, error, response_body } = sent;
        let status = match outcome {
            Outcome::Accepted { status } | Outcome::Refused { status, .. } => Some(status),
            Outcome::Unreachable(_) => None,
        };
        match &outcome {
            Outcome::Accepted { status } => span.record("http.response.status_code", status),
            Outcome::Refused { status, .. } => {
                span.record("http.response.status_code", status).record("error.type", status.to_string())
            }
            Outcome::Unreachable(why) => span.record("error.type", tracing::field::debug(why)),
        };
        Report { outcome, started_at, duration, status, error, response_body }
    }
}

/// Runs the sink for the items of a commit, and writes it.
///
/// # Errors
/// If the database fails.
pub(super) async fn run_sink(
    store: &Store,
    sink: &Sink,
    commit: &GroupCommit,
    bodies: &[Option<String>],
    started_at: DateTime<Utc>,
) -> Result<SinkEnd, store::Error> {
    let started = std::time::Instant::now();
    let run = store.run_sink(sink, commit, bodies, started_at).await?;
    Ok(match run {
        SinkRun::Refused(written) => SinkEnd { done: 0, written: Some(written), failed: None },
        SinkRun::Ran { done, written, failure } => {
            let failed = failure.map(|failure| {
                let outcome = failure.outcome();
                let Failure { text, .. } = failure;
                let duration = started.elapsed();
                Report { outcome, started_at, duration, status: None, error: Some(text), response_body: None }
            });
            SinkEnd { done, written: (done > 0).then_some(written), failed }
        }
    })
}

/// The endpoints of a configuration with the fingerprints of their settings, as JSON for other processes.
pub(super) fn known(endpoints: &[Arc<Endpoint>]) -> String {
    let known: BTreeMap<&str, i64> =
        endpoints.iter().map(|endpoint| (endpoint.name().as_str(), endpoint.fingerprint())).collect();
    serde_json::to_string(&known).unwrap_or_default()
}
