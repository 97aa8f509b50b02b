//! Pruning: what was kept for long enough goes, a few hundred rows at a time.
//!
//! Each batch is a transaction of its own that does not touch the row `*` of `lumo_streams`, so neither publishing nor
//! claiming waits for it. Only finished deliveries go, which no claim looks at; they are judged under their lock, as
//! the operator may bring one back to life at that moment. Rows are found by walking along a key that sorts by age,
//! from the oldest to the first that is too young, which bisection finds: what is young is never looked at.
//!
//! A delivery takes its attempts and its acknowledgement with it. An event goes when it has no delivery left and is older than any delivery may
//! be. Whoever gives an old event a new delivery locks the event first ([`super::replay`]), and so does this.
//!
//! Not every event goes. An event's row is also what keeps the same fact from being told twice: its id is derived from
//! the fact, and the key refuses a second one. For an event that can happen once ([`EventType::happens_once`]) that
//! must hold for good, whatever happens to the mirror: when a table is emptied and read again, every wallet and every
//! deposit is found anew, and each must come out as the event that it was. Those events stay, one for each row of the
//! mirror. The id of any other holds the row's version or the moment, and the row moved past that in the transaction
//! that published it, so nothing can notice it again: those go. `seq` and `stream_seq` go on from `lumo_streams`, which
//! forgets nothing.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, State};
use lumo_bridge_entity::{attempt, event, stream};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::mirror::{padded, time};
use super::outbox::delivery_id;
use super::{Error, Store, Tx};
use crate::model::event::EventType;
use crate::model::id::{DeliveryId, EventId};

/// Rows in one batch.
const BATCH: u64 = 500;

/// What is older than this goes; none keeps everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cutoffs {
    /// For delivered ones by their delivery, for skipped ones by when they were queued.
    pub delivered: Option<DateTime<Utc>>,
    /// For dead ones, by when they were queued.
    pub dead: Option<DateTime<Utc>>,
    pub attempts: Option<DateTime<Utc>>,
}

/// How far a walk along the deliveries has come.
#[derive(Debug)]
pub struct DeliveryWalk {
    after: Option<DeliveryId>,
    before: DeliveryId,
}

/// How far a walk along the events has come.
#[derive(Debug)]
pub struct EventWalk {
    after: i64,
    before: i64,
}

impl EventWalk {
    /// The last event that was looked at; a later walk may go on from it.
    #[must_use]
    pub const fn after(&self) -> i64 {
        self.after
    }
}

/// Rows that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub deliveries: u64,
    pub attempts: u64,
    pub events: u64,
}

/// What decides about a delivery.
type Finished = (DeliveryId, EventId, State, DateTime<Utc>, Option<DateTime<Utc>>);

impl Cutoffs {
    /// Events must outlive every delivery of theirs.
    #[must_use]
    pub fn events(&self) -> Option<DateTime<Utc>> {
        Some(Ord::min(self.delivered?, self.dead?))
    }

    fn take(&self, (_, _, state, created_at, delivered_at): &Finished) -> bool {
        let (age, cutoff) = match state {
            State::Delivered => (delivered_at.unwrap_or(*created_at), self.delivered),
            State::Skipped => (*created_at, self.delivered),
            State::Dead => (*created_at, self.dead),
            State::Pending | State::Sending | State::Retrying | State::Held => return false,
        };
        cutoff.is_some_and(|cutoff| age < cutoff)
    }
}

