//! Holds the state of one round over a listing, from its beginning to what it leaves in the memory.

mod finish;
mod keep;
mod read;
mod rejects;
mod tick;
mod users;

use std::collections::HashSet;

use chrono::{DateTime, Utc};

pub(super) use keep::{Heads, PageBatch};
pub(super) use read::Taken;

use super::confirm::Absences;
use super::confirm::recheck::{Reason, Recheck};
use super::learn::memory::Memory;
use super::learn::order::Place;
use super::learn::shrinkage::Counted;
use super::tail::Extent;
use super::upstream::Upstream;
use super::{Error, Options, Preview, Right, Syncer, Tally};
use crate::model::Listing;
use crate::store::{Fate, Fence, KnownRejects, Progress};

/// A new row within this many rows of an end counts as joined at that end.
const NEAR_AN_END_ROWS: u64 = 32;

/// What a round has found out for the memory, where it goes when the round ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Rows to re-read.
    wants: Vec<Want>,
    /// Where in the list new rows appeared.
    places: Vec<Place>,
}

/// A request to re-read the rows of one user.
#[derive(Debug, PartialEq, Eq)]
struct Want {
    user: String,
    /// The row that is in question; empty if all of the user's are.
    id: String,
    reason: Reason,
}

pub(super) struct Round<'a, U> {
    pub(super) syncer: &'a Syncer<U>,
    pub(super) listing: Listing,
    pub(super) options: &'a Options<'a>,
    /// The right by which the whole round writes: a process that loses the lease meanwhile is fenced off.
    right: Right,
    pub(super) started_at: DateTime<Utc>,
    pub(super) progress: Progress,
    pub(super) memory: Memory,
    pub(super) findings: Findings,
    pub(super) tally: Tally,
    preview: Preview,
    pub(super) extent: Extent,
    pub(super) absences: Absences,
    /// The items that could not be read and are kept, of all listings.
    rejects: KnownRejects,
    /// How many unreadable items could not be kept for lack of room.
    unkept: u64,
    /// Hashes of the unreadable items that are counted already, and of the rows that a dry run has shown. Neither is
    /// stored, and the next page may contain them again.
    shown: HashSet<u64>,
    /// Whether a round over the wallets in the midst of this one may still find the users of deposits.
    may_meet_users: bool,
}

impl<'a, U: Upstream> Round<'a, U> {
    pub(super) async fn begin(
        syncer: &'a Syncer<U>,
        listing: Listing,
        options: &'a Options<'a>,
    ) -> Result<Self, Error> {
        let (started_at, right) = (syncer.clock.now(), syncer.right());
        let progress = syncer.store.progress(listing).await?;
        let mut memory = Memory::of(&progress);
        if progress.removals_accepted_at > memory.accepted_at {
            // Another process has accepted removals. The base of the gap is computed anew from the present counts.
            memory.removals.accepted();
            memory.accepted_at = progress.removals_accepted_at;
            let listed = syncer.store.row_counts(listing).await?.listed;
            let gap = progress.last_total.map_or(0, |total| total.saturating_sub(listed).min(0));
            memory.gap.settle(gap);
            memory.shrinkage.note_scan(started_at, Some(Counted { listed, gap, absent: 0 }), started_at);
        }
        let absences = Absences::new(memory.removals.is_suspended());
        Ok(Self {
            syncer,
            listing,
            options,
            right,
            started_at,
            progress,
            memory,
            findings: Findings::default(),
            tally: Tally::default(),
            preview: Preview::new(),
            extent: Extent::default(),
            absences,
            rejects: syncer.store.known_rejects().await?,
            unkept: 0,
            shown: HashSet::new(),
            may_meet_users: true,
        })
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.syncer.clock.now()
    }

    /// The fencing token that every transaction of the round checks.
    pub(super) fn fence(&self) -> Option<Fence> {
        self.right.fence()
    }

    /// Whether another process leads, so that this one must not store what it has learned.
    pub(super) fn is_guest(&self) -> bool {
        self.right == Right::Guest
    }

    /// Notes where in the list new rows appeared: that shows its order.
    pub(super) fn note_places(&mut self, offset: u64, fates: &[Fate], total: Option<u64>) {
        let Some(total) = total.filter(|_| self.progress.import_done_at.is_some()) else { return };
        let total = total.saturating_sub(self.memory.gap.surplus());
        // Many rows may have joined at once. Those that appeared earlier in this round do not count as distance from an
        // end.
        let near = NEAR_AN_END_ROWS + self.tally.appeared;
        for (place, _) in (offset..).zip(fates).filter(|(_, fate)| **fate == Fate::Appeared) {
            match (place < near, place + near >= total) {
                (true, false) => self.findings.places.push(Place::Head),
                (false, true) => self.findings.places.push(Place::Tail),
                (false, false) => self.findings.places.push(Place::Middle),
                // In a list this short, every place is near both ends.
                (true, true) => {}
            }
        }
    }

    /// Moves the findings of this round into the memory.
    pub(super) fn remember(&mut self) {
        let now = self.now();
        let Findings { wants, places } = std::mem::take(&mut self.findings);
        for place in places {
            self.memory.order.note(place);
        }
        for Want { user, id, reason } in wants {
            let regressed = (reason == Reason::Regression).then(|| id.clone());
            self.memory.rechecks.want(Recheck { external_id: user, id, reason, first_seen_at: None, due_at: now });
            if let Some(id) = regressed {
                self.memory.rechecks.regressed(&id, now);
            }
        }
    }

    pub(super) fn want(&mut self, user: &str, id: &str, reason: Reason) {
        self.findings.wants.push(Want { user: user.to_owned(), id: id.to_owned(), reason });
    }
}
