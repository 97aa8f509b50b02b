//! What goes out in one attempt: the body, and the headers that identify and sign it.

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};

use crate::callback::endpoint::Endpoint;
use crate::callback::template::RenderError;
use crate::model::id::EventId;
use crate::model::sign::AllEnded;

/// One attempt at telling an endpoint of an event.
#[derive(Clone, Copy, Debug)]
pub struct Callback<'a> {
    pub event_id: &'a EventId,
    pub event_type: &'a str,
    /// From 1.
    pub attempt: u32,
    /// Why it is sent: `live`, `replay`, `backfill` or `test`.
    pub reason: &'a str,
    /// The body as stored with the event.
    pub body: &'a str,
}

/// What goes out.
pub(super) struct Prepared {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why nothing could go out.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Unsigned(#[from] AllEnded),
    #[error("`{header}` would have a value that no header can carry")]
    Header {
        header: HeaderName,
        #[source]
        source: InvalidHeaderValue,
    },
}

/// Renders and signs. The signature covers the bytes that are sent, and the time of this attempt; which secrets still
/// sign is decided by that time as well.
pub(super) fn prepare(
    endpoint: &Endpoint,
    callback: &Callback<'_>,
    now: DateTime<Utc>,
) -> Result<Prepared, RequestError> {
    let body = match &endpoint.template {
        Some(template) => template.render(callback.body)?,
        None => callback.body.as_bytes().to_vec(),
    };
    let mut headers = endpoint.headers.clone();
    for (header, value) in endpoint.signing.sign(callback.event_id.as_str(), now, &body)? {
        let mut value = carried(&header, &value)?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    for (header, value) in [
        ("webhook-id", callback.event_id.as_str()),
        ("webhook-timestamp", &now.timestamp().to_string()),
        ("lumo-event-type", callback.event_type),
        ("lumo-attempt", &callback.attempt.to_string()),
        ("lumo-reason", callback.reason),
    ] {
        let header = HeaderName::from_static(header);
        let value = carried(&header, value)?;
        headers.insert(header, value);
    }
    Ok(Prepared { headers, body })
}

fn carried(header: &HeaderName, value: &str) -> Result<HeaderValue, RequestError> {
    HeaderValue::from_str(value).map_err(|source| RequestError::Header { header: header.clone(), source })
}