impl Store {
    /// A walk along the deliveries that were queued before then.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn walk_deliveries(&self, before: DateTime<Utc>) -> Result<DeliveryWalk, Error> {
        Ok(DeliveryWalk { after: None, before: self.first_delivery_since(before).await? })
    }

    /// The id of the first delivery that was queued then or later; if there is none, of the next that will be.
    pub(super) async fn first_delivery_since(&self, time: DateTime<Utc>) -> Result<DeliveryId, Error> {
        let (mut low, mut high) = (1, self.last_number(stream::DELIVERIES).await?.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let query = delivery::Entity::find().select_only().column(delivery::Column::CreatedAt);
            let query = query.filter(delivery::Column::Id.gte(delivery_id(middle)?)).order_by_asc(delivery::Column::Id);
            let created: Option<DateTime<Utc>> = query.limit(1).into_tuple().one(self.read()).await?;
            if created.is_some_and(|created| created < time) { low = middle + 1 } else { high = middle }
        }
        delivery_id(low)
    }

    /// A walk along the events that come after this number and were noticed before then.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn walk_events(&self, after: i64, before: DateTime<Utc>) -> Result<EventWalk, Error> {
        let (mut low, mut high) = (1, self.last_number(stream::ALL).await?.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let query = event::Entity::find().select_only().column(event::Column::DetectedAt);
            let query = query.filter(event::Column::Seq.gte(middle)).order_by_asc(event::Column::Seq);
            let detected: Option<DateTime<Utc>> = query.limit(1).into_tuple().one(self.read()).await?;
            if detected.is_some_and(|detected| detected < before) { low = middle + 1 } else { high = middle }
        }
        Ok(EventWalk { after, before: low })
    }

    /// Prunes among the next few hundred deliveries, with what belongs to them; none at the end of the walk.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is pruned then.
    pub async fn prune_deliveries(&self, walk: &mut DeliveryWalk, cutoffs: &Cutoffs) -> Result<Option<Pruned>, Error> {
        let mut query = finished().filter(delivery::Column::Id.lt(walk.before.clone()));
        if let Some(after) = &walk.after {
            query = query.filter(delivery::Column::Id.gt(after.clone()));
        }
        let rows: Vec<Finished> = query.limit(BATCH).into_tuple().all(self.read()).await?;
        let Some(last) = rows.last().map(|(last, ..)| last.clone()) else { return Ok(None) };
        let old: Vec<DeliveryId> = rows.into_iter().filter(|row| cutoffs.take(row)).map(|(id, ..)| id).collect();
        let mut pruned = Pruned::default();
        if !old.is_empty() {
            let old = &old;
            pruned = self.tx("prune.deliveries", |tx| async move { tx.prune_deliveries(old, cutoffs).await }).await?;
        }
        walk.after = Some(last);
        Ok(Some(pruned))
    }

    /// Prunes among the attempts of the next few hundred; none at the end of the walk.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is pruned then.
    pub async fn prune_attempts(
        &self,
        walk: &mut DeliveryWalk,
        cutoff: DateTime<Utc>,
    ) -> Result<Option<Pruned>, Error> {
        let mut query = attempt::Entity::find()
            .select_only()
            .columns([attempt::Column::DeliveryId, attempt::Column::StartedAt])
            .filter(attempt::Column::DeliveryId.lt(walk.before.clone()))
            .order_by_asc(attempt::Column::DeliveryId)
            .order_by_asc(attempt::Column::Attempt);
        if let Some(after) = &walk.after {
            query = query.filter(attempt::Column::DeliveryId.gt(after.clone()));
        }
        let rows: Vec<(DeliveryId, DateTime<Utc>)> = query.limit(BATCH).into_tuple().all(self.read()).await?;
        let Some(last) = rows.last().map(|(last, _)| last.clone()) else { return Ok(None) };
        let mut old: Vec<DeliveryId> =
            rows.into_iter().filter(|(_, started)| *started < cutoff).map(|(id, _)| id).collect();
        old.dedup();
        if old.is_empty() {
            walk.after = Some(last);
            return Ok(Some(Pruned::default()));
        }
        let old = &old;
        let attempts = self.tx("prune.attempts", |tx| async move {
            let cutoff = Expr::val(time(Some(cutoff), tx.backend()));
            let gone = attempt::Entity::delete_many()
                .filter(attempt::Column::DeliveryId.is_in(padded(old.iter().cloned())))
                .filter(Expr::col(attempt::Column::StartedAt).lt(cutoff))
                .exec(tx.session())
                .await?;
            Ok(gone.rows_affected)
        });
        let attempts = attempts.await?;
        walk.after = Some(last);
        Ok(Some(Pruned { attempts, ..Pruned::default() }))
    }

    /// Prunes among the next few hundred events; none at the end of the walk.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is pruned then.
    pub async fn prune_events(&self, walk: &mut EventWalk, cutoff: DateTime<Utc>) -> Result<Option<Pruned>, Error> {
        let rows: Vec<(EventId, i64, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Seq, event::Column::Kind])
            .filter(event::Column::Seq.gt(walk.after))
            .filter(event::Column::Seq.lt(walk.before))
            .order_by_asc(event::Column::Seq)
            .limit(BATCH)
            .into_tuple()
            .all(self.read())
            .await?;
        let Some(last) = rows.last().map(|(_, last, _)| *last) else { return Ok(None) };
        let may_go = |(id, _, kind): (EventId, i64, String)| can_be_forgotten(&kind).then_some(id);
        let ids: Vec<EventId> = rows.into_iter().filter_map(may_go).collect();
        if ids.is_empty() {
            walk.after = last;
            return Ok(Some(Pruned::default()));
        }
        let ids = &ids;
        let events = self.tx("prune.events", |tx| async move { tx.prune_events(ids, cutoff).await });
        let events = events.await?;
        walk.after = last;
        Ok(Some(Pruned { events, ..Pruned::default() }))
    }

    pub(super) async fn last_number(&self, counter: &str) -> Result<i64, Error> {
        let row = stream::Entity::find_by_id(counter).one(self.read()).await?;
        row.map(|row| row.last_seq).ok_or(Error::NotMigrated)
    }
}

