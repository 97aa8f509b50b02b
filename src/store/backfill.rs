//! History: an endpoint that is new is told of what was there before it, from the mirror.
//!
//! Each wallet and each deposit is one event, the one that it was when it appeared; a wallet that is blocked is a second one,
//! the one that announced the block. First those are queued that are stored,
//! in their order. Then the rows are gone through in the order in which they were created: the event of one that was stored
//! in silence is made, under the id that it would have had, and nobody else is told. So the numbers of a stream are in
//! order, too. Each transaction is about a few hundred events or rows and stores how far it has come. What the endpoint has
//! a delivery of already is left out, so what arrives meanwhile is not told twice.
//!
//! Rows that are no longer listed are left out: that they are gone would not be told either.
//!
//! The next few hundred are queued once most of the last ones have got through. So there is never much of it in the
//! outbox, and a claim can let everything else go first ([`super::claim`]).

mod source;

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use lumo_bridge_entity::delivery::{self, Reason};
use lumo_bridge_entity::{endpoint, progress, stream};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QuerySelect};
use serde::{Deserialize, Serialize};

use super::mirror::among;
use super::outbox::{Queued, Recorded};
use super::replay::UNFINISHED;
use super::{Error, Store, Tx};
use crate::model::Listing;
use crate::model::id::{DeliveryId, EndpointName, EventId};
use crate::model::subscriber::Subscriber;

/// Rows in one transaction.
const BATCH: u64 = 300;
/// So many of those that were queued last may be unfinished when the next ones are.
const UNDER_WAY: u64 = 50;

/// What became of the request to go on with an endpoint's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backfilled {
    /// All of it is queued, or none was asked for.
    Done,
    /// It is not its time: the first import is under way, the endpoint is not to be called, or what was queued last must get
    /// through first.
    Waits,
    /// So many deliveries were queued.
    Queued(u64),
}

/// The last row that was looked at, by time of creation and id.
type Mark = (DateTime<Utc>, String);

/// How far it has come.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    /// The number of the last stored event that was looked at; past all of them, the greatest number there is.
    seq: i64,
    wallets: Option<Mark>,
    deposits: Option<Mark>,
    /// The last deposit of those for which the upstream tells no time; they come last.
    undated: Option<String>,
    /// The first and the last delivery of those queued last.
    queued: Option<(String, String)>,
}

/// Up to which time of creation the endpoint's history is queued; none before it has begun.
#[must_use]
pub fn reached(row: &endpoint::Model) -> Option<DateTime<Utc>> {
    let Place { wallets, deposits, .. } = place(row.backfill_place.as_deref());
    wallets.into_iter().chain(deposits).map(|(at, _)| at).max()
}

