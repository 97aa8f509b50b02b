//! From what the tables record of a delivery to the state that people are shown. The views of the migration say the same in
//! SQL; a test compares the two.

use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::{endpoint, exception, subscription};

use super::State;

/// Whether an endpoint is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Called,
    /// Failing: called again by itself.
    Away,
    /// Paused or suspended: called again once an operator resumes it.
    Stopped,
    /// No longer configured.
    Removed,
}

/// What the tables record of an event at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// State of its row in `lumo_exceptions`.
    pub row: Option<exception::State>,
    /// State of the range that holds it.
    pub range: Option<subscription::State>,
    /// Whether the endpoint's position is at the event or after it.
    pub is_passed: bool,
    /// Result of the attempt that ended it.
    pub result: Option<AttemptResult>,
    pub reach: Reach,
}

impl Reach {
    #[must_use]
    pub const fn of(state: endpoint::State, is_removed: bool) -> Self {
        match state {
            _ if is_removed => Self::Removed,
            endpoint::State::Active => Self::Called,
            endpoint::State::Failing => Self::Away,
            endpoint::State::Suspended | endpoint::State::Paused => Self::Stopped,
        }
    }
}

impl Recorded {
    /// The state that is shown; none if the endpoint never was to receive the event.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        match (self.row, self.range) {
            (Some(row), _) => Some(of_row(row, self.reach)),
            (None, None) => None,
            (None, Some(subscription::State::Skipped)) => Some(State::Skipped),
            (None, Some(subscription::State::Wanted)) if self.is_passed => Some(of_result(self.result)),
            (None, Some(subscription::State::Wanted)) => Some(beyond(self.reach)),
        }
    }
}

/// The state that a row is shown in.
#[must_use]
pub const fn of_row(row: exception::State, reach: Reach) -> State {
    match (row, reach) {
        (exception::State::Waiting | exception::State::Retrying, Reach::Away | Reach::Stopped | Reach::Removed)
        | (exception::State::Sending | exception::State::AwaitingAck, Reach::Removed) => State::Held,
        (exception::State::Waiting, Reach::Called) => State::Pending,
        (exception::State::Retrying, Reach::Called) => State::Retrying,
        (exception::State::Sending, Reach::Called | Reach::Away | Reach::Stopped) => State::Sending,
        (exception::State::AwaitingAck, Reach::Called | Reach::Away | Reach::Stopped) => State::AwaitingAck,
        (exception::State::Dead, _) => State::Dead,
        (exception::State::Skipped, _) => State::Skipped,
        (exception::State::Delivered, _) => State::Delivered,
    }
}

/// The state that an event is shown in which the endpoint wants and has not reached.
#[must_use]
pub const fn beyond(reach: Reach) -> State {
    match reach {
        Reach::Called => State::Pending,
        Reach::Away | Reach::Stopped | Reach::Removed => State::Held,
    }
}

/// The state that an event is shown in which was passed without a row.
#[must_use]
pub const fn of_result(result: Option<AttemptResult>) -> State {
    match result {
        Some(AttemptResult::Filtered) => State::Filtered,
        Some(AttemptResult::Superseded) => State::Superseded,
        // Attempts are kept for a while only; what was passed stays delivered.
        _ => State::Delivered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_decides_before_a_range_and_a_range_before_the_position() {
        let nothing = Recorded { row: None, range: None, is_passed: true, result: None, reach: Reach::Called };
        let wanted = Recorded { range: Some(subscription::State::Wanted), ..nothing };
        let beyond = Recorded { is_passed: false, ..wanted };
        let row = |row| Recorded { row: Some(row), ..nothing };
        for (recorded, state) in [
            (nothing, None),
            (wanted, Some(State::Delivered)),
            (Recorded { result: Some(AttemptResult::Filtered), ..wanted }, Some(State::Filtered)),
            (Recorded { result: Some(AttemptResult::Superseded), ..wanted }, Some(State::Superseded)),
            (beyond, Some(State::Pending)),
            (Recorded { reach: Reach::Away, ..beyond }, Some(State::Held)),
            (Recorded { range: Some(subscription::State::Skipped), ..wanted }, Some(State::Skipped)),
            (row(exception::State::Delivered), Some(State::Delivered)),
            (row(exception::State::Waiting), Some(State::Pending)),
            (Recorded { reach: Reach::Away, ..row(exception::State::Retrying) }, Some(State::Held)),
            (Recorded { reach: Reach::Away, ..row(exception::State::Sending) }, Some(State::Sending)),
            (Recorded { reach: Reach::Stopped, ..beyond }, Some(State::Held)),
            (Recorded { reach: Reach::Stopped, ..row(exception::State::Waiting) }, Some(State::Held)),
            (Recorded { reach: Reach::Stopped, ..row(exception::State::Sending) }, Some(State::Sending)),
            (Recorded { reach: Reach::Removed, ..row(exception::State::Sending) }, Some(State::Held)),
            (Recorded { reach: Reach::Stopped, ..row(exception::State::AwaitingAck) }, Some(State::AwaitingAck)),
            (Recorded { reach: Reach::Removed, ..row(exception::State::AwaitingAck) }, Some(State::Held)),
            (Recorded { reach: Reach::Removed, ..row(exception::State::Dead) }, Some(State::Dead)),
        ] {
            assert_eq!(recorded.state(), state, "{recorded:?}");
        }
    }
}
