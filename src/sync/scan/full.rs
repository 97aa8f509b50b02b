//! Reads one list from its first row to its last, in one go or in slices over hours: a full scan.
//!
//! A full pass, the first import and the rolling sweep all are full scans. The walk proves the scan; the bitmap of row
//! numbers shows afterwards which known rows were on no page. A full scan can be interrupted after any page and
//! continued by another process: its state is small and is stored with the rows.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::lumo::Priority;
use crate::model::Listing;
use crate::store::{Checkpoint, SweepState};
use crate::sync::learn::locate::{Blocks, Builder};
use crate::sync::round::{Heads, PageBatch, Round, Taken};
use crate::sync::scan::bitmap::Bitmap;
use crate::sync::scan::insert_hint::InsertHint;
use crate::sync::scan::reader::{Fetched, Reader, Scope};
use crate::sync::scan::walk::{Doubt, Paging, SavedWalk, Step, Walk};
use crate::sync::tail::ends::Anchors;
use crate::sync::upstream::{Milestone, Source, Upstream};
use crate::sync::{Error, refuses_limit};

/// How many rows at each end are remembered: more than the anchors need.
const END_ROWS: usize = 64;
/// The most pages in one transaction.
const MAX_PAGES_PER_TRANSACTION: usize = 16;
/// How often a full scan that changes nothing stores its position.
const SAVE_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Why a listing is scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sync) enum Purpose {
    /// One pass, now. It is not continued after a restart, so its position is not stored.
    Pass,
    /// The first import. A restart continues it.
    Import,
    /// The rolling sweep. A restart continues it.
    Sweep,
}

impl Purpose {
    const fn priority(self) -> Priority {
        match self {
            Self::Pass | Self::Import => Priority::Fresh,
            Self::Sweep => Priority::Sweep,
        }
    }
}

#[derive(Debug)]
pub(in crate::sync) struct FullScan {
    purpose: Purpose,
    pub(in crate::sync) started_at: DateTime<Utc>,
    /// The last row number at the start. A later row may be absent from the scan and listed all the same.
    pub(in crate::sync) known_until: i64,
    pub(in crate::sync) walk: Walk,
    pub(in crate::sync) seen: Bitmap,
    kept: Kept,
    saved_at: DateTime<Utc>,
    blocks: Option<Builder>,
    insert_hint: InsertHint,
    /// For each record that was read and is not stored yet: whether this scan has read it before.
    met: Vec<bool>,
}

/// What a full scan keeps over a restart, besides the walk and the bitmap.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept {
    first: Vec<u64>,
    last: Vec<u64>,
    /// When the rows of a page from the middle of the list were created.
    dates: Vec<Option<DateTime<Utc>>>,
    /// How many unreadable items could not be kept for lack of room.
    unkept: u64,
    requests: u64,
    /// Whether two pages listed shared rows in different orders.
    disorder: bool,
    /// Whether `total` counted an unexplained row when the scan began. If that row is listed, this scan reads it.
    #[serde(default)]
    explains: bool,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    walk: SavedWalk,
    kept: Kept,
}

/// How a part of the scan ended.
pub(in crate::sync) enum Scanned {
    /// The end of the list was reached.
    Ended(Result<(), Doubt>),
    /// The requested number of pages was read.
    Paused,
    /// The process is to end.
    Stopped,
}

impl FullScan {
    pub(in crate::sync) fn new(purpose: Purpose, started_at: DateTime<Utc>, known_until: i64, walk: Walk) -> Self {
        Self {
            purpose,
            started_at,
            known_until,
            walk,
            seen: Bitmap::default(),
            kept: Kept::default(),
            saved_at: started_at,
            blocks: Some(Blocks::builder()),
            insert_hint: InsertHint::default(),
            met: Vec::new(),
        }
    }

    /// Continues a stored full scan; none if its state cannot be read.
    pub(in crate::sync) fn resume(purpose: Purpose, state: &SweepState, chunks: Vec<(i32, Vec<u8>)>) -> Option<Self> {
        let Saved { walk, kept } = serde_json::from_str(&state.state).ok()?;
        Some(Self {
            purpose,
            started_at: state.started_at,
            known_until: state.known_until,
            walk: Walk::resume(walk),
            seen: Bitmap::load(chunks),
            kept,
            saved_at: state.started_at,
            // The blocks are known only to the process that has read all pages.
            blocks: None,
            insert_hint: InsertHint::default(),
            met: Vec::new(),
        })
    }

    pub(in crate::sync) fn first(&self) -> Anchors {
        Anchors::from_head(&self.kept.first)
    }

    pub(in crate::sync) fn last(&self) -> Anchors {
        Anchors::from_tail(&self.kept.last)
    }

