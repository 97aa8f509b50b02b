//! Where history is read from: first the events that are stored, then the rows of the mirror.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{event, wallet};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{BATCH, Mark, Place};
use crate::model::diff::Stored;
use crate::model::draft::Draft;
use crate::model::event::EventType;
use crate::model::facts::{block_history, deposit_history, wallet_history};
use crate::model::id::EventId;
use crate::model::record::{Deposit, Wallet};
use crate::model::subscriber::Subscriber;
use crate::store::mirror::{Mirrored, among, time};
use crate::store::outbox::Recorded;
use crate::store::{Error, Tx};

/// Stored events that are gone through in one transaction, which holds up whoever publishes.
const EVENTS: i64 = 3000;

/// A row whose history is to be told.
enum Row {
    Wallet(Stored<Wallet>),
    Deposit(Stored<Deposit>),
}

impl Tx {
    /// The next stored events that announced something as it appeared, or the block that a wallet is under; `None` past the
    /// last one, whose number is `last`.
    pub(super) async fn stored_events(
        &self,
        subscriber: &Subscriber,
        since: DateTime<Utc>,
        place: &mut Place,
        last: i64,
    ) -> Result<Option<Vec<Recorded>>, Error> {
        if place.seq >= last {
            place.seq = i64::MAX;
            return Ok(None);
        }
        let through = last.min(place.seq.saturating_add(EVENTS));
        let events: Vec<(i64, EventId, String, String, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Seq, event::Column::Id, event::Column::Kind])
            .columns([event::Column::Stream, event::Column::ObjectId])
            .filter(event::Column::Seq.gt(place.seq))
            .filter(event::Column::Seq.lte(through))
            .filter(event::Column::Kind.is_in(history().filter(|kind| subscriber.wants(*kind)).map(EventType::as_str)))
            .filter(event::Column::OccurredAt.gte(time(Some(since), self.backend())))
            .order_by_asc(event::Column::Seq)
            .limit(BATCH)
            .into_tuple()
            .all(self.session())
            .await?;
        let is_full = u64::try_from(events.len()).is_ok_and(|length| length == BATCH);
        place.seq = events.last().filter(|_| is_full).map_or(through, |(seq, ..)| *seq);
        let objects = || events.iter().map(|(.., object)| object.clone());
        let mut gone = self.gone::<Wallet>(objects()).await?;
        gone.extend(self.gone::<Deposit>(objects()).await?);
        let blocks =
            if subscriber.wants(EventType::WalletBlocked) { self.blocks(objects()).await? } else { HashMap::new() };
        let listed = events.into_iter().filter(|(.., object)| !gone.contains(object));
        let recorded = |(_, id, kind, stream, object): (i64, EventId, String, String, String)| {
            let kind = kind.parse().ok()?;
            let is_over = kind == EventType::WalletBlocked && blocks.get(&object).is_none_or(|block| block.id != id);
            (!is_over).then_some(Recorded { id, kind, stream })
        };
        Ok(Some(listed.filter_map(recorded).collect()))
    }

    /// Of those of the wallets that are blocked, the stored event that announced the block.
    async fn blocks(&self, wallets: impl Iterator<Item = String>) -> Result<HashMap<String, Recorded>, Error> {
        let wallets: Vec<String> = wallets.collect();
        let blocked: Vec<String> = wallet::Entity::find()
            .select_only()
            .column(wallet::Column::Id)
            .filter(among(self.backend(), wallet::Column::Id, wallets))
            .filter(wallet::Column::IsBlocked.eq(true))
            .into_tuple()
            .all(self.session())
            .await?;
        if blocked.is_empty() {
            return Ok(HashMap::new());
        }
        let events: Vec<(EventId, String, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Stream, event::Column::ObjectId])
            .filter(among(self.backend(), event::Column::ObjectId, blocked))
            .filter(event::Column::Kind.eq(EventType::WalletBlocked.as_str()))
            .order_by_asc(event::Column::Seq)
            .into_tuple()
            .all(self.session())
            .await?;
        // The last of a wallet's blocks is the one that it is under.
        let by_wallet = |(id, stream, wallet)| (wallet, Recorded { id, kind: EventType::WalletBlocked, stream });
        Ok(events.into_iter().map(by_wallet).collect())
    }

    /// Those of the rows that are no longer listed.
    async fn gone<R: Mirrored>(&self, ids: impl Iterator<Item = String>) -> Result<HashSet<String>, Error> {
        let ids: Vec<String> = R::Entity::find()
            .select_only()
            .column(R::ID)
            .filter(among(self.backend(), R::ID, ids))
            .filter(R::MISSING_SINCE.is_not_null())
            .into_tuple()
            .all(self.session())
            .await?;
        Ok(ids.into_iter().collect())
    }

    /// The events of the next rows; none past the last one.
    pub(super) async fn events_of_rows(
        &self,
        subscriber: &Subscriber,
        since: DateTime<Utc>,
        place: &mut Place,
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<Recorded>>, Error> {
        let rows = self.next_rows(subscriber, since, place).await?;
        if rows.is_empty() { Ok(None) } else { self.told(&rows, subscriber, generation, now).await.map(Some) }
    }

    /// The next rows in the order in which they were created, and the place behind them.
    async fn next_rows(
        &self,
        subscriber: &Subscriber,
        since: DateTime<Utc>,
        place: &mut Place,
    ) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        let of_wallets = [EventType::WalletCreated, EventType::WalletReplaced, EventType::WalletBlocked];
        if of_wallets.into_iter().any(|kind| subscriber.wants(kind)) {
            let wallets = self.created_after::<Wallet>(since, place.wallets.as_ref()).await?;
            rows.extend(wallets.into_iter().map(|row| (row.record.created_at, Row::Wallet(row))));
        }
        let wants_deposits = subscriber.wants(EventType::DepositCreated);
        if wants_deposits {
            let deposits = self.created_after::<Deposit>(since, place.deposits.as_ref()).await?;
            let dated = |row: Stored<Deposit>| Some((row.record.created_at?, Row::Deposit(row)));
            rows.extend(deposits.into_iter().filter_map(dated));
        }
        // Stable, so a wallet comes before the deposits of its own moment, and each table stays in its own order.
        rows.sort_by_key(|(at, _)| *at);
        rows.truncate(usize::try_from(BATCH).unwrap_or(usize::MAX));
        for (at, row) in &rows {
            match row {
                Row::Wallet(row) => place.wallets = Some((*at, row.record.id.as_str().to_owned())),
                Row::Deposit(row) => place.deposits = Some((*at, row.record.id.as_str().to_owned())),
            }
        }
        let mut rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
        if rows.is_empty() && wants_deposits {
            let undated = self.undated_after(since, place.undated.as_deref()).await?;
            place.undated = undated.last().map(|row| row.record.id.as_str().to_owned());
            rows.extend(undated.into_iter().map(Row::Deposit));
        }
        Ok(rows)
    }

    async fn created_after<R: Mirrored>(
        &self,
        since: DateTime<Utc>,
        mark: Option<&Mark>,
    ) -> Result<Vec<Stored<R>>, Error> {
        let value = |at: DateTime<Utc>| time(Some(at), self.backend());
        let from = mark.map_or(since, |(at, _)| *at);
        let mut query = R::Entity::find().filter(R::CREATED_AT.gte(value(from))).filter(R::MISSING_SINCE.is_null());
        if let Some((at, id)) = mark {
            let after = Condition::any().add(R::CREATED_AT.gt(value(*at))).add(R::ID.gt(id.as_str()));
            query = query.filter(after);
        }
        let query = query.order_by_asc(R::CREATED_AT).order_by_asc(R::ID).limit(BATCH);
        Ok(query.all(self.session()).await?.into_iter().map(R::stored).collect())
    }

    /// Where the upstream tells no time, it is the time at which the deposit was first seen that counts.
    async fn undated_after(&self, since: DateTime<Utc>, mark: Option<&str>) -> Result<Vec<Stored<Deposit>>, Error> {
        type Deposits = <Deposit as Mirrored>::Entity;
        let mut query = <Deposits as EntityTrait>::find()
            .filter(Deposit::CREATED_AT.is_null())
            .filter(Deposit::FIRST_SEEN_AT.gte(time(Some(since), self.backend())))
            .filter(Deposit::MISSING_SINCE.is_null());
        if let Some(id) = mark {
            query = query.filter(Deposit::ID.gt(id));
        }
        let query = query.order_by_asc(Deposit::ID).limit(BATCH);
        Ok(query.all(self.session()).await?.into_iter().map(Deposit::stored).collect())
    }

    /// The events of the rows that the subscriber wants, in their order; those that are not stored are made.
    async fn told(
        &self,
        rows: &[Row],
        subscriber: &Subscriber,
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<Vec<Recorded>, Error> {
        let mut known = self.known(rows).await?;
        let wallets = rows.iter().filter(|row| matches!(row, Row::Wallet(_))).map(|row| row.key().1);
        let mut blocks = self.blocks(wallets).await?;
        let unknown = |row: &&Row| !known.contains_key(&row.key());
        let wallets = rows.iter().filter(unknown).filter_map(|row| match row {
            Row::Wallet(row) => Some(&row.record),
            Row::Deposit(_) => None,
        });
        let wallets: Vec<&Wallet> = wallets.collect();
        let predecessors = if wallets.is_empty() { HashMap::new() } else { self.predecessors(&wallets).await? };
        let mut drafts: Vec<Draft> = Vec::new();
        for row in rows {
            let first = match row {
                _ if known.contains_key(&row.key()) => None,
                Row::Wallet(row) => Some(wallet_history(row, predecessors.get(&row.record.id), now)?),
                Row::Deposit(row) => Some(deposit_history(row, now)?),
            };
            let block = match row {
                Row::Wallet(row) if !blocks.contains_key(row.record.id.as_str()) => {
                    block_history(row, generation, now)?
                }
                _ => None,
            };
            drafts.extend(first.into_iter().chain(block).filter(|draft| subscriber.wants(draft.kind)));
        }
        for draft in &drafts {
            let made = Recorded { id: draft.id.clone(), kind: draft.kind, stream: draft.stream.clone() };
            if draft.kind == EventType::WalletBlocked {
                blocks.insert(draft.object_id.clone(), made);
            } else {
                known.insert((draft.object_kind, draft.object_id.clone()), made);
            }
        }
        if !drafts.is_empty() {
            self.record(drafts, now).await?;
        }
        let mut told = Vec::new();
        for row in rows {
            let key = row.key();
            told.extend(known.remove(&key));
            told.extend(blocks.remove(&key.1).filter(|_| key.0 == "wallet"));
        }
        told.retain(|event| subscriber.wants(event.kind));
        Ok(told)
    }
    /// The stored events that announced these rows as they appeared. They are kept for good, so none is taken away meanwhile.
    async fn known(&self, rows: &[Row]) -> Result<HashMap<(&'static str, String), Recorded>, Error> {
        let events: Vec<(EventId, String, String, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Kind, event::Column::Stream, event::Column::ObjectId])
            .filter(among(self.backend(), event::Column::ObjectId, rows.iter().map(|row| row.key().1)))
            .filter(event::Column::Kind.is_in(once().map(EventType::as_str)))
            .order_by_asc(event::Column::Seq)
            .into_tuple()
            .all(self.session())
            .await?;
        let by_object = |(id, kind, stream, object): (EventId, String, String, String)| {
            let kind: EventType = kind.parse().ok()?;
            let object_kind = if kind == EventType::DepositCreated { "deposit" } else { "wallet" };
            Some(((object_kind, object), Recorded { id, kind, stream }))
        };
        Ok(events.into_iter().filter_map(by_object).collect())
    }
}

impl Row {
    fn key(&self) -> (&'static str, String) {
        match self {
            Self::Wallet(row) => ("wallet", row.record.id.as_str().to_owned()),
            Self::Deposit(row) => ("deposit", row.record.id.as_str().to_owned()),
        }
    }
}

/// The types of event that history is made of: how things appeared, and that a wallet is blocked.
fn history() -> impl Iterator<Item = EventType> {
    once().chain([EventType::WalletBlocked])
}

/// The types of event that announce a thing as it appears.
fn once() -> impl Iterator<Item = EventType> {
    EventType::ALL.iter().copied().filter(|kind| kind.happens_once())
}
