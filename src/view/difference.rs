//! A deposit about which the tables and a merchant's bookings do not say the same.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::csv::{Column, Row};
use crate::model::draft::rfc3339;
use crate::model::{Amount, reconcile};

/// A difference that `reconcile` found.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// `not_booked`, `not_there`, `not_settled`, `other_amount` or `unreadable`.
    pub kind: &'static str,
    /// Null if a booking names none.
    pub deposit_id: Option<String>,
    pub external_id: Option<String>,
    /// The deposit's; null if there is no such deposit.
    pub status: Option<String>,
    pub settled_at: Option<DateTime<Utc>>,
    /// What the deposit is about, exact.
    pub amount: Option<String>,
    /// What is booked in all, exact.
    pub booked: Option<String>,
    /// How many bookings that is.
    pub bookings: u64,
    /// What it is in words.
    pub what: String,
}

impl Difference {
    #[must_use]
    pub fn of(found: &reconcile::Difference) -> Self {
        let deposit = found.deposit.as_ref();
        let digits = |amount: &Amount| amount.as_str().to_owned();
        Self {
            kind: found.kind.as_str(),
            deposit_id: found.deposit_id.clone(),
            external_id: deposit.and_then(|deposit| deposit.external_id.clone()),
            status: deposit.map(|deposit| deposit.status.clone()),
            settled_at: deposit.and_then(|deposit| deposit.settled_at),
            amount: deposit.and_then(|deposit| deposit.amount.as_ref()).map(digits),
            booked: found.booked.as_ref().map(digits),
            bookings: found.bookings,
            what: found.what.clone(),
        }
    }
}

impl Row for Difference {
    const COLUMNS: &'static [Column<Self>] = &[
        ("kind", |row| Some(row.kind.to_owned())),
        ("deposit_id", |row| row.deposit_id.clone()),
        ("external_id", |row| row.external_id.clone()),
        ("status", |row| row.status.clone()),
        ("settled_at", |row| row.settled_at.map(rfc3339)),
        ("amount", |row| row.amount.clone()),
        ("booked", |row| row.booked.clone()),
        ("bookings", |row| Some(row.bookings.to_string())),
        ("what", |row| Some(row.what.clone())),
    ];
}