    pub(in crate::sync) fn dates(&self) -> &[Option<DateTime<Utc>>] {
        &self.kept.dates
    }

    pub(in crate::sync) fn disorder(&self) -> bool {
        self.kept.disorder
    }

    /// Notes whether `total` counts an unexplained row as the scan begins.
    pub(in crate::sync) fn explaining(mut self, surplus: bool) -> Self {
        self.kept.explains = surplus;
        self
    }

    pub(in crate::sync) fn explains(&self) -> bool {
        self.kept.explains
    }

    /// How many rows `total` counts beyond those that were listed at the end.
    pub(in crate::sync) fn counted_beyond(&self, total: Option<u64>) -> Option<i64> {
        let (total, end) = (i64::try_from(total?).ok()?, i64::try_from(self.walk.end_offset()?).ok()?);
        Some(total - end)
    }

    pub(in crate::sync) fn unkept(&self) -> u64 {
        self.kept.unkept
    }

    pub(in crate::sync) fn requests(&self) -> u64 {
        self.kept.requests
    }

    pub(in crate::sync) fn take_blocks(&mut self) -> Option<Blocks> {
        self.blocks.take().map(Builder::build)
    }

    fn absorb<R: Source>(&mut self, page: &Fetched<R>) -> Step {
        let seen = page.seen();
        let room = END_ROWS.saturating_sub(self.kept.first.len());
        if page.read.offset == 0 {
            self.kept.first = seen.ids.iter().copied().take(END_ROWS).collect();
        } else if room > 0 {
            let news = seen.ids.iter().filter(|id| !self.kept.first.contains(id)).take(room);
            let news: Vec<u64> = news.copied().collect();
            self.kept.first.extend(news);
        }
        if self.kept.dates.len() < page.page.items.len() && page.read.offset > 0 {
            self.kept.dates = page.page.items.iter().map(R::created_at).collect();
        }
        let is_fresh = |id: &u64| !self.walk.has_seen(*id);
        self.met.extend(seen.ids.iter().take(page.page.items.len()).map(|id| !is_fresh(id)));
        let fresh: Vec<u64> = seen.ids.iter().copied().filter(is_fresh).collect();
        let step = self.walk.absorb(&seen);
        if !self.walk.is_broken() {
            self.note_last(&seen.ids, !fresh.is_empty());
            if let Some(blocks) = &mut self.blocks {
                blocks.push(&fresh, u64::try_from(fresh.len()).unwrap_or(u64::MAX));
            }
        }
        step
    }

    /// Keeps the last rows of the chain in their order, and notes where two pages list shared rows in different orders.
    fn note_last(&mut self, ids: &[u64], is_fresh: bool) {
        let last = &mut self.kept.last;
        let shared: Vec<usize> = ids.iter().filter_map(|id| last.iter().position(|last| last == id)).collect();
        self.kept.disorder |= !shared.is_sorted();
        match shared.first() {
            // The walk may have stepped back: the page replaces the rows from the first shared one on.
            Some(first) => last.truncate(*first),
            None if is_fresh => last.clear(),
            None => return,
        }
        last.extend(ids);
        last.drain(..last.len().saturating_sub(END_ROWS));
    }

    fn mark(&mut self, heads: &Heads) {
        for head in heads.iter().flatten().filter(|head| head.row_no <= self.known_until) {
            self.seen.insert(head.row_no);
        }
    }

    fn state(&self, listing: Listing) -> Option<SweepState> {
        let saved = Saved { walk: self.walk.save(), kept: self.kept.clone() };
        let state = serde_json::to_string(&saved).ok()?;
        Some(SweepState { listing, started_at: self.started_at, known_until: self.known_until, state })
    }

    fn is_kept(&self) -> bool {
        self.purpose != Purpose::Pass
    }
}

