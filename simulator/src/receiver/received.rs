//! One callback as it arrived, what was thought of it, and what it was answered.
//!
//! Facts for routing are read from the headers, facts of the event from the body, leniently: what is not there is
//! `None`, and a body that is no JSON is recorded like any other.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::receiver::verify::Invalid;

/// A request to the receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// When its body had arrived.
    pub at: DateTime<Utc>,
    pub path: String,
    /// What stands after the `?`; empty if nothing does.
    pub query: String,
    /// With names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The `webhook-id` header.
    pub id: Option<String>,
    /// The `lumo-attempt` header.
    pub attempt: Option<u32>,
    /// `type` of the body.
    pub event_type: Option<String>,
    /// `stream` of the body.
    pub stream: Option<String>,
    /// `sequence` of the body.
    pub sequence: Option<u64>,
    pub body: Vec<u8>,
    pub verdict: Verdict,
    /// The status it was answered with.
    pub answered: u16,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Verified,
    /// The receiver was given no secret to verify with.
    Unchecked,
    Invalid(Invalid),
}

/// What to answer a request with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Anything that is no HTTP status becomes 500.
    pub status: u16,
    /// Those that cannot be sent are left out.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// How long to wait before answering; the request counts as received before that.
    pub delay: Duration,
}

/// The fields of the body that the receiver looks at. Each may be absent, or of another type, without hiding the others.
#[derive(Default, Deserialize)]
pub(crate) struct Event {
    #[serde(default, rename = "type")]
    event_type: serde_json::Value,
    #[serde(default)]
    stream: serde_json::Value,
    #[serde(default)]
    sequence: serde_json::Value,
}

impl Event {
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    pub(crate) fn event_type(&self) -> Option<String> {
        self.event_type.as_str().map(str::to_owned)
    }

    pub(crate) fn stream(&self) -> Option<String> {
        self.stream.as_str().map(str::to_owned)
    }

    pub(crate) fn sequence(&self) -> Option<u64> {
        self.sequence.as_u64()
    }
}

impl Received {
    /// The first header of that name, which is to be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.headers, name)
    }

    /// The body, if it is JSON. Numbers go through floats; compare amounts in [`Received::body`] instead.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the sender was told that it may stop sending this.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.answered)
    }
}

pub(crate) fn first<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find_map(|(other, value)| (other == name).then_some(value.as_str()))
}

impl Answer {
    /// This status, no body, at once.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), delay: Duration::ZERO }
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, that much later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl Default for Answer {
    fn default() -> Self {
        Self::status(200)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::Unchecked => f.write_str("unchecked"),
            Self::Invalid(reason) => write!(f, "invalid: {reason}"),
        }
    }
}
