//! All deposits of a world, listed whole, by status and by user.
//!
//! Each listing is kept up to date as rows change, so a page costs what the page holds. A request that filters by user
//! and by status walks the deposits of that one user.

use std::collections::HashMap;
use std::sync::Arc;

use crate::serving::{Page, Window};
use crate::world::listing::{Listing, Order, Slot};
use crate::world::row::{Deposit, DepositId};
use crate::world::table::Table;

/// The filters of a deposit listing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filter<'a> {
    pub(crate) external_id: Option<&'a str>,
    pub(crate) status: Option<&'a str>,
}

#[derive(Debug, Default)]
pub(crate) struct Deposits {
    table: Table<DepositId, Deposit>,
    all: Listing,
    by_status: HashMap<Arc<str>, Listing>,
    by_external_id: HashMap<Arc<str>, Listing>,
}

impl Deposits {
    pub(crate) fn insert(&mut self, deposit: &Deposit) {
        let slot = self.table.insert(deposit.id, deposit.clone());
        self.all.insert(slot);
        self.by_status.entry(Arc::clone(&deposit.status)).or_default().insert(slot);
        self.by_external_id.entry(Arc::clone(&deposit.external_id)).or_default().insert(slot);
    }

    /// Changes a deposit in place; `None` if there is no such deposit. The id and the external id must stay.
    pub(crate) fn update(&mut self, id: DepositId, change: impl FnOnce(&mut Deposit)) -> Option<Deposit> {
        let slot = self.table.slot(&id)?;
        let mut deposit = self.table.at(slot)?.clone();
        let before = Arc::clone(&deposit.status);
        change(&mut deposit);
        self.table.put(slot, deposit.clone());
        if before != deposit.status {
            if let Some(listing) = self.by_status.get_mut(&before) {
                listing.remove(slot);
            }
            self.by_status.entry(Arc::clone(&deposit.status)).or_default().insert(slot);
        }
        Some(deposit)
    }

    pub(crate) fn remove(&mut self, id: DepositId) -> Option<Deposit> {
        let (slot, deposit) = self.table.remove(&id)?;
        self.all.remove(slot);
        let by_status = self.by_status.get_mut(&deposit.status);
        let by_external_id = self.by_external_id.get_mut(&deposit.external_id);
        for listing in by_status.into_iter().chain(by_external_id) {
            listing.remove(slot);
        }
        Some(deposit)
    }

    pub(crate) fn get(&self, id: DepositId) -> Option<&Deposit> {
        self.table.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Everything there is, in creation order.
    pub(crate) fn all(&self) -> Vec<Deposit> {
        self.table.copies(self.all.oldest_first().iter().copied())
    }

    /// Whether any deposit ever had this status.
    pub(crate) fn knows_status(&self, status: &str) -> bool {
        self.by_status.contains_key(status)
    }

    /// The deposit that a number stands for, among all of them or those of one status.
    pub(crate) fn pick(&self, status: Option<&str>, number: usize) -> Option<&Deposit> {
        let listing = match status {
            Some(status) => self.by_status.get(status)?,
            None => &self.all,
        };
        let slots = listing.oldest_first();
        let slot = slots.get(number.checked_rem(slots.len())?)?;
        self.table.at(*slot)
    }

    pub(crate) fn page(&mut self, filter: Filter<'_>, order: Order, window: Window) -> Page<Deposit> {
        let listing = match filter {
            Filter { external_id: None, status: None } => Some(&mut self.all),
            Filter { external_id: None, status: Some(status) } => self.by_status.get_mut(status),
            Filter { external_id: Some(external_id), .. } => self.by_external_id.get_mut(external_id),
        };
        let Some(listing) = listing else { return self.table.page(std::iter::empty(), window) };
        let Filter { external_id: Some(_), status: Some(status) } = filter else {
            return self.table.page(listing.ordered(order), window);
        };
        let has_status = |slot: &Slot| self.table.at(*slot).is_some_and(|deposit| &*deposit.status == status);
        let slots: Vec<Slot> = listing.ordered(order).filter(has_status).collect();
        self.table.page(slots.into_iter(), window)
    }
}
