//! Who wants which events, and in what order: an endpoint as the log sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use twox_hash::XxHash3_128;

use crate::model::event::EventType;
use crate::model::id::EndpointName;
use crate::model::pattern::Patterns;

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
    /// The name in the configuration and in `lumo_endpoints`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Endpoint => "endpoint",
            Self::None => "none",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::User, Self::Endpoint, Self::None].into_iter().find(|order| order.as_str() == name)
    }

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

/// An endpoint, reduced to what the tables hold of its configuration.
#[derive(Clone, Debug)]
pub struct Subscriber {
    pub endpoint: EndpointName,
    pub patterns: Patterns,
    pub order: Order,
    /// From when on it is given history, if it is new.
    pub history: Option<DateTime<Utc>>,
    /// Of the endpoint's configuration: processes that share one may deliver for each other.
    pub fingerprint: i64,
    /// How long its leader may be silent before another process takes over.
    pub lease: Duration,
}

impl Subscriber {
    #[must_use]
    pub fn wants(&self, kind: EventType) -> bool {
        self.patterns.wants(kind)
    }
}

/// The endpoints that are statements, with the event types that their `events` name. A statement is written for these
/// types, and may take for money whatever it gets.
#[derive(Clone, Debug, Default)]
pub struct Statements(BTreeMap<EndpointName, Patterns>);

impl Statements {
    /// Whether the endpoint is a statement that must not get events of the type with this name.
    #[must_use]
    pub fn leave_out(&self, endpoint: &EndpointName, kind: &str) -> bool {
        let is_named = |types: &Patterns| kind.parse::<EventType>().is_ok_and(|kind| types.wants(kind));
        self.0.get(endpoint).is_some_and(|types| !is_named(types))
    }
}

impl FromIterator<(EndpointName, Patterns)> for Statements {
    fn from_iter<I: IntoIterator<Item = (EndpointName, Patterns)>>(statements: I) -> Self {
        Self(statements.into_iter().collect())
    }
}

fn lane_of(stream: &str) -> String {
    format!("{:032x}", XxHash3_128::oneshot(stream.as_bytes()))
}
