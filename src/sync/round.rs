//! The state of one round over a listing, and how its pages are stored.

mod finish;
mod rejects;
mod tick;

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::confirm::recheck::{Entry, Reason};
use super::learn::memory::Memory;
use super::learn::order::Place;
use super::learn::skew::MAX_FUTURE;
use super::scan::bitmap::Seen as Bitmap;
use super::scan::reader::{Fetched, Turn};
use super::tail::ends::Edge;
use super::tail::news;
use super::upstream::{Milestone, Source, Upstream};
use super::{Error, Options, Preview, Right, Syncer, Tally, hash};
use crate::model::Listing;
use crate::model::diff::{Head, Record};
use crate::model::facts::Announce;
use crate::model::id::ExternalId;
use crate::model::record::Reject;
use crate::store::{Batch, Checkpoint, Ending, Fate, Fence, KnownRejects, Progress, Regressions};

/// A new row within this many rows of an end counts as joined at that end.
const NEAR_AN_END_ROWS: u64 = 32;

/// A request to re-read the rows of one user.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) user: String,
    /// The row that is in question; empty if all of the user's are.
    pub(super) id: String,
    pub(super) reason: Reason,
}

/// The content of several pages, to be stored in one transaction.
pub(super) struct PageBatch<R> {
    listing: Option<Listing>,
    pub(super) records: Vec<R>,
    rejects: Vec<Reject>,
    /// A time before the first of them was requested.
    read_at: Option<DateTime<Utc>>,
    served_at: Option<DateTime<Utc>>,
    total: Option<u64>,
    /// Locks of large pages, held until the batch is stored.
    turns: Vec<Turn>,
}

impl<R> PageBatch<R> {
    pub(super) fn of(pages: Vec<Fetched<R>>) -> Self {
        let (records, rejects, turns) = (Vec::new(), Vec::new(), Vec::new());
        let mut batch = Self { listing: None, records, rejects, read_at: None, served_at: None, total: None, turns };
        for Fetched { listing, read_at, page, turn, .. } in pages {
            batch.turns.extend(turn);
            batch.listing = Some(listing);
            batch.read_at = Some(batch.read_at.map_or(read_at, |earlier| earlier.min(read_at)));
            batch.served_at = batch.served_at.or(page.served_at);
            batch.total = page.total;
            batch.records.extend(page.items);
            batch.rejects.extend(page.rejects);
        }
        batch
    }

    /// Whether every record is stored with the same content.
    pub(super) fn is_stored(&self, heads: &Heads) -> bool
    where
        R: Record,
    {
        self.records.iter().zip(heads).all(|(record, head)| head.is_some_and(|head| head.matches(record)))
    }
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
    /// Rows to re-read; they go into the memory when the round ends.
    pub(super) wants: Vec<Want>,
    /// Where in the list new rows appeared.
    pub(super) places: Vec<Place>,
    pub(super) tally: Tally,
    pub(super) preview: Preview,
    /// Whether it is a round of the schedule. Such a round may rely on what earlier rounds have proved.
    pub(super) is_round: bool,
    /// Whether it also reads where no new rows are expected.
    pub(super) looks_behind: bool,
    /// Whether this round has read the list from end to end.
    pub(super) is_read_whole: bool,
    /// How far this round has read the end where new rows join.
    pub(super) edge: Option<Edge>,
    /// The items that could not be read and are kept, of all listings.
    pub(super) rejects: KnownRejects,
    /// Whether removals were suspended when the round began.
    pub(super) was_suspended: bool,
    /// The rows on the first of the two readings that precede accepting removals.
    pub(super) met: Option<Bitmap>,
    /// When removals were accepted in this round.
    pub(super) accepted_at: Option<DateTime<Utc>>,
    /// Wallets that are in neither list. The rounds over all wallets decide whether they are gone.
    pub(super) unlisted: Vec<Entry>,
    /// How many unreadable items could not be kept for lack of room.
    pub(super) unkept: u64,
    /// Hashes of the unreadable items that are counted already, and of the rows that a dry run has shown. Neither is stored, and
    /// the next page may contain them again.
    pub(super) shown: HashSet<u64>,
}

