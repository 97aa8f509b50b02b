//! Replaying: stored events are queued once more for one endpoint, under their own ids and in their order.
//!
//! A replayed delivery is one like any other: it takes its place at the end of its lane and has the whole schedule
//! before it. A replay goes batch by batch, each a transaction of its own, so that publishing waits for a few hundred
//! rows at most; what is repeated after an interruption leaves out what is still on its way.
//!
//! The events are locked before they are queued: the retention, which takes away events without deliveries, does not
//! ask the outbox for its turn.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, Reason, State};
use lumo_bridge_entity::{event, stream};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::mirror::{padded, time};
use super::outbox::Queued;
use super::{Error, Store, Tx};
use crate::model::id::{EndpointName, EventId, ExternalId};
use crate::model::pattern::Patterns;
use crate::model::subscriber::Order;

/// Events in one transaction.
const BATCH: u64 = 300;

/// States in which a delivery is still on its way.
pub(super) const UNFINISHED: [State; 4] = [State::Pending, State::Sending, State::Retrying, State::Held];

/// Which events to replay: those that everything given here holds for.
#[derive(Clone, Debug, Default)]
pub struct ReplayFilter {
    /// These; all if it is empty.
    pub ids: Vec<EventId>,
    pub kinds: Option<Patterns>,
    pub external_id: Option<ExternalId>,
    /// Noticed then or later.
    pub since: Option<DateTime<Utc>>,
    /// Noticed earlier.
    pub until: Option<DateTime<Utc>>,
}

impl ReplayFilter {
    /// Whether it would take every event that there is.
    #[must_use]
    pub fn is_boundless(&self) -> bool {
        let Self { ids, kinds, external_id, since, until } = self;
        ids.is_empty() && kinds.is_none() && external_id.is_none() && since.is_none() && until.is_none()
    }

    /// Whether its time is over before it begins.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.since.zip(self.until).is_some_and(|(since, until)| since >= until)
    }
}

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    filter: ReplayFilter,
    endpoint: EndpointName,
    order: Order,
    /// The last event that was looked at.
    after: i64,
    /// The last event that there was when it began: what is published meanwhile is no part of it.
    through: i64,
}

/// What became of some events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub queued: u64,
    /// Left out, as a delivery of the event to the endpoint is not finished yet.
    pub unfinished: u64,
}

struct Candidate {
    id: EventId,
    stream: String,
}

