//! Reads history for a backfill: first the stored events, then the rows of the mirror.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use lumo_bridge_entity::{event, wallet};
use sea_orm::{ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select};

use super::{BATCH, BackfillPlace, Mark, Past};
use crate::model::diff::Stored;
use crate::model::draft::Draft;
use crate::model::event::EventType;
use crate::model::facts::{block_history, deposit_history, wallet_history};
use crate::model::id::EventId;
use crate::model::record::{Deposit, Wallet};
use crate::model::subscriber::Subscriber;
use crate::store::log::Audience;
use crate::store::mirror::{Mirrored, among};
use crate::store::{Error, Tx};

/// Numbers of the log that one transaction reads. Publishers wait for it.
const WINDOW: i64 = 3000;

/// The parameters of reading a history.
pub(super) struct Source<'a> {
    pub(super) tx: &'a Tx,
    pub(super) subscriber: &'a Subscriber,
    pub(super) since: DateTime<Utc>,
    pub(super) generation: &'a str,
    pub(super) now: DateTime<Utc>,
}

/// A row of the mirror.
enum Row {
    Wallet(Stored<Wallet>),
    Deposit(Stored<Deposit>),
}

/// The object of a row of the mirror: its kind and its id.
type Object = (&'static str, String);

/// A stored event and its object.
#[derive(FromQueryResult)]
struct Event {
    seq: i64,
    id: EventId,
    kind: String,
    stream: String,
    object_id: String,
    audience: Option<String>,
}

impl Event {
    /// None if this program does not know the type.
    fn past(self) -> Option<(Object, Past)> {
        let Self { seq, id, kind, stream, object_id, audience } = self;
        let kind: EventType = kind.parse().ok()?;
        let object_kind = if kind == EventType::DepositCreated { "deposit" } else { "wallet" };
        Some(((object_kind, object_id), Past { seq, id, kind, stream, was_published: audience.is_none() }))
    }
}

/// Events, without their bodies.
fn events() -> Select<event::Entity> {
    event::Entity::find()
        .select_only()
        .columns([event::Column::Seq, event::Column::Id, event::Column::Stream])
        .columns([event::Column::ObjectId, event::Column::Audience])
        .column_as(event::Column::Kind, "kind")
        .order_by_asc(event::Column::Seq)
}

impl Source<'_> {
    /// The next stored events that announced an object or a wallet's present block; none after the last one, whose
    /// number is `last`.
    pub(super) async fn stored(&self, place: &mut BackfillPlace, last: i64) -> Result<Option<Vec<Past>>, Error> {
        if place.seq >= last {
            place.seq = i64::MAX;
            return Ok(None);
        }
        let through = last.min(place.seq.saturating_add(WINDOW));
        let wanted = history_types().filter(|kind| self.subscriber.wants(*kind)).map(EventType::as_str);
        let events: Vec<Event> = events()
            .filter(event::Column::Seq.gt(place.seq))
            .filter(event::Column::Seq.lte(through))
            .filter(event::Column::Kind.is_in(wanted))
            .filter(event::Column::OccurredAt.gte(self.since))
            .limit(BATCH)
            .into_model()
            .all(self.tx.session())
            .await?;
        let is_full = u64::try_from(events.len()).is_ok_and(|length| length == BATCH);
        place.seq = match events.last() {
            Some(event) if is_full => event.seq,
            // The endpoint receives later events anyway.
            _ if through >= last => i64::MAX,
            _ => through,
        };
        let objects = || events.iter().map(|event| event.object_id.clone());
        let mut gone = self.gone::<Wallet>(objects()).await?;
        gone.extend(self.gone::<Deposit>(objects()).await?);
        let blocks = if self.subscriber.wants(EventType::WalletBlocked) {
            self.blocks(objects()).await?
        } else {
            HashMap::new()
        };
        let is_over = |object: &str, event: &Past| {
            event.kind == EventType::WalletBlocked && blocks.get(object).is_none_or(|block| block.id != event.id)
        };
        let past = events.into_iter().filter_map(Event::past);
        let past = past.filter(|((_, object), event)| !gone.contains(object) && !is_over(object, event));
        Ok(Some(past.map(|(_, event)| event).collect()))
    }

    /// The events of the next rows of the mirror; appends those that are not stored. None after the last row.
    pub(super) async fn of_rows(&self, place: &mut BackfillPlace) -> Result<Option<Vec<Past>>, Error> {
        let rows = self.next_rows(place).await?;
        if rows.is_empty() { Ok(None) } else { self.announced(&rows).await.map(Some) }
    }

    /// For each of the wallets that is blocked, the stored event that announced the block.
    async fn blocks(&self, wallets: impl Iterator<Item = String>) -> Result<HashMap<String, Past>, Error> {
        let wallets: Vec<String> = wallets.collect();
        let blocked: Vec<String> = wallet::Entity::find()
            .select_only()
            .column(wallet::Column::Id)
            .filter(among(self.tx.backend(), wallet::Column::Id, wallets))
            .filter(wallet::Column::IsBlocked.eq(true))
            .into_tuple()
            .all(self.tx.session())
            .await?;
        if blocked.is_empty() {
            return Ok(HashMap::new());
        }
        let events: Vec<Event> = events()
            .filter(among(self.tx.backend(), event::Column::ObjectId, blocked))
            .filter(event::Column::Kind.eq(EventType::WalletBlocked.as_str()))
            .into_model()
            .all(self.tx.session())
            .await?;
        // The last block event of a wallet is that of its present block.
        Ok(events.into_iter().filter_map(Event::past).map(|((_, wallet), event)| (wallet, event)).collect())
    }

    /// The ids of rows that are no longer listed, or are a former company's.
    async fn gone<R: Mirrored>(&self, ids: impl Iterator<Item = String>) -> Result<HashSet<String>, Error> {
        let ids: Vec<String> = R::Entity::find()
            .select_only()
            .column(R::ID)
            .filter(among(self.tx.backend(), R::ID, ids))
            .filter(Condition::any().add(R::MISSING_SINCE.is_not_null()).add(R::FORMER_COMPANY.is_not_null()))
            .into_tuple()
            .all(self.tx.session())
            .await?;
        Ok(ids.into_iter().collect())
    }

    /// The next rows in the order of their creation, and the progress after them.
    async fn next_rows(&self, place: &mut BackfillPlace) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        let of_wallets = [EventType::WalletCreated, EventType::WalletReplaced, EventType::WalletBlocked];
        if of_wallets.into_iter().any(|kind| self.subscriber.wants(kind)) {
            let wallets = self.created_after::<Wallet>(place.wallets.as_ref()).await?;
            rows.extend(wallets.into_iter().map(|row| (row.record.created_at, Row::Wallet(row))));
        }
        let wants_deposits = self.subscriber.wants(EventType::DepositCreated);
        if wants_deposits {
            let deposits = self.created_after::<Deposit>(place.deposits.as_ref()).await?;
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
            let undated = self.undated_after(place.undated.as_deref()).await?;
            place.undated = undated.last().map(|row| row.record.id.as_str().to_owned());
            rows.extend(undated.into_iter().map(Row::Deposit));
        }
        Ok(rows)
    }

    async fn created_after<R: Mirrored>(&self, mark: Option<&Mark>) -> Result<Vec<Stored<R>>, Error> {
        let from = mark.map_or(self.since, |(at, _)| *at);
        let mut query = R::Entity::find()
            .filter(R::CREATED_AT.gte(from))
            .filter(R::MISSING_SINCE.is_null())
            .filter(R::FORMER_COMPANY.is_null());
        if let Some((at, id)) = mark {
            let after = Condition::any().add(R::CREATED_AT.gt(*at)).add(R::ID.gt(id.as_str()));
            query = query.filter(after);
        }
        let query = query.order_by_asc(R::CREATED_AT).order_by_asc(R::ID).limit(BATCH);
        Ok(query.all(self.tx.session()).await?.into_iter().map(R::stored).collect())
    }

    /// Deposits without a time of creation. The time at which each was first seen counts instead.
    async fn undated_after(&self, mark: Option<&str>) -> Result<Vec<Stored<Deposit>>, Error> {
        type Deposits = <Deposit as Mirrored>::Entity;
        let mut query = <Deposits as EntityTrait>::find()
            .filter(Deposit::CREATED_AT.is_null())
            .filter(Deposit::FIRST_SEEN_AT.gte(self.since))
            .filter(Deposit::MISSING_SINCE.is_null())
            .filter(Deposit::FORMER_COMPANY.is_null());
        if let Some(id) = mark {
            query = query.filter(Deposit::ID.gt(id));
        }
        let query = query.order_by_asc(Deposit::ID).limit(BATCH);
        Ok(query.all(self.tx.session()).await?.into_iter().map(Deposit::stored).collect())
    }

    /// The events of the rows that the endpoint wants, in the order of the rows.
    async fn announced(&self, rows: &[Row]) -> Result<Vec<Past>, Error> {
        let mut announcements = self.announcements(rows).await?;
        let wallets = rows.iter().map(Row::object).filter(|(kind, _)| *kind == "wallet").map(|(_, id)| id);
        let mut blocks = self.blocks(wallets).await?;
        let drafts = self.drafts(rows, &announcements, &blocks).await?;
        let objects: HashMap<_, Object> =
            drafts.iter().map(|draft| (draft.id.clone(), (draft.object_kind, draft.object_id.clone()))).collect();
        for made in self.tx.log().append(drafts, Audience::Nobody, self.now).await? {
            let Some(object) = objects.get(&made.id).cloned() else { continue };
            let (seq, id, kind, stream) = (made.seq, made.id, made.kind, made.stream);
            let past = Past { seq, id, kind, stream, was_published: false };
            if kind == EventType::WalletBlocked {
                blocks.insert(object.1, past);
            } else {
                announcements.insert(object, past);
            }
        }
        let mut history = Vec::new();
        for row in rows {
            let object = row.object();
            history.extend(announcements.remove(&object));
            history.extend(blocks.remove(&object.1).filter(|_| object.0 == "wallet"));
        }
        history.retain(|event| self.subscriber.wants(event.kind));
        Ok(history)
    }

    /// The stored events that announced these rows. They are kept for good.
    async fn announcements(&self, rows: &[Row]) -> Result<HashMap<Object, Past>, Error> {
        let ids = rows.iter().map(|row| row.object().1);
        let events: Vec<Event> = events()
            .filter(among(self.tx.backend(), event::Column::ObjectId, ids))
            .filter(event::Column::Kind.is_in(announcing().map(EventType::as_str)))
            .into_model()
            .all(self.tx.session())
            .await?;
        Ok(events.into_iter().filter_map(Event::past).collect())
    }

    /// The events to append for these rows: those that the endpoint wants and that are not stored.
    async fn drafts(
        &self,
        rows: &[Row],
        announcements: &HashMap<Object, Past>,
        blocks: &HashMap<String, Past>,
    ) -> Result<Vec<Draft>, Error> {
        let is_silent = |row: &Row| !announcements.contains_key(&row.object());
        let wallets = rows.iter().filter(|row| is_silent(row)).filter_map(|row| match row {
            Row::Wallet(row) => Some(&row.record),
            Row::Deposit(_) => None,
        });
        let wallets: Vec<&Wallet> = wallets.collect();
        let predecessors = if wallets.is_empty() { HashMap::new() } else { self.tx.predecessors(&wallets).await? };
        let mut drafts: Vec<Draft> = Vec::new();
        for row in rows {
            match row {
                Row::Wallet(wallet) => {
                    if is_silent(row) {
                        drafts.push(wallet_history(wallet, predecessors.get(&wallet.record.id), self.now)?);
                    }
                    if !blocks.contains_key(wallet.record.id.as_str()) {
                        drafts.extend(block_history(wallet, self.generation, self.now)?);
                    }
                }
                Row::Deposit(deposit) if is_silent(row) => drafts.push(deposit_history(deposit, self.now)?),
                Row::Deposit(_) => {}
            }
        }
        drafts.retain(|draft| self.subscriber.wants(draft.kind));
        Ok(drafts)
    }
}

impl Row {
    fn object(&self) -> Object {
        match self {
            Self::Wallet(row) => ("wallet", row.record.id.as_str().to_owned()),
            Self::Deposit(row) => ("deposit", row.record.id.as_str().to_owned()),
        }
    }
}

/// The event types of a history: those that announce objects, and blocks of wallets.
pub fn history_types() -> impl Iterator<Item = EventType> {
    announcing().chain([EventType::WalletBlocked])
}

/// The event types that announce a new object.
fn announcing() -> impl Iterator<Item = EventType> {
    [EventType::WalletCreated, EventType::WalletReplaced, EventType::DepositCreated].into_iter()
}
