//! What came of a request to retry or to skip a delivery.

use schemars::JsonSchema;
use serde::Serialize;

use crate::deliver::replay::only_named_types;
use crate::model::delivery::{Reach, State};
use crate::model::id::DeliveryId;
use crate::store::retry::Retried;
use crate::store::skip::Skipped;

/// What came of one request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done {
    pub id: String,
    /// `due`, `skipped`, `unknown`, or the state that it was left in.
    pub result: &'static str,
    /// The same in words.
    pub message: String,
    #[serde(skip)]
    pub is_as_wanted: bool,
}

impl Done {
    #[must_use]
    pub fn retried(id: &DeliveryId, retried: Retried) -> Self {
        let (result, message) = match retried {
            Retried::Due { reach } => ("due", due(id, reach)),
            Retried::Unknown => ("unknown", UNKNOWN.to_owned()),
            Retried::Unchanged(state) => (state.as_str(), not_retried(state).to_owned()),
            Retried::Unwanted(state) => {
                (state.as_str(), format!("{}; nothing was changed", only_named_types(&id.endpoint)))
            }
        };
        // What is on its way is attempted, which is what was wanted.
        let is_on_its_way = matches!(retried, Retried::Unchanged(state) if !state.is_final());
        let is_as_wanted = is_on_its_way || matches!(retried, Retried::Due { .. });
        Self { id: id.to_string(), result, message, is_as_wanted }
    }

    #[must_use]
    pub fn skipped(id: &DeliveryId, skipped: Skipped) -> Self {
        let (result, message, is_as_wanted) = match skipped {
            Skipped::Skipped { is_certain: true } => ("skipped", "skipped", true),
            Skipped::Skipped { is_certain: false } => ("skipped", "noted; it may be on its way already", true),
            Skipped::PutAway => ("skipped", "skipped; it was dead", true),
            Skipped::Unknown => ("unknown", UNKNOWN, false),
            Skipped::Unchanged(state) => (state.as_str(), not_skipped(state), is_not_sent(state)),
        };
        Self { id: id.to_string(), result, message: message.to_owned(), is_as_wanted }
    }
}

const UNKNOWN: &str = "no such delivery";

fn due(id: &DeliveryId, reach: Reach) -> String {
    const SCHEDULE: &str = "with the whole schedule before it";
    match reach {
        Reach::Called => format!("due in its turn, {SCHEDULE}"),
        Reach::Away => format!("due once its endpoint takes callbacks again, {SCHEDULE}"),
        Reach::Stopped => format!("waits until `lumo-bridge endpoint resume {}`, {SCHEDULE}", id.endpoint),
        Reach::Removed => format!("due once its endpoint is configured again, {SCHEDULE}"),
    }
}

const fn not_retried(state: State) -> &'static str {
    match state {
        State::Pending | State::Retrying => "not sent yet, and sent in its turn; nothing was changed",
        State::Sending => "its request is under way; nothing was changed",
        State::AwaitingAck => "answered, and waiting for the receiver's row in `lumo_acks`; nothing was changed",
        State::Held => "not sent yet, and sent once its endpoint takes callbacks again; nothing was changed",
        State::Delivered => "delivered already; nothing was changed, `lumo-bridge event replay` sends it once more",
        State::Filtered => "left out by `when` of its endpoint; nothing was changed",
        State::Superseded => "a newer balance took its place; nothing was changed",
        // These are retried.
        State::Dead | State::Skipped => "nothing was changed",
    }
}

/// Whether the receiver does not get it, which is what a skip is for.
const fn is_not_sent(state: State) -> bool {
    matches!(state, State::Skipped | State::Filtered | State::Superseded)
}

