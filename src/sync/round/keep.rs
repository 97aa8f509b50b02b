//! Stores the pages of a round with their events, and notes which rows must be re-read because of them.

use chrono::{DateTime, Utc};

use super::Round;
use crate::model::Listing;
use crate::model::diff::{Head, Record};
use crate::model::facts::Announce;
use crate::model::id::ExternalId;
use crate::model::record::Reject;
use crate::store::{Batch, Checkpoint, Ending, Fate, ImportStart, Regressions};
use crate::sync::confirm::recheck::Reason;
use crate::sync::learn::skew::MAX_FUTURE;
use crate::sync::scan::reader::{Fetched, Turn};
use crate::sync::tail::new_deposits;
use crate::sync::upstream::{Milestone, Source, Upstream};
use crate::sync::{Error, hash};

/// For each record of the pages, in their order: the stored row, if there is one.
pub(in crate::sync) type Heads = Vec<Option<Head>>;

/// The content of several pages, to be stored in one transaction.
pub(in crate::sync) struct PageBatch<R> {
    listing: Option<Listing>,
    pub(in crate::sync) records: Vec<R>,
    rejects: Vec<Reject>,
    /// A time before the first of them was requested.
    read_at: Option<DateTime<Utc>>,
    served_at: Option<DateTime<Utc>>,
    total: Option<u64>,
    /// Locks of large pages, held until the batch is stored.
    turns: Vec<Turn>,
}

impl<R> PageBatch<R> {
    pub(in crate::sync) fn of(pages: Vec<Fetched<R>>) -> Self {
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
    pub(in crate::sync) fn is_stored(&self, heads: &Heads) -> bool
    where
        R: Record,
    {
        self.records.iter().zip(heads).all(|(record, head)| head.is_some_and(|head| head.matches(record)))
    }
}

impl<U: Upstream> Round<'_, U> {
    /// Stores a page and its events. Returns what became of each record.
    pub(in crate::sync) async fn keep<R: Source>(&mut self, page: Fetched<R>) -> Result<Vec<Fate>, Error> {
        self.keep_batch(PageBatch::of(vec![page]), None, Checkpoint::default()).await
    }

    /// Stores a page batch, its events and the checkpoint, in one transaction. Returns what became of each record.
    #[tracing::instrument(name = "sync.page", level = "debug", skip_all, fields(records = batch.records.len()))]
    pub(in crate::sync) async fn keep_batch<R: Source>(
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
        self.meet_users(&records, &heads, announce).await?;
        let now = self.now();
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
        let new = new_deposits::made_at(&records, now);
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

    /// Whether new rows are news or belong to the first import. If the import begins now, the checkpoint gets its
    /// start.
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
                let total = self.tally.total.and_then(|total| i64::try_from(total).ok());
                checkpoint.import_started = Some(ImportStart { listing: self.listing, at: served_at, total });
                served_at
            }
        };
        Ok(Announce::Import { started_at, until: now + MAX_FUTURE, history: self.syncer.settings.history })
    }
}
