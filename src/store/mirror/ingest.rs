//! Stores listed records: compares them with their rows, writes changes, and publishes events.
//!
//! A batch is stored in one transaction, or in several if its items are large, which bounds the memory of a
//! transaction. Each transaction stores rows together with their events; the last one also stores the sync progress.

use std::collections::HashMap;
use std::ops::Range;

use chrono::{DateTime, Utc};

use lumo_bridge_entity::stream;

use crate::model::diff::{Change, Diff, Fate, Head, Record, Regressions, diff};
use crate::model::draft::Draft;
use crate::model::event::EventType;
use crate::model::facts::{Announce, Context, deposit_event, settled_event, wallet_events};
use crate::model::record::{Deposit, Wallet};
use crate::model::settled::Settled;
use crate::store::{Checkpoint, Ending, Error, Fence, Mirrored, Store, Tx};

/// The most bytes of the items in one transaction, unless a single item has more. A row is copied several times, with
/// its events, while it is stored.
const MAX_BYTES: usize = 1024 * 1024;

/// Records as read, and how to store them.
#[derive(Clone, Debug)]
pub struct Batch<R: Record> {
    /// The records of one or several pages. If an id repeats, the last record counts.
    pub records: Vec<R>,
    /// The result of [`Store::heads`], if it was called before. It may be outdated, which does no harm.
    pub heads: Option<Vec<Option<Head>>>,
    /// A time before the request was sent; see [`diff`].
    pub read_at: DateTime<Utc>,
    pub announce: Announce,
    pub regressions: Regressions<R::Id>,
    /// Stored with the rows.
    pub checkpoint: Checkpoint,
    /// Checked if anything is stored.
    pub fence: Option<Fence>,
    pub ending: Ending,
}

impl<R: Record> Batch<R> {
    /// A record that the API has just returned: the newest state. It belongs to no reading, so it needs no fence.
    #[must_use]
    pub fn of_answer(record: R, now: DateTime<Utc>, ending: Ending) -> Self {
        Self {
            records: vec![record],
            heads: None,
            read_at: now,
            announce: Announce::News,
            // A step back in it needs no confirmation.
            regressions: Regressions::Apply,
            checkpoint: Checkpoint::default(),
            fence: None,
            ending,
        }
    }
}

/// Events by type and object.
pub type EventPreview = Vec<(EventType, String)>;

/// The result of storing a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    pub appeared: u64,
    pub changed: u64,
    /// Events that were new.
    pub events: u64,
    /// The events, if the transaction was rolled back; they are reported nowhere else.
    pub preview: EventPreview,
    /// The fate of each record, in their order.
    pub fates: Vec<Fate>,
}

