//! Decides which parts of the log and which rows to read, from the delivery states that are asked for.

use lumo_bridge_entity::attempt::AttemptResult;
use lumo_bridge_entity::exception::State as Row;

use super::DeliveryFilter;
use crate::model::delivery::{Reach, State, beyond, of_result, of_row};

const ROWS: [Row; 7] =
    [Row::Waiting, Row::Retrying, Row::Sending, Row::AwaitingAck, Row::Dead, Row::Skipped, Row::Delivered];

/// If more states than this are requested, rows are read in the order of the log whatever their state. Otherwise each
/// state is read by its index.
const BY_STATE: usize = 4;

/// Events that have no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Events that the endpoint wants and has not reached.
    Beyond,
    /// Events in ranges that were given up.
    Skipped,
    /// Events that the endpoint wanted and that its position has passed.
    Passed(Passed),
}

/// How the delivery of a passed event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    AnyWay,
    Delivered,
    /// Not sent, for this reason.
    Without(AttemptResult),
}

/// Rows in these states; all if it is empty.
pub(super) type Rows = Vec<Row>;

/// The states that are requested.
pub(super) struct Asked<'a>(&'a DeliveryFilter);

impl<'a> Asked<'a> {
    pub(super) const fn of(filter: &'a DeliveryFilter) -> Self {
        Self(filter)
    }

    fn takes(&self, state: State) -> bool {
        self.0.state.is_none_or(|asked| asked == state)
            && (state.is_still_to_deliver() || !self.0.undelivered)
            && (!state.is_final() || !self.0.waiting)
    }

    pub(super) fn log(&self, reach: Reach) -> Vec<Part> {
        let mut parts = Vec::new();
        if self.takes(beyond(reach)) {
            parts.push(Part::Beyond);
        }
        if self.takes(State::Skipped) {
            parts.push(Part::Skipped);
        }
        let ends = [None, Some(AttemptResult::Filtered), Some(AttemptResult::Superseded)];
        let taken: Vec<_> = ends.into_iter().filter(|result| self.takes(of_result(*result))).collect();
        if taken.len() == ends.len() {
            parts.push(Part::Passed(Passed::AnyWay));
        } else {
            parts.extend(
                taken.into_iter().map(|result| Part::Passed(result.map_or(Passed::Delivered, Passed::Without))),
            );
        }
        parts
    }

    /// The rows to read, statement by statement.
    pub(super) fn rows(&self, reach: Reach) -> Vec<Rows> {
        let states: Vec<Row> = ROWS.into_iter().filter(|row| self.takes(of_row(*row, reach))).collect();
        match states.len() {
            0 => Vec::new(),
            few if few <= BY_STATE => states.into_iter().map(|state| vec![state]).collect(),
            all if all == ROWS.len() => vec![Vec::new()],
            _ => vec![states],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(state: Option<State>, undelivered: bool, reach: Reach) -> (Vec<Part>, Vec<Rows>) {
        let filter = DeliveryFilter { state, undelivered, ..DeliveryFilter::default() };
        let asked = Asked::of(&filter);
        (asked.log(reach), asked.rows(reach))
    }

    #[test]
    fn no_more_is_read_than_can_be_in_the_state() {
        let called = |state| parts(Some(state), false, Reach::Called);
        let any = Part::Passed(Passed::AnyWay);
        assert_eq!(called(State::Dead), (vec![], vec![vec![Row::Dead]]));
        assert_eq!(called(State::Pending), (vec![Part::Beyond], vec![vec![Row::Waiting]]));
        assert_eq!(called(State::Held), (vec![], vec![]));
        assert_eq!(called(State::Skipped), (vec![Part::Skipped], vec![vec![Row::Skipped]]));
        assert_eq!(called(State::Delivered), (vec![Part::Passed(Passed::Delivered)], vec![vec![Row::Delivered]]));
        let filtered = Part::Passed(Passed::Without(AttemptResult::Filtered));
        assert_eq!(called(State::Filtered), (vec![filtered], vec![]));
        let away = parts(Some(State::Held), false, Reach::Away);
        assert_eq!(away, (vec![Part::Beyond], vec![vec![Row::Waiting], vec![Row::Retrying]]));
        assert_eq!(parts(None, false, Reach::Called), (vec![Part::Beyond, Part::Skipped, any], vec![vec![]]));
        let undelivered = parts(None, true, Reach::Called);
        assert_eq!(undelivered.0, [Part::Beyond], "no range that was given up");
        assert_eq!(undelivered.1.len(), 1, "one statement: {undelivered:?}");
        for over in [Row::Delivered, Row::Skipped] {
            assert!(!undelivered.1[0].contains(&over), "{undelivered:?}");
        }
        assert_eq!(parts(Some(State::Delivered), true, Reach::Called), (vec![], vec![]));
    }

    #[test]
    fn what_waits_is_read_state_by_state_beside_what_is_dead() {
        let filter = DeliveryFilter { waiting: true, ..DeliveryFilter::default() };
        let asked = Asked::of(&filter);
        let waiting = [Row::Waiting, Row::Retrying, Row::Sending, Row::AwaitingAck];
        for reach in [Reach::Called, Reach::Away, Reach::Removed] {
            assert_eq!(asked.log(reach), [Part::Beyond], "{reach:?}");
            assert_eq!(asked.rows(reach), waiting.map(|row| vec![row]), "{reach:?}");
        }
    }
}
