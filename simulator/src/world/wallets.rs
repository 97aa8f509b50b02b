//! All wallets of a world, with one listing for every way a server may choose to list them.
//!
//! Whether blocked and replaced wallets appear in the plain listing is unpublished, so each choice is a [`View`], and each
//! view has a listing kept up to date. A page costs what the page holds, whatever the size of the world.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::serving::{Page, Section, View, Visibility, Window};
use crate::world::listing::{Listing, Order, Slot};
use crate::world::row::{Wallet, WalletId};
use crate::world::table::Table;

impl View {
    fn all() -> impl Iterator<Item = Self> {
        let sections = [
            Section::Plain { blocked: Visibility::Listed },
            Section::Plain { blocked: Visibility::Hidden },
            Section::OnlyBlocked,
        ];
        let with = |replaced| move |section| Self { section, replaced };
        sections.into_iter().map(with(Visibility::Listed)).chain(sections.into_iter().map(with(Visibility::Hidden)))
    }

    /// The wallets that are in use: neither blocked nor replaced.
    const fn usable() -> Self {
        Self { section: Section::Plain { blocked: Visibility::Hidden }, replaced: Visibility::Hidden }
    }

    fn lists(self, wallet: &Wallet) -> bool {
        self.shows(wallet.is_blocked(), wallet.is_replaced())
    }
}

#[derive(Debug)]
pub(crate) struct Wallets {
    table: Table<WalletId, Wallet>,
    views: BTreeMap<View, Listing>,
    by_external_id: HashMap<Arc<str>, Listing>,
}

impl Default for Wallets {
    fn default() -> Self {
        let views = View::all().map(|view| (view, Listing::default())).collect();
        Self { table: Table::default(), views, by_external_id: HashMap::new() }
    }
}

impl Wallets {
    pub(crate) fn insert(&mut self, wallet: &Wallet) {
        let slot = self.table.insert(wallet.id, wallet.clone());
        self.by_external_id.entry(Arc::clone(&wallet.external_id)).or_default().insert(slot);
        self.relist(slot, Some(wallet));
    }

    /// Changes a wallet in place; `None` if there is no such wallet. The id and the external id must stay.
    pub(crate) fn update(&mut self, id: WalletId, change: impl FnOnce(&mut Wallet)) -> Option<Wallet> {
        let slot = self.table.slot(&id)?;
        let mut wallet = self.table.at(slot)?.clone();
        change(&mut wallet);
        self.table.put(slot, wallet.clone());
        self.relist(slot, Some(&wallet));
        Some(wallet)
    }

    pub(crate) fn remove(&mut self, id: WalletId) -> Option<Wallet> {
        let (slot, wallet) = self.table.remove(&id)?;
        if let Some(listing) = self.by_external_id.get_mut(&wallet.external_id) {
            listing.remove(slot);
        }
        self.relist(slot, None);
        Some(wallet)
    }

    pub(crate) fn get(&self, id: WalletId) -> Option<&Wallet> {
        self.table.get(&id)
    }

    /// The wallet that a user has now, whatever was replaced before.
    pub(crate) fn current(&self, external_id: &str) -> Option<&Wallet> {
        let slots = self.by_external_id.get(external_id)?.oldest_first();
        slots.iter().rev().filter_map(|slot| self.table.at(*slot)).find(|wallet| !wallet.is_replaced())
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Everything there is, in creation order.
    pub(crate) fn all(&self) -> Vec<Wallet> {
        let everything = View { section: Section::Plain { blocked: Visibility::Listed }, replaced: Visibility::Listed };
        let slots = self.slots(everything);
        self.table.copies(slots.iter().copied())
    }

    /// The usable wallet that a number stands for; every usable one has an equal share of the numbers.
    pub(crate) fn pick_usable(&self, number: usize) -> Option<&Wallet> {
        self.pick(View::usable(), number)
    }

    /// The blocked but not replaced wallet that a number stands for.
    pub(crate) fn pick_blocked(&self, number: usize) -> Option<&Wallet> {
        self.pick(View { section: Section::OnlyBlocked, replaced: Visibility::Hidden }, number)
    }

    pub(crate) fn page(&mut self, view: View, external_id: Option<&str>, order: Order, window: Window) -> Page<Wallet> {
        let Some(external_id) = external_id else {
            return self.table.page(self.views.entry(view).or_default().ordered(order), window);
        };
        let listed = |slot: &Slot| self.table.at(*slot).is_some_and(|wallet| view.lists(wallet));
        let listing = self.by_external_id.get_mut(external_id);
        let slots: Vec<Slot> = listing.into_iter().flat_map(|all| all.ordered(order)).filter(listed).collect();
        self.table.page(slots.into_iter(), window)
    }

    fn pick(&self, view: View, number: usize) -> Option<&Wallet> {
        let slots = self.slots(view);
        let slot = slots.get(number.checked_rem(slots.len())?)?;
        self.table.at(*slot)
    }

    fn slots(&self, view: View) -> &[Slot] {
        self.views.get(&view).map_or(&[], Listing::oldest_first)
    }

    /// Puts a slot into the listings that show its wallet now, and takes it out of the others.
    fn relist(&mut self, slot: Slot, wallet: Option<&Wallet>) {
        for (view, listing) in &mut self.views {
            if wallet.is_some_and(|wallet| view.lists(wallet)) {
                listing.insert(slot);
            } else {
                listing.remove(slot);
            }
        }
    }
}