/// A record whose changes are events.
pub trait Publishes: Mirrored {
    /// Locks rows that must not change while these records are stored. Comes after the log and before the records' own
    /// counter.
    fn lock_neighbours(tx: &Tx, records: &[Self]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Fills in fields that are not listed, before the rows are written.
    fn complete(
        tx: &Tx,
        changes: &mut [Change<Self>],
        context: &Context<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// The events of the changes, once the rows are written.
    fn events(
        tx: &Tx,
        changes: &[Change<Self>],
        context: &Context<'_>,
    ) -> impl Future<Output = Result<Vec<Draft>, Error>> + Send;
}

/// The work of one transaction.
struct Work<'a, R: Record> {
    /// The records that may differ from their rows, each id once.
    suspects: &'a [R],
    /// For each of them, whether it was not stored when it was first checked.
    new: &'a [bool],
    /// Whether it publishes no events.
    silent: bool,
    read_at: DateTime<Utc>,
    regressions: &'a Regressions<R::Id>,
    checkpoint: &'a Checkpoint,
    context: &'a Context<'a>,
    fence: Option<Fence>,
    ending: Ending,
}

impl Store {
    /// Compares the records with the tables and stores changes, with their events, in one transaction, or in several if
    /// the items are large. If all records are stored unchanged and there is nothing else to store, it costs one read
    /// and no transaction.
    ///
    /// # Errors
    /// If the database fails, or another process leads now; the checkpoint is not stored then.
    pub async fn ingest<R: Publishes>(&self, batch: Batch<R>, now: DateTime<Utc>) -> Result<Ingested, Error> {
        let Batch { records, heads, read_at, announce, regressions, mut checkpoint, fence, ending } = batch;
        let heads = match heads {
            Some(heads) => heads,
            None => self.heads(&records.iter().collect::<Vec<_>>(), None).await?,
        };
        let Sorted { suspects, new, places } = sort_out(records, &heads);
        if suspects.is_empty() && checkpoint.is_empty() {
            return Ok(Ingested { fates: vec![Fate::Known; places.len()], ..Ingested::default() });
        }
        let generation = self.generation().await?;
        let context = Context { generation, announce, balances: false, settled: Settled(&self.settled_statuses), now };
        let mut import_started = checkpoint.import_started.take();
        let mut ingested = Ingested::default();
        for portion in portions(&suspects) {
            let is_last = portion.end == suspects.len();
            let checkpoint = if is_last { std::mem::take(&mut checkpoint) } else { Checkpoint::default() };
            let (suspects, new) = (&suspects[portion.clone()], &new[portion]);
            let all_new = new.iter().all(|new| *new);
            ingested.add(
                self.store_portion(Work {
                    suspects,
                    new,
                    silent: all_new && suspects.iter().all(|record| announce.origin(record.created_at()).is_none()),
                    read_at,
                    regressions: &regressions,
                    checkpoint: &Checkpoint { import_started: import_started.take(), ..checkpoint },
                    context: &context,
                    fence,
                    ending,
                })
                .await?,
            );
        }
        let fate = |place: Option<usize>| place.and_then(|place| ingested.fates.get(place).copied());
        ingested.fates = places.into_iter().map(|place| fate(place).unwrap_or(Fate::Known)).collect();
        Ok(ingested)
    }

