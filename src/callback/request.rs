//! Builds the request of one attempt: the url, the body, and the headers that identify and sign it.

use chrono::{DateTime, Utc};
use minijinja::Value;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::callback::address::TargetError;
use crate::callback::endpoint::Http;
use crate::callback::number::{self, BodyError};
use crate::callback::template::RenderError;
use crate::model::id::EventId;
use crate::model::sign::AllEnded;
use crate::trace::Place;

/// One attempt to deliver an event to an endpoint.
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

/// The request to send.
pub(super) struct Prepared {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why no request could be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Event(#[from] BodyError),
    #[error("`url`")]
    Url(#[from] TargetError),
    #[error("`body`")]
    Body(#[source] RenderError),
    #[error("`headers.{header}`")]
    HeaderTemplate {
        header: HeaderName,
        #[source]
        source: RenderError,
    },
    #[error(transparent)]
    Unsigned(#[from] AllEnded),
    #[error("the sender was made without this endpoint, which has a transport of its own")]
    Transport,
    #[error("the endpoint runs a statement, and is not called")]
    Sink,
    #[error("`{0}` would have a value that no header can carry; it takes printable ASCII, as `urlencode` makes it")]
    Header(HeaderName),
}

impl RequestError {
    /// Whether a template is wrong for every event, not only for this one.
    pub(super) const fn is_refused(&self) -> bool {
        match self {
            Self::Url(TargetError::Render(error)) | Self::Body(error) | Self::HeaderTemplate { source: error, .. } => {
                error.is_refused()
            }
            _ => false,
        }
    }
}

/// Renders and signs the request. The signature covers the bytes that are sent and the time of this attempt. That time
/// also decides which secrets sign. A traced attempt sends its trace context.
pub(super) fn prepare(endpoint: &Http, callback: &Callback<'_>, now: DateTime<Utc>) -> Result<Prepared, RequestError> {
    let mut prepared = render(endpoint, callback.body)?;
    for (header, value) in endpoint.signing.sign(callback.event_id.as_str(), now, &prepared.body)? {
        let mut value = carried(&header, &value)?;
        value.set_sensitive(true);
        prepared.headers.insert(header, value);
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
        prepared.headers.insert(header, value);
    }
    if let Some(place) = Place::current() {
        let header = HeaderName::from_static("traceparent");
        let value = carried(&header, &place.to_string())?;
        prepared.headers.entry(header).or_insert(value);
    }
    Ok(prepared)
}

/// Renders the request from a stored body, without signing it.
pub(super) fn render(endpoint: &Http, stored: &str) -> Result<Prepared, RequestError> {
    let Http { address, headers, template, .. } = endpoint;
    let event = if endpoint.has_templates() { number::exact(stored)? } else { Value::UNDEFINED };
    let body = template.as_ref().map(|template| template.render(&event)).transpose().map_err(RequestError::Body)?;
    let mut prepared = Prepared {
        url: address.of(&event)?,
        headers: headers.constant.clone(),
        body: body.unwrap_or_else(|| stored.to_owned()).into_bytes(),
    };
    for (header, template) in &headers.templates {
        let made = template.render(&event);
        let made = made.map_err(|source| RequestError::HeaderTemplate { header: header.clone(), source })?;
        let mut value = carried(header, &made)?;
        value.set_sensitive(true);
        prepared.headers.insert(header, value);
    }
    Ok(prepared)
}

/// Refuses bytes beyond ASCII: HTTP would carry them, but receivers decode them differently.
fn carried(header: &HeaderName, value: &str) -> Result<HeaderValue, RequestError> {
    let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok());
    value.ok_or_else(|| RequestError::Header(header.clone()))
}
