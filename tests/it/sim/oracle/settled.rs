//! Once the world has stood still for long enough, the tables show it exactly.

use lumo_bridge::model::Listing;

use super::{Breaches, Oracle};
use crate::sim::model::{Kind, Row, State, World};
use crate::sim::quirks::Order;
use crate::sim::server::Server;

impl Oracle {
    /// Judges the tables of a world that stands still.
    pub(crate) async fn judge_settled(&self, server: &Server, kind: Kind) -> Breaches {
        let stored = self.tables.rows(kind).await;
        let world = &server.live().world;
        let listings = Listing::ALL.into_iter().filter(|listing| super::kind(*listing) == kind);
        let quirks: Vec<_> = listings.map(|listing| self.quirks(listing)).collect();
        let readable = quirks.iter().all(|quirks| {
            let single = quirks.is_single() && quirks.says_too_little();
            quirks.shows_its_end() && !single && quirks.order != Order::Unstable
        });
        let is_spoiled = |row: &Row| row.now().is_some_and(|state| state.spoiled);
        let removable = quirks.iter().all(|quirks| {
            let can_be_asked = kind == Kind::Deposit || !quirks.ignores_external_id;
            quirks.lets_itself_be_proved() && can_be_asked && quirks.order.is_fixed() && !quirks.is_single()
        });
        let mut breaches = Vec::new();
        for row in world.rows(kind).iter().filter(|row| !is_spoiled(row)) {
            let id = row.id();
            let found = stored.get(&id);
            match (row.now().filter(|state| listed_anywhere(world, kind, state)), found) {
                (Some(_), None) if readable => breaches.push(format!("{id} is listed and not stored")),
                (Some(_), Some(found)) if readable && found.missing_since.is_some() => {
                    breaches.push(format!("{id} is listed and called missing: {found:?}"));
                }
                (Some(state), Some(found)) if readable && row.fingerprint(&state) != found.fingerprint => {
                    breaches
                        .push(format!("{id} is {state:?} and stored otherwise: {found:?}; it was {:?}", row.history));
                }
                (None, Some(found)) if removable && found.missing_since.is_none() => {
                    breaches.push(format!("{id} is gone and not called missing: {found:?}; it was {:?}", row.history));
                }
                _ => {}
            }
        }
        breaches
    }
}

fn listed_anywhere(world: &World, kind: Kind, state: &State) -> bool {
    Listing::ALL.iter().any(|listing| super::kind(*listing) == kind && world.lists(*listing, state))
}
