//! Everything that was listed before a mark is stored.
//!
//! `proved_through` rests on the list having an order in which no two rows trade places, and on its end showing.
//! `complete_through` rests besides on new rows joining near the end that is read, or, where they join anywhere, on a total
//! that is true and on nothing leaving at the same time.

use std::collections::HashMap;

use lumo_bridge::model::Listing;

use super::tables::{Marks, Rows, Stored};
use super::{Breaches, DEPTH, Oracle, before};
use crate::sim::model::{Moment, Row, World};
use crate::sim::quirks::{Order, Total};

impl Oracle {
    pub(super) fn judge_marks(
        &mut self,
        world: &mut World,
        listing: Listing,
        stored: &Rows,
        marks: &HashMap<Listing, Marks>,
        breaches: &mut Breaches,
    ) {
        for (listing, now) in marks {
            let then = self.marks.get(listing).copied().unwrap_or_default();
            if now.proved_through < then.proved_through || now.complete_through < then.complete_through {
                breaches.push(format!("a mark of {listing} went back from {then:?} to {now:?}"));
            }
            if now.complete_through != then.complete_through {
                // What was proved since says nothing about the count that this mark rests on.
                self.bases.insert(*listing, then.proved_through);
            }
        }
        let marks = marks.get(&listing).copied().unwrap_or_default();
        if !self.quirks(listing).order.is_fixed() || !self.quirks(listing).shows_its_end() {
            return;
        }
        let order = self.quirks(listing).order;
        let proved = marks.proved_through.and_then(|mark| before(world, mark, self.lag()));
        let complete = marks.complete_through.and_then(|mark| before(world, mark, self.lag()));
        let base = self.bases.get(&listing).copied().flatten().and_then(|mark| before(world, mark, self.lag()));
        let rows: Vec<(usize, Moment)> = world
            .of(listing)
            .iter()
            .enumerate()
            .filter_map(|(index, row)| Some((index, row.since(|state| world.lists(listing, state) && !state.spoiled)?)))
            .collect();
        for (index, since) in rows {
            let row = world.row(listing, index);
            let found = stored.get(&row.id()).filter(|found| found.missing_since.is_none());
            let touched =
                |mark: Moment| order == Order::RecentlyChanged && row.now().is_some_and(|now| now.touched > mark);
            if let Some(mark) = proved.filter(|mark| since <= *mark && !touched(*mark)) {
                match found {
                    None => breaches.push(format!(
                        "{} is listed in {listing} since {since} and not stored, proved are all up to {mark}",
                        row.id()
                    )),
                    Some(found) if !is_current(row, found, mark, world.now()) => breaches.push(format!(
                        "{} is stored as it was before {mark}, up to which everything is proved: {found:?}, {:?}",
                        row.id(),
                        row.history
                    )),
                    Some(_) => {}
                }
            } else if let (None, Some(mark)) = (found, complete.filter(|mark| since <= *mark && !touched(*mark)))
                && self.must_be_found(world, listing, index, (base, since))
            {
                let id = world.row(listing, index).id();
                breaches.push(format!(
                    "{id} is listed in {listing} since {since} and not stored, complete are all up to {mark}"
                ));
            }
        }
    }

    /// Whether a row that joined then is one that ticks alone find, where the counts were last proved at the other moment.
    fn must_be_found(
        &self,
        world: &mut World,
        listing: Listing,
        index: usize,
        (base, since): (Option<Moment>, Moment),
    ) -> bool {
        let list = world.list_at(listing, since);
        let Some(position) = list.iter().position(|listed| *listed == index) else { return false };
        match self.quirks(listing).order {
            // Where rows join anywhere now and then, the order that the bridge learns may be another one.
            Order::Newest | Order::RecentlyChanged => !self.assumed.late && position < DEPTH,
            Order::Oldest => !self.assumed.late && list.len() - position <= DEPTH,
            Order::Scattered => {
                let true_count = self.quirks(listing).total == Total::True && self.lag() == 0;
                let from = base.unwrap_or(0).min(since);
                // The count follows what left only after some ticks; until then it may hide something that joined.
                true_count && !(world.of(listing).iter().any(|row| left(world, listing, row, from)))
            }
            Order::Ties | Order::Unstable => false,
        }
    }
}

/// Whether the row left the list at this moment or later, though it may be back.
fn left(world: &World, listing: Listing, row: &Row, from: Moment) -> bool {
    let states: Vec<bool> =
        row.during(from..=world.now()).map(|state| state.is_some_and(|state| world.lists(listing, &state))).collect();
    states.windows(2).any(|pair| pair[0] && !pair[1])
}

/// Whether the row is stored as it was at this moment or later, or waits for a change to be confirmed.
fn is_current(row: &Row, found: &Stored, from: Moment, now: Moment) -> bool {
    let since = || row.during(from..=now).flatten();
    if since().any(|state| state.spoiled || row.fingerprint(&state) == found.fingerprint) {
        return true;
    }
    let as_stored = row.history.iter().filter_map(|(_, state)| *state);
    let mut as_stored = as_stored.filter(|state| row.fingerprint(state) == found.fingerprint);
    as_stored.any(|before| since().any(|state| state.regresses(&before)))
}