/// What cannot be read begins anew, and leaves out what the endpoint has had.
fn place(text: Option<&str>) -> Place {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl Store {
    /// Queues the next few hundred rows of the history that an endpoint asked for when it was new.
    ///
    /// # Errors
    /// If the database fails; nothing is queued then, and it goes on where it was.
    pub async fn backfill(&self, subscriber: &Subscriber, now: DateTime<Utc>) -> Result<Backfilled, Error> {
        let Some(row) = self.endpoint(&subscriber.endpoint).await? else { return Ok(Backfilled::Waits) };
        let Some(since) = row.backfill_since.filter(|_| row.backfill_done_at.is_none()) else {
            return Ok(Backfilled::Done);
        };
        let is_called = row.state == endpoint::State::Active && row.removed_at.is_none();
        if !is_called || !self.has_imported().await? || self.has_enough(&row).await? {
            return Ok(Backfilled::Waits);
        }
        let before = row.backfill_place.as_deref();
        let generation = self.generation().await?;
        self.tx("endpoint.backfill", |tx| async move {
            let last = tx.lock_counter(stream::ALL).await?;
            let row = endpoint::Entity::find_by_id(subscriber.endpoint.clone()).lock_exclusive();
            let row = row.one(tx.session()).await?;
            let unmoved = row.filter(|row| row.backfill_place.as_deref() == before && row.backfill_done_at.is_none());
            match unmoved {
                Some(_) => tx.backfill(subscriber, since, place(before), last, generation, now).await,
                // Another process was faster.
                None => Ok(Backfilled::Waits),
            }
        })
        .await
    }

    /// Whether everything is in the mirror that was there before the bridge.
    async fn has_imported(&self) -> Result<bool, Error> {
        let listings = [Listing::Wallets, Listing::Deposits].map(Listing::as_str);
        let done = progress::Entity::find()
            .filter(progress::Column::Listing.is_in(listings))
            .filter(progress::Column::ImportDoneAt.is_not_null());
        Ok(done.count(self.read()).await? == 2)
    }

    /// Whether much of what was queued last is unfinished.
    async fn has_enough(&self, row: &endpoint::Model) -> Result<bool, Error> {
        let Some((first, last)) = place(row.backfill_place.as_deref()).queued else { return Ok(false) };
        let unfinished = delivery::Entity::find()
            .filter(delivery::Column::Id.between(first, last))
            .filter(delivery::Column::Endpoint.eq(row.name.clone()))
            .filter(delivery::Column::State.is_in(UNFINISHED));
        Ok(unfinished.count(self.read()).await? > UNDER_WAY)
    }
}

impl Tx {
    async fn backfill(
        &self,
        subscriber: &Subscriber,
        since: DateTime<Utc>,
        mut place: Place,
        last: i64,
        generation: &str,
        now: DateTime<Utc>,
    ) -> Result<Backfilled, Error> {
        let mut told = self.stored_events(subscriber, since, &mut place, last).await?;
        if told.is_none() {
            told = self.events_of_rows(subscriber, since, &mut place, generation, now).await?;
        }
        let Some(told) = told else {
            self.note_place(&subscriber.endpoint, &place, Some(now)).await?;
            return Ok(Backfilled::Done);
        };
        let had = self.had(&told, &subscriber.endpoint).await?;
        let queued = told.into_iter().filter(|event| !had.contains(&event.id)).map(|event| Queued {
            event: event.id,
            endpoint: subscriber.endpoint.clone(),
            lane: subscriber.lane(&event.stream),
            reason: Reason::Backfill,
        });
        let ids = self.queue(queued.collect(), now).await?.ids;
        if let (Some(first), Some(last)) = (ids.first(), ids.last()) {
            place.queued = Some((text(first), text(last)));
        }
        self.note_place(&subscriber.endpoint, &place, None).await?;
        Ok(Backfilled::Queued(u64::try_from(ids.len()).unwrap_or(u64::MAX)))
    }

    /// Those of the events that the endpoint has a delivery of, in whatever state.
    async fn had(&self, events: &[Recorded], endpoint: &EndpointName) -> Result<HashSet<EventId>, Error> {
        let ids = events.iter().map(|event| event.id.clone());
        let had: Vec<EventId> = delivery::Entity::find()
            .select_only()
            .column(delivery::Column::EventId)
            .filter(among(self.backend(), delivery::Column::EventId, ids))
            .filter(delivery::Column::Endpoint.eq(endpoint.clone()))
            .into_tuple()
            .all(self.session())
            .await?;
        Ok(had.into_iter().collect())
    }

    async fn note_place(
        &self,
        name: &EndpointName,
        place: &Place,
        done_at: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        endpoint::Entity::update_many()
            .col_expr(endpoint::Column::BackfillPlace, Expr::value(serde_json::to_string(place)?))
            .col_expr(endpoint::Column::BackfillDoneAt, Expr::value(done_at))
            .filter(endpoint::Column::Name.eq(name.clone()))
            .exec(self.session())
            .await?;
        Ok(())
    }
}

fn text(id: &DeliveryId) -> String {
    id.as_str().to_owned()
}
