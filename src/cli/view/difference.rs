//! What differs between the deposits and a merchant's bookings.

use chrono::{DateTime, Utc};
use lumo_bridge_entity::Amount;

use super::Listed;
use crate::cli::table::{Cell, Column};
use crate::model::reconcile::Difference as Found;
use crate::view::Difference;

impl Listed for Found {
    const NOUN: &'static str = "differences";
    type Json = Difference;

    fn columns() -> Vec<Column> {
        vec![
            Column::new("DEPOSIT").whole(),
            Column::new("USER").flexible().optional(),
            Column::new("AMOUNT").right(),
            Column::new("BOOKED").right(),
            Column::new("WHAT").below(),
        ]
    }

    fn cells(&self, _: DateTime<Utc>) -> Vec<Cell> {
        let deposit = self.deposit.as_ref();
        vec![
            Cell::maybe(self.deposit_id.as_deref()),
            Cell::maybe(deposit.and_then(|deposit| deposit.external_id.as_deref())),
            Cell::maybe(deposit.and_then(|deposit| deposit.amount.as_ref()).map(Amount::as_str)),
            Cell::maybe(self.booked.as_ref().map(Amount::as_str)),
            Cell::new(&self.what),
        ]
    }

    fn json(&self) -> Difference {
        Difference::of(self)
    }
}
