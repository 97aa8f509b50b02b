//! What the log tells of an endpoint: that it began to fail, that it recovered, and what is given up. Not every attempt.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::callback::Endpoint;
use crate::model::retry::Verdict;

/// Whether the endpoint's last attempt failed.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicBool);

impl Health {
    /// Takes note of an attempt.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of one log line")]
    pub(super) fn log(
        &self,
        endpoint: &Endpoint,
        event_type: &str,
        attempt: u32,
        status: Option<u16>,
        error: Option<&str>,
        verdict: &Verdict,
        duration: Duration,
    ) {
        let endpoint = endpoint.name();
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let was_failing = self.0.swap(*verdict != Verdict::Done, Ordering::Relaxed);
        match verdict {
            Verdict::Done if was_failing => {
                tracing::info!(%endpoint, event_type, attempt, status, duration_ms, "endpoint answers again");
            }
            Verdict::Done => tracing::debug!(%endpoint, event_type, attempt, status, duration_ms, "delivered"),
            Verdict::RetryAt(at) if was_failing => {
                tracing::debug!(%endpoint, event_type, attempt, status, error, duration_ms, retry_at = %at, "delivery failed");
            }
            Verdict::RetryAt(at) => {
                tracing::warn!(
                    %endpoint, event_type, attempt, status, error, duration_ms, retry_at = %at,
                    "delivery failed; further failures of this endpoint are logged at debug until it answers"
                );
            }
            Verdict::Dead => {
                tracing::error!(
                    %endpoint, event_type, attempt, status, error, duration_ms,
                    "delivery is dead; it is kept and can be retried"
                );
            }
        }
    }
}
