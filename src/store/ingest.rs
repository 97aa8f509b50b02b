//! From listed records to stored rows, events and deliveries: everything that one page causes, in one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use lumo_bridge_entity::stream;

use super::{Ending, Error, Mirrored, Progress, Store, Tx};
use crate::model::diff::{Change, diff};
use crate::model::draft::Draft;
use crate::model::event::EventType;
use crate::model::facts::{Announce, Context, deposit_event, wallet_event};
use crate::model::record::{Deposit, Wallet};

/// Records as read, and how to take them.
#[derive(Debug)]
pub struct Batch<R> {
    pub records: Vec<R>,
    /// A time before the request was sent; see [`diff`].
    pub read_at: DateTime<Utc>,
    pub announce: Announce,
    /// Stored with the rows, where it changed.
    pub progress: Option<Progress>,
    pub ending: Ending,
}

/// What a batch caused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    pub appeared: u64,
    pub changed: u64,
    /// Events that were new.
    pub events: u64,
    /// The events by type and object, where the transaction was undone and nothing else tells.
    pub preview: Vec<(EventType, String)>,
}

/// A record whose changes are events.
pub trait Told: Mirrored {
    /// Fills in what other tables know, before the rows are written.
    fn complete(tx: &Tx, changes: &mut [Change<Self>]) -> impl Future<Output = Result<(), Error>> + Send;

    /// The events of the changes, once the rows are written.
    fn events(
        tx: &Tx,
        changes: &[Change<Self>],
        context: &Context<'_>,
    ) -> impl Future<Output = Result<Vec<Draft>, Error>> + Send;
}

impl Store {
    /// Compares the records with the tables and stores what changed, with its events and their deliveries, in one
    /// transaction. Records that are stored as they are cost one read and no transaction.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is stored then.
    pub async fn ingest<R: Told>(&self, batch: Batch<R>, now: DateTime<Utc>) -> Result<Ingested, Error> {
        let heads = self.heads(&batch.records).await?;
        let known = |record: &R| heads.get(record.id()).is_some_and(|head| head.matches(record));
        let mut batch = batch;
        let records = std::mem::take(&mut batch.records);
        let suspects: Vec<R> = records.into_iter().filter(|record| !known(record)).collect();
        if suspects.is_empty() && batch.progress.is_none() {
            return Ok(Ingested::default());
        }
        let generation = self.generation().await?;
        let balances = self.subscribers().iter().any(|subscriber| subscriber.wants(EventType::WalletBalanceChanged));
        let context = Context { generation, announce: batch.announce, balances, now };
        let (suspects, context) = (&suspects, &context);
        let Batch { read_at, ending, progress, .. } = &batch;
        self.tx_ending("sync.page", *ending, |tx| async move {
            // Pages are stored one after the other: a wallet and a deposit of it that come at the same time would each
            // miss the other, and two new wallets of one user would not see which of them replaces which.
            tx.lock_counter(stream::ALL).await?;
            let stored = tx.stored(suspects).await?;
            let mut changes = diff(suspects.iter().cloned(), &stored, *read_at);
            R::complete(&tx, &mut changes).await?;
            tx.apply(&changes, now).await?;
            let mut drafts = R::events(&tx, &changes, context).await?;
            // Newest-first lists tell a user's story backwards.
            drafts.sort_by_key(|draft| draft.occurred_at);
            let preview = match ending {
                Ending::Commit => Vec::new(),
                Ending::RollBack => drafts.iter().map(|draft| (draft.kind, draft.object_id.clone())).collect(),
            };
            let events = tx.publish(drafts, now).await?;
            if let Some(progress) = progress {
                tx.save_progress(progress).await?;
            }
            let appeared = changes.iter().filter(|change| matches!(change, Change::Appeared(_))).count();
            let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
            Ok(Ingested {
                appeared: count(appeared),
                changed: count(changes.len() - appeared),
                events: count(events),
                preview,
            })
        })
        .await
    }
}

impl Told for Wallet {
    async fn complete(_: &Tx, _: &mut [Change<Self>]) -> Result<(), Error> {
        Ok(())
    }

    async fn events(tx: &Tx, changes: &[Change<Self>], context: &Context<'_>) -> Result<Vec<Draft>, Error> {
        let mut appeared: Vec<&Wallet> =
            changes.iter().filter(|change| matches!(change, Change::Appeared(_))).map(Change::new_record).collect();
        appeared.sort_by_key(|wallet| wallet.created_at);
        let mut predecessors = HashMap::new();
        if !appeared.is_empty() {
            let owners = appeared.iter().map(|wallet| (wallet.id.clone(), wallet.external_id.clone())).collect();
            tx.adopt_deposits(&owners).await?;
            predecessors = tx.predecessors(&appeared).await?;
        }
        let event = |change: &Change<Self>| wallet_event(change, predecessors.get(&change.new_record().id), context);
        Ok(changes.iter().filter_map(|change| event(change).transpose()).collect::<Result<_, _>>()?)
    }
}

impl Told for Deposit {
    /// A deposit that names only its wallet belongs to that wallet's user.
    async fn complete(tx: &Tx, changes: &mut [Change<Self>]) -> Result<(), Error> {
        let nameless = |deposit: &Deposit| deposit.external_id.is_none().then(|| deposit.wallet_id.clone()).flatten();
        let owners = tx.owners(changes.iter().filter_map(|change| nameless(change.new_record()))).await?;
        for change in changes {
            let (deposit, before) = match change {
                Change::Appeared(new) => (new, None),
                Change::Changed { old, new } => (new, old.record.external_id.clone()),
            };
            if let Some(wallet) = nameless(deposit) {
                deposit.external_id = owners.get(&wallet).cloned().or(before);
            }
        }
        Ok(())
    }

    async fn events(_: &Tx, changes: &[Change<Self>], context: &Context<'_>) -> Result<Vec<Draft>, Error> {
        Ok(changes.iter().filter_map(|change| deposit_event(change, context).transpose()).collect::<Result<_, _>>()?)
    }
}
