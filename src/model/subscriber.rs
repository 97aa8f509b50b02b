//! Who wants which events, and in what order: an endpoint as the outbox sees it.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use twox_hash::XxHash3_128;

use crate::model::event::EventType;
use crate::model::id::EndpointName;
use crate::model::pattern::Patterns;
use crate::model::sink::Sink;

/// What must go out one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Everything about one user.
    User,
    /// Everything to the endpoint.
    Endpoint,
    /// Nothing.
    None,
}

impl Order {
    /// The lane in which an event of this stream waits; none where order does not matter. A hash, so that the index
    /// over it stays small whatever the merchant's ids look like; streams that collide would merely wait for each
    /// other.
    #[must_use]
    pub fn lane(self, stream: &str) -> Option<String> {
        match self {
            Self::User => Some(lane_of(stream)),
            Self::Endpoint => Some("*".to_owned()),
            Self::None => None,
        }
    }
}

/// An endpoint, reduced to what decides about a new event.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub endpoint: EndpointName,
    pub patterns: Patterns,
    pub order: Order,
    /// From when on it is given history, if it is new.
    pub history: Option<DateTime<Utc>>,
    /// What is run in the transaction that stores an event, if it is a sink.
    pub sink: Option<Arc<Sink>>,
}

impl Subscriber {
    #[must_use]
    pub fn wants(&self, kind: EventType) -> bool {
        self.patterns.wants(kind)
    }

    /// The lane in which an event of this stream waits; none where order does not matter.
    #[must_use]
    pub fn lane(&self, stream: &str) -> Option<String> {
        self.order.lane(stream)
    }
}

fn lane_of(stream: &str) -> String {
    format!("{:032x}", XxHash3_128::oneshot(stream.as_bytes()))
}
