//! A test of an endpoint.

use schemars::JsonSchema;
use serde::Serialize;

use crate::callback::Endpoint;
use crate::deliver::trial::Trial;

/// What an endpoint made of a test event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Test {
    pub endpoint: String,
    /// Scheme, host and port: the rest of an address may be a password.
    pub origin: String,
    pub event_id: String,
    pub is_accepted: bool,
    /// What a sink did was rolled back.
    pub is_undone: bool,
    pub status: Option<u16>,
    pub duration_ms: u64,
    pub error: Option<String>,
    pub response_body: Option<String>,
    /// What would become of a real event like it, if the endpoint would not get that.
    pub left_out: Option<String>,
}

impl Test {
    #[must_use]
    pub fn of(endpoint: &Endpoint, trial: &Trial) -> Self {
        Self {
            endpoint: endpoint.name().to_string(),
            origin: endpoint.origin(),
            event_id: trial.event.to_string(),
            is_accepted: trial.hint().is_none(),
            is_undone: trial.is_undone,
            status: trial.status(),
            duration_ms: u64::try_from(trial.attempt.duration.as_millis()).unwrap_or(u64::MAX),
            error: trial.attempt.error.clone(),
            response_body: trial.attempt.response_body.clone(),
            left_out: trial.left_out.clone(),
        }
    }
}