const fn not_skipped(state: State) -> &'static str {
    match state {
        State::Delivered => "delivered already; nothing was changed",
        State::Skipped => "skipped already; nothing was changed",
        State::Filtered => "left out already by `when` of its endpoint; nothing was changed",
        State::Superseded => "a newer balance took its place already; nothing was changed",
        State::Sending => "its request is under way; nothing was changed, skip it when that is over",
        State::Held => "its request was under way when its endpoint was removed; nothing was changed",
        // These are skipped.
        State::Pending | State::Retrying | State::AwaitingAck | State::Dead => "nothing was changed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_a_sentence_of_its_own() {
        const UNCHANGED: &str = "nothing was changed";
        const IN_ITS_TURN: &str = "not sent yet, and sent in its turn; nothing was changed";
        let id = "evt_a@shop".parse().unwrap();
        let sentences = [
            (State::Pending, IN_ITS_TURN, UNCHANGED),
            (State::Retrying, IN_ITS_TURN, UNCHANGED),
            (
                State::Sending,
                "its request is under way; nothing was changed",
                "its request is under way; nothing was changed, skip it when that is over",
            ),
            (
                State::AwaitingAck,
                "answered, and waiting for the receiver's row in `lumo_acks`; nothing was changed",
                UNCHANGED,
            ),
            (
                State::Held,
                "not sent yet, and sent once its endpoint takes callbacks again; nothing was changed",
                "its request was under way when its endpoint was removed; nothing was changed",
            ),
            (
                State::Delivered,
                "delivered already; nothing was changed, `lumo-bridge event replay` sends it once more",
                "delivered already; nothing was changed",
            ),
            (State::Dead, UNCHANGED, UNCHANGED),
            (State::Skipped, UNCHANGED, "skipped already; nothing was changed"),
            (
                State::Filtered,
                "left out by `when` of its endpoint; nothing was changed",
                "left out already by `when` of its endpoint; nothing was changed",
            ),
            (
                State::Superseded,
                "a newer balance took its place; nothing was changed",
                "a newer balance took its place already; nothing was changed",
            ),
        ];
        assert_eq!(sentences.len(), State::ALL.len());
        for (state, of_retry, of_skip) in sentences {
            let retried = Done::retried(&id, Retried::Unchanged(state));
            let skipped = Done::skipped(&id, Skipped::Unchanged(state));
            assert_eq!((retried.result, &*retried.message), (state.as_str(), of_retry));
            assert_eq!((skipped.result, &*skipped.message), (state.as_str(), of_skip));
            assert_eq!(retried.is_as_wanted, !state.is_final(), "{state:?}");
            let is_not_sent = [State::Skipped, State::Filtered, State::Superseded].contains(&state);
            assert_eq!(skipped.is_as_wanted, is_not_sent, "{state:?}");
            let document = serde_json::to_value(&retried).unwrap();
            assert_eq!((&document["result"], &document["message"]), (&state.as_str().into(), &of_retry.into()));
        }
        let noted = Done::skipped(&id, Skipped::Skipped { is_certain: false });
        assert_eq!((noted.result, &*noted.message), ("skipped", "noted; it may be on its way already"));
        let put_away = Done::skipped(&id, Skipped::PutAway);
        assert_eq!((put_away.result, &*put_away.message), ("skipped", "skipped; it was dead"));
        assert!(noted.is_as_wanted && put_away.is_as_wanted);
        for unknown in [Done::retried(&id, Retried::Unknown), Done::skipped(&id, Skipped::Unknown)] {
            assert_eq!((&*unknown.message, unknown.is_as_wanted), ("no such delivery", false));
        }
    }

    #[test]
    fn what_a_statement_does_not_want_is_not_made_due() {
        let done = Done::retried(&"evt_a@ledger".parse().unwrap(), Retried::Unwanted(State::Dead));
        let words = "ledger is a statement, which is run only with events of the types that its `events` name; nothing was \
                     changed";
        assert_eq!((done.result, &*done.message, done.is_as_wanted), ("dead", words, false));
    }

    #[test]
    fn what_is_due_says_what_it_waits_for() {
        let id = "evt_a@shop".parse().unwrap();
        for (reach, when) in [
            (Reach::Called, "due in its turn"),
            (Reach::Away, "due once its endpoint takes callbacks again"),
            (Reach::Stopped, "waits until `lumo-bridge endpoint resume shop`"),
            (Reach::Removed, "due once its endpoint is configured again"),
        ] {
            let done = Done::retried(&id, Retried::Due { reach });
            assert_eq!(done.message, format!("{when}, with the whole schedule before it"));
            assert!(done.is_as_wanted && done.result == "due", "{done:?}");
        }
    }
}
