//! Replays stored events: sends them to one endpoint again, with their ids and in their order.
//!
//! A replay sends only the types that the endpoint's `events` name, unless any type is asked for: an endpoint, a statement
//! above all, may take for money whatever it gets.
//!
//! A replayed event has a row like one that failed, with its whole retry schedule. A replay works in batches, each a
//! transaction of its own, so that others wait for a few hundred rows at most. A replay that is repeated after an
//! interruption leaves out events that are still unfinished. Events are locked before they get a row, because retention
//! removes events without one.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::exception::Reason;
use lumo_bridge_entity::operator_action::Action;
use lumo_bridge_entity::{event, stream};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::Delivery;
use super::target::{BATCH, Events, LockedEndpoint, targets};
use crate::model::actor::Actor;
use crate::model::event::EventType;
use crate::model::id::{EndpointName, EventId, ExternalId};
use crate::model::pattern::Patterns;
use crate::store::db::statement::padded;
use crate::store::{Deed, Error, Store};

/// Selects the events that match every condition given here.
#[derive(Clone, Debug, Default)]
pub struct ReplayFilter {
    /// These; all if it is empty.
    pub ids: Vec<EventId>,
    pub kinds: Option<Patterns>,
    pub external_id: Option<ExternalId>,
    /// Noticed at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Noticed earlier.
    pub until: Option<DateTime<Utc>>,
}

impl ReplayFilter {
    /// Whether no condition is given, so that it selects every event.
    #[must_use]
    pub fn is_boundless(&self) -> bool {
        let Self { ids, kinds, external_id, since, until } = self;
        ids.is_empty() && kinds.is_none() && external_id.is_none() && since.is_none() && until.is_none()
    }

    /// Whether the time range is empty.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.since.zip(self.until).is_some_and(|(since, until)| since >= until)
    }
}

/// Which of the selected events are sent.
#[derive(Clone, Debug)]
pub enum Types {
    /// Those of the types that the endpoint's `events` name. The others are left out and counted.
    Wanted(Patterns),
    /// All of them.
    Any,
}

impl Types {
    /// Whether events of the type with this name are sent. The endpoint wants none that this program does not know.
    fn include(&self, kind: &str) -> bool {
        match self {
            Self::Wanted(patterns) => kind.parse::<EventType>().is_ok_and(|kind| patterns.wants(kind)),
            Self::Any => true,
        }
    }
}

/// A running replay.
#[derive(Debug)]
pub struct Replay {
    filter: ReplayFilter,
    endpoint: EndpointName,
    types: Types,
    by: Actor,
    /// The last event that was read.
    after: i64,
    /// The last event when the replay began. Later events are not part of it.
    through: i64,
}

/// The result of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    pub queued: u64,
    /// Left out, because the event's delivery to the endpoint is unfinished.
    pub unfinished: u64,
    /// Left out, because the endpoint's `events` do not name the event's type.
    pub unwanted: u64,
}

/// The next events of a replay.
struct Candidates {
    /// Those that are sent.
    events: Vec<EventId>,
    unwanted: u64,
    /// The number of the last one, sent or not.
    last: i64,
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