    async fn store_portion<R: Publishes>(&self, mut work: Work<'_, R>) -> Result<Ingested, Error> {
        if work.silent {
            let silent = &work;
            let stored = self.tx_ending("sync.page", work.ending, |tx| async move { tx.take_in(silent).await }).await?;
            if let Some(ingested) = stored {
                return Ok(ingested);
            }
        }
        work.silent = false;
        let work = &work;
        let stored = self.tx_ending("sync.page", work.ending, |tx| async move { tx.take_in(work).await }).await?;
        Ok(stored.unwrap_or_default())
    }
}

impl Ingested {
    fn add(&mut self, more: Self) {
        self.appeared += more.appeared;
        self.changed += more.changed;
        self.events += more.events;
        self.preview.extend(more.preview);
        self.fates.extend(more.fates);
    }
}

impl Tx {
    /// Stores the suspects. Returns none, and stores nothing, if the work was to be silent and an event must be
    /// published after all.
    ///
    /// Locks are taken in one order: the fence, the row `*`, the counter of wallets, the counter of deposits, rows. The
    /// row `*` serialises batches, so two processes that read the same page wait for each other.
    ///
    /// A silent batch, the history of a first import, does not lock the row `*`. It publishes nothing, so it needs no
    /// place in the order of events, and does not delay those who publish. What that row guarantees otherwise still
    /// holds:
    /// - Two new wallets of one user see each other: new wallets take numbers, and the counter of wallets is locked
    ///   until the commit, with `*` or without.
    /// - A wallet and a deposit of it that arrive at the same time do not miss each other: a deposit that needs its
    ///   wallet to know its user takes a shared lock on the counter of wallets. So either the wallet is stored already,
    ///   or it comes later and finds the deposit.
    async fn take_in<R: Publishes>(&self, work: &Work<'_, R>) -> Result<Option<Ingested>, Error> {
        let Work { suspects, context, .. } = work;
        self.hold(work.fence).await?;
        if !work.silent {
            self.lock_counter(stream::ALL).await?;
        }
        R::lock_neighbours(self, suspects).await?;
        let last = if work.new.contains(&true) { Some(self.lock_counter(R::COUNTER).await?) } else { None };
        // A row that was not stored a moment ago is probably still not stored. If it is, the key refuses the insert,
        // and the next try reads it first.
        let first_try = self.is_first_try();
        let known = suspects.iter().zip(work.new).filter(|(_, new)| !(first_try && **new));
        let stored = self.stored::<R>(known.map(|(record, _)| record.id().clone()).collect()).await?;
        let Diff { mut changes, fates } = diff(suspects.iter().cloned(), &stored, work.read_at, work.regressions);
        if work.silent && changes.iter().any(|change| !matches!(change, Change::Appeared(_))) {
            // Another process stored it between the first read and the lock, and it has changed since. Publishing that
            // needs the row `*`, which must be locked first.
            return Ok(None);
        }
        R::complete(self, &mut changes, context).await?;
        self.apply(&changes, last, context.now).await?;
        // A change of a balance is an event only if some endpoint wants it.
        let has_changed = changes.iter().any(|change| matches!(change, Change::Changed { .. }));
        let balances = has_changed && self.log().is_wanted(EventType::WalletBalanceChanged).await?;
        let context = &Context { balances, ..**context };
        let mut drafts = R::events(self, &changes, context).await?;
        // A newest-first list would give a user's events in reverse order.
        drafts.sort_by_key(|draft| draft.occurred_at);
        let preview = match work.ending {
            Ending::Commit => Vec::new(),
            Ending::RollBack => drafts.iter().map(|draft| (draft.kind, draft.object_id.clone())).collect(),
        };
        let events = self.publish(drafts, context.now).await?;
        self.save_checkpoint(work.checkpoint, context.now).await?;
        let appeared = changes.iter().filter(|change| matches!(change, Change::Appeared(_))).count();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Ok(Some(Ingested {
            appeared: count(appeared),
            changed: count(changes.len() - appeared),
            events: count(events),
            preview,
            fates,
        }))
    }
}

struct Sorted<R> {
    suspects: Vec<R>,
    /// For each suspect, whether it is not stored.
    new: Vec<bool>,
    /// For each listed record, the index of its suspect; none if it is stored unchanged.
    places: Vec<Option<usize>>,
}

/// Leaves out records that are stored unchanged, and of records with one id all but the last.
fn sort_out<R: Record>(records: Vec<R>, heads: &[Option<Head>]) -> Sorted<R> {
    let known = |(record, head): (&R, &Option<Head>)| head.is_some_and(|head| head.matches(record));
    if records.iter().zip(heads).all(known) {
        return Sorted { suspects: Vec::new(), new: Vec::new(), places: vec![None; records.len()] };
    }
    let mut last = HashMap::with_capacity(records.len());
    for (position, record) in records.iter().enumerate() {
        last.insert(record.id(), position);
    }
    let mut place_of = HashMap::new();
    let mut new = Vec::new();
    for (position, (record, head)) in records.iter().zip(heads).enumerate() {
        if last.get(record.id()) == Some(&position) && !known((record, head)) {
            place_of.insert(position, new.len());
            new.push(head.is_none());
        }
    }
    let place = |record: &R| last.get(record.id()).and_then(|position| place_of.get(position)).copied();
    let places = records.iter().map(place).collect();
    let suspects = records.into_iter().enumerate();
    let suspects = suspects.filter(|(position, _)| place_of.contains_key(position)).map(|(_, record)| record).collect();
    Sorted { suspects, new, places }
}

/// Splits the records into consecutive portions, at least one. The texts of a portion take at most [`MAX_BYTES`],
/// unless it is a single record.
fn portions<R: Record>(records: &[R]) -> Vec<Range<usize>> {
    let mut portions = Vec::new();
    let (mut start, mut bytes) = (0, 0_usize);
    for (at, record) in records.iter().enumerate() {
        bytes = bytes.saturating_add(record.raw().len());
        if bytes > MAX_BYTES && at > start {
            portions.push(start..at);
            (start, bytes) = (at, record.raw().len());
        }
    }
    portions.push(start..records.len());
    portions
}

impl Publishes for Wallet {
    async fn lock_neighbours(_: &Tx, _: &[Self]) -> Result<(), Error> {
        Ok(())
    }

