//! What is settled and what a merchant has booked, compared deposit by deposit: two streams in the order of the ids, merged.
//!
//! The merge asks for the next row of the one or the other stream and keeps one of each, so lists of any length are compared. Ids
//! are compared by their bytes, as both streams must be sorted; a stream that is not is refused, as it would show differences
//! that there are not.

mod select;

use chrono::{DateTime, Utc};

use crate::model::Amount;

pub use select::{Select, SelectError};

/// A deposit, as the tables have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    pub id: String,
    pub external_id: Option<String>,
    pub amount: Option<Amount>,
    pub status: String,
    pub created_at: Option<DateTime<Utc>>,
    pub first_seen_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
    /// Whether it is of a company that the tables belonged to before.
    pub is_former: bool,
}

/// A row of the merchant's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    pub deposit_id: Option<String>,
    /// The amount as the database spells it.
    pub amount: Option<String>,
}

/// What is judged, and what counts as settled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The tables are known to be complete up to this time.
    pub through: DateTime<Utc>,
    /// The statuses that count as settled, besides `settled_at`.
    pub statuses: Vec<String>,
}

enum Standing {
    Settled,
    Unsettled,
    /// It was made, or came to be settled, when the tables are not known to be complete.
    Newer,
    Former,
}

impl Rule {
    fn standing(&self, deposit: &Deposit) -> Standing {
        let made = deposit.created_at.unwrap_or(deposit.first_seen_at);
        // What was settled as it was first seen, as in a first import, is as old as the deposit.
        let settled_later = deposit.settled_at.filter(|at| *at > deposit.first_seen_at);
        if deposit.is_former {
            Standing::Former
        } else if made >= self.through || settled_later.is_some_and(|at| at >= self.through) {
            Standing::Newer
        } else if deposit.settled_at.is_some() || self.statuses.contains(&deposit.status) {
            Standing::Settled
        } else {
            Standing::Unsettled
        }
    }
}

/// The kinds of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Settled, and not booked.
    NotBooked,
    /// Booked, and there is no such deposit.
    NotThere,
    /// Booked, and the deposit is not settled.
    NotSettled,
    /// Booked with another amount.
    OtherAmount,
    /// It cannot be compared.
    Unreadable,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::NotBooked, Self::NotThere, Self::NotSettled, Self::OtherAmount, Self::Unreadable];

    /// As scripts know it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotBooked => "not_booked",
            Self::NotThere => "not_there",
            Self::NotSettled => "not_settled",
            Self::OtherAmount => "other_amount",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A deposit about which the two sides do not say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub kind: Kind,
    /// What it is in words.
    pub what: String,
    /// None if a booking names no deposit.
    pub deposit_id: Option<String>,
    /// None if there is no such deposit.
    pub deposit: Option<Deposit>,
    /// What is booked in all; none if nothing is, or if it cannot be read.
    pub booked: Option<Amount>,
    /// How many rows of the statement are about it.
    pub bookings: u64,
}

/// What was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Settled deposits that were judged.
    pub settled: u64,
    /// Rows of the statement.
    pub bookings: u64,
    /// Deposits that were not judged because they are too new.
    pub newer: u64,
    /// Rows of the statement that are about those.
    pub newer_bookings: u64,
    /// Deposits of a former company that are booked; they were not judged either.
    pub former: u64,
    /// Rows of the statement that are about those.
    pub former_bookings: u64,
    differences: [u64; Kind::ALL.len()],
}

impl Counts {
    /// How many differences of a kind there are.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        self.differences.get(kind as usize).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn differences(&self) -> u64 {
        self.differences.iter().sum()
    }
}

/// All bookings of one deposit.
#[derive(Debug)]
struct Booked {
    deposit_id: String,
    /// The sum, or why there is none.
    amount: Result<Amount, String>,
    bookings: u64,
}

impl Booked {
    fn new(deposit_id: String, amount: Option<&str>) -> Self {
        Self { deposit_id, amount: read(amount), bookings: 1 }
    }

