//! Every stored version of a row is told once, and nothing else is; the numbers of events have no holes.

use std::collections::{HashMap, HashSet};

use lumo_bridge::model::Listing;
use serde_json::Value;

use super::tables::{Event, Marks, Rows, Stored};
use super::{Breaches, Oracle};
use crate::sim::model::{Kind, World};

/// What was told so far.
#[derive(Default)]
pub(super) struct Told {
    pub(super) last_seq: i64,
    streams: HashMap<String, i64>,
    versions: HashMap<(Kind, String), HashSet<i64>>,
    /// The wallets that were announced as blocked when they were first seen.
    blocked_at_first: HashSet<String>,
    /// The types of the last version that was told of each row.
    pub(super) kinds: HashMap<(Kind, String), String>,
}

impl Told {
    pub(super) fn note(&mut self, events: Vec<Event>, breaches: &mut Breaches) {
        for event in events {
            self.last_seq += 1;
            if event.seq != self.last_seq {
                breaches.push(format!("events have a hole before {event:?}"));
                self.last_seq = event.seq;
            }
            let last = self.streams.entry(event.stream.clone()).or_insert(0);
            *last += 1;
            if event.stream_seq != *last {
                breaches.push(format!("stream has a hole before {event:?}"));
            }
            let kind = match event.object_kind.as_str() {
                "wallet" => Kind::Wallet,
                "deposit" => Kind::Deposit,
                _ => continue,
            };
            let body: Value = serde_json::from_str(&event.body).unwrap();
            let Some(version) = body["data"]["object"]["version"].as_i64() else {
                breaches.push(format!("an event tells no version: {event:?}"));
                continue;
            };
            // A wallet that is blocked when it is first seen is two events of one version.
            let is_second = event.kind == "wallet.blocked" && version == 1;
            if is_second {
                let is_created =
                    self.versions.get(&(kind, event.object_id.clone())).is_some_and(|told| told.contains(&1));
                if !is_created || !self.blocked_at_first.insert(event.object_id.clone()) {
                    breaches
                        .push(format!("the first block of {} is told twice, or before the wallet", event.object_id));
                }
            } else if !self.versions.entry((kind, event.object_id.clone())).or_default().insert(version) {
                breaches.push(format!("version {version} of {} is told twice, as {}", event.object_id, event.kind));
            }
            self.kinds.insert((kind, event.object_id), event.kind);
        }
    }
}

impl Oracle {
    pub(super) fn judge_events(
        &self,
        world: &World,
        kind: Kind,
        stored: &Rows,
        marks: &HashMap<Listing, Marks>,
        breaches: &mut Breaches,
    ) {
        let listings: &[Listing] = match kind {
            Kind::Wallet => &[Listing::Wallets, Listing::Blocked],
            Kind::Deposit => &[Listing::Deposits],
        };
        let marks: Vec<Marks> =
            listings.iter().map(|listing| marks.get(listing).copied().unwrap_or_default()).collect();
        let nothing = HashSet::new();
        for (id, row) in stored {
            let told = self.told.versions.get(&(kind, id.clone())).unwrap_or(&nothing);
            let first = if told.contains(&1) { 1 } else { 2 };
            let complete = (first..=row.version).all(|version| told.contains(&version));
            if !complete || told.iter().any(|version| *version > row.version) {
                breaches.push(format!("{id} has version {}, and told were {told:?}", row.version));
            }
            let silent = self.may_be_silent(world, kind, row, &marks);
            if first == 2 && !silent.0 {
                breaches.push(format!("{id} is news and was stored in silence: {row:?}"));
            }
            if first == 1 && !silent.1 {
                breaches.push(format!("{id} is history and was told all the same: {row:?}"));
            }
        }
        for (of, id) in self.told.versions.keys() {
            if *of == kind && !stored.contains_key(id) {
                breaches.push(format!("{id} was told and is not stored"));
            }
        }
    }

    /// Whether the row's appearance may have gone without an event, and whether it may have had one.
    fn may_be_silent(&self, world: &World, kind: Kind, row: &Stored, marks: &[Marks]) -> (bool, bool) {
        if self.assumed.notify {
            return (false, true);
        }
        let after_import = |marks: &Marks| marks.import_done_at.is_some_and(|done| row.first_seen_at > done);
        if marks.iter().all(after_import) {
            return (false, true);
        }
        let created_at = world.rows(kind)[usize::try_from(row.number - 1).unwrap()].created_at;
        let history = |marks: &Marks| {
            // Seen at the very moment when the import was done, it may have come after it.
            marks.import_done_at.is_none_or(|done| row.first_seen_at < done)
                && marks.import_started_at.is_none_or(|started| created_at < started)
        };
        (true, !marks.iter().all(history))
    }
}
