//! The rows of one listing, readable from any offset in any order without sorting or copying the whole.
//!
//! A listing holds slots (positions in the table of rows). Slots are handed out in creation order, so the plain vector
//! is "oldest first" and read backwards "newest first". The scattered order is kept only once somebody asks for it.

use std::hash::{DefaultHasher, Hash, Hasher};

use clap::ValueEnum;

/// The position of a row in its table; later rows have larger ones, and none is used twice.
pub(crate) type Slot = usize;

/// In what order a listing is served. The published reference does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Order {
    /// By creation: a new row appears at the end.
    #[default]
    Oldest,
    /// By creation, backwards: a new row pushes all others one place down.
    Newest,
    /// By a fixed pseudo-random key: a new row appears anywhere.
    Scattered,
}

#[derive(Debug, Default)]
pub(crate) struct Listing {
    oldest: Vec<Slot>,
    scattered: Option<Vec<Slot>>,
}

impl Listing {
    /// Adds a slot; nothing happens if it is listed already.
    pub(crate) fn insert(&mut self, slot: Slot) {
        if let Err(place) = self.oldest.binary_search(&slot) {
            self.oldest.insert(place, slot);
            if let Some(scattered) = &mut self.scattered {
                let place = scattered.partition_point(|other| scatter(*other) < scatter(slot));
                scattered.insert(place, slot);
            }
        }
    }

    /// Takes a slot out; nothing happens if it is not listed.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if let Ok(place) = self.oldest.binary_search(&slot) {
            self.oldest.remove(place);
            if let Some(scattered) = &mut self.scattered
                && let Ok(place) = scattered.binary_search_by_key(&scatter(slot), |other| scatter(*other))
            {
                scattered.remove(place);
            }
        }
    }

    /// All slots in creation order.
    pub(crate) fn oldest_first(&self) -> &[Slot] {
        &self.oldest
    }

    /// All slots in this order. `skip` on it is a jump, not a walk.
    pub(crate) fn ordered(&mut self, order: Order) -> Box<dyn ExactSizeIterator<Item = Slot> + '_> {
        match order {
            Order::Oldest => Box::new(self.oldest.iter().copied()),
            Order::Newest => Box::new(self.oldest.iter().rev().copied()),
            Order::Scattered => Box::new(self.scattered().iter().copied()),
        }
    }

    fn scattered(&mut self) -> &[Slot] {
        self.scattered.get_or_insert_with(|| {
            let mut slots = self.oldest.clone();
            slots.sort_by_cached_key(|slot| scatter(*slot));
            slots
        })
    }
}

/// A key without pattern but the same in every run; the slot itself makes it unique.
fn scatter(slot: Slot) -> (u64, Slot) {
    let mut hasher = DefaultHasher::new();
    slot.hash(&mut hasher);
    (hasher.finish(), slot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serving::Window;

    fn all(listing: &mut Listing, order: Order) -> Vec<Slot> {
        listing.ordered(order).collect()
    }

    #[test]
    fn a_scattered_listing_stays_in_key_order_through_changes() {
        let mut watched = Listing::default();
        for slot in 0..50 {
            watched.insert(slot);
        }
        let before = all(&mut watched, Order::Scattered);
        for slot in 50..100 {
            watched.insert(slot);
        }
        watched.remove(7);
        watched.remove(7);
        watched.insert(60);

        let mut fresh = Listing::default();
        for slot in (0..100).filter(|slot| *slot != 7) {
            fresh.insert(slot);
        }
        let after = all(&mut watched, Order::Scattered);
        assert_eq!(after, all(&mut fresh, Order::Scattered));
        assert_eq!(after.len(), 99);
        assert_ne!(after, all(&mut watched, Order::Oldest));
        let survivors: Vec<Slot> = after.into_iter().filter(|slot| *slot < 50).collect();
        let expected: Vec<Slot> = before.into_iter().filter(|slot| *slot != 7).collect();
        assert_eq!(survivors, expected, "what was listed keeps its relative place");
    }

    #[test]
    fn windows_cut_both_directions_and_end_quietly() {
        let mut listing = Listing::default();
        for slot in [3, 1, 2, 0, 4] {
            listing.insert(slot);
        }
        let mut page = |order, offset, limit| Window { offset, limit }.of(listing.ordered(order)).rows;
        assert_eq!(page(Order::Oldest, 1, 2), [1, 2]);
        assert_eq!(page(Order::Newest, 0, 2), [4, 3]);
        assert_eq!(page(Order::Newest, 4, 9), [0]);
        assert!(page(Order::Oldest, u64::MAX, 9).is_empty());
    }
}
