//! What people are shown of a delivery: an event at an endpoint that wants it.

mod recorded;

use std::fmt;

pub use recorded::{Reach, Recorded, beyond, of_result, of_row};

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for its first attempt, or behind another delivery of its user.
    Pending,
    /// A request is under way, or its process died a moment ago.
    Sending,
    Delivered,
    /// Failed at least once, and due again.
    Retrying,
    /// Answered, and waiting for its row in `lumo_acks`.
    AwaitingAck,
    /// Its endpoint is paused, suspended, failing, or no longer configured.
    Held,
    /// Every attempt of the schedule failed; kept, listed, replayable.
    Dead,
    /// Given up by the operator.
    Skipped,
    /// Not sent: the endpoint's `when` was false.
    Filtered,
    /// Not sent: a newer event took its place.
    Superseded,
}

impl State {
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Sending,
        Self::Delivered,
        Self::Retrying,
        Self::AwaitingAck,
        Self::Held,
        Self::Dead,
        Self::Skipped,
        Self::Filtered,
        Self::Superseded,
    ];

    /// The name in the views, in lists and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Retrying => "retrying",
            Self::AwaitingAck => "awaiting_ack",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Filtered => "filtered",
            Self::Superseded => "superseded",
        }
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead | Self::Skipped | Self::Filtered | Self::Superseded)
    }

    /// Whether the receiver does not have it, though it was meant to.
    #[must_use]
    pub const fn is_undelivered(self) -> bool {
        !matches!(self, Self::Delivered | Self::Filtered | Self::Superseded)
    }

    /// Whether the receiver does not have it, and nobody has given it up.
    #[must_use]
    pub const fn is_still_to_deliver(self) -> bool {
        self.is_undelivered() && !matches!(self, Self::Skipped)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
