//! What operators did, and who it was.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::operator_action::Model;
use schemars::JsonSchema;
use serde::Serialize;

/// A row of `lumo_operator_actions`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Action {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// `cli:` and the user of the operating system, `api`, or `dashboard` if the caller said so.
    pub actor: String,
    /// `pause`, `resume`, `test`, `skip`, `retry`, `replay`, `create`, `block`, `replace` or `adopt`.
    pub action: &'static str,
    /// The endpoint, the delivery (`evt_…@endpoint`), the wallet or the company that it was done to.
    pub object: String,
    /// What was given as the reason.
    pub reason: Option<String>,
}

impl Action {
    #[must_use]
    pub fn of(row: &Model) -> Self {
        Self {
            id: row.id,
            at: row.at,
            actor: row.actor.clone(),
            action: row.action.as_str(),
            object: row.object.clone(),
            reason: row.reason.clone(),
        }
    }
}