    /// Begins a replay to an endpoint. An endpoint that was never registered receives nothing.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn begin_replay(
        &self,
        filter: ReplayFilter,
        endpoint: EndpointName,
        types: Types,
        by: Actor,
    ) -> Result<Replay, Error> {
        Ok(Replay { filter, endpoint, types, by, after: 0, through: self.last_number(stream::ALL).await? })
    }

    /// Queues the next few hundred events; none when there are no more.
    ///
    /// # Errors
    /// If the database fails; nothing of the batch is queued then.
    pub async fn replay(&self, replay: &mut Replay, now: DateTime<Utc>) -> Result<Option<Replayed>, Error> {
        let Some(Candidates { events, unwanted, last }) = self.candidates(replay).await? else { return Ok(None) };
        let (endpoint, by) = (&replay.endpoint, &replay.by);
        let replayed = if events.is_empty() {
            Replayed::default()
        } else {
            let events = &events;
            self.tx("event.replay", |tx| async move { tx.delivery().replay(endpoint, events, by, now).await }).await?
        };
        replay.after = last;
        Ok(Some(Replayed { unwanted, ..replayed }))
    }

    /// Returns what [`Store::replay`] would do next, without storing anything.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn rehearse(&self, replay: &mut Replay) -> Result<Option<Replayed>, Error> {
        let Some(Candidates { events, unwanted, last }) = self.candidates(replay).await? else { return Ok(None) };
        let endpoint = self.endpoint(&replay.endpoint).await?;
        let position = self.position(&replay.endpoint).await?;
        replay.after = last;
        let Some((endpoint, position)) = endpoint.zip(position) else {
            // It would be registered first, so it has no unfinished deliveries.
            return Ok(Some(Replayed { queued: count(events.len()), unfinished: 0, unwanted }));
        };
        let place = LockedEndpoint { endpoint, position: position.position, revision: position.revision };
        let targets = targets(self.read(), Events::Read, &place, &events).await?;
        let under_way = targets.iter().filter(|target| target.is_under_way()).count();
        Ok(Some(Replayed { queued: count(targets.len() - under_way), unfinished: count(under_way), unwanted }))
    }

    /// The next few hundred events that the filter selects; none after the last one.
    async fn candidates(&self, replay: &Replay) -> Result<Option<Candidates>, Error> {
        let ReplayFilter { ids, kinds, external_id, since, until } = &replay.filter;
        let names = |kinds: &Patterns| kinds.wanted().map(|kind| kind.as_str()).collect::<Vec<_>>();
        let rows: Vec<(EventId, i64, String)> = event::Entity::find()
            .select_only()
            .columns([event::Column::Id, event::Column::Seq, event::Column::Kind])
            .filter(event::Column::Seq.gt(replay.after))
            .filter(event::Column::Seq.lte(replay.through))
            .apply_if((!ids.is_empty()).then_some(ids), |query, ids| {
                query.filter(event::Column::Id.is_in(padded(ids.iter().cloned())))
            })
            .apply_if(kinds.as_ref(), |query, kinds| query.filter(event::Column::Kind.is_in(names(kinds))))
            .apply_if(external_id.clone(), |query, user| query.filter(event::Column::ExternalId.eq(user)))
            .apply_if(*since, |query, since| query.filter(Expr::col(event::Column::DetectedAt).gte(Expr::val(since))))
            .apply_if(*until, |query, until| query.filter(Expr::col(event::Column::DetectedAt).lt(Expr::val(until))))
            .order_by_asc(event::Column::Seq)
            .limit(count(BATCH))
            .into_tuple()
            .all(self.read())
            .await?;
        let Some(last) = rows.last().map(|(_, seq, _)| *seq) else { return Ok(None) };
        let (sent, left_out): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(.., kind)| replay.types.include(kind));
        let events = sent.into_iter().map(|(id, ..)| id).collect();
        Ok(Some(Candidates { events, unwanted: count(left_out.len()), last }))
    }
}

impl Delivery<'_> {
    async fn replay(
        &self,
        endpoint: &EndpointName,
        events: &[EventId],
        by: &Actor,
        now: DateTime<Utc>,
    ) -> Result<Replayed, Error> {
        let Some(place) = self.enter(endpoint).await? else { return Ok(Replayed::default()) };
        let targets = targets(self.tx.session(), Events::Locked, &place, events).await?;
        let (under_way, queued): (Vec<_>, Vec<_>) = targets.into_iter().partition(|target| target.is_under_way());
        let ids: Vec<EventId> = queued.iter().map(|target| target.event.clone()).collect();
        if !ids.is_empty() {
            self.tx.forget_acknowledgements(endpoint, &ids).await?;
        }
        let seqs: Vec<i64> = queued.iter().map(|target| target.seq).collect();
        let rows = queued.iter().map(|target| target.anew(&place, Reason::Replay, now)).collect();
        self.replace_rows(endpoint, &seqs, rows).await?;
        self.tx.record(by, Deed::to_deliveries(Action::Replay, &ids, endpoint), now).await?;
        Ok(Replayed { queued: count(queued.len()), unfinished: count(under_way.len()), unwanted: 0 })
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
