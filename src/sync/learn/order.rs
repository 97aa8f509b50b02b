//! Learns where new rows appear in a list, so that a round reads there first.
//!
//! Only speed rests on it. The other end is read now and then, the count shows what neither end does, and the sweep
//! reads everything.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How many new rows must have appeared before their places count.
const MIN_NEW_ROWS: u32 = 12;
/// The weight of a row that appears.
const ROW_WEIGHT: u64 = 1_000;
/// With each row that appears, the others lose this fraction of their weight.
const DECAY_DIVISOR: u64 = 64;
/// The share of rows, in percent, that makes an end the one where rows join.
const END_SHARE_PERCENT: u64 = 95;
/// With a larger share than this in the middle, in percent, rows join anywhere.
const MAX_MIDDLE_PERCENT: u64 = 30;
/// How many full scans must find the rows in order before the order is believed again.
const CALM_SCANS: u8 = 2;

/// In which order the rows are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    #[default]
    Unknown,
    /// New rows join at the head.
    Newest,
    /// New rows join at the tail.
    Oldest,
    /// New rows join anywhere.
    Scattered,
    /// Rows change places.
    Unstable,
}

/// Where a new row appeared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Head,
    Middle,
    Tail,
}

/// What was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    head: u64,
    middle: u64,
    tail: u64,
    /// How many rows have appeared, counted up to [`MIN_NEW_ROWS`].
    noted: u32,
    /// The order that the times on a page suggest, used while too few rows have appeared.
    seeded: Option<Order>,
    /// How many full scans in order are still needed.
    disorder: u8,
}

impl Order {
    /// Whether new rows are known to join at one end. Otherwise only the count shows that a row was missed.
    #[must_use]
    pub fn is_known_end(self) -> bool {
        matches!(self, Self::Newest | Self::Oldest)
    }

    /// Whether to read the head. In a scattered list its first page gives the `total`.
    #[must_use]
    pub fn wants_head(self) -> bool {
        self != Self::Oldest
    }

    /// Whether to read the tail.
    #[must_use]
    pub fn wants_tail(self) -> bool {
        !matches!(self, Self::Newest | Self::Scattered)
    }
}

impl Evidence {
    /// Notes a row that was not known before.
    pub fn note(&mut self, place: Place) {
        for weight in [&mut self.head, &mut self.middle, &mut self.tail] {
            *weight -= *weight / DECAY_DIVISOR;
        }
        let weight = match place {
            Place::Head => &mut self.head,
            Place::Middle => &mut self.middle,
            Place::Tail => &mut self.tail,
        };
        *weight = weight.saturating_add(ROW_WEIGHT);
        self.noted = self.noted.saturating_add(1).min(MIN_NEW_ROWS);
    }

    /// Guesses the order from the times on a page from the middle of the list.
    pub fn seed(&mut self, created_at: &[Option<DateTime<Utc>>]) {
        let told: Vec<DateTime<Utc>> = created_at.iter().flatten().copied().collect();
        let pairs = told.iter().zip(told.iter().skip(1));
        let (mut falling, mut rising) = (0_u64, 0_u64);
        for (earlier, later) in pairs {
            falling += u64::from(later < earlier);
            rising += u64::from(later > earlier);
        }
        let all = falling + rising;
        if all < u64::from(MIN_NEW_ROWS) {
            return;
        }
        self.seeded = if is_share(falling, all, END_SHARE_PERCENT) {
            Some(Order::Newest)
        } else if is_share(rising, all, END_SHARE_PERCENT) {
            Some(Order::Oldest)
        } else {
            // Random places fall as often as they rise.
            (falling.min(rising) * 100 > MAX_MIDDLE_PERCENT * all).then_some(Order::Scattered)
        };
    }

    /// Notes that two pages list shared rows in different orders.
    pub fn disorder(&mut self) {
        self.disorder = CALM_SCANS;
    }

    /// Notes a full scan without disorder.
    pub fn swept_in_order(&mut self) {
        self.disorder = self.disorder.saturating_sub(1);
    }

    /// The order that follows from the evidence.
    #[must_use]
    pub fn order(&self) -> Order {
        if self.disorder > 0 {
            return Order::Unstable;
        }
        let all = self.head + self.middle + self.tail;
        let watched = if all == 0 {
            None
        } else if self.middle * 100 > MAX_MIDDLE_PERCENT * all {
            Some(Order::Scattered)
        } else if is_share(self.head, all, END_SHARE_PERCENT) {
            Some(Order::Newest)
        } else if is_share(self.tail, all, END_SHARE_PERCENT) {
            Some(Order::Oldest)
        } else {
            Some(Order::Unknown)
        };
        match (watched, self.seeded) {
            (Some(watched), _) if self.noted >= MIN_NEW_ROWS => watched,
            // The few rows that turned up agree with the guess, or there were none.
            (watched, Some(seeded)) if watched.is_none_or(|watched| watched == seeded) => seeded,
            _ => Order::Unknown,
        }
    }
}