impl Tx {
    async fn prune_deliveries(&self, ids: &[DeliveryId], cutoffs: &Cutoffs) -> Result<Pruned, Error> {
        let query = finished().filter(delivery::Column::Id.is_in(padded(ids.iter().cloned())));
        let rows: Vec<Finished> = query.lock_exclusive().into_tuple().all(self.session()).await?;
        let (ids, told): (Vec<_>, Vec<_>) =
            rows.into_iter().filter(|row| cutoffs.take(row)).map(|(id, event, ..)| (id, event)).unzip();
        if ids.is_empty() {
            return Ok(Pruned::default());
        }
        let deliveries = delivery::Entity::delete_many()
            .filter(delivery::Column::Id.is_in(padded(ids.iter().cloned())))
            .exec(self.session())
            .await?;
        let attempts = attempt::Entity::delete_many()
            .filter(attempt::Column::DeliveryId.is_in(padded(ids)))
            .exec(self.session())
            .await?;
        let events = match cutoffs.events() {
            Some(cutoff) => self.prune_events(&told, cutoff).await?,
            None => 0,
        };
        self.prune_acknowledgements(&told).await?;
        Ok(Pruned { deliveries: deliveries.rows_affected, attempts: attempts.rows_affected, events })
    }

    /// Those of the events go that are old enough, can be forgotten, and have no delivery left. Returns how many.
    async fn prune_events(&self, ids: &[EventId], cutoff: DateTime<Utc>) -> Result<u64, Error> {
        let cutoff = Expr::val(time(Some(cutoff), self.backend()));
        let rows: Vec<(EventId, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Kind])
            .filter(event::Column::Id.is_in(padded(ids.iter().cloned())))
            .filter(Expr::col(event::Column::DetectedAt).lt(cutoff))
            .order_by_asc(event::Column::Id)
            .lock_exclusive()
            .into_tuple()
            .all(self.session())
            .await?;
        let may_go = |(id, kind): (EventId, String)| can_be_forgotten(&kind).then_some(id);
        let mut old: Vec<EventId> = rows.into_iter().filter_map(may_go).collect();
        if old.is_empty() {
            return Ok(0);
        }
        // A statement of its own, so that it sees what was queued while this one waited for the locks.
        let kept: Vec<EventId> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::EventId)
            .distinct()
            .filter(delivery::Column::EventId.is_in(padded(old.iter().cloned())))
            .into_tuple()
            .all(self.session())
            .await?;
        let kept: HashSet<EventId> = kept.into_iter().collect();
        old.retain(|id| !kept.contains(id));
        if old.is_empty() {
            return Ok(0);
        }
        let gone =
            event::Entity::delete_many().filter(event::Column::Id.is_in(padded(old))).exec(self.session()).await?;
        Ok(gone.rows_affected)
    }
}

/// Deliveries, the oldest first, with what decides about them.
fn finished() -> sea_orm::Select<delivery::Entity> {
    delivery::Entity::find()
        .select_only()
        .columns([
            delivery::Column::Id,
            delivery::Column::EventId,
            delivery::Column::State,
            delivery::Column::CreatedAt,
            delivery::Column::DeliveredAt,
        ])
        .order_by_asc(delivery::Column::Id)
}

/// Whether nothing can notice the fact again; a type that this version does not know is kept.
fn can_be_forgotten(kind: &str) -> bool {
    kind.parse().is_ok_and(|kind: EventType| !kind.happens_once())
}