impl<U: Upstream> Round<'_, U> {
    /// Reads at most `most` pages from the scan's position, and stores them.
    pub(in crate::sync) async fn scan_on<R: Source>(
        &mut self,
        scan: &mut FullScan,
        most: u64,
        stop: &CancellationToken,
    ) -> Result<Scanned, Error> {
        let scope = Scope::all(self.listing, scan.purpose.priority());
        let mut reader: Reader<U, R> = self.reader(scope, scan.is_kept());
        let mut left = most;
        while left > 0 {
            let before = self.tally.requests;
            let taken = self.page(&mut reader, &mut scan.walk, stop).await;
            scan.kept.requests += self.tally.requests - before;
            let page = match taken {
                Ok(Taken::Page(page)) => page,
                Ok(Taken::Refused) => continue,
                Err(error) if refuses_limit(&error) => return Err(error.into()),
                stopped => {
                    self.put_down(scan).await?;
                    return Ok(stopped.map(|_| Scanned::Stopped)?);
                }
            };
            let mut step = scan.absorb(&page);
            let mut pages = vec![page];
            let mut broken = None;
            while let Step::Read(next) = step
                && pages.len() < MAX_PAGES_PER_TRANSACTION
                && u64::try_from(pages.len()).is_ok_and(|pages| pages < left)
            {
                match reader.ready(next) {
                    Some(Ok(page)) => {
                        step = scan.absorb(&page);
                        pages.push(page);
                    }
                    Some(Err(error)) => {
                        broken = Some(error);
                        break;
                    }
                    None => break,
                }
            }
            left = left.saturating_sub(u64::try_from(pages.len()).unwrap_or(u64::MAX));
            if let Step::Read(next) = step
                && left > 0
                && broken.is_none()
            {
                // The next pages are requested while the database works.
                reader.expect(next, &scan.walk.ahead(reader.window()));
                self.syncer.upstream.milestone(Milestone::PagesRequested).await;
            }
            self.take_in(scan, pages).await?;
            self.tally.rows = scan.walk.rows();
            if scan.purpose == Purpose::Import {
                self.progress.last_total = self.tally.total.and_then(|total| i64::try_from(total).ok());
                if matches!(step, Step::Read(_)) {
                    self.syncer.log.importing(self.listing, self.tally.rows, self.tally.total);
                }
            }
            (self.options.observe)(&self.tally);
            if let Some(error) = broken.filter(|error| !refuses_limit(error)) {
                return Err(error.into());
            }
            match step {
                Step::Read(_) => {}
                Step::End => return Ok(Scanned::Ended(Ok(()))),
                Step::Unproved(doubt) => return Ok(Scanned::Ended(Err(doubt))),
            }
        }
        self.put_down(scan).await?;
        Ok(Scanned::Paused)
    }

    /// Stores pages. The scan's position goes into the same transaction if rows changed or [`SAVE_EVERY`] has passed.
    async fn take_in<R: Source>(&mut self, scan: &mut FullScan, pages: Vec<Fetched<R>>) -> Result<(), Error> {
        let places: Vec<(u64, usize)> = pages.iter().map(|page| (page.read.offset, page.page.items.len())).collect();
        let batch = PageBatch::of(pages);
        let heads = self.look_up(scan, &batch).await?;
        scan.mark(&heads);
        let now = self.now();
        let quiet = batch.is_stored(&heads);
        let mut checkpoint = Checkpoint::default();
        let is_time = now < scan.saved_at || now - scan.saved_at >= SAVE_EVERY;
        if scan.is_kept() && (!quiet || is_time) {
            checkpoint.sweep = scan.state(self.listing);
            checkpoint.seen = scan.seen.take_dirty();
            scan.saved_at = now;
        }
        let fates = self.keep_batch(batch, Some(heads), checkpoint).await?;
        scan.kept.unkept += self.take_unkept();
        let mut fates = fates.as_slice();
        for (offset, items) in places {
            let (page, rest) = fates.split_at(items.min(fates.len()));
            self.note_places(offset, page, self.tally.total);
            fates = rest;
        }
        Ok(())
    }

    /// Loads the stored rows of a page batch.
    async fn look_up<R: Source>(&self, scan: &mut FullScan, batch: &PageBatch<R>) -> Result<Heads, Error> {
        let met = std::mem::take(&mut scan.met);
        let store = &self.syncer.store;
        if scan.purpose == Purpose::Import && scan.known_until == 0 && self.listing == Listing::Deposits {
            // The table was empty: a row that this scan has not read before is not stored either. If another process
            // stored it first, the unique key refuses the row, and the transaction loads the stored rows before it is
            // tried again. Wallets are left out because they come from two lists at once.
            let asked: Vec<&R> =
                batch.records.iter().zip(&met).filter(|(_, met)| **met).map(|(record, _)| record).collect();
            let mut heads = store.heads(&asked, None).await?.into_iter();
            return Ok(met.into_iter().map(|met| if met { heads.next().flatten() } else { None }).collect());
        }
        let records: Vec<&R> = batch.records.iter().collect();
        let heads = store.heads(&records, scan.insert_hint.guess(records.len())).await?;
        scan.insert_hint.learn(&heads);
        Ok(heads)
    }

    /// Stores the position of a scan that is continued later.
    async fn put_down(&self, scan: &mut FullScan) -> Result<(), Error> {
        if let Some(state) = scan.state(self.listing).filter(|_| scan.is_kept()) {
            let dirty = scan.seen.take_dirty();
            self.syncer.store.save_sweep(&state, &dirty, self.fence(), self.now()).await?;
        }
        Ok(())
    }
}