/// For each record of the pages, in their order: the stored row, if there is one.
pub(super) type Heads = Vec<Option<Head>>;

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
            memory.gap.settle(progress.last_total.map_or(0, |total| total.saturating_sub(listed).min(0)));
        }
        let was_suspended = memory.removals.is_suspended();
        Ok(Self {
            syncer,
            listing,
            options,
            right,
            started_at,
            progress,
            memory,
            wants: Vec::new(),
            places: Vec::new(),
            tally: Tally::default(),
            preview: Preview::new(),
            is_round: false,
            looks_behind: false,
            is_read_whole: false,
            edge: None,
            rejects: syncer.store.known_rejects().await?,
            was_suspended,
            met: None,
            accepted_at: None,
            unlisted: Vec::new(),
            unkept: 0,
            shown: HashSet::new(),
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

    /// The page size that the server is known to keep to.
    pub(super) fn known_cap(&self) -> Option<u32> {
        let cap = self.progress.page_limit.and_then(|cap| u32::try_from(cap).ok());
        cap.or(self.memory.page)
    }

    /// Stores a page and its events. Returns what became of each record.
    pub(super) async fn keep<R: Source>(&mut self, page: Fetched<R>) -> Result<Vec<Fate>, Error> {
        self.keep_batch(PageBatch::of(vec![page]), None, Checkpoint::default()).await
    }

    /// Stores a page batch, its events and the checkpoint, in one transaction. Returns what became of each record.
    #[tracing::instrument(name = "sync.page", level = "debug", skip_all, fields(records = batch.records.len()))]
    pub(super) async fn keep_batch<R: Source>(
        &mut self,
        batch: PageBatch<R>,
        heads: Option<Heads>,
        mut checkpoint: Checkpoint,
    ) -> Result<Vec<Fate>, Error> {
        let mut heads = match heads {
            Some(heads) => heads,
            None => self.syncer.store.heads(&batch.records.iter().collect::<Vec<_>>(), None).await?,
        };
        let is_stored = batch.is_stored(&heads);
        let PageBatch { listing, mut records, rejects, read_at, served_at, total, turns } = batch;
        let listing = listing.unwrap_or(self.listing);
        let now = self.now();
        let read_at = read_at.unwrap_or(now);
        self.keep_rejects(listing, rejects).await?;
        checkpoint.readable = self.readable(listing, &records);
        self.tally.total = total;
        let served_at = self.syncer.upstream_clock.believed(served_at, read_at, now).unwrap_or(read_at);
        let announce = self.announce(served_at, now, &mut checkpoint).await?;
        if self.options.ending == Ending::RollBack {
            let mut unseen = |(record, _): &(R, _)| self.shown.insert(hash(record.id_str()));
            (records, heads) = records.into_iter().zip(heads).filter(|row| unseen(row)).unzip();
        }
        let confirmed = self.memory.rechecks.confirmed_regressions(now);
        let allowed = records.iter().filter(|record| confirmed.contains(record.id_str()));
        let allowed = allowed.map(|record| record.id().clone()).collect();
        let watched = !(self.memory.rechecks.is_empty() && self.syncer.recently_seen.is_empty());
        let name = |record: &R| (record.id_str().to_owned(), record.user().map(|user| user.as_str().to_owned()));
        let names: Vec<_> = if is_stored && !watched { Vec::new() } else { records.iter().map(name).collect() };
        let unsettled = if is_stored { Vec::new() } else { self.deposits_of(&records) };
        let is_news = matches!(announce, Announce::News) && self.options.ending == Ending::Commit;
        let new = news::made_at(&records, now);
        let batch = Batch {
            records,
            heads: Some(heads),
            read_at,
            announce,
            regressions: Regressions::HoldUnless(allowed),
            checkpoint,
            fence: self.fence(),
            ending: self.options.ending,
        };
        let ingested = self.syncer.store.ingest(batch, now).await?;
        drop(turns);
        self.syncer.note_new(&new, &ingested.fates);
        if self.options.ending == Ending::Commit {
            self.syncer.upstream.milestone(Milestone::PageStored).await;
        }
        self.tally.appeared += ingested.appeared;
        self.tally.changed += ingested.changed;
        self.tally.events += ingested.events;
        self.preview.extend(ingested.preview);
        for ((id, user), fate) in names.iter().zip(&ingested.fates) {
            match fate {
                Fate::Held => self.want(user.as_deref().unwrap_or_default(), id, Reason::Regression),
                Fate::Known | Fate::Changed if watched => {
                    self.memory.rechecks.present(id);
                }
                _ => {}
            }
            self.syncer.recently_seen.note(id);
            if let (Fate::Changed, Some(user), Listing::Wallets) = (fate, user, R::HOME) {
                self.syncer.hint(user);
            }
        }
        for ((id, user, is_settled), fate) in unsettled.iter().zip(&ingested.fates) {
            self.syncer.note_deposit(id, user.as_ref(), *is_settled, *fate, is_news);
        }
        Ok(ingested.fates)
    }

    /// The id, user and settled state of each deposit; empty where `lumo.settled_statuses` names none.
    fn deposits_of<R: Source>(&self, records: &[R]) -> Vec<(String, Option<ExternalId>, bool)> {
        let settled = self.syncer.store.settled_statuses();
        if R::HOME != Listing::Deposits || settled.is_empty() {
            return Vec::new();
        }
        let is_settled = |record: &R| record.status().is_some_and(|status| settled.iter().any(|own| own == status));
        let all = records.iter().map(|record| (record.id_str().to_owned(), record.user().cloned(), is_settled(record)));
        all.collect()
    }

    /// Whether new rows are news or belong to the first import. If the import begins now, the checkpoint gets its start.
    async fn announce(
        &mut self,
        served_at: DateTime<Utc>,
        now: DateTime<Utc>,
        checkpoint: &mut Checkpoint,
    ) -> Result<Announce, Error> {
        if self.progress.import_done_at.is_none() {
            // Another process may have completed the first import meanwhile. Rows that appear from then on are news.
            let stored = self.syncer.store.progress(self.listing).await?;
            self.progress.import_started_at = stored.import_started_at.or(self.progress.import_started_at);
            self.progress.import_done_at = stored.import_done_at;
        }
        if self.progress.import_done_at.is_some() {
            return Ok(Announce::News);
        }
        let started_at = match self.progress.import_started_at {
            Some(started_at) => started_at,
            None => {
                self.progress.import_started_at = Some(served_at);
                checkpoint.import_started = Some((self.listing, served_at));
                served_at
            }
        };
        Ok(Announce::Import { started_at, until: now + MAX_FUTURE, history: self.syncer.settings.history })
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
                (true, false) => self.places.push(Place::Head),
                (false, true) => self.places.push(Place::Tail),
                (false, false) => self.places.push(Place::Middle),
                // In a list this short, every place is near both ends.
                (true, true) => {}
            }
        }
    }

    /// Moves the places and re-read requests of this round into the memory.
    pub(super) fn remember(&mut self) {
        let now = self.now();
        for place in std::mem::take(&mut self.places) {
            self.memory.order.note(place);
        }
        for Want { user, id, reason } in std::mem::take(&mut self.wants) {
            let regressed = (reason == Reason::Regression).then(|| id.clone());
            self.memory.rechecks.want(Entry { external_id: user, id, reason, first_seen_at: None, due_at: now });
            if let Some(id) = regressed {
                self.memory.rechecks.regressed(&id, now);
            }
        }
    }

    pub(super) fn want(&mut self, user: &str, id: &str, reason: Reason) {
        self.wants.push(Want { user: user.to_owned(), id: id.to_owned(), reason });
    }
}