impl Store {
    /// Which of these events are not stored, in the order given.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unknown_events(&self, ids: &[EventId]) -> Result<Vec<EventId>, Error> {
        let mut known: HashSet<EventId> = HashSet::new();
        for chunk in ids.chunks(500) {
            let query = event::Entity::find().select_only().column(event::Column::Id);
            let query = query.filter(event::Column::Id.is_in(padded(chunk.iter().cloned())));
            known.extend(query.into_tuple::<EventId>().all(self.read()).await?);
        }
        Ok(ids.iter().filter(|id| !known.contains(*id)).cloned().collect())
    }

    /// Begins a replay to the endpoint, whose deliveries are kept in this order. It need not want the events.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin_replay(
        &self,
        filter: ReplayFilter,
        endpoint: EndpointName,
        order: Order,
    ) -> Result<Replay, Error> {
        let last = stream::Entity::find_by_id(stream::ALL).one(self.read()).await?.ok_or(Error::NotMigrated)?;
        Ok(Replay { filter, endpoint, order, after: 0, through: last.last_seq })
    }

    /// Queues the next few hundred events; none when there are no more.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is queued then.
    pub async fn replay(&self, replay: &mut Replay, now: DateTime<Utc>) -> Result<Option<Replayed>, Error> {
        let Some((candidates, last)) = self.candidates(replay).await? else { return Ok(None) };
        let (endpoint, order, candidates) = (&replay.endpoint, replay.order, &candidates);
        let replayed = self.tx("event.replay", |tx| async move { tx.replay(candidates, endpoint, order, now).await });
        let replayed = replayed.await?;
        replay.after = last;
        Ok(Some(replayed))
    }

    /// What [`Store::replay`] would do next; nothing is stored.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rehearse(&self, replay: &mut Replay) -> Result<Option<Replayed>, Error> {
        let Some((candidates, last)) = self.candidates(replay).await? else { return Ok(None) };
        let under_way = under_way(self.read(), &candidates, &replay.endpoint).await?;
        replay.after = last;
        Ok(Some(Replayed::of(candidates.len(), under_way.len())))
    }

    /// The next events, and the number of the last of them.
    async fn candidates(&self, replay: &Replay) -> Result<Option<(Vec<Candidate>, i64)>, Error> {
        let ReplayFilter { ids, kinds, external_id, since, until } = &replay.filter;
        let at = |moment: DateTime<Utc>| Expr::val(time(Some(moment), self.backend()));
        let names = |kinds: &Patterns| kinds.wanted().map(|kind| kind.as_str()).collect::<Vec<_>>();
        let rows: Vec<(EventId, i64, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Seq, event::Column::Stream])
            .filter(event::Column::Seq.gt(replay.after))
            .filter(event::Column::Seq.lte(replay.through))
            .apply_if((!ids.is_empty()).then_some(ids), |query, ids| {
                query.filter(event::Column::Id.is_in(padded(ids.iter().cloned())))
            })
            .apply_if(kinds.as_ref(), |query, kinds| query.filter(event::Column::Kind.is_in(names(kinds))))
            .apply_if(external_id.clone(), |query, user| query.filter(event::Column::ExternalId.eq(user)))
            .apply_if(*since, |query, since| query.filter(Expr::col(event::Column::DetectedAt).gte(at(since))))
            .apply_if(*until, |query, until| query.filter(Expr::col(event::Column::DetectedAt).lt(at(until))))
            .order_by_asc(event::Column::Seq)
            .limit(BATCH)
            .into_tuple()
            .all(self.read())
            .await?;
        let last = rows.last().map(|(_, seq, _)| *seq);
        Ok(last.map(|last| (rows.into_iter().map(|(id, _, stream)| Candidate { id, stream }).collect(), last)))
    }
}

impl Replayed {
    fn of(events: usize, under_way: usize) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Self { queued: count(events.saturating_sub(under_way)), unfinished: count(under_way) }
    }
}

impl Tx {
    async fn replay(
        &self,
        candidates: &[Candidate],
        endpoint: &EndpointName,
        order: Order,
        now: DateTime<Utc>,
    ) -> Result<Replayed, Error> {
        self.lock_counter(stream::ALL).await?;
        let stored: HashSet<EventId> = event::Entity::find()
            .select_only()
            .column(event::Column::Id)
            .filter(event::Column::Id.is_in(ids(candidates)))
            .order_by_asc(event::Column::Id)
            .lock_exclusive()
            .into_tuple()
            .all(self.session())
            .await?
            .into_iter()
            .collect();
        let under_way = under_way(self.session(), candidates, endpoint).await?;
        let queued: Vec<Queued> = candidates
            .iter()
            .filter(|event| stored.contains(&event.id) && !under_way.contains(&event.id))
            .map(|event| Queued {
                event: event.id.clone(),
                endpoint: endpoint.clone(),
                lane: order.lane(&event.stream),
                reason: Reason::Replay,
            })
            .collect();
        let replayed = Replayed::of(queued.len() + under_way.len(), under_way.len());
        let events: Vec<EventId> = queued.iter().map(|delivery| delivery.event.clone()).collect();
        self.forget_acknowledgements(endpoint, &events).await?;
        self.queue(queued, now).await?;
        Ok(replayed)
    }
}

fn ids(candidates: &[Candidate]) -> Vec<EventId> {
    padded(candidates.iter().map(|event| event.id.clone()))
}

/// Those of the events that have an unfinished delivery to the endpoint.
async fn under_way<C: ConnectionTrait>(
    connection: &C,
    candidates: &[Candidate],
    endpoint: &EndpointName,
) -> Result<HashSet<EventId>, Error> {
    let rows: Vec<EventId> = delivery::Entity::find()
        .select_only()
        .column(delivery::Column::EventId)
        .filter(delivery::Column::EventId.is_in(ids(candidates)))
        .filter(delivery::Column::Endpoint.eq(endpoint.clone()))
        .filter(delivery::Column::State.is_in(UNFINISHED))
        .into_tuple()
        .all(connection)
        .await?;
    Ok(rows.into_iter().collect())
}
