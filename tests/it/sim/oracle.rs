//! What must be true of the tables, whatever happened: judged after every call of the engine by what the world really was.
//!
//! It reads the tables through a connection of its own and knows nothing of how the engine works, but for the assumptions
//! that its promises rest on. What a promise does not cover is looked at only when a row is found wanting.

mod events;
mod marks;
mod removal;
mod settled;
pub(crate) mod tables;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use lumo_bridge::model::Listing;

use tables::Tables;

use super::model::{Kind, Moment, World, kind};
use super::quirks::{Faults, Quirks};
use super::server::Server;

/// How far below the end of a list a new row may join and still be found by reading the end alone.
const DEPTH: usize = 24;

/// How long a row must have been gone before it may be called so.
const GRACE: TimeDelta = TimeDelta::seconds(30);

/// What the oracle must know to judge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Assumptions {
    pub(crate) quirks: [Quirks; 3],
    pub(crate) faults: Faults,
    /// Whether rows join far from the end where they should.
    pub(crate) late: bool,
    /// Whether the first import tells everything that it finds.
    pub(crate) notify: bool,
}

pub(crate) struct Oracle {
    pub(crate) tables: Tables,
    assumed: Assumptions,
    /// When the tables were last looked at.
    looked_at: Moment,
    marks: HashMap<Listing, tables::Marks>,
    /// Up to when everything was proved when a listing was last called complete.
    bases: HashMap<Listing, Option<DateTime<Utc>>>,
    missing: HashSet<(Kind, String)>,
    told: events::Told,
}

/// A breach of what was promised, in words.
pub(crate) type Breaches = Vec<String>;

impl Oracle {
    pub(crate) async fn new(file: &Path, assumed: Assumptions) -> Self {
        Self {
            tables: Tables::open(file).await,
            assumed,
            looked_at: 0,
            marks: HashMap::new(),
            bases: HashMap::new(),
            missing: HashSet::new(),
            told: events::Told::default(),
        }
    }

    /// Judges the tables after a call about this listing. `accepts` tells whether the operator vouched for what left.
    pub(crate) async fn judge(&mut self, server: &Server, listing: Listing, accepts: bool) -> Breaches {
        let kind = kind(listing);
        let stored = self.tables.rows(kind).await;
        let marks = self.tables.marks().await;
        let events = self.tables.events(self.told.last_seq).await;
        let mut live = server.live();
        let world = &mut live.world;
        let mut breaches = Vec::new();
        if !self.judge_reality(world, kind, &stored, &mut breaches) {
            return breaches;
        }
        self.judge_marks(world, listing, &stored, &marks, &mut breaches);
        self.judge_removals(world, kind, &stored, accepts, &mut breaches);
        self.told.note(events, &mut breaches);
        self.judge_events(world, kind, &stored, &marks, &mut breaches);
        self.marks = marks;
        self.looked_at = world.now();
        breaches
    }

    /// Every row is one of the world's, as it was at some time. Returns whether there is such a row for each.
    fn judge_reality(&self, world: &World, kind: Kind, stored: &tables::Rows, breaches: &mut Breaches) -> bool {
        let mut is_real = true;
        for (id, row) in stored {
            let Some(real) = world.rows(kind).get(usize::try_from(row.number - 1).unwrap()) else {
                breaches.push(format!("{id} is stored and never was"));
                is_real = false;
                continue;
            };
            let states = real.history.iter().filter_map(|(_, state)| state.as_ref());
            if !states.into_iter().any(|state| real.fingerprint(state) == row.fingerprint) {
                breaches.push(format!("{id} is stored as it never was: {row:?}"));
            }
        }
        let numbers: HashSet<i64> = stored.values().map(|row| row.row_no).collect();
        let dense = (1..=i64::try_from(stored.len()).unwrap()).all(|number| numbers.contains(&number));
        if !dense {
            breaches.push(format!("the local numbers of {kind:?} have holes"));
        }
        is_real
    }

    fn lag(&self) -> Moment {
        if self.assumed.faults.lag_rate > 0.0 { self.assumed.faults.lag } else { 0 }
    }

    fn quirks(&self, listing: Listing) -> Quirks {
        self.assumed.quirks[listing as usize]
    }
}

/// The last moment before a time, and so much earlier again; none if that is before the beginning.
fn before(world: &World, time: DateTime<Utc>, lag: Moment) -> Option<Moment> {
    world.last_before(time)?.checked_sub(lag)
}