fn is_share(part: u64, all: u64, percent: u64) -> bool {
    all > 0 && part.saturating_mul(100) >= all.saturating_mul(percent)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn noted(places: &[(Place, usize)]) -> Evidence {
        let mut evidence = Evidence::default();
        for (place, count) in places {
            (0..*count).for_each(|_| evidence.note(*place));
        }
        evidence
    }

    fn times(seconds: impl IntoIterator<Item = i64>) -> Vec<Option<DateTime<Utc>>> {
        seconds.into_iter().map(|second| Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(second))).collect()
    }

    #[test]
    fn an_end_is_learned_from_a_dozen_rows() {
        use Place::{Head, Middle, Tail};
        for (places, order) in [
            (&[(Head, 11)][..], Order::Unknown),
            (&[(Head, 12)], Order::Newest),
            (&[(Tail, 12)], Order::Oldest),
            (&[(Head, 30), (Tail, 1)], Order::Newest),
            (&[(Head, 20), (Tail, 5)], Order::Unknown),
            (&[(Head, 8), (Middle, 4)], Order::Scattered),
            (&[(Head, 40), (Middle, 8)], Order::Unknown),
            (&[(Head, 1_000), (Tail, 8)], Order::Unknown),
            (&[(Head, 1_000), (Tail, 250)], Order::Oldest),
        ] {
            assert_eq!(noted(places).order(), order, "{places:?}");
        }
    }

    #[test]
    fn the_times_on_a_page_are_a_first_guess() {
        for (seconds, order) in [
            (times((0..40).rev()), Order::Newest),
            (times(0..40), Order::Oldest),
            (times((0..40).map(|n| n * n * 7_919 % 1_009)), Order::Scattered),
            (times([5; 40]), Order::Unknown),
            (times(0..10), Order::Unknown),
            (vec![None; 40], Order::Unknown),
        ] {
            let mut evidence = Evidence::default();
            evidence.seed(&seconds);
            assert_eq!(evidence.order(), order, "{seconds:?}");
        }
    }

    #[test]
    fn a_guess_is_dropped_when_rows_turn_up_elsewhere() {
        let mut evidence = Evidence::default();
        evidence.seed(&times(0..40));
        evidence.note(Place::Tail);
        assert_eq!(evidence.order(), Order::Oldest);
        evidence.note(Place::Head);
        assert_eq!(evidence.order(), Order::Unknown);
        (0..90).for_each(|_| evidence.note(Place::Head));
        assert_eq!(evidence.order(), Order::Newest);
    }

    #[test]
    fn disorder_is_forgotten_after_two_sweeps_in_order() {
        let mut evidence = noted(&[(Place::Head, 20)]);
        evidence.disorder();
        evidence.swept_in_order();
        assert_eq!(evidence.order(), Order::Unstable);
        evidence.swept_in_order();
        assert_eq!(evidence.order(), Order::Newest);
    }

    #[test]
    fn each_round_looks_where_new_rows_turn_up() {
        for (order, head, tail) in [
            (Order::Unknown, true, true),
            (Order::Unstable, true, true),
            (Order::Newest, true, false),
            (Order::Oldest, false, true),
            (Order::Scattered, true, false),
        ] {
            assert_eq!((order.wants_head(), order.wants_tail()), (head, tail), "{order:?}");
        }
    }

    #[test]
    fn it_is_kept_as_text() {
        assert_eq!(serde_json::to_string(&Order::Newest).unwrap(), r#""newest""#);
        let mut evidence = noted(&[(Place::Head, 3), (Place::Tail, 90)]);
        evidence.seed(&times(0..40));
        let text = serde_json::to_string(&evidence).unwrap();
        assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
        assert_eq!(serde_json::from_str::<Evidence>("{}").unwrap(), Evidence::default());
    }

    proptest! {
        #[test]
        fn ninety_rows_running_are_enough_whatever_came_before(before in proptest::collection::vec(0..3_u8, 0..500)) {
            let mut evidence = Evidence::default();
            before.iter().for_each(|place| evidence.note([Place::Head, Place::Middle, Place::Tail][usize::from(*place)]));
            (0..250).for_each(|_| evidence.note(Place::Tail));
            prop_assert_eq!(evidence.order(), Order::Oldest);
        }
    }
}
