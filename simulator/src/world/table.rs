//! Rows by id and by slot, and the index of listings that each kind of row keeps beside them.
//!
//! A slot is never used twice, so slots sort in creation order for ever. Memory of removed rows is not given back, which
//! is fine for a world that mostly grows.

use std::collections::HashMap;
use std::hash::Hash;

use crate::serving::{Page, Window};
use crate::world::listing::Slot;

#[derive(Debug)]
pub(crate) struct Table<I, R> {
    rows: Vec<Option<R>>,
    slots: HashMap<I, Slot>,
}

impl<I, R> Default for Table<I, R> {
    fn default() -> Self {
        Self { rows: Vec::new(), slots: HashMap::new() }
    }
}

impl<I: Eq + Hash, R: Clone> Table<I, R> {
    pub(crate) fn insert(&mut self, id: I, row: R) -> Slot {
        let slot = self.rows.len();
        self.rows.push(Some(row));
        self.slots.insert(id, slot);
        slot
    }

    pub(crate) fn slot(&self, id: &I) -> Option<Slot> {
        self.slots.get(id).copied()
    }

    pub(crate) fn at(&self, slot: Slot) -> Option<&R> {
        self.rows.get(slot)?.as_ref()
    }

    pub(crate) fn get(&self, id: &I) -> Option<&R> {
        self.at(self.slot(id)?)
    }

    /// Puts another version of a row in its place.
    pub(crate) fn put(&mut self, slot: Slot, row: R) {
        if let Some(place) = self.rows.get_mut(slot) {
            *place = Some(row);
        }
    }

    pub(crate) fn remove(&mut self, id: &I) -> Option<(Slot, R)> {
        let slot = self.slots.remove(id)?;
        let row = self.rows.get_mut(slot)?.take()?;
        Some((slot, row))
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// One page of the listing that has these rows, in this order.
    pub(crate) fn page(&self, slots: impl ExactSizeIterator<Item = Slot>, window: Window) -> Page<R> {
        let Page { rows, total } = window.of(slots);
        Page { rows: self.copies(rows), total }
    }

    /// Copies of these rows, in this order.
    pub(crate) fn copies(&self, slots: impl IntoIterator<Item = Slot>) -> Vec<R> {
        slots.into_iter().filter_map(|slot| self.at(slot).cloned()).collect()
    }
}