    fn add(&mut self, amount: Option<&str>) {
        self.bookings += 1;
        let Ok(sum) = &self.amount else { return };
        let added = read(amount).and_then(|amount| {
            sum.plus(&amount).map_err(|error| format!("the sum of {} bookings {error}", self.bookings))
        });
        self.amount = added;
    }
}

/// Longest text that is quoted as no number, in bytes.
const MAX_QUOTED: usize = 60;

fn read(amount: Option<&str>) -> Result<Amount, String> {
    let Some(text) = amount.map(str::trim) else { return Err("the amount of a booking is null".to_owned()) };
    text.parse().map_err(|error| {
        let quoted = text.get(..text.floor_char_boundary(MAX_QUOTED)).unwrap_or_default();
        format!("the amount of a booking, `{quoted}`, {error}")
    })
}

/// What is known of the next row of a stream.
#[derive(Debug)]
enum Next<T> {
    Unknown,
    Row(T),
    End,
}

/// What the merge does, or wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The next deposit: [`Merge::take_deposit`].
    Deposit,
    /// The next booking: [`Merge::take_booking`].
    Booking,
    Found(Box<Difference>),
    End,
}

/// A stream is not in the order of the ids.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database gives the {0} in another order than that of their ids' bytes")]
pub struct OutOfOrder(&'static str);

/// The merge of the two streams.
#[derive(Debug)]
pub struct Merge {
    rule: Rule,
    deposit: Next<Deposit>,
    booking: Next<Booking>,
    /// The bookings of one deposit, as far as they came.
    booked: Option<Booked>,
    last_deposit: Option<String>,
    counts: Counts,
}

impl Merge {
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        let (deposit, booking) = (Next::Unknown, Next::Unknown);
        Self { rule, deposit, booking, booked: None, last_deposit: None, counts: Counts::default() }
    }

    /// What was compared so far.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The next deposit; none if there is no other.
    ///
    /// # Errors
    /// If it should have come before the last one.
    pub fn take_deposit(&mut self, deposit: Option<Deposit>) -> Result<(), OutOfOrder> {
        let Some(deposit) = deposit else {
            self.deposit = Next::End;
            return Ok(());
        };
        if self.last_deposit.as_ref().is_some_and(|last| *last >= deposit.id) {
            return Err(OutOfOrder("deposits"));
        }
        self.last_deposit = Some(deposit.id.clone());
        self.deposit = Next::Row(deposit);
        Ok(())
    }

    /// The next booking; none if there is no other.
    pub fn take_booking(&mut self, booking: Option<Booking>) {
        self.counts.bookings += u64::from(booking.is_some());
        self.booking = booking.map_or(Next::End, Next::Row);
    }

    /// Goes on until something is wanted, or found.
    ///
    /// # Errors
    /// If the bookings are not in order.
    pub fn step(&mut self) -> Result<Step, OutOfOrder> {
        loop {
            match self.gather()? {
                Some(step) => return Ok(step),
                None if matches!(self.deposit, Next::Unknown) => return Ok(Step::Deposit),
                None => {}
            }
            let deposit = match std::mem::replace(&mut self.deposit, Next::Unknown) {
                Next::Row(deposit) => Some(deposit),
                _ => {
                    self.deposit = Next::End;
                    None
                }
            };
            let found = match (deposit, self.booked.take()) {
                (None, None) => return Ok(Step::End),
                (Some(deposit), Some(booked)) if deposit.id < booked.deposit_id => {
                    self.booked = Some(booked);
                    self.judge(deposit, None)
                }
                (Some(deposit), Some(booked)) if deposit.id > booked.deposit_id => {
                    self.deposit = Next::Row(deposit);
                    Some(without_deposit(booked))
                }
                (Some(deposit), booked) => self.judge(deposit, booked),
                (None, Some(booked)) => Some(without_deposit(booked)),
            };
            if let Some(found) = found {
                return Ok(self.found(found));
            }
        }
    }

    /// Brings all bookings of one deposit together. None if it has them, or if there are no more.
    fn gather(&mut self) -> Result<Option<Step>, OutOfOrder> {
        loop {
            let booking = match std::mem::replace(&mut self.booking, Next::Unknown) {
                Next::Unknown => return Ok(Some(Step::Booking)),
                Next::End => {
                    self.booking = Next::End;
                    return Ok(None);
                }
                Next::Row(booking) => booking,
            };
            let Booking { deposit_id: Some(deposit_id), amount } = booking else {
                return Ok(Some(self.found(without_id(booking.amount.as_deref()))));
            };
            match &mut self.booked {
                None => self.booked = Some(Booked::new(deposit_id, amount.as_deref())),
                Some(booked) if booked.deposit_id == deposit_id => booked.add(amount.as_deref()),
                Some(booked) if booked.deposit_id > deposit_id => return Err(OutOfOrder("bookings")),
                Some(_) => {
                    self.booking = Next::Row(Booking { deposit_id: Some(deposit_id), amount });
                    return Ok(None);
                }
            }
        }
    }

    fn judge(&mut self, deposit: Deposit, booked: Option<Booked>) -> Option<Difference> {
        let is_settled = match self.rule.standing(&deposit) {
            Standing::Newer => {
                self.counts.newer += 1;
                self.counts.newer_bookings += booked.map_or(0, |booked| booked.bookings);
                return None;
            }
            Standing::Former => {
                self.counts.former += u64::from(booked.is_some());
                self.counts.former_bookings += booked.map_or(0, |booked| booked.bookings);
                return None;
            }
            Standing::Settled => true,
            Standing::Unsettled => false,
        };
        self.counts.settled += u64::from(is_settled);
        let Some(booked) = booked else {
            let nothing = (Kind::NotBooked, "settled, not booked".to_owned());
            return is_settled.then(|| difference(nothing, deposit.id.clone(), Some(deposit), None));
        };
        let found = match (&booked.amount, &deposit.amount) {
            (Err(problem), _) => (Kind::Unreadable, problem.clone()),
            (Ok(_), _) if !is_settled => (Kind::NotSettled, format!("booked, not settled: status {}", deposit.status)),
            (Ok(_), None) => (Kind::Unreadable, "booked, and the deposit's amount is not known".to_owned()),
            (Ok(booked), Some(amount)) if booked != amount => {
                (Kind::OtherAmount, "booked with another amount".to_owned())
            }
            _ => return None,
        };
        Some(difference(found, booked.deposit_id.clone(), Some(deposit), Some(booked)))
    }

    fn found(&mut self, difference: Difference) -> Step {
        if let Some(count) = self.counts.differences.get_mut(difference.kind as usize) {
            *count += 1;
        }
        Step::Found(Box::new(difference))
    }
}

fn without_deposit(booked: Booked) -> Difference {
    let what = match &booked.amount {
        Err(problem) => (Kind::Unreadable, format!("booked, no such deposit; {problem}")),
        Ok(_) => (Kind::NotThere, "booked, no such deposit".to_owned()),
    };
    difference(what, booked.deposit_id.clone(), None, Some(booked))
}

fn without_id(amount: Option<&str>) -> Difference {
    let (booked, what) = (read(amount).ok(), "a booking whose deposit_id is null".to_owned());
    Difference { kind: Kind::Unreadable, what, deposit_id: None, deposit: None, booked, bookings: 1 }
}

fn difference(
    (kind, what): (Kind, String),
    deposit_id: String,
    deposit: Option<Deposit>,
    booked: Option<Booked>,
) -> Difference {
    let (booked, bookings) = booked.map_or((None, 0), |booked| (booked.amount.ok(), booked.bookings));
    Difference { kind, what, deposit_id: Some(deposit_id), deposit, booked, bookings }
}

#[cfg(test)]
mod tests;
