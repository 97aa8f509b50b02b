//! Items that could not be read.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::reject::Model;

use super::Listed;
use crate::cli::table::{Cell, Column};
use crate::cli::time::past;
use crate::view::Reject;

impl Listed for Model {
    const NOUN: &'static str = "items that could not be read";
    type Json = Reject;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("LISTING"),
            Column::new("ITEM").whole(),
            Column::new("SINCE"),
            Column::new("LAST SEEN").optional(),
            Column::new("WHY").below(),
        ]
    }

    fn cells(&self, now: DateTime<Utc>) -> Vec<Cell> {
        vec![
            Cell::new(&self.listing),
            Cell::maybe(self.id.as_deref()),
            Cell::new(past(self.first_seen_at, now)),
            Cell::new(past(self.last_seen_at, now)),
            Cell::new(&self.reason),
        ]
    }

    fn json(&self) -> Reject {
        Reject::of(self)
    }
}
