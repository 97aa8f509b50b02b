//! What became of a request to retry or to skip a delivery.

use lumo_bridge_entity::delivery::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::id::DeliveryId;
use crate::store::manual::Retried;
use crate::store::skip::Skipped;

/// What became of one request.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done {
    pub id: String,
    /// `due`, `skipped`, `unknown`, or the state that it was left in.
    pub result: &'static str,
    #[serde(skip)]
    pub words: &'static str,
    #[serde(skip)]
    pub is_as_wanted: bool,
}

impl Done {
    #[must_use]
    pub fn retried(id: &DeliveryId, retried: Retried) -> Self {
        let (result, words) = match retried {
            Retried::Due => ("due", "due now"),
            Retried::Unknown => ("unknown", "no such delivery"),
            Retried::Untouched(state @ State::Sending) => {
                (state.as_str(), "being attempted at this moment; nothing was changed")
            }
            Retried::Untouched(state) => (state.as_str(), "delivered already; nothing was changed"),
        };
        // It will be attempted, which is what was wanted.
        let is_as_wanted = matches!(retried, Retried::Due | Retried::Untouched(State::Sending));
        Self { id: id.to_string(), result, words, is_as_wanted }
    }

    #[must_use]
    pub fn skipped(id: &DeliveryId, skipped: Skipped) -> Self {
        let id = id.to_string();
        match skipped {
            Skipped::Skipped => Self { id, result: "skipped", words: "skipped", is_as_wanted: true },
            Skipped::Unknown => Self { id, result: "unknown", words: "no such delivery", is_as_wanted: false },
            Skipped::Untouched(state) => Self {
                id,
                result: state.as_str(),
                words: match state {
                    State::Delivered => "delivered already; nothing was changed",
                    State::Dead => "dead already, and will not be attempted again by itself; nothing was changed",
                    State::Skipped => "skipped already; nothing was changed",
                    _ => "being attempted at this moment; nothing was changed, skip it when that is over",
                },
                is_as_wanted: state.is_final(),
            },
        }
    }
}