    async fn complete(_: &Tx, _: &mut [Change<Self>], _: &Context<'_>) -> Result<(), Error> {
        Ok(())
    }

    async fn events(tx: &Tx, changes: &[Change<Self>], context: &Context<'_>) -> Result<Vec<Draft>, Error> {
        let appeared: Vec<&Wallet> =
            changes.iter().filter(|change| matches!(change, Change::Appeared(_))).map(Change::record).collect();
        if !appeared.is_empty() {
            let owners = appeared.iter().map(|wallet| (wallet.id.clone(), wallet.external_id.clone())).collect();
            tx.adopt_deposits(&owners).await?;
        }
        let told = |wallet: &&Wallet| context.announce.origin(Some(wallet.created_at)).is_some();
        let told: Vec<&Wallet> = appeared.into_iter().filter(told).collect();
        let predecessors = if told.is_empty() { HashMap::new() } else { tx.predecessors(&told).await? };
        let mut drafts = Vec::new();
        for change in changes {
            drafts.extend(wallet_events(change, predecessors.get(&change.record().id), context)?);
        }
        Ok(drafts)
    }
}

impl Publishes for Deposit {
    async fn lock_neighbours(tx: &Tx, records: &[Self]) -> Result<(), Error> {
        if records.iter().any(|deposit| deposit.only_clue().is_some()) {
            tx.share_counter(stream::WALLETS).await?;
        }
        Ok(())
    }

    /// A deposit that names only its wallet belongs to that wallet's user.
    async fn complete(tx: &Tx, changes: &mut [Change<Self>], context: &Context<'_>) -> Result<(), Error> {
        changes.iter_mut().for_each(|change| context.settled.note(change, context.now));
        let owners = tx.owners(changes.iter().filter_map(|change| change.record().only_clue().cloned())).await?;
        for change in changes {
            let (deposit, before) = match change {
                Change::Appeared(new) => (new, None),
                Change::Changed { old, new } => (new, old.record.external_id.clone()),
                Change::Vanished(_) => continue,
            };
            if let Some(wallet) = deposit.only_clue() {
                deposit.external_id = owners.get(wallet).cloned().or(before);
            }
        }
        Ok(())
    }

    async fn events(tx: &Tx, changes: &[Change<Self>], context: &Context<'_>) -> Result<Vec<Draft>, Error> {
        tx.count_statuses(changes, context.now).await?;
        let mut drafts = Vec::new();
        for change in changes {
            drafts.extend(deposit_event(change, context)?);
            drafts.extend(settled_event(change, context)?);
        }
        Ok(drafts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fixture;

    #[test]
    fn large_items_are_stored_in_portions_and_ordinary_ones_together() {
        let items = |sizes: &[usize]| -> Vec<Wallet> {
            sizes.iter().map(|size| Wallet { raw: "x".repeat(*size).into(), ..fixture::wallet("w", "bob") }).collect()
        };
        let (third, whole) = (MAX_BYTES / 3, MAX_BYTES);
        for (sizes, expected) in [
            (vec![], vec![(0, 0)]),
            (vec![300; 1_600], vec![(0, 1_600)]),
            (vec![third; 7], vec![(0, 3), (3, 6), (6, 7)]),
            (vec![whole + 1, 1, whole, whole + 1], vec![(0, 1), (1, 2), (2, 3), (3, 4)]),
        ] {
            let portions: Vec<_> = portions(&items(&sizes)).into_iter().map(|part| (part.start, part.end)).collect();
            assert_eq!(portions, expected);
        }
    }
}
