//! No row is called missing that was not gone, for long enough to be sure.

use lumo_bridge::model::Listing;

use super::tables::Rows;
use super::{Breaches, GRACE, Oracle};
use crate::sim::model::{Kind, Moment, Row, World};

impl Oracle {
    pub(super) fn judge_removals(
        &mut self,
        world: &World,
        kind: Kind,
        stored: &Rows,
        accepts: bool,
        breaches: &mut Breaches,
    ) {
        for (id, row) in stored {
            let key = (kind, id.clone());
            if row.missing_since.is_none() {
                self.missing.remove(&key);
                continue;
            }
            if !self.missing.insert(key) {
                continue;
            }
            let real = &world.rows(kind)[usize::try_from(row.number - 1).unwrap()];
            if !self.was_gone(world, real, accepts) {
                breaches.push(format!("{id} is called missing and was not: {row:?}, {:?}", real.history));
            }
        }
    }

    /// Whether the row was gone at a moment since the last look, and at one long enough before, which need not be where the
    /// operator vouches for it. What the operator vouches for is as true as the end of the list shows.
    fn was_gone(&self, world: &World, row: &Row, accepts: bool) -> bool {
        let mut listings = Listing::ALL.into_iter().filter(|listing| super::kind(*listing) == row.kind);
        if accepts && !listings.all(|listing| self.quirks(listing).shows_its_end()) {
            return true;
        }
        let now = world.now();
        let mut gone = (self.looked_at..=now).filter(|moment| self.is_gone(world, row, *moment));
        let Some(last) = gone.next_back() else { return false };
        if accepts {
            return true;
        }
        let Some(latest) = world.last_before(world.time(last) - GRACE) else { return false };
        (0..=latest).any(|moment| row.history[0].0 <= moment && self.is_gone(world, row, moment))
    }

    /// Whether the row was in no list at this moment, or looked so through a replica that lags.
    fn is_gone(&self, world: &World, row: &Row, moment: Moment) -> bool {
        let listed = |state: &_| {
            Listing::ALL.iter().any(|listing| super::kind(*listing) == row.kind && world.lists(*listing, state))
        };
        row.during(moment.saturating_sub(self.lag())..=moment).any(|state| !state.is_some_and(|state| listed(&state)))
    }
}
