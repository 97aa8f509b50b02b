//! Items that could not be read.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::reject::Model;

use super::Listed;
use crate::cli::safe;
use crate::cli::table::{Cell, Column};
use crate::cli::text::{fit, one_line};
use crate::cli::time::past;
use crate::view::Reject;

/// How much is shown of an item that has no id, in columns: it may be one word, and a line has room for no more.
const SHOWN_OF_AN_ITEM: usize = 70;

/// What is wrong with it and, where no id says which one it is, how it begins.
fn why(row: &Model) -> String {
    if row.id.is_some() {
        return row.reason.clone();
    }
    let listed = fit(&safe::text(&one_line(&row.raw)), SHOWN_OF_AN_ITEM);
    format!("{}; it is listed as {listed}", row.reason)
}

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
            Cell::new(self.id.as_ref().unwrap_or(&self.item)),
            Cell::new(past(self.first_seen_at, now)),
            Cell::new(past(self.last_seen_at, now)),
            Cell::new(why(self)),
        ]
    }

    fn json(&self) -> Reject {
        Reject::of(self)
    }
}
