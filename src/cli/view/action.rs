//! What operators did.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::operator_action::Model;

use super::Listed;
use crate::cli::table::{Cell, Column};
use crate::cli::time::past;
use crate::view::Action;

impl Listed for Model {
    const NOUN: &'static str = "actions";
    type Json = Action;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("ACTION"),
            Column::new("BY"),
            Column::new("WHEN"),
            Column::new("OBJECT").whole(),
            Column::new("REASON").below(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(self.action.as_str()),
            Cell::new(&self.actor),
            Cell::new(past(self.at, now)),
            Cell::new(&self.object),
            Cell::maybe(self.reason.as_deref()),
        ]
    }

    fn json(&self) -> Action {
        Action::of(self)
    }
}
